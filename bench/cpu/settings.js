// @ts-check
// How long the page measures.

/**
 * @typedef {object} Settings
 * @property {boolean} quick figures that only show that everything runs
 * @property {{ streamMiB: number, productsMs: number, rounds: number }} ceilings for all threads together, each round
 * @property {import("../page/kernels.js").Timing} kernels
 * @property {number} repeat runs of each prompt
 */

/** @type {Settings} */
const careful = {
  quick: false,
  ceilings: { streamMiB: 256, productsMs: 200, rounds: 7 },
  kernels: { warmUpMs: 250, sampleMs: 30, samples: 7 },
  repeat: 5,
};

/** @type {Settings} */
const quick = {
  quick: true,
  ceilings: { streamMiB: 8, productsMs: 4, rounds: 2 },
  kernels: { warmUpMs: 4, sampleMs: 2, samples: 3 },
  repeat: 1,
};

/** `?quick` in the page's address takes a few milliseconds for each figure. */
export const settings = new URLSearchParams(location.search).has("quick") ? quick : careful;
