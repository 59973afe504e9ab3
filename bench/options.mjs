// @ts-check
// The command line of `npm run bench`.

import { existsSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { StepError } from "../scripts/steps/console.mjs";
import { smollm2 } from "../scripts/steps/models.mjs";
import { modelsFolder } from "../scripts/steps/paths.mjs";

export const usage = `npm run bench -- [what] [options]

what   (none)        prefill and decode in Chromium, compared with wllama
       --load        load from each side's own cache, and the first token
       --native      chord bench compared with llama.cpp (Python package llama-cpp-python)
       --against REV compared with another revision: chord bench, or with --tab the packages in Chromium
       --webkit      prefill and decode in WebKit: the baseline, and the other artifact with each number of threads
       --ceilings    what this machine can stream and multiply at most, in Chromium and natively
       --page        serve a page that measures the machine on which it is opened

--model FILE         a GGUF file; a bare name is looked up in models/   (${smollm2.file})
--threads 1,2        thread counts
--prompts 16,128,512 prompt lengths in tokens (128 with --against and --webkit)
--tokens 64          tokens to decode after the first
--repeat 5           repetitions; the median counts
--activations mixed|q16|q8|f32  on our side, on the CPU                (mixed)
--only ours|wllama|llama.cpp  leave the other side out
--chord FILE         with --native: this program, instead of building it
--python FILE        the Python that has llama-cpp-python                (CHORD_PYTHON, or python3)
--at-least 0.97      with --against: fail if a ratio is below that
--host ADDRESS       with --page: where to listen; 0.0.0.0 for other machines too  (localhost)
--port 5180          with --page
--json FILE          write the JSON there instead of printing it`;

/** The options that choose what is measured; the first that is given counts. */
const BENCHMARKS = /** @type {const} */ (["against", "native", "load", "ceilings", "webkit", "page"]);

const ACTIVATIONS = /** @type {const} */ (["mixed", "q16", "q8", "f32"]);

/**
 * @typedef {ReturnType<typeof readOptions>} Options
 */

/** Checks what was typed. */
export function readOptions() {
  const { values } = parse();
  const only = values.only ?? null;
  if (only !== null && !["ours", "wllama", "llama.cpp"].includes(only)) {
    throw new StepError(`--only ${only}`, "choose ours, wllama or llama.cpp");
  }
  const activations = ACTIVATIONS.find((name) => name === values.activations);
  if (!activations) throw new StepError(`--activations ${values.activations}`, `choose ${ACTIVATIONS.join(", ")}`);
  // These fetch the default model themselves.
  const fetches = values.against !== undefined || values.page === true;
  return {
    help: values.help === true,
    what: BENCHMARKS.find((name) => values[name] !== undefined) ?? "speed",
    model: fetches && !values.model ? join(modelsFolder, smollm2.file) : findModel(values.model ?? smollm2.file),
    ownModel: values.model !== undefined,
    against: values.against ?? null,
    tab: values.tab === true,
    atLeast: values["at-least"] === undefined ? null : ratio(values["at-least"]),
    threads: numbers("--threads", values.threads),
    prompts: numbers("--prompts", values.prompts ?? (values.against || values.webkit ? "128" : "16,128,512")),
    tokens: numbers("--tokens", values.tokens)[0] ?? 64,
    repeat: numbers("--repeat", values.repeat)[0] ?? 5,
    activations,
    only,
    chord: values.chord ?? null,
    python: values.python ?? process.env.CHORD_PYTHON ?? "python3",
    host: values.host,
    port: numbers("--port", values.port)[0] ?? 0,
    json: values.json ?? null,
  };
}

function parse() {
  try {
    return parseArgs({
      options: {
        help: { type: "boolean", short: "h" },
        load: { type: "boolean" },
        native: { type: "boolean" },
        ceilings: { type: "boolean" },
        page: { type: "boolean" },
        webkit: { type: "boolean" },
        against: { type: "string" },
        tab: { type: "boolean" },
        "at-least": { type: "string" },
        model: { type: "string" },
        threads: { type: "string", default: "1,2" },
        prompts: { type: "string" },
        tokens: { type: "string", default: "64" },
        repeat: { type: "string", default: "5" },
        activations: { type: "string", default: "mixed" },
        only: { type: "string" },
        chord: { type: "string" },
        python: { type: "string" },
        host: { type: "string", default: "localhost" },
        port: { type: "string", default: "5180" },
        json: { type: "string" },
      },
    });
  } catch (error) {
    throw new StepError(error instanceof Error ? error.message : String(error), `the options are:\n${usage}`);
  }
}

/** @param {string} name */
function findModel(name) {
  const found = [resolve(name), join(modelsFolder, name)].find((path) => existsSync(path));
  if (found) return found;
  const where = isAbsolute(name) ? "" : ` in ${modelsFolder}`;
  throw new StepError(`no ${name}${where}`, "run npm start once to fetch the default model, or bench/models/*.py");
}

/**
 * @param {string} option
 * @param {string} list
 */
function numbers(option, list) {
  const values = list.split(",").map(Number);
  if (values.every((value) => Number.isInteger(value) && value > 0)) return values;
  throw new StepError(`${option} ${list}`, "give whole numbers, separated by commas");
}

/** @param {string} text */
function ratio(text) {
  const value = Number(text);
  if (value > 0) return value;
  throw new StepError(`--at-least ${text}`, "give a ratio such as 0.97");
}
