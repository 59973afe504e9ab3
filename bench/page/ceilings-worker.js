// @ts-check
// Runs one exported function when told to. Answers null when it is done, or the text of an error.

/** @import { Prepare } from "./ceilings.js" */

/** @type {() => void} */
let run;

addEventListener("message", ({ data }) => void answer(data));

/** @param {"go" | Prepare} told */
async function answer(told) {
  try {
    if (told === "go") run();
    else await prepare(told);
    postMessage(null);
  } catch (error) {
    postMessage(String(error));
  }
}

/** @param {Prepare} told */
async function prepare({ work, units }) {
  const bytes = Uint8Array.from(atob(work.module), (character) => character.charCodeAt(0));
  const { instance } = await WebAssembly.instantiate(bytes);
  const exports = /** @type {Record<string, (units: number) => unknown>} */ (instance.exports);
  if (work.setUp && exports[work.setUp]?.(units) === -1) {
    throw new RangeError(`the browser has no memory of ${units >> 20} MiB for each thread`);
  }
  run = () => void exports[work.call]?.(units);
  run();
}
