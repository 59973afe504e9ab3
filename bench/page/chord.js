// @ts-check
// Our side: the built package, used as any page uses it.

import { Chord } from "@querent-ai/wasm-chord";

/** @import { LoadReport, LoadRequest, Sample } from "./side.js" */

/** @type {Chord | undefined} */
let chord;

/**
 * @param {LoadRequest} request
 * @returns {Promise<LoadReport>}
 */
export async function load({ url, threads, nCtx, backend = "cpu", cached = false }) {
  /** @type {LoadReport["events"]} */
  const events = [];
  const began = performance.now();
  /** @type {import("@querent-ai/wasm-chord").ChordLoadOptions} */
  const options = {
    backend,
    contextLength: nCtx,
    ...{ threads },
    ...(cached ? {} : { store: "none" }),
    onProgress: ({ stage, loaded }) => events.push({ ms: performance.now() - began, stage, loaded }),
  };
  chord = await Chord.load(url, options);
  const totalMs = performance.now() - began;
  const { adapter, features, why } = await chord.info();
  return { totalMs, events, facts: [adapter.name, ...features, why].filter(Boolean).join("; ") };
}

/** @param {string} text */
export function tokenize(text) {
  return loaded().tokenize(text);
}

/**
 * @param {number[]} ids
 * @param {number} maxTokens
 * @returns {Promise<Sample>}
 */
export async function run(ids, maxTokens) {
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
