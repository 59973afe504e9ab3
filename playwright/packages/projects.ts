/**
 * Projects that use the package as others do: made from `fixtures/`, with the packed tarball, installed by npm.
 */

import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isCurrent, remember } from "../../scripts/steps/fingerprint.mjs";
import { npm } from "../../scripts/steps/node-modules.mjs";
import { fromRoot, scratch } from "../../scripts/steps/paths.mjs";
import { tinyModel } from "../support/places.mjs";

const fixtures = fromRoot("playwright", "packages", "fixtures");
const folder = join(scratch, "packages");
const tarballs = join(folder, "tarballs");

export interface Project {
  name: string;
  /** Folders of `fixtures/` whose files make up the project. */
  fixtures: string[];
  /** Packages of the registry, with exact versions. */
  dependencies?: Record<string, string>;
  /** Install `uses-chord` too, a library that imports the package. */
  library?: boolean;
  /** The project is the folder `app` of an npm workspace, whose root has the packages. */
  workspace?: boolean;
  /** Where files are served as they are, besides the project's root. */
  public?: string;
}

/** Makes the project and installs its packages, unless that was done for the same ones. Returns its folder. */
export async function makeProject(project: Project): Promise<string> {
  const root = join(folder, project.name);
  const home = project.workspace ? join(root, "app") : root;
  mkdirSync(join(home, project.public ?? ""), { recursive: true });
  for (const fixture of [...project.fixtures, "shared"]) cpSync(join(fixtures, fixture), home, { recursive: true });
  cpSync(tinyModel, join(home, project.public ?? "", "model.gguf"));

  const dependencies: Record<string, string> = {
    ...project.dependencies,
    "@querent-ai/wasm-chord": `file:${await packedPackage()}`,
    ...(project.library ? { "uses-chord": `file:${await packedLibrary()}` } : {}),
  };
  const app = { name: "app", version: "1.0.0", private: true, type: "module", dependencies };
  const whole = project.workspace ? { private: true, workspaces: ["app"] } : app;
  writeFileSync(join(root, "package.json"), JSON.stringify(whole, null, 2));
  if (project.workspace) writeFileSync(join(home, "package.json"), JSON.stringify(app, null, 2));

  const mark = JSON.stringify([whole, app]);
  const stamp = `packages-${project.name}`;
  const installed = join(root, "node_modules", "@querent-ai", "wasm-chord", "dist", "index.js");
  if (isCurrent(stamp, mark, [installed])) return home;
  // The lock file has an earlier build's tarball under the same version.
  for (const file of ["package-lock.json", "node_modules/.package-lock.json"])
    rmSync(join(root, file), { force: true });
  rmSync(join(root, "node_modules", "@querent-ai"), { recursive: true, force: true });
  await npm(["install", "--no-audit", "--no-fund", "--prefer-offline"], {
    cwd: root,
    log: `npm-install-${project.name}`,
    env: { NODE_ENV: undefined },
    next: "check that the npm registry can be reached, then run this again",
  });
  if (!existsSync(installed)) throw new Error(`${installed} is missing after npm install`);
  remember(stamp, mark);
  return home;
}

let packing: Promise<string> | undefined;

/** The package's tarball, made once in a run. */
function packedPackage(): Promise<string> {
  return (packing ??= pack(fromRoot("web"), "wasm-chord"));
}

/** A library that imports the package. */
function packedLibrary(): Promise<string> {
  const source = join(folder, "uses-chord");
  for (const fixture of ["uses-chord", "shared"]) cpSync(join(fixtures, fixture), source, { recursive: true });
  return pack(source, "uses-chord");
}

/**
 * Packs the package in `source`. The tarball's name has a hash of its bytes: npm treats one of the same name as the
 * same.
 */
async function pack(source: string, name: string): Promise<string> {
  const made = join(tarballs, name);
  rmSync(made, { recursive: true, force: true });
  mkdirSync(made, { recursive: true });
  const { output } = await npm(["pack", "--json", "--ignore-scripts", "--pack-destination", made], {
    cwd: source,
    log: `npm-pack-${name}`,
  });
  const file = join(made, /"filename":\s*"([^"]+)"/.exec(output)![1]!.replace("@", "").replace("/", "-"));
  const hash = createHash("sha256").update(readFileSync(file)).digest("hex").slice(0, 16);
  const tarball = join(tarballs, `${name}-${hash}.tgz`);
  renameSync(file, tarball);
  return tarball;
}
