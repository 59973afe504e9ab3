// @ts-check
// Prompts of an exact length in tokens, all different from the first token on, so that no side can reuse what it has
// computed. wllama accepts text only; ours gets the token ids of that text.

import { readFileSync } from "node:fs";
import { fromRoot } from "../scripts/steps/paths.mjs";

/**
 * @import { PageFunctions, Prompt } from "./page/side.js"
 */

/**
 * `count` prompts for each length.
 *
 * @param {PageFunctions} page
 * @param {string} url the model, whose tokenizer counts
 * @param {number[]} lengths
 * @param {number} count
 * @returns {Promise<Map<number, Prompt[]>>}
 */
export async function makePrompts(page, url, lengths, count) {
  await page.evaluate((url) => bench.chord.load({ url, threads: 1, nCtx: 16 }), url);
  const prompts = new Map();
  for (const length of lengths) {
    const given = /** @type {const} */ ([words(), length, count]);
    prompts.set(
      length,
      await page.evaluate(([words, length, count]) => bench.chord.prompts([...words], length, count), given),
    );
  }
  await page.evaluate(() => bench.chord.unload(), null);
  return prompts;
}

/** English that is in the repository anyway; what it says does not change the speed. */
export function words() {
  const texts = ["docs/architecture.md", "README.md"].map((path) => readFileSync(fromRoot(path), "utf8"));
  // Letters and full stops alone: nothing that a tokenizer could read as a control token.
  return texts.join(" ").match(/[A-Za-z.]+/g) ?? [];
}
