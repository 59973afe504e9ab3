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

/**
 * What artifacts with threads have in common. Their memory, which workers share, has at most `maxMemory` bytes.
 *
 * @param {number} maxMemory
 * @param {{ relaxedSimd?: boolean, wasmOpt?: string[] }} [options]
 */
const withThreads = (maxMemory, { relaxedSimd = true, wasmOpt = [] } = {}) => ({
  rustflags: [
    `-Ctarget-feature=+simd128,${relaxedSimd ? "+relaxed-simd," : ""}+atomics,+bulk-memory`,
    ...linkArgs("--shared-memory", "--import-memory", `--max-memory=${maxMemory}`),
    // The worker makes the memory and must know where to begin: web/src/worker/shared-memory.ts.
    ...linkArgs("--initial-memory=2097152"),
    // wasm-bindgen makes each thread's stack and thread-local memory with these.
    ...["__wasm_init_tls", "__tls_size", "__tls_align", "__tls_base", "__heap_base"].flatMap((name) =>
      linkArgs(`--export=${name}`),
    ),
  ],
  ownStd: true,
  wasmOpt: [
    ...wasmOpt,
    ...["--enable-threads", "--enable-bulk-memory"],
    ...(relaxedSimd ? ["--enable-relaxed-simd"] : []),
  ],
});

/** All of them by name; `web/src/artifacts.ts` says which one a page fetches. @type {Record<string, Artifact>} */
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
    ...withThreads(4 * 2 ** 30),
  },
  // Threads for browsers without relaxed SIMD.
  "threads-simd128": {
    target: "wasm32-unknown-unknown",
    folder: "wasm-threads",
    cargo: [],
    ...withThreads(4 * 2 ** 30, { relaxedSimd: false }),
  },
  // Threads and relaxed SIMD with addresses of 64 bits, for models that the CPU has no room for otherwise. wgpu's web
  // backend is wasm32 only.
  memory64: {
    target: "wasm64-unknown-unknown",
    folder: "wasm64",
    cargo: ["--no-default-features"],
    ...withThreads(16 * 2 ** 30, { wasmOpt: ["--enable-memory64"] }),
  },
};

/** What an artifact's file is called in the package. */
export const packageFile = (name) => (name === "baseline" ? "chord.wasm" : `chord-${name}.wasm`);
