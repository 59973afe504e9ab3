// One line per step, with its time; a failing step says what happened and what to do.

const interactive = process.stdout.isTTY === true;
const columns = () => process.stdout.columns ?? 100;

/** A failure that a person can act on. `next` is the next step to take, as a sentence or a command. */
export class StepError extends Error {
  constructor(message, next, options) {
    super(message, options);
    this.next = next;
  }
}

/** Shows `text` on the line in progress; on a plain log nothing is shown until the step ends. */
export function progress(text) {
  if (!interactive) return;
  process.stdout.write(`\r\x1b[2K  ${text.replace(/[\r\n]+/g, " ").slice(0, columns() - 4)}`);
}

/** Runs `action` and prints one line: its name, what it returned, and how long it took. */
export async function step(name, action) {
  const started = performance.now();
  const seconds = () => `${((performance.now() - started) / 1000).toFixed(1)} s`.padStart(8);
  progress(`${name} …`);
  try {
    const note = await action();
    line(`ok   ${seconds()}  ${name}${note ? `: ${note}` : ""}`);
  } catch (error) {
    line(`FAIL ${seconds()}  ${name}: ${error.message}`);
    if (error.next) line(`       What to do: ${error.next}`);
    if (!(error instanceof StepError)) line(error.stack);
    error.reported = true;
    throw error;
  }
}

/** Prints a whole line, replacing the one in progress. */
export function line(text) {
  process.stdout.write(`${interactive ? "\r\x1b[2K" : ""}${text}\n`);
}

/** Runs the main function of a script; a step's failure has been printed already and only sets the exit status. */
export async function main(run) {
  try {
    await run();
  } catch (error) {
    if (!error.reported) {
      line(`FAIL ${error.message}`);
      if (error.next) line(`       What to do: ${error.next}`);
      else line(error.stack);
    }
    process.exitCode = 1;
  }
}

export function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 1)} MB`;
}
