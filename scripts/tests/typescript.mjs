// TypeScript's part of the test run: types, lints, format, unit tests.

import { readFileSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { fromRoot, root, scratch } from "../steps/paths.mjs";
import { capture, run } from "../steps/shell.mjs";
import { failure } from "./tally.mjs";

const module = (...path) => fromRoot("node_modules", ...path);
const projects = ["web", "examples/chat", "examples/chat/service-worker", "playwright", "bench"];

export async function typeCheck() {
  for (const project of projects) {
    await run(process.execPath, [module("typescript", "bin", "tsc"), "--noEmit", "-p", fromRoot(project)], {
      log: `tsc-${project.replaceAll("/", "-")}`,
    });
  }
  return projects.join(", ");
}

/** Rules of .oxlintrc.json, including those that need types (tsgolint): the demo's are the built package's. */
export async function oxlint() {
  await run(process.execPath, [module("oxlint", "bin", "oxlint")], {
    log: "oxlint",
    next: "mend what is shown above; `void` stands where not waiting for a promise is meant",
  });
}

export async function checkPrettier() {
  await run(process.execPath, [module("prettier", "bin", "prettier.cjs"), "--check", "."], {
    log: "prettier",
    next: "run: npx prettier --write .",
  });
}

export async function vitest() {
  const report = join(scratch, "vitest.json");
  rmSync(report, { force: true });
  const { code, logFile } = await capture(
    process.execPath,
    [module("vitest", "vitest.mjs"), "run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`],
    { cwd: fromRoot("web"), log: "vitest" },
  );
  const result = readReport(report);
  const failures = (result?.testResults ?? []).flatMap((file) =>
    file.assertionResults
      .filter((test) => test.status === "failed")
      .map((test) => failure(`${relative(root, file.name)}: ${test.fullName}`, test.failureMessages[0])),
  );
  const failed = result?.numFailedTests ?? 0;
  return {
    passed: result?.numPassedTests ?? 0,
    failed: code !== 0 && failed === 0 ? 1 : failed,
    failures,
    next: `read ${logFile}`,
  };
}

export function readReport(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return null;
  }
}
