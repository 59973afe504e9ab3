// Builds `dist/`: `index.js` (the page's side), `chord-worker.js` (all workers) and the WebAssembly artifacts beside
// them. Each script is one module without imports. The page's side names the other files by
// `new URL(…, import.meta.url)`, a form that bundlers follow (they copy the files) and that browsers understand as it
// is. The page's side is not minified: the user's bundler does that. The worker, which bundlers copy unchanged, is.

import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { artifacts, packageFile } from "../scripts/steps/artifacts.mjs";
import { writeNotices } from "../scripts/steps/notices.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");
const names = Object.keys(artifacts);

const wasm = (artifact) => join(here, "wasm", artifact, "chord_wasm_bg.wasm");
for (const artifact of names) {
  if (existsSync(wasm(artifact))) continue;
  console.error(`error: ${wasm(artifact)} is missing: run \`npm run build:wasm\` first`);
  process.exit(1);
}
const bindings = (artifact) => readFileSync(join(here, "wasm", artifact, "chord_wasm.js"), "utf8");
if (bindings("threads") !== bindings("threads-simd128")) {
  // The worker's script has them once: src/worker/modules.ts.
  console.error("error: the bindings of threads and threads-simd128 differ: run `npm run build:wasm` again");
  process.exit(1);
}
/** Names this build of the engine: self-tests passed with it do not count for another. */
const engine = createHash("sha256");
for (const artifact of names) engine.update(readFileSync(wasm(artifact)));
const define = { CHORD_BUILD: JSON.stringify(engine.digest("hex").slice(0, 32)) };
rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);
/** Names of the npm packages that became part of the scripts. */
const bundled = new Set();
await bundle("src/index.ts", "index.js", false);
await bundle("src/worker/main.ts", "chord-worker.js", true);
for (const artifact of names) cpSync(wasm(artifact), join(dist, packageFile(artifact)));
// What Vite's development server resolves the package to: its dependency optimizer leaves modules that end in .jsx
// alone, so Vite 5 to 7 do not separate index.js from the files beside it (docs/decisions/0021).
writeFileSync(join(dist, "development.jsx"), `export * from "./index.js";\n`);
for (const licence of ["LICENSE-APACHE", "LICENSE-MIT"]) cpSync(join(here, "..", licence), join(dist, licence));
await writeNotices(join(dist, "THIRD_PARTY_NOTICES.txt"), [...bundled]);

async function bundle(input, file, minify) {
  const build = await rolldown({
    cwd: here,
    input,
    platform: "browser",
    transform: { target: "es2022", define },
  });
  const { output } = await build.write({
    file: join(dist, file),
    format: "esm",
    minify,
    sourcemap: minify,
    codeSplitting: false,
  });
  await build.close();
  for (const id of output.flatMap(({ moduleIds }) => moduleIds ?? [])) {
    const [, name] = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(id.replaceAll("\\", "/")) ?? [];
    if (name) bundled.add(name);
  }
}
