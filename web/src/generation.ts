import type { GenerateEvent, GenerateResult } from "./engine-types.js";
import type { EngineClient } from "./engine-client.js";
import { abortError } from "./errors.js";
import { type Answer, toUsage } from "./openai/response.js";
import type { CheckedRequest } from "./openai/request.js";
import type { FinishReason } from "./openai/types.js";
import type { TaskQueue } from "./queue.js";
import { ChordStream } from "./stream.js";

/** Runs one checked request and gives the answer in its shape, streamed or whole. */
export function generate<Whole, Chunk>(
  client: EngineClient,
  queue: TaskQueue,
  request: CheckedRequest,
  answer: Answer<Whole, Chunk>,
  signal: AbortSignal | undefined,
): Promise<Whole> | ChordStream<Chunk> {
  const began = performance.now();
  const usageOf = (result: GenerateResult) => toUsage(result, (performance.now() - began) / 1000);
  const local = new AbortController();
  const run = (onText: (text: string) => void): Promise<GenerateResult> =>
    queue.run(
      () => generateOnce(client, request, onText, local.signal),
      signal ? anySignal(signal, local) : local.signal,
    );

  if (!request.stream) {
    let text = "";
    return run((piece) => (text += piece)).then((result) => answer.whole(text, reasonOf(result), usageOf(result)));
  }

  const stream = new ChordStream<Chunk>(() => local.abort());
  const first = answer.first();
  if (first !== undefined) stream.push(first);
  run((text) => stream.push(answer.delta(text))).then(
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
  onText: (text: string) => void,
  signal: AbortSignal,
): Promise<GenerateResult> {
  const onEvent = (event: GenerateEvent) => {
    if ("text" in event && !signal.aborted) onText(event.text);
  };
  const result = await client.call("generate", request.params, { onEvent, signal });
  if (result.finish_reason === "cancelled") throw abortError(signal);
  return result;
}

/** `local` follows `outer`, so that one signal says all. */
function anySignal(outer: AbortSignal, local: AbortController): AbortSignal {
  if (outer.aborted) local.abort(outer.reason);
  else outer.addEventListener("abort", () => local.abort(outer.reason), { once: true, signal: local.signal });
  return local.signal;
}

function reasonOf({ finish_reason }: GenerateResult): FinishReason {
  return finish_reason === "length" ? "length" : "stop";
}
