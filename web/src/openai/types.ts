/**
 * The part of OpenAI's API that this engine supports, in OpenAI's format. `types.check.ts` checks these types against
 * those of the `openai` package at compile time.
 */

import type { NumberFields } from "../engine-limits.js";

/** A part of a message. Only text is supported. */
export interface ContentPartText {
  type: "text";
  text: string;
}

/** A message of a chat. The model's template decides which roles exist. */
export interface ChatMessage {
  role: "system" | "developer" | "user" | "assistant";
  content: string | ContentPartText[];
  /** The speaker, if several share a role. The model's template decides whether it appears in the prompt. */
  name?: string;
}

/** Fields of both kinds of request, besides the numbers. */
export interface GenerationFields extends NumberFields {
  /** Repeated in the answer; it has no effect on which model answers. */
  model?: string;
  /** Up to 16 strings at which the answer ends; they are not part of it. */
  stop?: string | string[] | null;
  stream?: boolean | null;
  stream_options?: { include_usage?: boolean } | null;
  /** With `stream`: chunks with `prompt_progress` while the prompt is read. llama.cpp's, not OpenAI's. */
  return_progress?: boolean | null;
}

/** How far a prompt has been read, in tokens; the field names are llama.cpp's. */
export interface PromptProgress {
  /** Tokens of the prompt. */
  total: number;
  /** Of these, tokens kept from the turn before, which are not read again. */
  cache: number;
  /**
   * Of these, tokens read so far, including `cache`. In the last progress of a prompt, `processed` equals `total`.
   */
  processed: number;
  /** Milliseconds since the engine began. */
  time_ms: number;
}

/** A request to `chord.chat.completions.create`. */
export interface ChatCompletionRequest extends GenerationFields {
  messages: ChatMessage[];
  /**
   * The date and time for the model's template, in this device's time zone; by default the current one. Not OpenAI's.
   */
  now?: Date | null;
}

/** A request to `chord.completions.create`. */
export interface CompletionRequest extends GenerationFields {
  /** Text, or token ids. */
  prompt: string | number[];
}

/** Figures of one answer that OpenAI does not have; the names are WebLLM's, except the last. */
export interface UsageExtra {
  prefill_tokens_per_s: number;
  decode_tokens_per_s: number;
  time_to_first_token_s: number;
  time_per_output_token_s: number;
  e2e_latency_s: number;
  /** The part of `time_per_output_token_s` in which the GPU waited for paged layers (`maxGpuBytes`). */
  stall_per_output_token_s: number;
}

/** The cost of an answer. */
export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  /** Tokens of the prompt kept from the turn before. */
  prompt_tokens_details: { cached_tokens: number };
  extra: UsageExtra;
}

/** Why an answer ended. */
export type FinishReason = "stop" | "length";

/** A complete chat answer. */
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
  /** With `include_usage`: on the last chunk, which has no choices; `null` on the others. */
  usage?: Usage | null;
  /** With `return_progress`: on chunks before the first text, which have no choices. */
  prompt_progress?: PromptProgress;
}

/** A complete text answer. */
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
  /** With `return_progress`: on chunks before the first text, which have no choices. */
  prompt_progress?: PromptProgress;
}
