// @ts-check
// Our side: the built package, used as any page uses it.

import { Chord } from "@querent-ai/wasm-chord";

/** @import { OwnLoadReport, OwnLoadRequest, Prompt, Sample } from "./side.js" */

/** @type {Chord | undefined} */
let chord;

/**
 * @param {OwnLoadRequest} request
 * @returns {Promise<OwnLoadReport>}
 */
export async function load({ url, threads, nCtx, backend = "cpu", activations = "mixed", wasmUrl, cached = false }) {
  const began = performance.now();
  /** @type {import("@querent-ai/wasm-chord").ChordLoadOptions} */
  const options = {
    backend,
    activations,
    contextLength: nCtx,
    ...(threads === undefined ? {} : { threads }),
    ...(wasmUrl ? { wasmUrl } : {}),
    ...(cached ? {} : { store: "none" }),
  };
  chord = await Chord.load(url, options);
  const totalMs = performance.now() - began;
  const info = await chord.info();
  const { total: _, ...parts } = info.load;
  const facts = [info.artifact, info.adapter.name, ...info.features, info.why].filter(Boolean).join("; ");
  return { totalMs, parts, facts, info };
}

/**
 * Texts of exactly `length` tokens, each with other words.
 *
 * @param {string[]} words
 * @param {number} length
 * @param {number} count
 * @returns {Promise<Prompt[]>}
 */
export async function prompts(words, length, count) {
  const made = [];
  for (let n = 0; n < count; n++) {
    const from = (n * 37) % words.length;
    made.push(await promptOf([...words.slice(from), ...words.slice(0, from)], length));
  }
  return made;
}

/** Short endings: in any vocabulary, one of them makes a text longer by one token. */
const ENDS = [" a", ".", "a", "x", "\n"];

/**
 * @param {string[]} words
 * @param {number} length
 * @returns {Promise<Prompt>}
 */
async function promptOf(words, length) {
  const idsOf = (/** @type {string} */ text) => loaded().tokenize(text);
  let [fitting, tooMany] = [0, length + 1];
  while (tooMany - fitting > 1) {
    const middle = (fitting + tooMany) >> 1;
    const ids = await idsOf(taken(words, middle));
    if (ids.length <= length) fitting = middle;
    else tooMany = middle;
  }
  let text = taken(words, fitting);
  let ids = await idsOf(text);
  while (ids.length < length) {
    const longer = await Promise.all(ENDS.map(async (end) => ({ text: text + end, ids: await idsOf(text + end) })));
    const next = longer.find((each) => each.ids.length === ids.length + 1);
    if (!next) throw new Error(`no text of ${length} tokens was found`);
    ({ text, ids } = next);
  }
  return { text, ids };
}

/**
 * @param {string[]} words
 * @param {number} count
 */
function taken(words, count) {
  return Array.from({ length: count }, (_, n) => words[n % words.length]).join(" ");
}

/**
 * @param {Prompt} prompt
 * @param {number} maxTokens
 * @returns {Promise<Sample>}
 */
export async function run({ ids }, maxTokens) {
  const began = performance.now();
  const stream = await loaded().completions.create({
    prompt: ids,
    max_tokens: maxTokens,
    temperature: 0,
    stream: true,
    stream_options: { include_usage: true },
  });
  let firstMs;
  let text = "";
  let usage;
  for await (const chunk of stream) {
    firstMs ??= performance.now() - began;
    text += chunk.choices[0]?.text ?? "";
    usage = chunk.usage ?? usage;
  }
  const totalMs = performance.now() - began;
  if (!usage || firstMs === undefined) throw new Error("the stream ended without its usage");
  return {
    promptTokens: usage.prompt_tokens,
    cachedTokens: usage.prompt_tokens_details.cached_tokens,
    tokens: usage.completion_tokens,
    firstMs,
    totalMs,
    own: { prefill: usage.extra.prefill_tokens_per_s, decode: usage.extra.decode_tokens_per_s },
    text,
  };
}

export async function unload() {
  await chord?.unload();
  chord = undefined;
}

function loaded() {
  if (!chord) throw new Error("chord is not loaded");
  return chord;
}
