// @ts-check
// What a machine can do at most: bytes streamed from memory and products of 8-bit numbers, by number of threads, in a
// tab and natively; in a tab also products of 16-bit numbers. The shares in docs/bench are shares of these.

import { line } from "../scripts/steps/console.mjs";
import { hostCargo } from "../scripts/steps/rust.mjs";
import { run } from "../scripts/steps/shell.mjs";
import { inBrowser } from "./browser.mjs";
import { ceilings } from "./ceilings/modules.mjs";
import { figure, table } from "./statistics.mjs";

/**
 * @import { Page } from "@playwright/test"
 * @import { Options } from "./options.mjs"
 * @import { Work } from "./page/ceilings.js"
 * @typedef {{ where: string, threads: number, streamGBs: number, dotGMACs: number, dot16GMACs?: number }} Row
 */

/** Bytes of each worker's own memory: more than any cache holds. */
const STREAM_BYTES = 192 << 20;
/** About half a second of products. */
const ROUNDS = 100_000_000;

/** @param {Options} options */
export async function measureCeilings(options) {
  const { result, browser } = await inBrowser(options.model, async (page) => {
    /** @type {Row[]} */
    const rows = [];
    for (const threads of options.threads) rows.push(await inTab(page, threads));
    return rows;
  });
  const rows = [...result, ...(await native(options.threads))];
  line(`\n${browser}, and natively`);
  const cells = rows.map(({ where, threads, streamGBs, dotGMACs, dot16GMACs }) => [
    where,
    String(threads),
    figure(streamGBs),
    figure(dotGMACs),
    dot16GMACs === undefined ? "" : figure(dot16GMACs),
  ]);
  line(table(["", "threads", "stream GB/s", "8-bit products, GMAC/s", "16-bit products, GMAC/s"], cells));
  return { browser, rows };
}

/**
 * @param {Page} page
 * @param {number} threads
 * @returns {Promise<Row>}
 */
async function inTab(page, threads) {
  const { stream, dot, dot16 } = ceilings();
  const rate = (/** @type {Work} */ work, /** @type {number} */ units) =>
    page.evaluate(
      ([work, units, threads]) => bench.ceilings.rate(work, units, threads),
      /** @type {const} */ ([work, units, threads]),
    );
  return {
    where: "wasm",
    threads,
    streamGBs: await rate(stream, STREAM_BYTES),
    dotGMACs: await rate(dot, ROUNDS),
    dot16GMACs: await rate(dot16, ROUNDS),
  };
}

/**
 * @param {number[]} threads
 * @returns {Promise<Row[]>}
 */
async function native(threads) {
  const { cargo, env } = await hostCargo();
  const args = ["run", "--release", "-q", "-p", "chord-cpu", "--example", "ceilings", "--", ...threads.map(String)];
  const { output } = await run(cargo, args, { log: "cargo-ceilings", env });
  return output
    .trim()
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));
}
