// Programs that cargo builds from crates.io, each at one version, in target/tools.

import { spawnSync } from "node:child_process";
import { fromRoot } from "./paths.mjs";
import { hostCargo } from "./rust.mjs";
import { run } from "./shell.mjs";

const versions = { "cargo-deny": "0.20.2", "cargo-machete": "0.9.2", "cargo-fuzz": "0.13.2" };
const folder = fromRoot("target", "tools");

/** The path of a tool's program. */
export const toolProgram = (name) =>
  fromRoot("target", "tools", "bin", process.platform === "win32" ? `${name}.exe` : name);

/** Builds a tool if this version of it is missing, which takes minutes. */
export async function installTool(name) {
  const version = versions[name];
  const { stdout } = spawnSync(toolProgram(name), ["--version"], { encoding: "utf8" });
  if (stdout?.trim().endsWith(version)) return `${version} is there`;
  const { cargo, env } = await hostCargo();
  await run(cargo, ["install", "--locked", "--root", folder, `${name}@${version}`], { env, log: name });
  return `${version} built`;
}
