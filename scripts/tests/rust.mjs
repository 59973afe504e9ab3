// cargo's part of the test run.

import { hostCargo } from "../steps/rust.mjs";
import { capture, run } from "../steps/shell.mjs";
import { failure } from "./tally.mjs";

const component = (name) => `fix what is shown above (rustup component add ${name}, if cargo does not know it)`;

export async function checkFormat() {
  const { cargo, env } = await hostCargo();
  // `fuzz` is a workspace of its own.
  for (const which of [["--all"], ["--manifest-path", "fuzz/Cargo.toml"]]) {
    await run(cargo, ["fmt", ...which, "--check", "--", "--color", "never"], {
      env,
      log: "cargo-fmt",
      next: component("rustfmt"),
    });
  }
}

export async function clippy() {
  const { cargo, env } = await hostCargo();
  await run(cargo, ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], {
    env,
    log: "cargo-clippy",
    next: component("clippy"),
  });
}

/** Environment that makes the Vulkan loader see one driver only; `name` appears in the tests' messages. */
export function onAdapter(name, icd) {
  return { VK_ICD_FILENAMES: icd, VK_DRIVER_FILES: icd, CHORD_TEST_ADAPTER: name };
}

/**
 * Which ignored tests run: those that need the larger sets of the reference's results, where
 * `CHORD_GOLDEN` and `CHORD_VOCAB` name their folders, and with `CHORD_FULL=1` those in modules named `full`.
 */
function includedTests({ CHORD_GOLDEN, CHORD_VOCAB, CHORD_FULL }) {
  if (!CHORD_GOLDEN || !CHORD_VOCAB) return [];
  return ["--", "--include-ignored", ...(CHORD_FULL === "1" ? [] : ["--skip", "full::"])];
}

/** Runs `cargo test` to its end and counts what it reports. */
export async function cargoTest(args, env, log) {
  const host = await hostCargo();
  const counts = { passed: 0, failed: 0, leftOut: [], failures: [] };
  const command = ["test", "--no-fail-fast", ...args, ...includedTests(process.env)];
  const { code, output, logFile } = await capture(host.cargo, command, {
    env: { ...host.env, ...env },
    log,
    onLine(text) {
      const [, ignored, why = "ignored"] = /^test (\S+) \.\.\. ignored(?:, (.+))?$/.exec(text) ?? [];
      if (ignored) counts.leftOut.push({ name: ignored, why });
      const result = /^test result: \w+\. (\d+) passed; (\d+) failed;/.exec(text);
      if (result) {
        counts.passed += Number(result[1]);
        counts.failed += Number(result[2]);
      }
    },
  });
  // Each failed test's own output, up to the next one's or to the list of names at the end.
  for (const [, name, printed] of output.matchAll(/^---- (.+) stdout ----\n([^]*?)(?=^---- |^failures:$)/gm)) {
    counts.failures.push(failure(name, printed));
  }
  counts.next = `read ${logFile}`;
  if (code !== 0 && counts.failed === 0) {
    counts.failed = 1;
    counts.failures.push(
      ...output
        .split("\n")
        .filter((text) => /^error/.test(text))
        .slice(0, 5),
    );
  }
  return counts;
}
