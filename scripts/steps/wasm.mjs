// The engine as WebAssembly: cargo, wasm-bindgen, wasm-opt; each artifact into its folder of web/wasm.

import { cpSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { artifacts } from "./artifacts.mjs";
import { megabytes } from "./console.mjs";
import { fingerprint, forget, isCurrent, remember } from "./fingerprint.mjs";
import { fromRoot } from "./paths.mjs";
import { hostCargo, pathFlags, wasmToolchain } from "./rust.mjs";
import { run } from "./shell.mjs";

const name = "chord_wasm";
const crates = ["gguf", "text", "program", "model", "cpu", "gpu", "engine", "wasm"];
const sources = [
  ...["Cargo.toml", "Cargo.lock", "shaders", "scripts/bindgen", "scripts/steps/wasm.mjs", "scripts/steps/rust.mjs"],
  ...crates.map((crate) => `rust/${crate}`),
].map((path) => fromRoot(path));

/** Builds the artifacts whose sources have changed, and reports the sizes of all. */
export async function buildWasm() {
  const notes = [];
  for (const artifact of Object.keys(artifacts)) notes.push(`${artifact} ${await buildArtifact(artifact)}`);
  return notes.join("; ");
}

/** Builds one artifact if its sources have changed. */
export async function buildArtifact(artifact) {
  const recipe = artifacts[artifact];
  const output = fromRoot("web", "wasm", artifact);
  const outputs = [`${name}.js`, `${name}.d.ts`, `${name}_bg.wasm`].map((file) => join(output, file));
  const stamp = `wasm-${artifact}`;
  const mark = fingerprint(sources, JSON.stringify(recipe));
  if (isCurrent(stamp, mark, outputs)) return `unchanged, ${size(outputs[2])}`;
  forget(stamp);

  const rust = await wasmToolchain(recipe);
  const rustflags = [...recipe.rustflags, ...(await pathFlags(rust))];
  const targetFolder = fromRoot("target", recipe.folder);
  await run(
    rust.cargo,
    ["build", "--profile", "wasm", "-p", "chord-wasm", "--target", recipe.target, ...recipe.cargo, ...rust.args],
    {
      env: { ...rust.env, CARGO_ENCODED_RUSTFLAGS: rustflags.join("\x1f"), CARGO_TARGET_DIR: targetFolder },
      log: `${stamp}-cargo`,
    },
  );

  const bound = join(targetFolder, "bindgen");
  rmSync(bound, { recursive: true, force: true });
  const host = await hostCargo();
  const module = join(targetFolder, recipe.target, "wasm", `${name}.wasm`);
  await run(host.cargo, ["run", "-p", "chord-bindgen", "--", module, bound], {
    env: host.env,
    log: `${stamp}-bindgen`,
  });

  const raw = join(bound, `${name}_bg.wasm`);
  const small = join(bound, `${name}_bg.opt.wasm`);
  const rawBytes = statSync(raw).size;
  const wasmOpt = fromRoot("node_modules", "binaryen", "bin", "wasm-opt");
  // Nothing is stored in the first KiB, the far end of the stack. So no sum of an address and a small number can have
  // wrapped around, and the number may become an offset of the load or store that uses the sum.
  const flags = ["-O3", "--low-memory-unused", ...recipe.wasmOpt];
  // Frequent functions get short numbers; sections that no browser reads are left out.
  flags.push("--reorder-functions", "--reorder-locals", "--strip-producers", "--strip-target-features");
  await run(process.execPath, [wasmOpt, ...flags, raw, "-o", small], { log: `${stamp}-opt` });
  cpSync(small, raw);
  rmSync(small);

  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  cpSync(bound, output, { recursive: true });
  remember(stamp, mark);
  return `built with ${rust.name}, ${size(outputs[2])} (${megabytes(rawBytes)} before wasm-opt)`;
}

function size(file) {
  const bytes = readFileSync(file);
  return `${megabytes(bytes.length)}, ${megabytes(gzipSync(bytes).length)} gzipped`;
}
