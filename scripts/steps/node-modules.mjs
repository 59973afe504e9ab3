// The npm packages of the lock file. Everything before this step uses Node's own modules only.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { StepError } from "./console.mjs";
import { fromRoot } from "./paths.mjs";
import { run } from "./shell.mjs";

const stamp = fromRoot("node_modules", ".lock-hash");

/** Runs npm: the one that started this script (npm passes its path on), else the one on PATH. */
export function npm(args, options) {
  const path = process.env.npm_execpath;
  return path?.endsWith(".js") ? run(process.execPath, [path, ...args], options) : run("npm", args, options);
}

/** Node's version in the terms of package.json's `engines`: 20.19 or later of 20, or 22.12 or later. */
export function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19)) return;
  throw new StepError(
    `Node.js ${process.versions.node} is too old: 20.19, 22.12 or later is needed`,
    "install a current Node.js from https://nodejs.org",
  );
}

export async function installNodeModules() {
  checkNode();
  const lock = createHash("sha256")
    .update(readFileSync(fromRoot("package-lock.json")))
    .digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return "installed already";
  await npm(["ci", "--no-audit", "--no-fund"], {
    log: "npm-ci",
    next: "check that the npm registry can be reached, then run this again",
  });
  writeFileSync(stamp, lock);
  return "installed from package-lock.json";
}
