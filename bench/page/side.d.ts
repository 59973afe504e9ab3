/** What both engines' scripts in the page provide, and the scripts in Node read. */

import type { ChordInfo } from "@querent-ai/wasm-chord";
import type * as ceilings from "./ceilings.js";
import type * as chord from "./chord.js";
import type * as wllama from "./wllama.js";

declare global {
  var bench: { chord: typeof chord; wllama: typeof wllama; ceilings: typeof ceilings };
}

/** What scripts in Node need of a page, whichever program drives the browser: `work` sees nothing but its argument. */
export interface PageFunctions {
  evaluate<A, R>(work: (argument: A) => R | Promise<R>, argument: A): Promise<R>;
}

export type SideName = "chord" | "wllama";

export interface LoadRequest {
  url: string;
  threads: number;
  nCtx: number;
  /** Ours only. */
  backend?: "cpu" | "webgpu";
  /** Ours only. */
  activations?: "mixed" | "q16" | "q8" | "f32";
  /** Ours only: the address of the baseline, to use that and no other artifact. */
  wasmUrl?: string;
  /** Keep the file in the side's own cache, or take it from there. Without it nothing is stored. */
  cached?: boolean;
}

/** Our side also reads a file of the visitor's, and chooses a number of threads by itself. */
export interface OwnLoadRequest extends Omit<LoadRequest, "url" | "threads"> {
  url: string | File;
  threads?: number;
}

/** The same prompt for either side; without a begin token, or in `ids` with the model's. */
export interface Prompt {
  text: string;
  ids: number[];
}

/** Times are milliseconds after the call. */
export interface LoadReport {
  totalMs: number;
  /** Milliseconds of the load's parts, as far as the engine reports them. */
  parts: Record<string, number>;
  /** What the engine says about itself: threads, features, adapter. */
  facts: string;
}

export interface OwnLoadReport extends LoadReport {
  info: ChordInfo;
}

/** One greedy run from an empty KV cache. */
export interface Sample {
  /** As the engine counted them. */
  promptTokens: number;
  /** Tokens of the prompt that were not computed; anything but 0 spoils the sample. */
  cachedTokens: number;
  tokens: number;
  /** From the call to the first token. */
  firstMs: number;
  /** From the call to the end. */
  totalMs: number;
  /** Tokens per second by the engine's own clock, to compare. */
  own: { prefill: number; decode: number };
  text: string;
}
