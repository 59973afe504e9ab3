import { describe, expect, test } from "vitest";
import { checkChatRequest, checkCompletionRequest, checkMessages, wallClock } from "./request.js";
import type { ChatCompletionRequest, CompletionRequest } from "./types.js";

const messages: ChatCompletionRequest["messages"] = [{ role: "user", content: "Hi" }];
const chat = (fields: object) => checkChatRequest({ messages, ...fields } as ChatCompletionRequest);
const text = (fields: object) => checkCompletionRequest({ prompt: "Hi", ...fields } as CompletionRequest);

test("a full chat request becomes the engine's request", () => {
  const request = chat({
    model: "m",
    temperature: 0,
    top_p: 0.5,
    top_k: 3,
    min_p: 0.1,
    repeat_penalty: 1.2,
    repeat_last_n: 32,
    seed: 7,
    stop: "\n",
    max_completion_tokens: 9,
    stream: true,
    stream_options: { include_usage: true },
    return_progress: true,
  });
  expect(request).toEqual({
    model: "m",
    stream: true,
    includeUsage: true,
    returnProgress: true,
    params: {
      prompt: { messages: [{ role: "user", content: "Hi" }] },
      sampling: { temperature: 0, top_p: 0.5, top_k: 3, min_p: 0.1, repeat_penalty: 1.2, repeat_last_n: 32 },
      stop: ["\n"],
      max_tokens: 9,
      seed: 7,
      now: expect.any(Number) as number,
    },
  });
});

test("fields left out or null have the engine's defaults; an answer in a chat may be as long as the context", () => {
  const request = chat({ temperature: null, stop: null, max_tokens: null, stream: null });
  expect(request.params).toEqual({
    prompt: { messages: [{ role: "user", content: "Hi" }] },
    sampling: {},
    stop: [],
    now: expect.any(Number) as number,
  });
  expect(text({}).params.max_tokens).toBe(16);
});

test("prompts are text or token ids", () => {
  expect(text({ prompt: "" }).params.prompt).toEqual({ text: "" });
  expect(text({ prompt: [1, 2] }).params.prompt).toEqual({ tokens: [1, 2] });
});

test("a message's name goes to the template", () => {
  const named = { role: "user", content: "Hi", name: "Ann" };
  expect(checkMessages([named, { ...named, name: null }])).toEqual([named, { role: "user", content: "Hi" }]);
  expect(() => checkMessages([{ ...named, name: 7 }])).toThrow(expect.objectContaining({ code: "invalid-argument" }));
});

test("the template's clock shows this device's local time", () => {
  // 2024-07-26 11:44:05, whatever the time zone.
  expect(chat({ now: new Date(2024, 6, 26, 11, 44, 5) }).params.now).toBe(1_721_994_245);
  const old = new Date(2024, 0, 1);
  old.setFullYear(99);
  expect(wallClock(old)).toBe(new Date(0).setUTCFullYear(99, 0, 1) / 1000);
  const [before, now, after] = [wallClock(new Date()), chat({}).params.now, wallClock(new Date())];
  expect(now).toBeGreaterThanOrEqual(before);
  expect(now).toBeLessThanOrEqual(after);
  for (const wrong of ["2024-07-26", 5, new Date(NaN)]) {
    expect(() => chat({ now: wrong })).toThrow(expect.objectContaining({ details: { field: "now" } }));
  }
  expect(() => text({ now: new Date() })).toThrow(expect.objectContaining({ code: "unsupported-field" }));
});

test("text parts of a message are joined", () => {
  const content = [
    { type: "text", text: "a" },
    { type: "text", text: "b" },
  ];
  expect(checkMessages([{ role: "user", content }])).toEqual([{ role: "user", content: "ab" }]);
});

describe("fields that ask for nothing are let through", () => {
  test.each([{ n: 1 }, { logprobs: false }, { presence_penalty: 0 }, { user: "me" }, { tools: [] }, { tools: null }])(
    "%o",
    (fields) => {
      expect(() => chat(fields)).not.toThrow();
    },
  );
});

describe("fields that would be ignored are refused", () => {
  test.each([
    ["n", { n: 2 }],
    ["tools", { tools: [{ type: "function" }] }],
    ["response_format", { response_format: { type: "json_object" } }],
    ["logprobs", { logprobs: true }],
    ["frequency_penalty", { frequency_penalty: 0.5 }],
    ["logit_bias", { logit_bias: { 5: 1 } }],
    ["prompt", { prompt: "Hi" }],
    ["temprature", { temprature: 0 }],
    ["messages[0].tool_calls", { messages: [{ role: "assistant", content: "", tool_calls: [{}] }] }],
    ["messages[0].tool_call_id", { messages: [{ role: "tool", content: "", tool_call_id: "a" }] }],
    ["messages[0].reasoning_content", { messages: [{ role: "assistant", content: "", reasoning_content: "a" }] }],
    [
      "messages[0].content[0].type",
      { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }] },
    ],
  ])("%s", (field, fields) => {
    expect(() => chat(fields)).toThrow(
      expect.objectContaining({ name: "ChordError", code: "unsupported-field", details: { field } }),
    );
  });

  test("several prompts", () => {
    expect(() => text({ prompt: ["a", "b"] })).toThrow(expect.objectContaining({ code: "unsupported-field" }));
  });
});

describe("values that make no sense are refused", () => {
  test.each([
    ["messages", { messages: [] }],
    ["messages", { messages: undefined }],
    ["messages[0].role", { messages: [{ content: "x" }] }],
    ["messages[0].content", { messages: [{ role: "user" }] }],
    ["max_tokens", { max_tokens: 5, max_completion_tokens: 6 }],
    ["max_completion_tokens", { max_completion_tokens: 0 }],
    ["repeat_penalty", { repeat_penalty: 1.1, repetition_penalty: 1.2 }],
    ["repetition_penalty", { repetition_penalty: 0 }],
    ["stop", { stop: "" }],
    ["stop", { stop: [1] }],
    ["stream", { stream: 1 }],
    ["stream_options", { stream_options: { include_usage: true } }],
    ["return_progress", { return_progress: true }],
    ["return_progress", { stream: true, return_progress: 1 }],
  ])("%s %o", (field, fields) => {
    expect(() => chat(fields)).toThrow(expect.objectContaining({ code: "invalid-argument", details: { field } }));
  });

  test.each([[[]], [[1.5]], [[-1]], [[2 ** 32]], [undefined], [5]])("prompt %o", (prompt) => {
    expect(() => text({ prompt })).toThrow(
      expect.objectContaining({ code: "invalid-argument", details: { field: "prompt" } }),
    );
  });
});
