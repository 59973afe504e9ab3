// Debian packages. Elsewhere these functions only say what is missing.

import { existsSync, readFileSync } from "node:fs";
import { StepError } from "./console.mjs";
import { run } from "./shell.mjs";

export function isDebian() {
  if (!existsSync("/etc/os-release")) return false;
  return /^ID(_LIKE)?=.*(debian|ubuntu)/m.test(readFileSync("/etc/os-release", "utf8"));
}

let listsAreFresh = false;

/** Installs packages with apt. `purpose` ends the sentence "… is needed" of the message where that cannot be done. */
export async function aptInstall(packages, purpose) {
  const command = `apt-get install -y --no-install-recommends ${packages.join(" ")}`;
  if (!isDebian()) throw new StepError(`${purpose} is missing`, `install the equivalent of: ${packages.join(" ")}`);
  if (process.getuid?.() !== 0) {
    throw new StepError(`${purpose} is missing, and only root may install packages`, `run: sudo ${command}`);
  }
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  if (!listsAreFresh) {
    await run("apt-get", ["update"], { env, log: "apt", next: "check /etc/apt/sources.list and the network" });
    listsAreFresh = true;
  }
  await run("apt-get", ["install", "-y", "--no-install-recommends", ...packages], {
    env,
    log: "apt",
    append: true,
    next: `install by hand: ${command}`,
  });
}
