// What the browser matrix needs, all of it from one source: each page fetches one of these.

/**
 * @typedef {object} Artifact
 * @property {string} target
 * @property {string} folder of cargo's output, below `target/`
 * @property {string[]} cargo further arguments
 * @property {string[]} rustflags
 * @property {boolean} ownStd std is built with these flags too, as atomics and targets without a prebuilt std need
 * @property {string[]} wasmOpt further arguments
 */

const linkArgs = (...args) => args.map((arg) => `-Clink-arg=${arg}`);

// wasm-bindgen makes each thread's stack and thread-local memory with these.
const threadExports = ["__wasm_init_tls", "__tls_size", "__tls_align", "__tls_base", "__heap_base"];

/** @type {Record<string, Artifact>} */
export const artifacts = {
  // Every browser since 2021 (Safari 16.4): one thread.
  baseline: {
    target: "wasm32-unknown-unknown",
    folder: "wasm",
    cargo: [],
    rustflags: ["-C", "target-feature=+simd128"],
    ownStd: false,
    wasmOpt: [],
  },
  // Relaxed SIMD, and a memory that workers share where the page is cross-origin isolated.
  threads: {
    target: "wasm32-unknown-unknown",
    folder: "wasm-threads",
    cargo: [],
    rustflags: [
      "-Ctarget-feature=+simd128,+relaxed-simd,+atomics,+bulk-memory",
      ...linkArgs("--shared-memory", "--import-memory", "--max-memory=4294967296"),
      // The worker makes the memory and must know where to begin: web/src/worker/shared-memory.ts.
      ...linkArgs("--initial-memory=2097152"),
      ...linkArgs(...threadExports.map((name) => `--export=${name}`)),
    ],
    ownStd: true,
    wasmOpt: ["--enable-threads", "--enable-bulk-memory", "--enable-relaxed-simd"],
  },
  // Addresses of 64 bits, for models that the CPU has no room for otherwise. wgpu's web back end is wasm32 only.
  memory64: {
    target: "wasm64-unknown-unknown",
    folder: "wasm64",
    cargo: ["--no-default-features"],
    rustflags: ["-Ctarget-feature=+simd128", ...linkArgs("--max-memory=17179869184")],
    ownStd: true,
    wasmOpt: ["--enable-memory64", "--enable-bulk-memory"],
  },
};
