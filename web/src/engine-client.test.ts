import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { EngineClient } from "./engine-client.js";
import type { GenerateResult } from "./engine-types.js";
import { ChordError } from "./errors.js";
import { generate } from "./generation.js";
import { chatAnswer } from "./openai/response.js";
import { checkChatRequest } from "./openai/request.js";
import type { EngineRequest, EngineResponse } from "./protocol.js";
import { TaskQueue } from "./queue.js";
import type { ChordStream } from "./stream.js";
import type { ChatCompletion, ChatCompletionChunk, PromptProgress } from "./openai/types.js";

/** The other end of the protocol, played by hand. */
class FakeWorker {
  static all: FakeWorker[] = [];
  onmessage: ((event: { data: EngineResponse }) => void) | null = null;
  onerror: ((event: { preventDefault(): void }) => void) | null = null;
  onmessageerror: (() => void) | null = null;
  terminated = false;
  readonly requests: EngineRequest[] = [];

  constructor() {
    FakeWorker.all.push(this);
  }
  postMessage(message: EngineRequest | { role: string }) {
    if (!("role" in message)) this.requests.push(message);
  }
  terminate() {
    this.terminated = true;
  }
  say(response: EngineResponse) {
    this.onmessage?.({ data: response });
  }
}

const result: GenerateResult = {
  finish_reason: "stop",
  usage: { prompt_tokens: 3, cached_tokens: 0, completion_tokens: 2 },
  timings: {
    time_to_first_token_ms: 1,
    prefill_ms: 1,
    prefill_tokens_per_s: 1,
    decode_ms: 1,
    decode_tokens_per_s: 1,
    total_ms: 1,
    prefill_stall_ms: 0,
    stall_ms_per_token: 0,
  },
  seed: 1,
};

let client: EngineClient;
let engine: FakeWorker;
let io: FakeWorker;

beforeEach(() => {
  FakeWorker.all = [];
  vi.stubGlobal("Worker", FakeWorker);
  vi.stubGlobal("location", { origin: "http://localhost" });
  client = new EngineClient("http://localhost/w.js", { kind: "url", url: "http://localhost/m" }, "none");
  [engine, io] = FakeWorker.all as [FakeWorker, FakeWorker];
});
afterEach(() => vi.unstubAllGlobals());

const tick = () => new Promise((resolve) => setTimeout(resolve, 0));

describe("calls", () => {
  test("are answered by id, after their events", async () => {
    const events: unknown[] = [];
    const first = client.call("info", null);
    const params = { prompt: { text: "" }, sampling: {}, stop: [] };
    const second = client.call("generate", params, { onEvent: (event) => events.push(event) });
    engine.say({ type: "event", call: "generate", id: 2, event: { text: "a" } });
    engine.say({ type: "result", call: "generate", id: 2, result });
    engine.say({ type: "failed", id: 1, error: { code: "prompt-too-long", message: "no", details: { n: 1n } } });
    await expect(second).resolves.toEqual(result);
    await expect(first).rejects.toMatchObject({ code: "prompt-too-long", message: "no", details: { n: 1 } });
    expect(events).toEqual([{ text: "a" }]);
    expect(engine.terminated).toBe(false);
  });

  test("are cancelled by their signal while they run, and not after", async () => {
    const abort = new AbortController();
    const call = client.call("info", null, { signal: abort.signal });
    abort.abort();
    expect(engine.requests.at(-1)).toEqual({ type: "cancel", id: 1 });
    engine.say({ type: "failed", id: 1, error: { code: "aborted", message: "" } });
    await expect(call).rejects.toMatchObject({ name: "AbortError" });

    const later = new AbortController();
    const done = client.call("logits", { tokens: new Uint32Array(1) }, { signal: later.signal });
    engine.say({ type: "result", call: "logits", id: 2, result: new Float32Array(1) });
    await done;
    later.abort();
    expect(engine.requests.at(-1)).toMatchObject({ type: "call", id: 2 });
  });

  test.each(["device-lost", "internal"])("%s ends everything", async (code) => {
    const first = client.call("info", null);
    const second = client.call("info", null);
    engine.say({ type: "failed", id: 1, error: { code, message: "gone" } });
    await expect(first).rejects.toMatchObject({ code });
    await expect(second).rejects.toMatchObject({ code });
    await expect(client.call("info", null)).rejects.toMatchObject({ code });
    expect([engine.terminated, io.terminated]).toEqual([true, true]);
  });

  test("a fatal message rejects all of them", async () => {
    const call = client.call("info", null);
    engine.say({ type: "fatal", error: { code: "internal", message: "panicked" } });
    await expect(call).rejects.toBeInstanceOf(ChordError);
    expect(client.failure).toMatchObject({ code: "internal" });
  });

  test.each([0, 1])("worker %i that cannot run rejects all of them", async (which) => {
    const call = client.call("info", null);
    FakeWorker.all[which]!.onerror?.(new Event("error"));
    await expect(call).rejects.toMatchObject({ code: "worker-failed", details: { url: "http://localhost/w.js" } });
    expect([engine.terminated, io.terminated]).toEqual([true, true]);
  });
});

