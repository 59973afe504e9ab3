/**
 * The part of OpenAI's API that this engine honours, in OpenAI's shapes. `types.check.ts` checks them against the
 * types of the `openai` package at compile time.
 */

import type { NumberFields } from "../engine-limits.js";

/** A part of a message. Only text can be read. */
export interface ContentPartText {
  type: "text";
  text: string;
}

/** A message of a chat. Which roles exist is up to the model's template. */
export interface ChatMessage {
  role: "system" | "developer" | "user" | "assistant";
  content: string | ContentPartText[];
  /** Who says it, where several speak in one role. Whether it shows in the prompt is up to the model's template. */
  name?: string;
}

/** Fields that both kinds of request have, besides the numbers. */
export interface GenerationFields extends NumberFields {
  /** Echoed in the answer; the loaded model answers whatever it says. */
  model?: string;
  /** Up to 16 strings at which the answer ends; they are not part of it. */
  stop?: string | string[] | null;
  stream?: boolean | null;
  stream_options?: { include_usage?: boolean } | null;
  /** With `stream`: chunks with `prompt_progress` while the prompt is read. llama.cpp's, not OpenAI's. */
  return_progress?: boolean | null;
}

/** How far a prompt has been read, in tokens; the names are llama.cpp's. */
export interface PromptProgress {
  /** Tokens of the prompt. */
  total: number;
  /** Of these, still there from the turn before: they are not read again. */
  cache: number;
  /**
   * Of these, read by now, those of `cache` included. The last progress of a prompt has `processed` equal to `total`.
   */
  processed: number;
  /** Milliseconds since the engine began. */
  time_ms: number;
}

/** A request to `chord.chat.completions.create`. */
export interface ChatCompletionRequest extends GenerationFields {
  messages: ChatMessage[];
  /**
   * The date and time that the model's template shows, in the time zone of this device; now without it. Not OpenAI's.
   */
  now?: Date | null;
}

/** A request to `chord.completions.create`. */
export interface CompletionRequest extends GenerationFields {
  /** Text, or token ids. */
  prompt: string | number[];
}

/** Figures of one answer that OpenAI does not give; the names are WebLLM's, but for the last. */
export interface UsageExtra {
  prefill_tokens_per_s: number;
  decode_tokens_per_s: number;
  time_to_first_token_s: number;
  time_per_output_token_s: number;
  e2e_latency_s: number;
  /** Of `time_per_output_token_s`, how long the GPU waited for layers that are paged (`maxGpuBytes`). */
  stall_per_output_token_s: number;
}

/** What an answer took. */
export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  /** Tokens of the prompt that were still there from the turn before. */
  prompt_tokens_details: { cached_tokens: number };
  extra: UsageExtra;
}

/** Why an answer ended. */
export type FinishReason = "stop" | "length";

/** A whole chat answer. */
export interface ChatCompletion {
  id: string;
  object: "chat.completion";
  created: number;
  model: string;
  choices: {
    index: number;
    message: { role: "assistant"; content: string; refusal: null };
    finish_reason: FinishReason;
    logprobs: null;
  }[];
  usage: Usage;
}

/** A piece of a streamed chat answer. */
export interface ChatCompletionChunk {
  id: string;
  object: "chat.completion.chunk";
  created: number;
  model: string;
  choices: {
    index: number;
    delta: { role?: "assistant"; content?: string };
    finish_reason: FinishReason | null;
    logprobs: null;
  }[];
  /** With `include_usage`: on the last chunk, which has no choice; `null` on the others. */
  usage?: Usage | null;
  /** With `return_progress`: on chunks before the first text, which have no choice. */
  prompt_progress?: PromptProgress;
}

/** A whole text answer, or with `stream` a piece of one. */
export interface Completion {
  id: string;
  object: "text_completion";
  created: number;
  model: string;
  choices: { index: number; text: string; finish_reason: FinishReason; logprobs: null }[];
  usage: Usage;
}

/** A piece of a streamed text answer. */
export interface CompletionChunk {
  id: string;
  object: "text_completion";
  created: number;
  model: string;
  choices: { index: number; text: string; finish_reason: FinishReason | null; logprobs: null }[];
  usage?: Usage | null;
  /** With `return_progress`: on chunks before the first text, which have no choice. */
  prompt_progress?: PromptProgress;
}
