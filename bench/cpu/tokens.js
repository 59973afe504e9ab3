// @ts-check
// Tokens per second of a model. The page imports the built package, as an app does.

import { load, prompts, run, unload } from "../page/chord.js";
import { decodeRate, isLongEnough, prefillRate, promptFault } from "../samples.mjs";
import { figure, median } from "../statistics.mjs";
import { fetchFile } from "./files.js";
import { threadsText } from "./machine.js";

/**
 * @import { Prompt, Sample } from "../page/side.js"
 * @import { Machine } from "./machine.js"
 * @import { Section } from "./report.js"
 * @import { Settings } from "./settings.js"
 */

const LENGTHS = /** @type {const} */ ([128, 512]);
const DECODED = 64;

/**
 * @param {File} file
 * @param {Machine} machine
 * @param {Settings} settings
 * @param {(text: string) => void} say
 * @returns {Promise<Section>}
 */
export async function measureTokens(file, machine, settings, say) {
  /** @type {Prompt[][] | undefined} */
  let made;
  /** @type {string[][]} */
  const rows = [];
  const notes = [];
  try {
    for (const threads of new Set([machine.threads, 1])) {
      say(`${file.name}: loading it on ${threadsText(threads)}`);
      const { info } = await load({ url: file, threads, nCtx: Math.max(...LENGTHS) + DECODED + 8 });
      if (info.threads !== threads) notes.push(`${threadsText(info.threads)} instead of ${threads}: ${info.why}.`);
      if (rows.length === 0) notes.push(...info.warnings);
      made ??= await makePrompts(settings.repeat, info.model.vocabularySize);
      rows.push([String(info.threads), ...(await rates(made, file.name, threads, settings, say))]);
    }
  } finally {
    await unload();
  }
  if (machine.threads === 1) notes.push(`One thread only: ${machine.why}.`);
  if (rows.some((row) => row.at(-1) === figure(NaN))) notes.push("The model ended its answers too early to time them.");
  return {
    title: `Tokens per second: ${file.name}, ${(file.size / 1e6).toFixed(0)} MB`,
    head: ["threads", ...LENGTHS.map((length) => `prefill ${length}`), `decode ${DECODED}`],
    rows: rows.reverse(),
    notes,
  };
}

/**
 * Prompts of each length, and one for the run that does not count.
 *
 * @param {number} repeat
 * @param {number} vocabularySize
 */
async function makePrompts(repeat, vocabularySize) {
  /** @type {string[]} */
  const words = await (await fetchFile("words.json")).json();
  const made = [];
  for (const length of LENGTHS) made.push(await prompts(words, length, repeat));
  made.push(await prompts(words, 16, 1));
  // Each has a second token of its own, so that nothing of one that was computed before can be used again.
  for (const [n, { ids }] of made.flat().entries()) ids[1] = (vocabularySize >> 1) + n;
  return made;
}

/**
 * @param {Prompt[][]} made
 * @param {string} name
 * @param {number} threads
 * @param {Settings} settings
 * @param {(text: string) => void} say
 */
async function rates(made, name, threads, settings, say) {
  const [short = [], long = [], warmUp = []] = made;
  const sample = async (/** @type {Prompt} */ prompt, /** @type {number} */ maxTokens) => {
    const sample = await run(prompt, maxTokens);
    const fault = promptFault(sample, prompt.ids.length);
    if (fault) throw new Error(`The engine ${fault}`);
    return sample;
  };
  // Code is compiled, pages of memory are touched.
  for (const prompt of warmUp) await sample(prompt, 4);

  /** @type {Sample[][]} */
  const samples = [[], []];
  for (let round = 0; round < settings.repeat; round++) {
    say(`${name}, ${threadsText(threads)}: ${round + 1} of ${settings.repeat}`);
    for (const [index, of] of [short, long].entries()) {
      // Decoding follows the short prompt.
      const prompt = /** @type {Prompt} */ (of[round]);
      samples[index]?.push(await sample(prompt, index === 0 ? DECODED + 1 : 1));
    }
  }
  const [shorts = [], longs = []] = samples;
  const decodes = shorts.filter((each) => isLongEnough(each, DECODED + 1));
  return [shorts.map(prefillRate), longs.map(prefillRate), decodes.map(decodeRate)].map((all) => figure(median(all)));
}
