/** Text from real models, through the SDK, on WebGPU; and what the decode loop does for it. */

import { expect, test } from "@playwright/test";
import { margin, type ModelGolden, readGolden, type TinyGolden } from "../support/goldens.ts";
import { openSdk } from "../support/page.ts";
import { fullTier } from "../support/places.mjs";

test("SmolLM2 knows the capital of France", async ({ page }) => {
  test.setTimeout(300_000);
  await openSdk(page);
  const result = await page.evaluate(async () => {
    const chord = await sdk.Chord.load("/models/SmolLM2-135M-Instruct.Q4_1.gguf", {
      backend: "webgpu",
      store: "none",
      contextLength: 256,
    });
    const messages = [{ role: "user" as const, content: "What is the capital of France?" }];
    const stream = await chord.chat.completions.create({
      messages,
      temperature: 0,
      max_tokens: 16,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    let reason: string | null = null;
    let usage;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      reason = chunk.choices[0]?.finish_reason ?? reason;
      usage = chunk.usage ?? usage;
    }
    const info = await chord.info();
    await chord.unload();
    return { text, reason, usage, info };
  });
  expect(result.text).toBe("The capital of France is Paris.");
  expect(result.reason).toBe("stop");
  expect(result.usage?.prompt_tokens).toBe(37);
  expect(result.usage?.extra.decode_tokens_per_s).toBeGreaterThan(0);
  expect(result.info.backend).toBe("webgpu");
  expect(result.info.adapter.isSoftware).toBe(true);
});

test("Gemma 3 270M continues as the reference does", async ({ page }) => {
  test.skip(!fullTier, "left to the full tier: Gemma on a software GPU takes minutes");
  test.setTimeout(900_000);
  const golden = readGolden<ModelGolden>("gemma-3-270m.q4_k_m.json");
  const chat = golden.chats[1]!;
  const firstUnclear = chat.margin.findIndex((value) => value < margin);
  const count = Math.min(8, firstUnclear < 0 ? chat.greedy.length : firstUnclear);
  await openSdk(page);
  const text = await page.evaluate(
    async ({ tokens, count }) => {
      const chord = await sdk.Chord.load("/models/gemma-3-270m-q4_k_m.gguf", {
        backend: "webgpu",
        store: "none",
        contextLength: 256,
      });
      const answer = await chord.completions.create({ prompt: tokens, temperature: 0, max_tokens: count });
      await chord.unload();
      return answer.choices[0]!.text;
    },
    { tokens: chat.tokens, count },
  );
  expect(text.length).toBeGreaterThan(0);
  expect(chat.text.startsWith(text)).toBe(true);
});

test("decoding creates no resources and waits for no readback between tokens", async ({ page }) => {
  const golden = readGolden<TinyGolden>("tiny/llama.Q4_0.json");
  await openSdk(page);
  const result = await page.evaluate(
    async (prompt) => {
      const chord = await sdk.Chord.load("/golden/tiny/llama.Q4_0.gguf", { backend: "webgpu", store: "none" });
      const run = async (tokens: number) => {
        const before = (await chord.info()).counters;
        const answer = await chord.completions.create({ prompt, temperature: 0, max_tokens: tokens });
        const after = (await chord.info()).counters;
        const grown = Object.entries(after).map(([name, value]) => [name, value - before[name as keyof typeof before]]);
        return { made: answer.usage.completion_tokens, grown: Object.fromEntries(grown) as typeof after };
      };
      await run(20);
      // The same prompt again, so that the two runs differ by the decode steps of tokens 3 to 20 alone.
      return { short: await run(2), long: await run(20) };
    },
    golden.tokens.slice(0, 8),
  );
  const { short, long } = result;
  expect(short.made).toBe(2);
  expect(long.made).toBe(20);
  expect(long.grown.submits - short.grown.submits).toBe(18);
  expect(long.grown.buffersCreated).toBe(0);
  expect(long.grown.bindGroupsCreated).toBe(0);
  expect(long.grown.pipelinesCreated).toBe(0);
  expect(long.grown.readbacksBeforeSubmit).toBe(0);
});
