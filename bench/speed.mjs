// @ts-check
// Prefill and decode of both engines in one page: the same token ids, the sides taking turns, medians.

import { basename } from "node:path";
import { line } from "../scripts/steps/console.mjs";
import { inBrowser } from "./browser.mjs";
import { makePrompts } from "./prompts.mjs";
import { decodeRate, isLongEnough, prefillRate, promptFault } from "./samples.mjs";
import { figure, median, table } from "./statistics.mjs";

/**
 * @import { Page } from "@playwright/test"
 * @import { Options } from "./options.mjs"
 * @import { Prompt, Sample, SideName } from "./page/side.js"
 *
 * @typedef {object} Rates tokens per second; `own` is by the engine's own clock
 * @property {number} prefill
 * @property {number} decode
 * @property {{ prefill: number, decode: number }} own
 * @property {number[]} prefills
 * @property {number[]} decodes
 *
 * @typedef {{ threads: number, prompt: number, chord?: Rates, wllama?: Rates, sameText: boolean | null }} Row
 */

/** Tokens of the prompt of a first run that does not count. */
const WARM_UP = 16;

/** @param {Options} options */
export async function measureSpeed(options) {
  const { result, browser } = await inBrowser(options.model, async (page, url) => {
    /** @type {Row[]} */
    const rows = [];
    /** @type {Record<string, string>} */
    const facts = {};
    const lengths = [...new Set([WARM_UP, ...options.prompts])];
    const prompts = await makePrompts(page, url, lengths, options.repeat + 1);
    for (const threads of options.threads) {
      rows.push(...(await withThreads(page, url, threads, options, prompts, facts)));
    }
    return { rows, facts };
  });
  const { rows, facts } = result;
  line(`\n${basename(options.model)}, ${browser}, medians of ${options.repeat}, tokens per second`);
  for (const [side, fact] of Object.entries(facts)) line(`${side}: ${fact}`);
  line(toTable(rows, options.tokens));
  const { model, tokens, repeat } = options;
  return { model: basename(model), browser, facts, tokens, repeat, rows };
}

/**
 * @param {Page} page
 * @param {string} url
 * @param {number} threads
 * @param {Options} options
 * @param {Map<number, Prompt[]>} prompts
 * @param {Record<string, string>} facts
 */
async function withThreads(page, url, threads, options, prompts, facts) {
  const sides = sidesOf(options.only);
  const nCtx = Math.max(...options.prompts) + options.tokens + 8;
  for (const side of sides) {
    const request = { url, threads, nCtx, activations: options.activations };
    const report = await page.evaluate(
      ([side, request]) => bench[side].load(request),
      /** @type {const} */ ([side, request]),
    );
    facts[side] = report.facts;
  }
  // One short run each, of a prompt that does not come again: code is compiled, pages are touched.
  for (const side of sides)
    await runInPage(page, side, /** @type {Prompt} */ (prompts.get(WARM_UP)?.[options.repeat]), 4);

  /** @type {Row[]} */
  const rows = [];
  for (const prompt of options.prompts) {
    /** @type {Record<SideName, Sample[]>} */
    const samples = { chord: [], wllama: [] };
    for (const [n, each] of (prompts.get(prompt) ?? []).slice(0, options.repeat).entries()) {
      for (const side of n % 2 ? [...sides].reverse() : sides) {
        samples[side].push(await runInPage(page, side, each, options.tokens + 1));
      }
    }
    const [ours, theirs] = [samples.chord, samples.wllama].map((each) => (each.length ? rates(each) : undefined));
    const sameText =
      ours && theirs ? samples.chord.every(({ text }, n) => alike(text, samples.wllama[n]?.text ?? "")) : null;
    rows.push({ threads, prompt, ...(ours && { chord: ours }), ...(theirs && { wllama: theirs }), sameText });
    line(`${threads} threads, prompt ${prompt}: ours ${shown(ours)}, wllama ${shown(theirs)}`);
  }
  for (const side of sides) await page.evaluate((side) => bench[side].unload(), side);
  return rows;
}

/**
 * @param {string | null} only
 * @returns {SideName[]}
 */
function sidesOf(only) {
  return only === "ours" ? ["chord"] : only === "wllama" ? ["wllama"] : ["chord", "wllama"];
}

/**
 * One run, checked.
 *
 * @param {Page} page
 * @param {SideName} side
 * @param {Prompt} prompt
 * @param {number} maxTokens
 */
export async function runInPage(page, side, prompt, maxTokens) {
  const given = /** @type {const} */ ([side, prompt, maxTokens]);
  const sample = await page.evaluate(([side, prompt, maxTokens]) => bench[side].run(prompt, maxTokens), given);
  return checkSample(side, prompt, maxTokens, sample);
}

/**
 * Refuses a sample that reused a prompt, lost tokens or ended early: it measures something else.
 *
 * @param {string} side
 * @param {Prompt} prompt
 * @param {number} maxTokens
 * @param {Sample} sample
 */
export function checkSample(side, prompt, maxTokens, sample) {
  const fault = promptFault(sample, prompt.ids.length);
  if (fault) throw new Error(`${side} ${fault}`);
  if (!isLongEnough(sample, maxTokens)) throw new Error(`${side} ended after ${sample.tokens} tokens`);
  return sample;
}

/** @param {Sample[]} samples */
export function rates(samples) {
  const [prefills, decodes] = [samples.map(prefillRate), samples.map(decodeRate)];
  const own = {
    prefill: median(samples.map((sample) => sample.own.prefill)),
    decode: median(samples.map((sample) => sample.own.decode)),
  };
  return { prefill: median(prefills), decode: median(decodes), own, prefills, decodes };
}

/**
 * Two engines with 8-bit activations diverge sooner or later; the beginning shows that both read the same prompt.
 *
 * @param {string} a
 * @param {string} b
 */
function alike(a, b) {
  return a.slice(0, 8) === b.slice(0, 8);
}

/** @param {Rates | undefined} rates */
function shown(rates) {
  return rates ? `${figure(rates.prefill)} prefill, ${figure(rates.decode)} decode` : "left out";
}

/**
 * @param {Row[]} rows
 * @param {number} tokens
 */
function toTable(rows, tokens) {
  const head = [
    "threads",
    "prompt",
    "prefill ours",
    "wllama",
    "ratio",
    `decode ${tokens} ours`,
    "wllama",
    "ratio",
    "text",
  ];
  const cells = rows.map(({ threads, prompt, chord, wllama, sameText }) => {
    const pair = (/** @type {"prefill" | "decode"} */ kind) => {
      const [ours, theirs] = [chord?.[kind] ?? NaN, wllama?.[kind] ?? NaN];
      return [figure(ours), figure(theirs), `${figure(ours / theirs)} ×`];
    };
    const text = sameText === null ? "–" : sameText ? "begins alike" : "differs";
    return [String(threads), String(prompt), ...pair("prefill"), ...pair("decode"), text];
  });
  return table(head, cells);
}
