// npm run fuzz [-- TARGET … --minutes N]: runs the named targets of fuzz/, or all, for N minutes each.
// npm run fuzz -- TARGET --input FILE: one input, such as a crasher that a run has printed.
// Results are in target/fuzz: the corpus of each target, with which the next run continues, and the crashers.

import { readdirSync, mkdirSync } from "node:fs";
import { setPriority } from "node:os";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { installTool, toolProgram } from "./steps/cargo-tools.mjs";
import { line, main, step, StepError } from "./steps/console.mjs";
import { fromRoot, root } from "./steps/paths.mjs";
import { capture, findProgram, run } from "./steps/shell.mjs";

/** libFuzzer's options by target: the longest inputs, in bytes, and the dictionary that mutations use. */
const targets = {
  header: ["-max_len=32768", `-dict=${fromRoot("fuzz", "dictionaries", "header.dict")}`],
  structured: ["-max_len=512"],
  template: ["-max_len=4096", `-dict=${fromRoot("fuzz", "dictionaries", "template.dict")}`],
  tokens: ["-max_len=2048"],
};
const names = Object.keys(targets);
/** Most seconds for one input; on a machine with little else to do, the slowest inputs take a few. */
const inputSeconds = 25;
/** Most memory of the whole process, the fuzzer's own and the sanitizer's included; targets bound their own. */
const processMegabytes = 3072;

const folder = (...parts) => fromRoot("target", "fuzz", ...parts);
const env = { RUSTUP_TOOLCHAIN: "nightly" };

await main(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { minutes: { type: "string", default: "5" }, input: { type: "string" } },
  });
  const unknown = positionals.filter((name) => !names.includes(name));
  if (unknown.length > 0) throw new StepError(`no target ${unknown.join(", ")}`, `choose from ${names.join(", ")}`);
  const minutes = Number(values.minutes);
  if (!(minutes > 0)) throw new StepError(`--minutes ${values.minutes}`, "give a number above 0");
  if (values.input && positionals.length !== 1) throw new StepError("--input is for one target", "name the target");
  const unlisted = readdirSync(fromRoot("fuzz", "targets")).filter(
    (file) => !names.includes(file.replace(/\.rs$/, "")),
  );
  if (unlisted.length > 0) throw new StepError(`no limits for ${unlisted.join(", ")}`, "add them to scripts/fuzz.mjs");
  // Other work on the machine comes first.
  setPriority(19);
  await step("nightly Rust", nightly);
  await step("cargo-fuzz", () => installTool("cargo-fuzz"));
  let programs;
  await step("build", async () => void (programs = await build()));
  if (values.input) return await one(programs, positionals[0], resolve(values.input));
  await step("seeds", async () =>
    (await run(join(programs, "seeds"), [folder("seeds")], { log: "fuzz-seeds" })).output.trim(),
  );
  for (const name of positionals.length > 0 ? positionals : names) {
    // A crash ends its target; the others go on.
    await step(name, () => fuzz(programs, name, minutes)).catch(() => (process.exitCode = 1));
  }
});

async function nightly() {
  const advice = "install rustup from https://rustup.rs and run: rustup toolchain install nightly --profile minimal";
  if (!findProgram("rustup")) throw new StepError("libFuzzer's instruments need nightly Rust, from rustup", advice);
  const version = () => capture("rustc", ["--version"], { env, log: "rustc-nightly" });
  const found = await version();
  if (found.code === 0) return found.output.trim();
  await run("rustup", ["toolchain", "install", "nightly", "--profile", "minimal"], { log: "rustup", next: advice });
  return (await version()).output.trim();
}

/** Builds all targets, and returns the folder of their programs. */
async function build() {
  const { output } = await run("rustc", ["-vV"], { env, log: "rustc-nightly" });
  const [, host] = /^host: (.*)$/m.exec(output);
  const args = ["build", "--fuzz-dir", fromRoot("fuzz"), "--target-dir", folder("build")];
  await run(toolProgram("cargo-fuzz"), args, { env, log: "fuzz-build" });
  return folder("build", host, "release");
}

async function fuzz(programs, name, minutes) {
  const [corpus, seeds, crashes] = [folder("corpus", name), folder("seeds", name), folder("crashes", name)];
  for (const path of [corpus, crashes]) mkdirSync(path, { recursive: true });
  const limits = [`-max_total_time=${Math.round(60 * minutes)}`, `-timeout=${inputSeconds}`];
  limits.push(`-rss_limit_mb=${processMegabytes}`, `-artifact_prefix=${crashes}/`, "-print_final_stats=1");
  const { code, output, logFile } = await capture(join(programs, name), [...limits, ...targets[name], corpus, seeds], {
    log: `fuzz-${name}`,
  });
  const last = [...output.matchAll(/cov: (\d+) ft: (\d+) corp: (\d+)/g)].at(-1);
  const runs = /number_of_executed_units: *(\d+)/.exec(output)?.[1] ?? "?";
  const covered = last ? `${last[1]} edges, ${last[2]} features, ${last[3]} inputs kept` : "no coverage";
  if (code === 0) return `${runs} executions, ${covered}`;
  const file = /Test unit written to (.*)$/m.exec(output)?.[1];
  const cause = output.split("\n").find((text) => /panicked at|ERROR: |SUMMARY: /.test(text)) ?? `status ${code}`;
  throw new StepError(
    `${cause.trim()} (${runs} executions, ${covered})`,
    file ? `npm run fuzz -- ${name} --input ${relative(root, file)}` : `read ${logFile}`,
  );
}

async function one(programs, name, input) {
  const args = [`-timeout=${inputSeconds}`, `-rss_limit_mb=${processMegabytes}`, input];
  const { code, output } = await capture(join(programs, name), args, { log: `fuzz-${name}-input` });
  line(output.trimEnd());
  if (code !== 0) throw new StepError(`${name} fails with ${input}`, "mend what it shows, and keep it as a named test");
}
