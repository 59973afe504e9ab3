// @ts-check
// What a tab on this machine can do at most, by number of workers: bytes read from memory, products of 8 and 16 bits.

/**
 * @typedef {{ module: string; call: "read" | "dot"; argument: number; setUp?: "fill" }} Work
 *   a module as base64, and the function of it that is timed
 */

/**
 * Milliseconds for all workers to do the same work at once; the best of several rounds, because everything that
 * disturbs one makes it slower.
 *
 * @param {Work} work
 * @param {number} threads
 */
export async function time(work, threads) {
  const workers = Array.from({ length: threads }, () => new Worker("/page/ceilings-worker.js", { type: "module" }));
  try {
    await Promise.all(workers.map((worker) => ask(worker, work)));
    let best = Infinity;
    for (let round = 0; round < 7; round++) {
      const began = performance.now();
      await Promise.all(workers.map((worker) => ask(worker, "go")));
      best = Math.min(best, performance.now() - began);
    }
    return best;
  } finally {
    for (const worker of workers) worker.terminate();
  }
}

/**
 * @param {Worker} worker
 * @param {Work | "go"} message
 * @returns {Promise<void>}
 */
function ask(worker, message) {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => (data === null ? resolve() : reject(new Error(data)));
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage(message);
  });
}
