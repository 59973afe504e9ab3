import type { GenerateResult } from "../engine-types.js";
import type {
  ChatCompletion,
  ChatCompletionChunk,
  Completion,
  CompletionChunk,
  FinishReason,
  PromptProgress,
  Usage,
} from "./types.js";

/** What all chunks of one answer share. */
interface Head {
  id: string;
  created: number;
  model: string;
}

/** Builds the pieces of one answer in one of OpenAI's two shapes. */
export interface Answer<Whole, Chunk> {
  /** Before any text. */
  first(): Chunk | undefined;
  /** While the prompt is read, if requested. */
  progress(at: PromptProgress): Chunk;
  delta(text: string): Chunk;
  /** The end, without usage. */
  last(reason: FinishReason): Chunk;
  /** After the end, if usage was requested. */
  usage(usage: Usage): Chunk;
  whole(text: string, reason: FinishReason, usage: Usage): Whole;
}

/** Answers of `chat.completions`. With `includeUsage` every chunk has a `usage` field, as OpenAI's do. */
export function chatAnswer(model: string, includeUsage: boolean): Answer<ChatCompletion, ChatCompletionChunk> {
  const head = newHead("chatcmpl", model);
  const chunk = (choices: ChatCompletionChunk["choices"], usage: Usage | null = null): ChatCompletionChunk => ({
    ...head,
    object: "chat.completion.chunk",
    choices,
    ...(includeUsage ? { usage } : {}),
  });
  const choice = (delta: ChatCompletionChunk["choices"][0]["delta"], reason: FinishReason | null) => [
    { index: 0, delta, finish_reason: reason, logprobs: null },
  ];
  return {
    first: () => chunk(choice({ role: "assistant", content: "" }, null)),
    progress: (at) => ({ ...chunk([]), prompt_progress: at }),
    delta: (text) => chunk(choice({ content: text }, null)),
    last: (reason) => chunk(choice({}, reason)),
    usage: (usage) => chunk([], usage),
    whole: (text, reason, usage) => ({
      ...head,
      object: "chat.completion",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: text, refusal: null },
          finish_reason: reason,
          logprobs: null,
        },
      ],
      usage,
    }),
  };
}

/** Answers of `completions`. */
export function textAnswer(model: string, includeUsage: boolean): Answer<Completion, CompletionChunk> {
  const head = newHead("cmpl", model);
  const bare = (choices: CompletionChunk["choices"]): CompletionChunk => ({
    ...head,
    object: "text_completion",
    choices,
    ...(includeUsage ? { usage: null } : {}),
  });
  const chunk = (text: string, reason: FinishReason | null) =>
    bare([{ index: 0, text, finish_reason: reason, logprobs: null }]);
  return {
    first: () => undefined,
    progress: (at) => ({ ...bare([]), prompt_progress: at }),
    delta: (text) => chunk(text, null),
    last: (reason) => chunk("", reason),
    usage: (usage) => ({ ...head, object: "text_completion", choices: [], usage }),
    whole: (text, reason, usage) => ({
      ...head,
      object: "text_completion",
      choices: [{ index: 0, text, finish_reason: reason, logprobs: null }],
      usage,
    }),
  };
}

/** Counts and times of a generation in OpenAI's fields. `totalSeconds`: how long the caller waited. */
export function toUsage({ usage, timings }: GenerateResult, totalSeconds: number): Usage {
  const { prompt_tokens, completion_tokens, cached_tokens } = usage;
  // The prefill gives the first token; decoding gives the others.
  const decoded = Math.max(0, completion_tokens - 1);
  return {
    prompt_tokens,
    completion_tokens,
    total_tokens: prompt_tokens + completion_tokens,
    prompt_tokens_details: { cached_tokens },
    extra: {
      prefill_tokens_per_s: timings.prefill_tokens_per_s,
      decode_tokens_per_s: timings.decode_tokens_per_s,
      time_to_first_token_s: timings.time_to_first_token_ms / 1000,
      time_per_output_token_s: decoded > 0 ? timings.decode_ms / 1000 / decoded : 0,
      e2e_latency_s: totalSeconds,
      stall_per_output_token_s: timings.stall_ms_per_token / 1000,
    },
  };
}

function newHead(prefix: string, model: string): Head {
  const random = crypto.getRandomValues(new Uint8Array(12));
  const id = `${prefix}-${Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  return { id, created: Math.floor(Date.now() / 1000), model };
}
