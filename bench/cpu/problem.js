// @ts-check
// Errors as sentences.

import { ChordError } from "@querent-ai/wasm-chord";

/**
 * What happened, for a visitor. The SDK's messages say what is wrong with a file and what helps.
 *
 * @param {unknown} error
 */
export function problem(error) {
  if (error instanceof ChordError) return `${sentence(error.message)} (${error.code})`;
  const text = error instanceof Error ? error.message : String(error);
  if (error instanceof RangeError || /memory|allocation/i.test(text)) {
    return `The browser has not enough memory for this: ${text}. Close other tabs, or choose a smaller model.`;
  }
  return sentence(text);
}

const sentence = (/** @type {string} */ text) => (/[.!?]$/.test(text) ? text : `${text}.`);
