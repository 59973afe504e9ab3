// @ts-check
// The other side: wllama as its guides show it. Where its default is slower for one conversation (four slots, a prompt
// cache, half the cores), it gets what is best for it here.

import { LoggerWithoutDebug, Wllama } from "@wllama/wllama";

/**
 * @import { RawCompletionChunk } from "@wllama/wllama"
 * @import { LoadReport, LoadRequest, Prompt, Sample } from "./side.js"
 */

/** @type {Wllama | undefined} */
let wllama;

const silent = { ...LoggerWithoutDebug, log: () => {}, warn: () => {} };

/**
 * The time is that of `loadModel` alone: looking the file up in its cache comes before.
 *
 * @param {LoadRequest} request
 * @returns {Promise<LoadReport>}
 */
export async function load({ url, threads, nCtx, cached = false }) {
  wllama = new Wllama({ default: new URL("/wllama/esm/wasm/wllama.wasm", location.href).href }, { logger: silent });
  const address = new URL(url, location.href).href;
  const source = cached
    ? await wllama.modelManager.getModelOrDownload({ url: address })
    : [await (await fetch(address, { cache: "no-store" })).blob()];
  const began = performance.now();
  // Zero layers on the GPU also keep it from looking for one.
  await wllama.loadModel(source, { n_threads: threads, n_ctx: nCtx, n_gpu_layers: 0, n_parallel: 1 });
  const totalMs = performance.now() - began;
  return { totalMs, parts: {}, facts: `${Wllama.getLibllamaVersion()}, ${wllama.getNumThreads()} threads` };
}

/**
 * @param {Prompt} prompt
 * @param {number} maxTokens
 * @returns {Promise<Sample>}
 */
export async function run({ text: prompt }, maxTokens) {
  if (!wllama) throw new Error("wllama is not loaded");
  /** @type {number | undefined} */
  let firstMs;
  let text = "";
  /** @type {RawCompletionChunk | undefined} */
  let last;
  // Fields of llama.cpp's server; wllama passes on what its types do not name.
  const request = { prompt, cache_prompt: false, ignore_eos: true };
  const began = performance.now();
  await wllama.createCompletion({
    ...request,
    max_tokens: maxTokens,
    temperature: 0,
    top_k: 1,
    stream: true,
    onData: (chunk) => {
      firstMs ??= performance.now() - began;
      text += chunk.choices[0]?.text ?? "";
      last = chunk;
    },
  });
  const totalMs = performance.now() - began;
  const timings = last?.timings;
  if (!timings || firstMs === undefined) throw new Error("wllama's last chunk has no timings");
  return {
    promptTokens: timings.cache_n + timings.prompt_n,
    cachedTokens: timings.cache_n,
    tokens: timings.predicted_n,
    firstMs,
    totalMs,
    own: { prefill: timings.prompt_per_second, decode: timings.predicted_per_second },
    text,
  };
}

export async function unload() {
  await wllama?.exit();
  wllama = undefined;
}
