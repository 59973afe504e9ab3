// What the page of bench/cpu needs besides its own files, and the routes that serve all of them.

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildKernels } from "./kernels.mjs";
import { fromRoot, root } from "./paths.mjs";

const made = fromRoot("target", "bench-page");

/** Makes the files that the page reads from beside itself. The package must be built. */
export async function buildBenchPage() {
  // These need the npm packages, which an earlier step may have installed.
  const { ceilings } = await import("../../bench/ceilings/modules.mjs");
  const { words } = await import("../../bench/prompts.mjs");
  const folder = join(made, "cpu");
  mkdirSync(folder, { recursive: true });
  for (const build of ["relaxed", "baseline"]) {
    copyFileSync(await buildKernels(build), join(folder, `kernels-${build}.wasm`));
  }
  copyFileSync(fromRoot("tests", "golden", "tiny", "llama.Q4_0.gguf"), join(folder, "tiny.gguf"));
  const write = (name, value) => writeFileSync(join(folder, name), JSON.stringify(value));
  write("ceilings.json", ceilings());
  write("words.json", words());
  write("about.json", about());
}

/** Which package the page measures, and where its issues are. */
function about() {
  const { version, bugs } = JSON.parse(readFileSync(fromRoot("web", "package.json"), "utf8"));
  const git = (...args) => spawnSync("git", args, { cwd: root, encoding: "utf8" }).stdout?.trim() ?? "";
  const changed = git("status", "--porcelain", "--untracked-files=no") === "" ? "" : ", with changes";
  const commit = git("rev-parse", "--short", "HEAD");
  return { version: commit ? `${version} (${commit}${changed})` : version, issues: bugs.url };
}

/**
 * Routes of the static server for the page, which is at `${prefix}cpu/`; the package is two folders above it.
 *
 * @param {string} prefix
 * @param {boolean} [isolated] false leaves out the headers of cross-origin isolation
 * @returns {import("../server/static-server.mjs").Route[]}
 */
export function benchPageRoutes(prefix = "/bench/", isolated = true) {
  const routes = [
    // The demo's style sheets, which name their fonts as its bundler does.
    { prefix: `${prefix}styles/@fontsource-variable/`, folder: fromRoot("node_modules", "@fontsource-variable") },
    { prefix: `${prefix}styles/`, folder: fromRoot("examples", "chat", "src", "styles") },
    { prefix: `${prefix}favicon.svg`, file: fromRoot("examples", "chat", "public", "favicon.svg") },
    { prefix, folder: [made, fromRoot("bench")] },
  ];
  return routes.map((route) => ({ ...route, isolated }));
}
