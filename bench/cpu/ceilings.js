// @ts-check
// The ceilings in this browser: memory read once, and products with nothing around them.

import { rate, unitsFor } from "../page/ceilings.js";
import { figure } from "../statistics.mjs";
import { fetchFile } from "./files.js";

/**
 * @import { Ceilings, Work } from "../page/ceilings.js"
 * @import { Machine } from "./machine.js"
 * @import { Section } from "./report.js"
 * @import { Settings } from "./settings.js"
 *
 * @typedef {{ head: string, work: Work, units: (threads: number) => number }} Column
 */

/**
 * @param {Machine} machine
 * @param {Settings} settings
 * @param {(text: string) => void} say
 * @returns {Promise<Section>}
 */
export async function measureCeilings({ capabilities, threads }, settings, say) {
  const { streamMiB, productsMs, rounds } = settings.ceilings;
  const hasRelaxed = capabilities.wasm.relaxedSimd;
  /** @type {Ceilings} */
  const { stream, dot, dot16 } = await (await fetchFile("ceilings.json")).json();

  say("Ceilings: how long a round takes");
  const columns = [{ head: "stream, GB/s", work: stream, units: bytesOf(streamMiB) }];
  if (hasRelaxed) columns.push(await products(8, dot, productsMs));
  columns.push(await products(16, dot16, productsMs));

  const rows = [];
  for (const count of new Set([1, threads])) {
    const cells = [String(count)];
    for (const { head, work, units } of columns) {
      say(`Ceilings, threads: ${count}, ${head}`);
      cells.push(figure(await rate(work, units(count), count, rounds)));
    }
    rows.push(cells);
  }
  const notes = ["Products of 16 bits are i32x4.dot_i16x8_s and an addition."];
  if (hasRelaxed) notes.unshift("Products of 8 bits are i32x4.relaxed_dot_i8x16_i7x16_add_s.");
  else notes.push("Products of 8 bits are left out: this browser has no relaxed SIMD.");
  return { title: "Ceilings", head: ["threads", ...columns.map(({ head }) => head)], rows, notes };
}

/**
 * @param {8 | 16} bits
 * @param {Work} work
 * @param {number} milliseconds
 * @returns {Promise<Column>}
 */
async function products(bits, work, milliseconds) {
  const units = await unitsFor(work, milliseconds);
  return { head: `${bits}-bit products, GMAC/s`, work, units: () => units };
}

/**
 * Bytes for each thread: more than its caches hold, and in total no more than a phone has to spare.
 *
 * @param {number} total MiB
 */
function bytesOf(total) {
  return (/** @type {number} */ threads) => Math.ceil(Math.min(192, Math.max(total / threads, total / 8))) << 20;
}
