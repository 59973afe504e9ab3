import type { EngineClient } from "./engine-client.js";
import type { GenerateResult, PromptProgress as EnginePromptProgress } from "./engine-types.js";
import { abortError } from "./errors.js";
import { type Answer, toUsage } from "./openai/response.js";
import type { CheckedRequest } from "./openai/request.js";
import type { FinishReason, PromptProgress } from "./openai/types.js";
import type { AnswerEvent } from "./protocol.js";
import type { TaskQueue } from "./queue.js";
import { AnswerStream, type ChordStream } from "./stream.js";

/** What a generation reports while it runs. */
interface Listeners {
  text(piece: string): void;
  prompt(progress: PromptProgress): void;
}

/**
 * Runs one checked request and returns the answer in its format, streamed or whole. `onPromptProgress` is called after
 * each part of the prompt.
 */
export function generate<Whole, Chunk>(
  client: EngineClient,
  queue: TaskQueue,
  request: CheckedRequest,
  answer: Answer<Whole, Chunk>,
  signal: AbortSignal | undefined,
  onPromptProgress?: (progress: PromptProgress) => void,
): Promise<Whole> | ChordStream<Chunk> {
  const began = performance.now();
  const usageOf = (result: GenerateResult) => toUsage(result, (performance.now() - began) / 1000);
  const local = new AbortController();
  const run = (listeners: Listeners): Promise<GenerateResult> =>
    queue.run(
      () => generateOnce(client, request, listeners, local.signal),
      signal ? anySignal(signal, local) : local.signal,
    );

  if (!request.stream) {
    let text = "";
    const listeners = {
      text: (piece: string) => (text += piece),
      prompt: (at: PromptProgress) => onPromptProgress?.(at),
    };
    return run(listeners).then((result) => answer.whole(text, reasonOf(result), usageOf(result)));
  }

  const stream = new AnswerStream<Chunk>(() => local.abort());
  const first = answer.first();
  if (first !== undefined) stream.push(first);
  run({
    text: (text) => stream.push(answer.delta(text)),
    prompt: (at) => {
      if (request.returnProgress) stream.push(answer.progress(at));
      onPromptProgress?.(at);
    },
  }).then(
    (result) => {
      stream.push(answer.last(reasonOf(result)));
      if (request.includeUsage) stream.push(answer.usage(usageOf(result)));
      stream.end();
    },
    (error: unknown) => stream.fail(error),
  );
  return stream;
}

async function generateOnce(
  client: EngineClient,
  request: CheckedRequest,
  listeners: Listeners,
  signal: AbortSignal,
): Promise<GenerateResult> {
  const onEvent = (event: AnswerEvent) => {
    if (signal.aborted) return;
    if ("text" in event) listeners.text(event.text);
    else listeners.prompt(toPromptProgress(event.prompt));
  };
  const result = await client.call("generate", request.params, { onEvent, signal });
  if (result.finish_reason === "cancelled") throw abortError(signal);
  return result;
}

function toPromptProgress({ total, cached, processed, time_ms }: EnginePromptProgress): PromptProgress {
  return { total, cache: cached, processed, time_ms };
}

/** `local` follows `outer`, so that one signal is enough. */
function anySignal(outer: AbortSignal, local: AbortController): AbortSignal {
  if (outer.aborted) local.abort(outer.reason);
  else outer.addEventListener("abort", () => local.abort(outer.reason), { once: true, signal: local.signal });
  return local.signal;
}

function reasonOf({ finish_reason }: GenerateResult): FinishReason {
  return finish_reason === "length" ? "length" : "stop";
}
