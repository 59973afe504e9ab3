// @ts-check
// What a tab on this machine can do at most, by number of workers: bytes read from memory, products of 8 and 16 bits.

/**
 * A function that is timed.
 *
 * @typedef {object} Work
 * @property {string} module as base64
 * @property {"read" | "dot" | "dot16"} call called with a number of units
 * @property {"fill"} [setUp] called before, with the same number
 * @property {number} perUnit bytes, or multiplications and additions
 *
 * @typedef {{ stream: Work, dot: Work, dot16: Work }} Ceilings `dot` needs relaxed SIMD
 *
 * @typedef {{ work: Work, units: number }} Prepare
 */

/**
 * Billions of bytes, or of multiplications and additions, that all workers do in a second at once. The best of several
 * rounds counts, because everything that disturbs one makes it slower.
 *
 * @param {Work} work
 * @param {number} units what each worker does in a round
 * @param {number} threads
 * @param {number} rounds
 */
export async function rate(work, units, threads, rounds = 7) {
  const script = new URL("./ceilings-worker.js", import.meta.url);
  const workers = Array.from({ length: threads }, () => new Worker(script, { type: "module" }));
  try {
    await Promise.all(workers.map((worker) => ask(worker, { work, units })));
    let best = Infinity;
    for (let round = 0; round < rounds; round++) {
      const began = performance.now();
      await Promise.all(workers.map((worker) => ask(worker, "go")));
      best = Math.min(best, performance.now() - began);
    }
    return (work.perUnit * units * threads) / 1e6 / best;
  } finally {
    for (const worker of workers) worker.terminate();
  }
}

/**
 * The number of units that keeps one worker busy for about so many milliseconds.
 *
 * @param {Work} work
 * @param {number} milliseconds
 */
export async function unitsFor(work, milliseconds) {
  const perSecond = (await rate(work, 1 << 20, 1, 5)) * 1e9;
  const units = (perSecond * milliseconds) / 1000 / work.perUnit;
  // The most is what a loop's counter of 32 bits holds.
  return Math.round(Math.min(Math.max(units, 1 << 16), 2 ** 31 - 1));
}

/**
 * @param {Worker} worker
 * @param {Prepare | "go"} message
 * @returns {Promise<void>}
 */
function ask(worker, message) {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => (data === null ? resolve() : reject(new Error(data)));
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage(message);
  });
}
