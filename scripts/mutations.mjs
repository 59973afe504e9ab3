// npm run test:mutations [-- WORD …]: breaks a copy of the source in the ways of mutations/list.mjs, one after the
// other, and fails unless tests find each. With words: only entries that contain all of them.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { line, main, step, StepError } from "./steps/console.mjs";
import { fromRoot, modelsFolder } from "./steps/paths.mjs";
import { hostCargo } from "./steps/rust.mjs";
import { capture, run } from "./steps/shell.mjs";
import { mutations } from "./mutations/list.mjs";

const copy = fromRoot("target", "mutations", "source");
/** Tests that take longer are ended: a mutation can make them loop. */
const timeoutMs = 10 * 60_000;

await main(async () => {
  await step("every block type and architecture is in the list", checkList);
  const words = process.argv.slice(2);
  const chosen = mutations.filter(({ covers, file }) => words.every((word) => `${covers} ${file}`.includes(word)));
  if (chosen.length === 0) throw new StepError(`nothing in the list has ${words.join(", ")}`);
  await step("copy", copySources);
  // A test that fails by itself would find everything.
  const commands = new Map(chosen.map(({ test }) => [test.join(" "), test]));
  for (const [name, test] of commands) await step(`unbroken: ${name}`, () => unbroken(test));
  let missed = 0;
  for (const mutation of chosen) {
    await step(`${mutation.covers}, ${mutation.file}`, () => found(mutation)).catch(() => missed++);
  }
  line(`${chosen.length - missed} of ${chosen.length} mutations were found`);
  if (missed > 0) process.exitCode = 1;
});

function checkList() {
  const covered = new Set(mutations.map(({ covers }) => covers));
  const table = readFileSync(fromRoot("rust/gguf/src/quant/mod.rs"), "utf8");
  const types = ["F32", "F16", "BF16", ...[...table.matchAll(/^ +(\w+) Block\1,$/gm)].map(([, name]) => name)];
  const pages = readdirSync(fromRoot("rust/model/src/arch")).map((file) => file.replace(/\.rs$/, ""));
  const missing = [...types, ...pages.filter((name) => name !== "mod")].filter((name) => !covered.has(name));
  if (types.length < 10) throw new StepError("the table of block types was not found", "see scripts/mutations.mjs");
  if (missing.length > 0) {
    throw new StepError(`no mutation covers ${missing.join(", ")}`, "add one to scripts/mutations/list.mjs");
  }
  for (const { file, find, replace } of mutations) {
    const times = readFileSync(fromRoot(file), "utf8").split(find).length - 1;
    if (times !== 1 || find === replace) {
      throw new StepError(`\`${find}\` stands in ${file} ${times} times`, "correct scripts/mutations/list.mjs");
    }
  }
  return `${types.length} types, ${pages.length - 1} architectures, ${mutations.length} mutations`;
}

/** Brings the copy up to date; files that are the same keep their time, so that cargo builds only what has changed. */
async function copySources() {
  const { output } = await run("git", ["ls-files", "-co", "--exclude-standard"], { log: "mutations-files" });
  const files = output
    .trim()
    .split("\n")
    .filter((file) => existsSync(fromRoot(file)) && statSync(fromRoot(file)).isFile());
  const wanted = new Set(files);
  for (const file of existsSync(copy) ? readdirSync(copy, { recursive: true }) : []) {
    const path = file.replaceAll("\\", "/");
    if (statSync(join(copy, file)).isFile() && !wanted.has(path)) rmSync(join(copy, file));
  }
  let changed = 0;
  for (const file of files) {
    const [from, to] = [readFileSync(fromRoot(file)), join(copy, file)];
    if (existsSync(to) && readFileSync(to).equals(from)) continue;
    mkdirSync(dirname(to), { recursive: true });
    writeFileSync(to, from);
    changed++;
  }
  return `${changed} of ${files.length} files were new`;
}

async function cargoTest(args, log) {
  const { cargo, env } = await hostCargo();
  const settings = {
    ...env,
    CARGO_TARGET_DIR: fromRoot("target", "mutations", "build"),
    // Built often and run briefly.
    CARGO_PROFILE_DEV_OPT_LEVEL: "1",
    CHORD_MODELS: modelsFolder,
    // Mistakes must be found without data that a clone lacks.
    CHORD_GOLDEN: undefined,
    CHORD_VOCAB: undefined,
  };
  return capture(cargo, ["test", ...args], { cwd: copy, env: settings, log, timeoutMs });
}

async function unbroken(test) {
  const { code, logFile } = await cargoTest(test, "mutations-unbroken");
  if (code !== 0) throw new StepError("the tests fail before anything is broken", `read ${logFile}`);
}

/** Breaks the copy, expects a failed test, and mends the copy. */
async function found({ covers, file, find, replace, test }) {
  const path = join(copy, file);
  const whole = readFileSync(path, "utf8");
  writeFileSync(
    path,
    whole.replace(find, () => replace),
  );
  try {
    const log = `mutation-${covers.replace(/\W+/g, "-")}`;
    const built = await cargoTest([...test, "--no-run"], log);
    if (built.code !== 0) throw new StepError("it does not compile", `correct the list; ${built.logFile} says why`);
    const { code, output, logFile } = await cargoTest(test, log);
    const failures = [...output.matchAll(/^test (\S+) \.\.\. FAILED$/gm)].map(([, name]) => name);
    if (code === 0) throw new StepError("no test found it", `strengthen the tests of ${test[1]}: ${find} → ${replace}`);
    if (failures.length === 0 || !/ panicked at /.test(output)) {
      throw new StepError("the tests ended without a failed assertion", `read ${logFile}`);
    }
    return `found by ${failures.slice(0, 2).join(", ")}${failures.length > 2 ? ` and ${failures.length - 2} more` : ""}`;
  } finally {
    writeFileSync(path, whole);
  }
}
