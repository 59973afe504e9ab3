// Checks every shader variant with Tint. The Rust tests check them with naga, and the browser tests in Chromium.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { devNull } from "node:os";
import { join } from "node:path";
import { StepError } from "../steps/console.mjs";
import { scratch } from "../steps/paths.mjs";
import { findProgram } from "../steps/shell.mjs";

/** Where the tests of chord-gpu write every variant, as WGSL for browsers (`CHORD_SHADER_DUMP`). */
export const shaderFolder = join(scratch, "shaders");

/** Debian's package `tint` is a game; the compiler's help speaks of WGSL. */
function hasTint() {
  if (!findProgram("tint")) return false;
  const { stdout, stderr } = spawnSync("tint", ["--help"], { encoding: "utf8", timeout: 10_000 });
  return /wgsl/i.test(`${stdout}${stderr}`);
}

export function validateWithTint() {
  const files = existsSync(shaderFolder)
    ? readdirSync(shaderFolder).filter((name) => name.endsWith(".browser.wgsl"))
    : [];
  if (files.length === 0) throw new StepError("no shader variants were written", "run the tests of chord-gpu first");
  if (!hasTint()) return `no tint here; the browser tests have Tint read these ${files.length} variants`;
  const failures = [];
  for (const file of files) {
    const result = spawnSync("tint", ["--format", "wgsl", "-o", devNull, join(shaderFolder, file)], {
      encoding: "utf8",
    });
    if (result.status !== 0) failures.push(`${file}: ${`${result.stderr}${result.stdout}`.trim().split("\n")[0]}`);
  }
  return { passed: files.length - failures.length, failed: failures.length, failures };
}
