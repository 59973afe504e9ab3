// @ts-check
// The CPU's products alone, on one thread: rust/cpu/examples/wasm_kernels.rs, built as a module without imports. Runs in
// Node, on a page and in a worker; it imports nothing, so that its text alone can be loaded.

/**
 * How one product is timed. Engines compile code again, and better, once it has run for a while: hence the warm-up.
 *
 * @typedef {{ warmUpMs: number, sampleMs: number, samples: number }} Timing
 *
 * @typedef {object} Product
 * @property {number} set index of the instruction set
 * @property {string} type name of the block type
 * @property {number} tokens
 * @property {8 | 16 | 32} bits of the activations; 32 are not rounded
 */

/** @type {Timing} */
export const CAREFULLY = { warmUpMs: 250, sampleMs: 30, samples: 7 };

/** Rows and columns of the matrix. */
const [ROWS, COLS] = [1536, 1536];

/**
 * What the module exports.
 *
 * @typedef {object} Exports
 * @property {WebAssembly.Memory} memory
 * @property {() => number} message_at
 * @property {() => number} message_length
 * @property {() => number} start
 * @property {() => void} types
 * @property {(set: number) => void} check
 * @property {(set: number, type: number, rows: number, cols: number, tokens: number, bits: number) => void} prepare
 * @property {(times: number) => void} run
 */

/** @param {BufferSource} module bytes of the WebAssembly */
export async function openKernels(module) {
  const { instance } = await WebAssembly.instantiate(module, {});
  const wasm = /** @type {Exports} */ (/** @type {unknown} */ (instance.exports));
  const message = () =>
    new TextDecoder().decode(new Uint8Array(wasm.memory.buffer, wasm.message_at(), wasm.message_length()));

  wasm.start();
  /** The instruction sets of this build, by name. */
  const sets = message().split(" ");
  wasm.types();
  const numbers = new Map(
    message()
      .split(" ")
      .map((pair) => /** @type {[string, string]} */ (pair.split("="))),
  );

  return {
    sets,
    /** The block types, by name. */
    types: [...numbers.keys()],

    /**
     * Runs all checks of an instruction set.
     *
     * @param {number} set
     */
    check(set) {
      try {
        wasm.check(set);
      } catch (error) {
        throw new Error(`${sets[set]}: ${message() || error}`, { cause: error });
      }
    },

    /**
     * Multiplications and additions in billions a second, the median of the samples.
     *
     * @param {Product} product
     * @param {Timing} timing
     */
    rate({ set, type, tokens, bits }, { warmUpMs, sampleMs, samples } = CAREFULLY) {
      wasm.prepare(set, Number(numbers.get(type)), ROWS, COLS, tokens, bits);
      let began = performance.now();
      let warm = 0;
      while (performance.now() - began < warmUpMs) {
        wasm.run(1);
        warm++;
      }
      const times = Math.max(1, Math.round((sampleMs * warm) / (performance.now() - began)));
      const taken = [];
      for (let sample = 0; sample < samples; sample++) {
        began = performance.now();
        wasm.run(times);
        taken.push((performance.now() - began) / times);
      }
      taken.sort((a, b) => a - b);
      return (tokens * ROWS * COLS) / 1e6 / /** @type {number} */ (taken[samples >> 1]);
    },
  };
}
