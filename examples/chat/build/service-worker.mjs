// A Vite plugin: builds the service worker, with the list of the files that it keeps and their hash as its version.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { build } from "vite";

const entry = "service-worker/service-worker.ts";
const fileName = "service-worker.js";
/** The host's list of models belongs to no version. */
const changing = "models.json";
const artifact = /^assets\/chord(?:-(.+))?-[\w-]{8}\.wasm$/;

/** @returns {import("vite").Plugin} */
export function serviceWorker() {
  /** @type {import("vite").ResolvedConfig} */
  let config;
  return {
    name: "chord-service-worker",
    apply: "build",
    enforce: "post",
    configResolved: (resolved) => {
      config = resolved;
    },
    generateBundle: {
      order: "post",
      async handler(_, bundle) {
        const code = await workerCode(config);
        const files = new Map([[fileName, code]]);
        for (const [name, file] of Object.entries(bundle)) files.set(name, file.code ?? file.source);
        for (const name of readdirSync(config.publicDir)) files.set(name, readFileSync(join(config.publicDir, name)));
        files.delete(changing);
        const version = hash(files);
        const page = bundle["index.html"];
        page.source = String(page.source).replace('name="version" content=""', `name="version" content="${version}"`);
        if (!page.source.includes(version)) this.error("index.html has no place for the version");
        const shell = JSON.stringify(listed([...files.keys()], version));
        this.emitFile({ type: "asset", fileName, source: code.replaceAll("__SHELL__", () => shell) });
      },
    },
  };
}

/** Built separately: code that it shares with the page must not become a separate file. */
async function workerCode({ root, build: { target } }) {
  const { output } = await build({
    ...{ root, configFile: false, logLevel: "warn", publicDir: false },
    build: { target, write: false, modulePreload: false, rolldownOptions: { input: join(root, entry) } },
  });
  const [{ code, imports }, ...others] = output;
  if (others.length > 0 || imports.length > 0 || !code.includes("__SHELL__")) {
    throw new Error("the service worker is to be one file with a place for its list");
  }
  return code;
}

/** @param {Map<string, string | Uint8Array>} files by name */
function hash(files) {
  const sum = createHash("sha256");
  for (const name of [...files.keys()].sort()) sum.update(`${name}\0`).update(files.get(name)).update("\0");
  return sum.digest("hex").slice(0, 16);
}

/** A `Shell`, as service-worker/protocol.ts defines it. */
function listed(names, version) {
  const artifacts = {};
  const files = [];
  for (const name of names.filter((name) => name !== fileName).sort()) {
    const match = artifact.exec(name);
    if (match) artifacts[match[1] ?? "baseline"] = name;
    else files.push(name === "index.html" ? "" : name);
  }
  const { exports } = createRequire(import.meta.url)("@querent-ai/wasm-chord/package.json");
  for (const path of Object.keys(exports).filter((path) => path.endsWith(".wasm"))) {
    const name = /^\.\/chord-(.+)\.wasm$/.exec(path)?.[1] ?? "baseline";
    if (!artifacts[name]) throw new Error(`the build has no artifact ${name}`);
  }
  return { version, files, artifacts };
}
