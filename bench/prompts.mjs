// @ts-check
// Prompts of an exact length, all different from the first token on, so that no side can reuse what it has computed.

import { readFileSync } from "node:fs";
import { fromRoot } from "../scripts/steps/paths.mjs";

/** English prose that is in the repository anyway; what it says does not change the speed. */
export function promptText() {
  return ["docs/architecture.md", "README.md"].map((path) => readFileSync(fromRoot(path), "utf8")).join("\n");
}

/**
 * The nth prompt of `length` tokens, from the token ids of the text.
 *
 * @param {number[]} ids
 * @param {number} length
 * @param {number} n
 */
export function promptOf(ids, length, n) {
  // A prime step, so that two prompts start alike only by chance; a common first token or two are nothing.
  const start = (n * 17) % ids.length;
  return Array.from({ length }, (_, i) => /** @type {number} */ (ids[(start + i) % ids.length]));
}
