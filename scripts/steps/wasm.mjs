// The engine as WebAssembly: cargo, wasm-bindgen, wasm-opt; into web/wasm.

import { cpSync, mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { megabytes } from "./console.mjs";
import { fingerprint, forget, isCurrent, remember } from "./fingerprint.mjs";
import { fromRoot } from "./paths.mjs";
import { hostCargo, wasmToolchain } from "./rust.mjs";
import { run } from "./shell.mjs";

const name = "chord_wasm";
const output = fromRoot("web", "wasm");
const outputs = [`${name}.js`, `${name}.d.ts`, `${name}_bg.wasm`].map((file) => join(output, file));
const sources = ["Cargo.toml", "Cargo.lock", "rust", "shaders", "scripts/bindgen", "scripts/steps/wasm.mjs"];

const targetFeatures = "-C target-feature=+simd128";

export async function buildWasm() {
  const mark = fingerprint(sources.map((path) => fromRoot(path)));
  if (isCurrent("wasm", mark, outputs)) return `unchanged, ${megabytes(statSync(outputs[2]).size)}`;
  forget("wasm");

  const rust = await wasmToolchain();
  const targetFolder = fromRoot("target", "wasm");
  await run(
    rust.cargo,
    ["build", "--profile", "wasm", "-p", "chord-wasm", "--target", "wasm32-unknown-unknown", ...rust.args],
    { env: { ...rust.env, RUSTFLAGS: targetFeatures, CARGO_TARGET_DIR: targetFolder }, log: "wasm-cargo" },
  );

  const bound = join(targetFolder, "bindgen");
  rmSync(bound, { recursive: true, force: true });
  const host = await hostCargo();
  const module = join(targetFolder, "wasm32-unknown-unknown", "wasm", `${name}.wasm`);
  await run(host.cargo, ["run", "-p", "chord-bindgen", "--", module, bound], {
    env: host.env,
    log: "wasm-bindgen",
  });

  const raw = join(bound, `${name}_bg.wasm`);
  const small = join(bound, `${name}_bg.opt.wasm`);
  const rawBytes = statSync(raw).size;
  await run(process.execPath, [fromRoot("node_modules", "binaryen", "bin", "wasm-opt"), "-O3", raw, "-o", small], {
    log: "wasm-opt",
  });
  cpSync(small, raw);
  rmSync(small);

  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  cpSync(bound, output, { recursive: true });
  remember("wasm", mark);
  return `built with ${rust.name}, ${megabytes(statSync(outputs[2]).size)} (${megabytes(rawBytes)} before wasm-opt)`;
}
