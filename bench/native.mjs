// @ts-check
// `chord bench` compared with llama.cpp, natively: one process after the other, taking turns, medians.

import { spawnSync } from "node:child_process";
import { basename } from "node:path";
import { line, StepError } from "../scripts/steps/console.mjs";
import { fromRoot } from "../scripts/steps/paths.mjs";
import { hostCargo } from "../scripts/steps/rust.mjs";
import { run } from "../scripts/steps/shell.mjs";
import { figure, median, table } from "./statistics.mjs";

/**
 * @import { Options } from "./options.mjs"
 * @typedef {{ prefill: number, decode: number }} Rates tokens per second
 * @typedef {{ threads: number, prompt: number, chord?: Rates, llama_cpp?: Rates }} Row
 */

const built = fromRoot("target", "release", process.platform === "win32" ? "chord.exe" : "chord");

/** @param {Options} options */
export async function measureNative(options) {
  const { only, model, tokens, repeat, python } = options;
  const chord = options.chord ?? built;
  const build = only === "llama.cpp" ? null : (options.chord ?? (await buildChord()));
  const system = only === "ours" ? null : llamaCpp(python);
  if (only !== "ours" && system === null) {
    line(`llama.cpp is left out: ${python} has no llama_cpp (see bench/README.md; --python FILE names another)`);
  }
  /** @type {Row[]} */
  const rows = [];
  for (const threads of options.threads) {
    for (const prompt of options.prompts) {
      /** @type {{ chord: Rates[], llama_cpp: Rates[] }} */
      const samples = { chord: [], llama_cpp: [] };
      const sides = [
        ...(build === null
          ? []
          : [() => samples.chord.push(runChord(chord, [options.model], options, threads, prompt))]),
        ...(system === null ? [] : [() => samples.llama_cpp.push(runLlamaCpp(python, model, threads, prompt, tokens))]),
      ];
      for (let n = 0; n < repeat; n++) for (const side of n % 2 ? [...sides].reverse() : sides) side();
      /** @type {Row} */
      const row = { threads, prompt };
      if (samples.chord.length) row.chord = medians(samples.chord);
      if (samples.llama_cpp.length) row.llama_cpp = medians(samples.llama_cpp);
      rows.push(row);
    }
  }
  line(`\n${basename(model)}, native, medians of ${repeat}, tokens per second`);
  if (build !== null) line(`chord: ${build}, activations ${options.activations}`);
  if (system !== null) line(`llama.cpp: ${system}`);
  line(toTable(rows, tokens));
  return { model: basename(model), tokens, repeat, build, system, rows };
}

async function buildChord() {
  const { cargo, env } = await hostCargo();
  await run(cargo, ["build", "--release", "-p", "chord-cli"], { log: "cargo-bench", env });
  return `cargo build --release -p chord-cli, RUSTFLAGS=${process.env.RUSTFLAGS ?? "(none)"}`;
}

/**
 * llama.cpp's description of its own build, or null if Python does not have it.
 *
 * @param {string} python
 */
function llamaCpp(python) {
  const { status, stdout } = spawnSync(python, [script, "--system"], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : null;
}

const script = fromRoot("bench", "llama_cpp_bench.py");

/**
 * One run of `chord bench`.
 *
 * @param {string} chord the program
 * @param {string[]} model its arguments that name the model
 * @param {Options} options
 * @param {number} threads
 * @param {number} prompt
 * @returns {Rates}
 */
export function runChord(chord, model, { tokens, activations }, threads, prompt) {
  const sizes = ["-p", String(prompt), "-n", String(tokens), "-r", "1"];
  const device = ["--backend", "cpu", "--threads", String(threads), "--activations", activations];
  const args = ["bench", ...model, ...device, ...sizes, "--json"];
  const report = answer(chord, args);
  return { prefill: report.prefill_tokens_per_s, decode: report.decode_tokens_per_s };
}

/**
 * @param {string} python
 * @param {string} model
 * @param {number} threads
 * @param {number} prompt
 * @param {number} tokens
 * @returns {Rates}
 */
function runLlamaCpp(python, model, threads, prompt, tokens) {
  return /** @type {any} */ (answer(python, [script, model, String(threads), String(prompt), String(tokens)]));
}

/**
 * The JSON that a program prints.
 *
 * @param {string} command
 * @param {string[]} args
 * @returns {Record<string, number> & { prefill_tokens_per_s: number, decode_tokens_per_s: number }}
 */
function answer(command, args) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (status === 0) return JSON.parse(stdout);
  throw new StepError(`\`${basename(command)} ${args.join(" ")}\` ended with ${status}\n${stderr.slice(-2000)}`);
}

/** @param {Rates[]} samples */
function medians(samples) {
  return {
    prefill: median(samples.map(({ prefill }) => prefill)),
    decode: median(samples.map(({ decode }) => decode)),
  };
}

/**
 * @param {Row[]} rows
 * @param {number} tokens
 */
function toTable(rows, tokens) {
  const head = [
    "threads",
    "prompt",
    "prefill ours",
    "llama.cpp",
    "ratio",
    `decode ${tokens} ours`,
    "llama.cpp",
    "ratio",
  ];
  const cells = rows.map(({ threads, prompt, chord, llama_cpp }) => {
    const pair = (/** @type {"prefill" | "decode"} */ kind) => {
      const [ours, theirs] = [chord?.[kind] ?? NaN, llama_cpp?.[kind] ?? NaN];
      return [figure(ours), figure(theirs), `${figure(ours / theirs)} ×`];
    };
    return [String(threads), String(prompt), ...pair("prefill"), ...pair("decode")];
  });
  return table(head, cells);
}
