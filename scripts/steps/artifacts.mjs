// The WebAssembly artifacts, all built from one source: each page fetches one of these.

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

/** Relaxed SIMD, and a memory that workers share, of at most `maxMemory` bytes. */
const threadFlags = (maxMemory) => [
  "-Ctarget-feature=+simd128,+relaxed-simd,+atomics,+bulk-memory",
  ...linkArgs("--shared-memory", "--import-memory", `--max-memory=${maxMemory}`),
  // The worker makes the memory and must know where to begin: web/src/worker/shared-memory.ts.
  ...linkArgs("--initial-memory=2097152"),
  // wasm-bindgen makes each thread's stack and thread-local memory with these.
  ...["__wasm_init_tls", "__tls_size", "__tls_align", "__tls_base", "__heap_base"].flatMap((name) =>
    linkArgs(`--export=${name}`),
  ),
];
const threadWasmOpt = ["--enable-threads", "--enable-bulk-memory", "--enable-relaxed-simd"];

/** @type {Record<string, Artifact>} */
export const artifacts = {
  // Every supported browser: one thread.
  baseline: {
    target: "wasm32-unknown-unknown",
    folder: "wasm",
    cargo: [],
    rustflags: ["-C", "target-feature=+simd128"],
    ownStd: false,
    wasmOpt: [],
  },
  // Relaxed SIMD, and threads where the page is cross-origin isolated.
  threads: {
    target: "wasm32-unknown-unknown",
    folder: "wasm-threads",
    cargo: [],
    rustflags: threadFlags(4 * 2 ** 30),
    ownStd: true,
    wasmOpt: threadWasmOpt,
  },
  // The same with addresses of 64 bits, for models that the CPU has no room for otherwise. wgpu's web backend is
  // wasm32 only.
  memory64: {
    target: "wasm64-unknown-unknown",
    folder: "wasm64",
    cargo: ["--no-default-features"],
    rustflags: threadFlags(16 * 2 ** 30),
    ownStd: true,
    wasmOpt: ["--enable-memory64", ...threadWasmOpt],
  },
};
