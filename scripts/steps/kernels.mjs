// The CPU's products alone, as a WebAssembly module without imports (rust/cpu/examples/wasm_kernels.rs).

import { join } from "node:path";
import { fromRoot } from "./paths.mjs";
import { wasmToolchain } from "./rust.mjs";
import { run } from "./shell.mjs";

const target = "wasm32-unknown-unknown";

/** What the module may use: `relaxed` needs a browser with relaxed SIMD. */
const builds = {
  relaxed: { folder: "wasm-kernels", features: "+simd128,+relaxed-simd" },
  baseline: { folder: "wasm-kernels-baseline", features: "+simd128" },
};

/**
 * Builds the module if its sources have changed.
 *
 * @param {"relaxed" | "baseline"} build
 * @returns {Promise<string>} path of the module
 */
export async function buildKernels(build) {
  const folder = fromRoot("target", builds[build].folder);
  const rust = await wasmToolchain({ target, ownStd: false });
  const cargo = ["build", "--release", "-p", "chord-cpu", "--example", "wasm_kernels", "--target", target];
  await run(rust.cargo, [...cargo, ...rust.args], {
    env: {
      ...rust.env,
      CARGO_ENCODED_RUSTFLAGS: `-Ctarget-feature=${builds[build].features}`,
      CARGO_TARGET_DIR: folder,
    },
    log: `${builds[build].folder}-cargo`,
  });
  return join(folder, target, "release", "examples", "wasm_kernels.wasm");
}
