import { expect, test } from "vitest";
import type { GenerateResult } from "../engine-types.js";
import { chatAnswer, textAnswer, toUsage } from "./response.js";

const result: GenerateResult = {
  finish_reason: "stop",
  usage: { prompt_tokens: 30, cached_tokens: 10, completion_tokens: 5 },
  timings: {
    time_to_first_token_ms: 250,
    prefill_ms: 200,
    prefill_tokens_per_s: 100,
    decode_ms: 400,
    decode_tokens_per_s: 10,
    total_ms: 650,
    prefill_stall_ms: 3,
    stall_ms_per_token: 4,
  },
  seed: 1,
};

test("usage in OpenAI's fields, with the figures that OpenAI does not have in `extra`", () => {
  expect(toUsage(result, 0.7)).toEqual({
    prompt_tokens: 30,
    completion_tokens: 5,
    total_tokens: 35,
    prompt_tokens_details: { cached_tokens: 10 },
    extra: {
      prefill_tokens_per_s: 100,
      decode_tokens_per_s: 10,
      time_to_first_token_s: 0.25,
      time_per_output_token_s: 0.1,
      e2e_latency_s: 0.7,
      stall_per_output_token_s: 0.004,
    },
  });
});

test("no time per token where only one token was generated", () => {
  const one = { ...result, usage: { ...result.usage, completion_tokens: 1 } };
  expect(toUsage(one, 1).extra.time_per_output_token_s).toBe(0);
});

test("the chunks of a streamed chat: role, text, reason, usage", () => {
  const answer = chatAnswer("m", true);
  const usage = toUsage(result, 1);
  const chunks = [answer.first(), answer.delta("Hi"), answer.last("stop"), answer.usage(usage)];
  expect(chunks.map((chunk) => chunk?.choices)).toEqual([
    [{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null, logprobs: null }],
    [{ index: 0, delta: { content: "Hi" }, finish_reason: null, logprobs: null }],
    [{ index: 0, delta: {}, finish_reason: "stop", logprobs: null }],
    [],
  ]);
  expect(chunks.map((chunk) => chunk?.usage)).toEqual([null, null, null, usage]);
  expect(new Set(chunks.map((chunk) => chunk?.id)).size).toBe(1);
  expect(chunks[0]).toMatchObject({
    object: "chat.completion.chunk",
    model: "m",
    id: expect.stringMatching(/^chatcmpl-[0-9a-f]{24}$/),
  });
});

test("chunks with the progress of a prompt have no choices, but all other fields of chunks", () => {
  const at = { total: 300, cache: 20, processed: 148, time_ms: 12.5 };
  for (const answer of [chatAnswer("m", true), textAnswer("m", true)]) {
    expect(answer.progress(at)).toEqual({ ...answer.delta(""), choices: [], prompt_progress: at });
  }
  expect(chatAnswer("m", false).progress(at)).not.toHaveProperty("usage");
});

test("without include_usage no chunk has the field", () => {
  expect(chatAnswer("m", false).delta("x")).not.toHaveProperty("usage");
});

test("two answers have two ids", () => {
  expect(textAnswer("m", false).delta("").id).not.toBe(textAnswer("m", false).delta("").id);
});
