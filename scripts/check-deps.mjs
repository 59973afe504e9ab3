// npm run check:deps [-- --advisories]: checks the crates of Cargo.lock: licences, sources, duplicates and unused ones.
// `--advisories` also checks for known vulnerabilities, with RustSec's database from GitHub.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { installTool, toolProgram } from "./steps/cargo-tools.mjs";
import { main, step, StepError } from "./steps/console.mjs";
import { fromRoot } from "./steps/paths.mjs";
import { hostCargo } from "./steps/rust.mjs";
import { run } from "./steps/shell.mjs";

const tools = ["cargo-deny", "cargo-machete"];

async function deny(checks) {
  const { env } = await hostCargo();
  await run(toolProgram("cargo-deny"), ["check", ...checks], {
    env,
    log: "cargo-deny-check",
    next: "take another crate or version, or allow it in deny.toml and say why",
  });
}

/** Dependencies that a crate names and its sources do not. */
async function machete() {
  await run(toolProgram("cargo-machete"), ["--skip-target-dir", fromRoot()], {
    log: "cargo-machete-check",
    next: "take the dependency out of that Cargo.toml, or list it under [package.metadata.cargo-machete] and say why",
  });
}

/** Dependencies in the workspace's table that no crate uses, which cargo-machete does not check. */
function workspaceTable() {
  const table = /^\[workspace\.dependencies\]$([^]*?)^\[/m.exec(readFileSync(fromRoot("Cargo.toml"), "utf8"))[1];
  const listed = [...table.matchAll(/^([\w-]+) *=/gm)].map(([, name]) => name);
  const crates = ["rust", "scripts"].flatMap((folder) => readdirSync(fromRoot(folder)).map((name) => [folder, name]));
  const manifests = crates
    .map((path) => fromRoot(...path, "Cargo.toml"))
    .filter((file) => existsSync(file))
    .map((file) => readFileSync(file, "utf8"));
  const isTaken = (name) => manifests.some((text) => new RegExp(`^${name}(\\.workspace)? *=`, "m").test(text));
  const unused = listed.filter((name) => !isTaken(name));
  if (unused.length > 0) throw new StepError(`no crate takes ${unused.join(", ")}`, "take it out of Cargo.toml");
  return `${listed.length} of ${listed.length} are taken`;
}

await main(async () => {
  const { values } = parseArgs({ options: { advisories: { type: "boolean" } } });
  await step("unused in the workspace's table", workspaceTable);
  for (const name of tools) await step(name, () => installTool(name));
  await step("unused in a crate", machete);
  await step("licences, sources, doubles", () => deny(["bans", "licenses", "sources"]));
  if (values.advisories) await step("advisories", () => deny(["advisories"]));
});