describe("workers of the CPU", () => {
  const ask = () => engine.say({ type: "startPool", workers: [new MessageChannel().port1] });
  const started = () => engine.requests.find(({ type }) => type === "poolStarted");

  test("are started when the engine asks, and the engine is notified", async () => {
    ask();
    const worker = FakeWorker.all[2]!;
    await tick();
    expect(started()).toBeUndefined();
    worker.onmessage?.({ data: { type: "ready" } as never });
    await tick();
    expect(started()).toEqual({ type: "poolStarted" });
    client.end(new ChordError("unloaded", "gone"));
    expect(worker.terminated).toBe(true);
  });

  test("that do not start are reported to the engine, which does without them", async () => {
    ask();
    FakeWorker.all[2]!.onmessage?.({ data: { type: "failed", reason: "no memory" } as never });
    await tick();
    expect(started()).toEqual({ type: "poolStarted", error: "no memory" });
    expect(client.failure).toBeUndefined();
  });

  test("that panic end everything, for the engine waits for them", async () => {
    const call = client.call("info", null);
    ask();
    FakeWorker.all[2]!.onmessage?.({ data: { type: "ready" } as never });
    await tick();
    FakeWorker.all[2]!.onmessage?.({ data: { type: "panic", message: "out of bounds" } as never });
    await expect(call).rejects.toMatchObject({ code: "internal" });
    expect(engine.terminated).toBe(true);
  });
});

describe("unload", () => {
  test("cancels, rejects what was not answered, frees, then ends the workers", async () => {
    const call = client.call("info", null);
    const unloading = client.unload(new ChordError("unloaded", "gone"));
    await expect(call).rejects.toMatchObject({ code: "unloaded" });
    await expect(client.call("info", null)).rejects.toMatchObject({ code: "unloaded" });
    expect(engine.requests.slice(1)).toEqual([
      { type: "cancel", id: 1 },
      expect.objectContaining({ type: "call", call: "unload" }),
    ]);
    expect(engine.terminated).toBe(false);
    engine.say({ type: "result", call: "unload", id: 2, result: null });
    await unloading;
    expect([engine.terminated, io.terminated]).toEqual([true, true]);
  });

  test("does not wait for an engine that does not answer", async () => {
    vi.useFakeTimers();
    const unloading = client.unload(new ChordError("unloaded", "gone"));
    await vi.advanceTimersByTimeAsync(2_000);
    await unloading;
    expect(engine.terminated).toBe(true);
    vi.useRealTimers();
  });
});

describe("a load that is given up", () => {
  test("rejects and stops fetching at once, and ends the engine when it has freed its memory", async () => {
    const call = client.call("info", null);
    client.abandon(new ChordError("unloaded", "gone"));
    expect([engine.terminated, io.terminated]).toEqual([false, true]);
    await expect(call).rejects.toMatchObject({ code: "unloaded" });
    expect(engine.requests.slice(1)).toEqual([
      { type: "abandon" },
      { type: "cancel", id: 1 },
      expect.objectContaining({ type: "call", call: "unload" }),
    ]);
    // Giving it up again changes nothing.
    client.abandon(new ChordError("unloaded", "twice"));
    await tick();
    expect(engine.terminated).toBe(false);
    engine.say({ type: "result", call: "unload", id: 2, result: null });
    await tick();
    expect(engine.terminated).toBe(true);
  });
});

