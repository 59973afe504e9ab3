// @ts-check
// What a run on either side says about its speed, and whether it says it.

/** @import { Sample } from "./page/side.js" */

/**
 * What is wrong with the prompt of a sample, if anything: one that reused a prompt or lost tokens measures something
 * else.
 *
 * @param {Sample} sample
 * @param {number} promptTokens
 */
export function promptFault(sample, promptTokens) {
  if (sample.promptTokens !== promptTokens) {
    return `counted ${sample.promptTokens} tokens of a prompt of ${promptTokens}`;
  }
  // Up to two reused tokens, such as a shared first one, do not matter.
  return sample.cachedTokens > 2 ? `reused ${sample.cachedTokens} tokens of the prompt` : undefined;
}

/**
 * Whether the run went on long enough to measure decoding.
 *
 * @param {Sample} sample
 * @param {number} maxTokens
 */
export const isLongEnough = (sample, maxTokens) => sample.tokens >= maxTokens / 2;

/** Tokens per second, from the call to the first token. */
export const prefillRate = (/** @type {Sample} */ { promptTokens, firstMs }) => (promptTokens * 1000) / firstMs;

/** Tokens per second, from the first token to the end. */
export const decodeRate = (/** @type {Sample} */ { tokens, firstMs, totalMs }) =>
  ((tokens - 1) * 1000) / (totalMs - firstMs);
