// The licences of everything that the npm package contains besides our own code, in one file beside it.

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { StepError } from "./console.mjs";
import { fromRoot } from "./paths.mjs";
import { hostCargo } from "./rust.mjs";
import { capture } from "./shell.mjs";

const licenceFile = /^(licen[cs]e|copying|notice|unlicense)([-._].*)?$/i;

/** Writes the notices for the crates in the wasm module and for the bundled npm packages. */
export async function writeNotices(file, npmPackages) {
  const packages = [...(await crates()), ...npmPackages.map(npmPackage)].sort((a, b) => a.name.localeCompare(b.name));
  /** Text of a licence → the packages that carry it. */
  const texts = new Map();
  for (const { name, version, licence, folder } of packages) {
    for (const text of licenceTexts(folder)) {
      texts.set(text, [...(texts.get(text) ?? []), `${name} ${version} (${licence})`]);
    }
  }
  const list = packages.map(({ name, version, licence }) => `${name} ${version}: ${licence}`).join("\n");
  const sections = [...texts].map(([text, users]) => `${"-".repeat(80)}\n${users.join(", ")}\n\n${text}`);
  writeFileSync(file, `wasm-chord contains code of these packages:\n\n${list}\n\n${sections.join("\n\n")}\n`);
  return packages.length;
}

/** The crates that `chord-wasm` is linked from, without those that only run while building. */
async function crates() {
  const { cargo, env } = await hostCargo();
  const args = ["metadata", "--format-version", "1", "--filter-platform", "wasm32-unknown-unknown", "--locked"];
  const { code, output, logFile } = await capture(cargo, args, { env, log: "cargo-metadata", cwd: fromRoot() });
  if (code !== 0) throw new StepError("cargo metadata failed", `read ${logFile}`);
  const { packages, resolve } = JSON.parse(output.split("\n").find((text) => text.startsWith('{"packages"')));
  const byId = new Map(packages.map((one) => [one.id, one]));
  const nodes = new Map(resolve.nodes.map((node) => [node.id, node]));
  const seen = new Set();
  const waiting = packages.filter(({ name }) => name === "chord-wasm").map(({ id }) => id);
  while (waiting.length > 0) {
    const id = waiting.pop();
    const isMacro = byId.get(id).targets.some(({ kind }) => kind.includes("proc-macro"));
    if (seen.has(id) || isMacro) continue;
    seen.add(id);
    for (const { pkg, dep_kinds: kinds } of nodes.get(id).deps) {
      if (kinds.some(({ kind }) => kind === null)) waiting.push(pkg);
    }
  }
  return [...seen]
    .map((id) => byId.get(id))
    .filter(({ source }) => source !== null)
    .map(({ name, version, license, manifest_path: manifest }) => ({
      name,
      version,
      licence: license,
      folder: dirname(manifest),
    }));
}

function npmPackage(name) {
  const folder = [fromRoot("web", "node_modules", name), fromRoot("node_modules", name)].find((path) =>
    existsSync(path),
  );
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return { name, version, licence: license, folder };
}

function licenceTexts(folder) {
  return readdirSync(folder)
    .filter((name) => licenceFile.test(name))
    .map((name) => readFileSync(join(folder, name), "utf8").replace(/\r\n/g, "\n").trim());
}