describe("a generation", () => {
  const run = (fields: object, signal?: AbortSignal, onPromptProgress?: (at: PromptProgress) => void) => {
    const request = checkChatRequest({ messages: [{ role: "user", content: "Hi" }], ...fields });
    const answer = chatAnswer("m", request.includeUsage);
    return generate(client, new TaskQueue(), request, answer, signal, onPromptProgress);
  };
  const read = (processed: number) => {
    const prompt = { total: 300, cached: 20, processed, time_ms: 5 };
    engine.say({ type: "event", call: "generate", id: 1, event: { prompt } });
    return { total: 300, cache: 20, processed, time_ms: 5 };
  };
  const text = (piece: string) => engine.say({ type: "event", call: "generate", id: 1, event: { text: piece } });
  const finish = (finish_reason: GenerateResult["finish_reason"]) =>
    engine.say({ type: "result", call: "generate", id: 1, result: { ...result, finish_reason } });

  test("as a whole", async () => {
    const answer = run({}) as Promise<ChatCompletion>;
    await tick();
    text("Hel");
    text("lo");
    finish("length");
    expect((await answer).choices[0]).toMatchObject({ message: { content: "Hello" }, finish_reason: "length" });
  });

  test("streamed, with usage on the last chunk", async () => {
    const stream = run({ stream: true, stream_options: { include_usage: true } }) as ChordStream<ChatCompletionChunk>;
    await tick();
    text("Hel");
    text("lo");
    finish("stop");
    const chunks: ChatCompletionChunk[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content)).toEqual(["", "Hel", "lo", undefined, undefined]);
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe("stop");
    expect(chunks.at(-1)?.usage?.total_tokens).toBe(5);
  });

  test("reports its prompt's progress in the stream, where requested, and to a callback", async () => {
    const heard: PromptProgress[] = [];
    const fields = { stream: true, return_progress: true };
    const stream = run(fields, undefined, (at) => heard.push(at)) as ChordStream<ChatCompletionChunk>;
    await tick();
    const told = [read(148), read(300)];
    text("Hel");
    finish("stop");
    const chunks: ChatCompletionChunk[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    expect(chunks.map((chunk) => chunk.prompt_progress)).toEqual([undefined, ...told, undefined, undefined]);
    expect(chunks.map((chunk) => chunk.choices.length)).toEqual([1, 0, 0, 1, 1]);
    expect(heard).toEqual(told);
  });

  test("reports its prompt's progress in no chunk unless requested, and to a callback for a whole answer too", async () => {
    const heard: PromptProgress[] = [];
    const stream = run({ stream: true }) as ChordStream<ChatCompletionChunk>;
    await tick();
    read(148);
    finish("stop");
    for await (const chunk of stream) expect(chunk).not.toHaveProperty("prompt_progress");

    const whole = run({}, undefined, (at) => heard.push(at)) as Promise<ChatCompletion>;
    await tick();
    engine.say({
      type: "event",
      call: "generate",
      id: 2,
      event: { prompt: { total: 300, cached: 0, processed: 128, time_ms: 5 } },
    });
    engine.say({ type: "result", call: "generate", id: 2, result });
    await whole;
    expect(heard).toEqual([{ total: 300, cache: 0, processed: 128, time_ms: 5 }]);
  });

  test("leaving the loop early cancels it in the engine", async () => {
    const stream = run({ stream: true }) as ChordStream<ChatCompletionChunk>;
    await tick();
    text("Hel");
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content === "Hel") break;
    expect(engine.requests.at(-1)).toEqual({ type: "cancel", id: 1 });
    finish("cancelled");
    await tick();
  });

  test("an abort rejects at once and cancels it in the engine", async () => {
    const abort = new AbortController();
    const answer = run({}, abort.signal) as Promise<ChatCompletion>;
    await tick();
    abort.abort();
    await expect(answer).rejects.toMatchObject({ name: "AbortError" });
    expect(engine.requests.at(-1)).toEqual({ type: "cancel", id: 1 });
    finish("cancelled");
    await tick();
  });

  test("a device lost in the middle ends the stream with its error", async () => {
    const stream = run({ stream: true }) as ChordStream<ChatCompletionChunk>;
    await tick();
    text("Hel");
    engine.say({ type: "fatal", error: { code: "device-lost", message: "lost" } });
    const seen: unknown[] = [];
    const reading = (async () => {
      for await (const chunk of stream) seen.push(chunk.choices[0]?.delta.content);
    })();
    await expect(reading).rejects.toMatchObject({ code: "device-lost" });
    expect(seen).toEqual(["", "Hel"]);
  });
});
