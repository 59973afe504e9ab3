// @ts-check
// Holds the module of products, and times one when asked.

import { openKernels } from "../page/kernels.js";

/**
 * @import { Product, Timing } from "../page/kernels.js"
 *
 * @typedef {{ module: ArrayBuffer } | { product: Product, timing: Timing }} Question
 * @typedef {{ sets?: string[], rate?: number, error?: string }} Answer
 */

/** @type {Awaited<ReturnType<typeof openKernels>> | undefined} */
let kernels;

addEventListener("message", ({ data }) => void answer(data).then((answer) => postMessage(answer)));

/**
 * @param {Question} question
 * @returns {Promise<Answer>}
 */
async function answer(question) {
  try {
    if ("module" in question) {
      kernels = await openKernels(question.module);
      return { sets: kernels.sets };
    }
    return { rate: kernels?.rate(question.product, question.timing) };
  } catch (error) {
    return { error: String(error) };
  }
}
