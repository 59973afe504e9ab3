// @ts-check
// The engine's products, alone and on one thread, in a worker so that the page stays usable.

import { figure } from "../statistics.mjs";
import { fetchFile } from "./files.js";

/**
 * @import { Machine } from "./machine.js"
 * @import { Section } from "./report.js"
 * @import { Settings } from "./settings.js"
 * @import { Answer } from "./kernels-worker.js"
 */

/** Block types of which nearly all files consist. */
const TYPES = ["Q4_0", "Q4_1", "Q4_K", "Q6_K", "Q8_0"];

const COLUMNS = /** @type {const} */ ([
  { tokens: 1, bits: 8 },
  { tokens: 1, bits: 16 },
  { tokens: 128, bits: 8 },
  { tokens: 128, bits: 16 },
]);

/**
 * @param {Machine} machine
 * @param {Settings} settings
 * @param {(text: string) => void} say
 * @returns {Promise<Section>}
 */
export async function measureKernels({ capabilities }, settings, say) {
  say("Products: starting");
  const build = capabilities.wasm.relaxedSimd ? "relaxed" : "baseline";
  const worker = new Worker(new URL("./kernels-worker.js", import.meta.url), { type: "module" });
  try {
    const module = await (await fetchFile(`kernels-${build}.wasm`)).arrayBuffer();
    const { sets = [] } = await ask(worker, { module });
    const rows = [];
    for (const [set, name] of sets.entries()) {
      if (name === "scalar") continue;
      for (const type of TYPES) {
        say(`Products, ${name}: ${type}`);
        const rates = [];
        for (const column of COLUMNS) {
          const { rate = NaN } = await ask(worker, { product: { set, type, ...column }, timing: settings.kernels });
          rates.push(figure(rate));
        }
        rows.push([name, type, ...rates]);
      }
    }
    const tokens = (/** @type {number} */ count) => (count === 1 ? "1 token" : `${count} tokens`);
    return {
      title: "Products of the engine, GMAC/s, one thread",
      head: ["instructions", "type", ...COLUMNS.map(({ tokens: count, bits }) => `${tokens(count)}, ${bits} bits`)],
      rows,
      notes: [],
    };
  } finally {
    worker.terminate();
  }
}

/**
 * @param {Worker} worker
 * @param {import("./kernels-worker.js").Question} question
 * @returns {Promise<Answer>}
 */
function ask(worker, question) {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => (data.error === undefined ? resolve(data) : reject(new Error(data.error)));
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage(question);
  });
}
