// Playwright's part of the test run: the built package and the demo in Chromium.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { fromRoot, scratch } from "../steps/paths.mjs";
import { capture } from "../steps/shell.mjs";
import { shaderFolder } from "./shaders.mjs";
import { failure } from "./tally.mjs";
import { readReport } from "./typescript.mjs";

/**
 * Runs the browser tests, or those that `args` choose. `onTest` sees each of them at the end, with its time and its
 * notes (Playwright's annotations).
 */
export async function playwright(chromium, args = [], onTest = () => {}) {
  const report = join(scratch, "playwright.json");
  rmSync(report, { force: true });
  const cli = fromRoot("node_modules", "@playwright", "test", "cli.js");
  const { code, logFile } = await capture(process.execPath, [cli, "test", ...args], {
    cwd: fromRoot("playwright"),
    env: { CHORD_CHROMIUM: chromium, CHORD_SHADER_DUMP: shaderFolder, PLAYWRIGHT_JSON_OUTPUT_NAME: report },
    log: "playwright",
  });
  const result = readReport(report);
  for (const test of allTests(result?.suites)) onTest(test);
  const { expected = 0, flaky = 0, unexpected = 0 } = result?.stats ?? {};
  const failed = unexpected + flaky;
  return {
    passed: expected,
    failed: code !== 0 && failed === 0 ? 1 : failed,
    leftOut: result ? [...skippedTests(result.suites)] : [],
    failures: result ? [...failedTests(result.suites)] : [],
    next: `read ${logFile}, or run: npx playwright test -c playwright`,
  };
}

/** The checks of the CPU's products that `cargo test` runs, here in Chromium, with and without relaxed SIMD. */
export async function kernelChecks(chromium) {
  const script = fromRoot("rust", "cpu", "examples", "wasm_kernels.mjs");
  const counts = { passed: 0, failed: 0, failures: [] };
  for (const build of [[], ["--baseline"]]) {
    const { code, output, logFile } = await capture(
      process.execPath,
      [script, "--chromium", "--check-only", ...build],
      { env: { CHORD_CHROMIUM: chromium }, log: "wasm-kernels" },
    );
    const isRight = code === 0 && /^\S+: all checks pass$/m.test(output);
    counts[isRight ? "passed" : "failed"]++;
    if (isRight) continue;
    counts.failures.push(failure(["products", ...build].join(" "), output));
    counts.next = `read ${logFile}`;
  }
  return counts;
}

function* allTests(suites) {
  for (const { specs = [], suites: inner } of suites ?? []) {
    for (const { title, ok, tests } of specs) {
      const results = tests.flatMap((test) => test.results);
      const notes = tests.flatMap((test) => test.annotations).flatMap(({ description }) => description ?? []);
      yield { title, ok, milliseconds: results.reduce((sum, { duration }) => sum + duration, 0), notes };
    }
    yield* allTests(inner);
  }
}

function* skippedTests(suites) {
  for (const { specs = [], suites: inner } of suites ?? []) {
    for (const { title, tests } of specs) {
      if (!tests.some((test) => test.status === "skipped")) continue;
      const why = tests.flatMap((test) => test.annotations).find(({ type }) => type === "skip")?.description;
      yield { name: title, why: why ?? "skipped" };
    }
    yield* skippedTests(inner);
  }
}

function* failedTests(suites, path = []) {
  for (const suite of suites ?? []) {
    const here = [...path, suite.title];
    for (const { ok, title, tests } of suite.specs ?? []) {
      if (ok) continue;
      const error = tests.flatMap((test) => test.results).find((result) => result.error)?.error;
      const line = error?.location ? ` (line ${error.location.line})` : "";
      yield failure([...here, title].join(" › ") + line, error?.message);
    }
    yield* failedTests(suite.suites, here);
  }
}
