// @ts-check
// Runs one exported function when told to. Answers null when it is done, or the text of an error.

/** @type {() => void} */
let run;

addEventListener("message", ({ data }) => void answer(data));

/** @param {"go" | import("./ceilings.js").Work} told */
async function answer(told) {
  try {
    if (told === "go") run();
    else await prepare(told);
    postMessage(null);
  } catch (error) {
    postMessage(String(error));
  }
}

/** @param {import("./ceilings.js").Work} work */
async function prepare({ module, call, argument, setUp }) {
  const bytes = Uint8Array.from(atob(module), (character) => character.charCodeAt(0));
  const { instance } = await WebAssembly.instantiate(bytes);
  const exports = /** @type {Record<string, (argument?: number) => void>} */ (instance.exports);
  if (setUp) exports[setUp]?.();
  run = () => exports[call]?.(argument);
  run();
}
