// @ts-check
// The time from the call to a loaded model and to its first token, with the file in each side's own cache.

import { basename } from "node:path";
import { line } from "../scripts/steps/console.mjs";
import { inBrowser } from "./browser.mjs";
import { makePrompts } from "./prompts.mjs";
import { figure, median, table } from "./statistics.mjs";

/**
 * @import { Page } from "@playwright/test"
 * @import { Options } from "./options.mjs"
 * @import { LoadReport, Prompt, SideName } from "./page/side.js"
 *
 * @typedef {{ name: string, side: SideName, threads: number, backend?: "cpu" | "webgpu" }} Case
 * @typedef {{ load: LoadReport, firstMs: number }} Sample `firstMs` is NaN if no token was requested
 */

/** Tokens of the prompt: a short question with a system prompt in most templates. */
const PROMPT = 171;

/** @param {Options} options */
export async function measureLoad(options) {
  const cases = casesOf(options);
  const { result, browser } = await inBrowser(options.model, async (page, url) => {
    const prompts = (await makePrompts(page, url, [PROMPT], options.repeat)).get(PROMPT) ?? [];
    await fillCaches(page, url, cases);
    /** @type {Map<Case, Sample[]>} */
    const samples = new Map(cases.map((each) => [each, []]));
    for (const [n, prompt] of prompts.entries()) {
      for (const each of n % 2 ? [...cases].reverse() : cases) {
        samples.get(each)?.push(await once(page, url, each, prompt));
      }
    }
    return samples;
  });
  const rows = [...result].map(([each, samples]) => ({
    ...each,
    loadMs: median(samples.map(({ load }) => load.totalMs)),
    loads: samples.map(({ load }) => load.totalMs),
    firstMs: median(samples.map(({ firstMs }) => firstMs)),
    togetherMs: median(samples.map(({ load, firstMs }) => load.totalMs + firstMs)),
    parts: partsOf(samples.map(({ load }) => load)),
    facts: samples[0]?.load.facts,
  }));
  line(`\n${basename(options.model)}, ${browser}, from the cache, medians of ${options.repeat}, milliseconds`);
  const head = ["", "load", "first token of 171", "together", "parts of the load"];
  const cells = rows.map((row) => {
    const parts = Object.entries(row.parts).map(([part, ms]) => `${part} ${figure(ms)}`);
    return [row.name, figure(row.loadMs), figure(row.firstMs), figure(row.togetherMs), parts.join(", ")];
  });
  line(table(head, cells));
  for (const { name, facts } of rows) line(`${name}: ${facts}`);
  return { model: basename(options.model), browser, prompt: PROMPT, repeat: options.repeat, rows };
}

/**
 * @param {Options} options
 * @returns {Case[]}
 */
function casesOf({ threads, only }) {
  const count = Math.max(...threads);
  /** @type {Case[]} */
  const ours = [
    ...threads.map(
      (threads) =>
        /** @type {Case} */ ({ name: `ours, cpu, ${threads} threads`, side: "chord", threads, backend: "cpu" }),
    ),
    { name: "ours, webgpu (SwiftShader)", side: "chord", threads: count, backend: "webgpu" },
  ];
  /** @type {Case[]} */
  const theirs = threads.map((threads) => ({ name: `wllama, ${threads} threads`, side: "wllama", threads }));
  return [...(only === "wllama" ? [] : ours), ...(only === "ours" ? [] : theirs)];
}

/**
 * Each side loads once from the network and keeps the file.
 *
 * @param {Page} page
 * @param {string} url
 * @param {Case[]} cases
 */
async function fillCaches(page, url, cases) {
  const request = { url, threads: 1, nCtx: 256, cached: true };
  for (const side of new Set(cases.map(({ side }) => side))) {
    await page.evaluate(([side, request]) => bench[side].load(request), /** @type {const} */ ([side, request]));
    await page.evaluate((side) => bench[side].unload(), side);
  }
}

/**
 * @param {Page} page
 * @param {string} url
 * @param {Case} each
 * @param {Prompt} prompt
 * @returns {Promise<Sample>}
 */
async function once(page, url, { side, threads, backend }, prompt) {
  const request = { url, threads, nCtx: 256, cached: true, ...(backend ? { backend } : {}) };
  const load = await page.evaluate(
    ([side, request]) => bench[side].load(request),
    /** @type {const} */ ([side, request]),
  );
  let firstMs = NaN;
  // A GPU computed on the CPU would need minutes for the prompt; what is measured there is the load.
  if (backend !== "webgpu") {
    const given = /** @type {const} */ ([side, prompt]);
    const sample = await page.evaluate(([side, prompt]) => bench[side].run(prompt, 1), given);
    if (sample.promptTokens !== PROMPT) throw new Error(`${side} counted ${sample.promptTokens} tokens`);
    firstMs = sample.firstMs;
  }
  await page.evaluate((side) => bench[side].unload(), side);
  return { load, firstMs };
}

/**
 * Median milliseconds of each part: of those that follow each other, and of reading and hashing, which overlap.
 *
 * @param {LoadReport[]} reports
 */
function partsOf(reports) {
  const names = Object.keys(reports[0]?.parts ?? {});
  return Object.fromEntries(names.map((name) => [name, median(reports.map(({ parts }) => parts[name] ?? NaN))]));
}
