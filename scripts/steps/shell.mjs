// Child processes: output goes to a log file, the newest line to the progress line, and the end of it into the error.

import { spawn } from "node:child_process";
import { createWriteStream, mkdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { existsSync } from "node:fs";
import { progress, StepError } from "./console.mjs";
import { root, scratch } from "./paths.mjs";

const tailLines = 40;

/**
 * Runs a command to its end.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {object} [options]
 * @param {string} [options.log] name of the log file; the command's own name where absent
 * @param {boolean} [options.append] add to that log instead of starting it anew
 * @param {string} [options.cwd]
 * @param {Record<string, string|undefined>} [options.env] added to this process's environment
 * @param {(line: string) => void} [options.onLine] sees each line of stdout and stderr
 * @param {number} [options.timeoutMs]
 * @returns {Promise<{ code: number, signal: string | null, output: string, logFile: string }>} rejects only when the
 * command cannot start
 */
export function capture(command, args, options = {}) {
  mkdirSync(scratch, { recursive: true });
  const logFile = join(scratch, `${options.log ?? command.replace(/.*[\\/]/, "")}.log`);
  const log = createWriteStream(logFile, { flags: options.append ? "a" : "w" });
  log.write(`$ ${command} ${args.join(" ")}\n`);
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd ?? root,
      env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined, CARGO_TERM_COLOR: "never", ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: options.timeoutMs,
    });
    let output = "";
    let partial = "";
    const receive = (chunk) => {
      const text = chunk.toString();
      log.write(text);
      output += text;
      const lines = (partial + text).split(/\r?\n|\r/);
      partial = lines.pop();
      for (const each of lines) {
        options.onLine?.(each);
        if (each.trim() !== "") progress(each.trim());
      }
    };
    child.stdout.on("data", receive);
    child.stderr.on("data", receive);
    child.on("error", (error) => {
      log.end();
      reject(new StepError(`could not start ${command}: ${error.message}`, `install ${command} and run this again`));
    });
    child.on("close", (code, signal) => {
      if (partial) options.onLine?.(partial);
      log.end(() => resolve({ code: code ?? 1, signal, output, logFile }));
    });
  });
}

/** As `capture`, but a non-zero exit status is an error that shows the end of the output. */
export async function run(command, args, options = {}) {
  const result = await capture(command, args, options);
  if (result.code === 0) return result;
  const how = result.signal ? `was ended by ${result.signal}` : `ended with status ${result.code}`;
  const tail = result.output.trimEnd().split("\n").slice(-tailLines).join("\n");
  throw new StepError(
    `\`${command} ${args.join(" ")}\` ${how}\n${tail}`,
    options.next ?? `read the output above; all of it is in ${result.logFile}`,
  );
}

/** The path of a program on PATH, or null. */
export function findProgram(name) {
  const endings = process.platform === "win32" ? [".exe", ".cmd", ""] : [""];
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    for (const ending of endings) {
      const path = join(folder, name + ending);
      if (folder && existsSync(path)) return path;
    }
  }
  return null;
}
