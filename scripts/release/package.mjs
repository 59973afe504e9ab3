// The tarball that would be published, and what publint and arethetypeswrong say about it.

import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { megabytes, StepError } from "../steps/console.mjs";
import { npm } from "../steps/node-modules.mjs";
import { fromRoot } from "../steps/paths.mjs";

export const releaseFolder = fromRoot("target", "release-package");

/** Packs web/ as it is built. Returns the tarball's path. */
export async function pack(version) {
  rmSync(releaseFolder, { recursive: true, force: true });
  mkdirSync(releaseFolder, { recursive: true });
  await npm(["pack", "--pack-destination", releaseFolder], { cwd: fromRoot("web"), log: "npm-pack" });
  return join(releaseFolder, `querent-ai-wasm-chord-${version}.tgz`);
}

/** Refuses a tarball of another version, or one that does not work as its package.json says. */
export async function checkTarball(tarball, version) {
  const data = new Uint8Array(readFileSync(tarball));
  const found = [...(await fromPublint(data)), ...(await fromTypes(data, version))];
  if (found.length > 0) throw new StepError(found.join("\n"), "mend web/package.json or web/build.mjs");
  return `${megabytes(data.length)}, nothing to say against it`;
}

async function fromPublint(data) {
  const { publint } = await import("publint");
  const { formatMessage } = await import("publint/utils");
  // Suggestions are left out: `engines.node` would say that the package runs there (docs/decisions/0021).
  const { messages, pkg } = await publint({ pack: { tarball: data.buffer }, level: "warning" });
  return messages.map((message) => `publint: ${formatMessage(message, pkg, { color: false })}`);
}

async function fromTypes(data, version) {
  const { checkPackage, createPackageFromTarballData } = await import("@arethetypeswrong/core");
  const content = createPackageFromTarballData(data);
  if (content.packageVersion !== version) return [`the tarball holds version ${content.packageVersion}`];
  // The other entries are files to be served. The package is a module: `require` is not promised.
  const { types, problems = [] } = await checkPackage(content, { entrypoints: ["."] });
  if (types === false) return ["arethetypeswrong: the package has no types"];
  return problems
    .filter(({ kind }) => kind !== "CJSResolvesToESM")
    .map((problem) => `arethetypeswrong: ${JSON.stringify(problem)}`);
}
