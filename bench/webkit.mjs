// @ts-check
// Prefill and decode of this engine in WebKit: the baseline, and the artifact that WebKit is offered, by number of
// threads. All are loaded in one page and measured alternately.

import { basename } from "node:path";
import { openWebKit } from "../scripts/browsers/webkit.mjs";
import { line } from "../scripts/steps/console.mjs";
import { servePages, waitUntilReady } from "./browser.mjs";
import { makePrompts } from "./prompts.mjs";
import { checkSample, rates } from "./speed.mjs";
import { figure, table } from "./statistics.mjs";

/**
 * @import { Options } from "./options.mjs"
 * @import { LoadRequest, PageFunctions, Prompt, Sample } from "./page/side.js"
 *
 * @typedef {{ name: string, request: LoadRequest, facts: string, samples: Sample[] }} Case
 */

const WARM_UP_RUNS = 3;

/** @param {Options} options */
export async function measureWebKit(options) {
  const { origin, url, close } = await servePages(options.model);
  const browser = await openWebKit(true);
  try {
    await browser.open(`${origin}/page/index.html`);
    const page = /** @type {PageFunctions} */ ({ evaluate: browser.run });
    await waitUntilReady(page);
    /** @type {{ prompt: number, cases: Case[] }[]} */
    const results = [];
    for (const prompt of options.prompts) results.push({ prompt, cases: await withPrompt(page, url, prompt, options) });
    return report(results, browser.name, options);
  } finally {
    await browser.close();
    close();
  }
}

/**
 * @param {PageFunctions} page
 * @param {string} url
 * @param {number} length
 * @param {Options} options
 */
async function withPrompt(page, url, length, { threads, tokens, repeat, activations }) {
  // The first runs of each do not count: JavaScriptCore compiles a function again, better, when it has run for long.
  const prompts = (await makePrompts(page, url, [length], WARM_UP_RUNS + repeat)).get(length) ?? [];
  const request = { url, nCtx: length + tokens + 8, activations };
  const cases = [
    { name: "baseline", request: { ...request, threads: 1, wasmUrl: "/package/chord.wasm" } },
    ...threads.map((threads) => ({ name: `threads-${threads}`, request: { ...request, threads } })),
  ].map((each) => /** @type {Case} */ ({ ...each, facts: "", samples: [] }));
  for (const each of cases) {
    each.facts = await page.evaluate(load, each);
    for (const prompt of prompts.slice(repeat)) await run(page, each, prompt, tokens + 1);
  }
  for (const [n, prompt] of prompts.slice(0, repeat).entries()) {
    for (const each of n % 2 ? [...cases].reverse() : cases) {
      each.samples.push(await run(page, each, prompt, tokens + 1));
    }
  }
  for (const each of cases) await page.evaluate(unload, each);
  return cases;
}

/**
 * @param {PageFunctions} page
 * @param {Case} each
 * @param {Prompt} prompt
 * @param {number} maxTokens
 */
async function run(page, { name }, prompt, maxTokens) {
  return checkSample(name, prompt, maxTokens, await page.evaluate(runInPage, { name, prompt, maxTokens }));
}

// In the page: a module has an instance, and so an engine, for each query of its address.

/**
 * @param {{ name: string, request: LoadRequest }} each
 * @returns {Promise<string>}
 */
async function load({ name, request }) {
  const side = await import(`/page/chord.js?${name}`);
  return (await side.load(request)).facts;
}

/**
 * @param {{ name: string, prompt: Prompt, maxTokens: number }} given
 * @returns {Promise<Sample>}
 */
async function runInPage({ name, prompt, maxTokens }) {
  const side = await import(`/page/chord.js?${name}`);
  return side.run(prompt, maxTokens);
}

/** @param {{ name: string }} each */
async function unload({ name }) {
  const side = await import(`/page/chord.js?${name}`);
  await side.unload();
}

/**
 * @param {{ prompt: number, cases: Case[] }[]} results
 * @param {string} browser
 * @param {Options} options
 */
function report(results, browser, { model, tokens, repeat }) {
  line(`\n${basename(model)}, ${browser}, medians of ${repeat}, tokens per second`);
  const rows = [];
  for (const { prompt, cases } of results) {
    const measured = cases.map(({ facts, samples }) => ({ prompt, facts, ...rates(samples) }));
    const texts = new Set(cases.map(({ samples }) => samples.map(({ text }) => text).join("\n")));
    rows.push(...measured.map((row) => ({ ...row, sameText: texts.size === 1 })));
  }
  const cells = rows.map(({ facts, prompt, prefill, decode, sameText }) => {
    return [String(prompt), figure(prefill), figure(decode), sameText ? "the same" : "differs", facts];
  });
  line(table(["prompt", "prefill", `decode ${tokens}`, "texts", "what ran"], cells));
  return { model: basename(model), browser, tokens, repeat, rows };
}
