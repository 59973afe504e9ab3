/** The numbers of the CPU in Chromium against llama.cpp's: every artifact has its own kernels. */

import { expect, test } from "@playwright/test";
import {
  type Chat,
  expectSameChoices,
  margin,
  type ModelGolden,
  readGolden,
  type TinyGolden,
} from "../support/goldens.ts";
import { openSdk } from "../support/page.ts";

/** A model of every type of weights, and one of every architecture. */
const tiny = [
  ...["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "F16", "BF16"].map(
    (type) => `llama.${type}`,
  ),
  ...["llama-mha", "llama-tied", "gemma3", "qwen2", "olmo2", "olmoe"].map((architecture) => `${architecture}.Q4_K_M`),
];

/**
 * For one small model, our error with 8-bit activations may be this many times llama.cpp's: both are samples of the
 * same noise.
 */
const NOISE = 1.1;

/** Limits of the error by what activations are rounded to and what keys and values are stored as. */
const precisions: {
  activations: "q8" | "q16" | "f32";
  kv: "f16" | "f32";
  limit: (golden: TinyGolden) => number;
  choices: boolean;
}[] = [
  { activations: "f32", kv: "f32", limit: () => 1e-6, choices: true },
  { activations: "q16", kv: "f32", limit: () => 1e-6, choices: true },
  { activations: "q16", kv: "f16", limit: () => 1e-5, choices: true },
  // Eight bits move logits by up to 0.9.
  { activations: "q8", kv: "f32", limit: (golden) => NOISE * golden.llama_cpp_q8_activation_nmse, choices: false },
];

const artifacts = [
  { artifact: "threads", threads: 2, options: {} },
  { artifact: "baseline", threads: 1, options: { wasmUrl: "/package/chord.wasm" } },
];

for (const { artifact, threads, options } of artifacts) {
  for (const { activations, kv, limit, choices } of precisions) {
    test(`small models on the CPU, ${artifact}, ${activations} activations, ${kv} KV`, async ({ page }) => {
      await openSdk(page);
      for (const name of tiny) {
        const golden = readGolden<TinyGolden>(`tiny/${name}.json`);
        const result = await page.evaluate(
          async ({ golden, activations, kv, threads, options }) => {
            const chord = await sdk.Chord.load(`/golden/tiny/${golden.model}`, {
              backend: "cpu",
              store: "none",
              contextLength: 256,
              activations,
              kv,
              threads,
              ...options,
            });
            // A prompt, and a token alone, which other kernels multiply.
            const logits = await chord.debug.logits(golden.tokens);
            const single = await chord.debug.logits(golden.tokens.slice(0, 1));
            const file = new Float32Array(await (await fetch(`/golden/tiny/${golden.logits}`)).arrayBuffer());
            const info = await chord.info();
            await chord.unload();
            const { nmse, argmax } = compareLogits(file, logits, golden.vocab);
            return { nmse, argmax, single: compareLogits(file.subarray(0, golden.vocab), single, golden.vocab), info };
          },
          { golden, activations, kv, threads, options },
        );
        expect(result.info, name).toMatchObject({ backend: "cpu", artifact, threads });
        expect(result.nmse, name).toBeLessThanOrEqual(limit(golden));
        if (choices) {
          expect(result.single.nmse, `${name}, one token`).toBeLessThanOrEqual(limit(golden));
          expectSameChoices(golden, result.argmax);
          expectSameChoices(golden, result.single.argmax);
        }
      }
    });
  }

  test(`SmolLM2 on the CPU, ${artifact}, what follows prompts of mixed activations`, async ({ page }) => {
    const { text } = readGolden<ModelGolden>("smollm2-135m-instruct.q4_1.json");
    // The last position of each prompt: far enough after the previous one for some rows of 8 bits, and with a clear
    // choice.
    const ends: number[] = [];
    for (const [position, clear] of text.margin.entries()) {
      if (position > (ends.at(-1) ?? 0) + 60 && clear > 0.1) ends.push(position);
    }
    await openSdk(page);
    const found = await page.evaluate(
      async ({ tokens, ends, threads, options }) => {
        const chord = await sdk.Chord.load("/models/SmolLM2-135M-Instruct.Q4_1.gguf", {
          backend: "cpu",
          store: "none",
          contextLength: 512,
          activations: "mixed",
          threads,
          ...options,
        });
        const found: number[][] = [];
        for (const end of ends) {
          const prompt = tokens.slice(0, end + 1);
          const { choices } = await chord.completions.create({ prompt, max_tokens: 1, temperature: 0 });
          found.push(await chord.tokenize(choices[0]!.text, { addSpecial: false }));
        }
        await chord.unload();
        return found;
      },
      { tokens: text.tokens, ends, threads, options },
    );
    expect(ends.length).toBeGreaterThan(3);
    expect(found).toEqual(ends.map((end) => [text.argmax[end]]));
  });

  test(`SmolLM2 on the CPU, ${artifact}, 64 positions and an answer`, async ({ page }) => {
    const golden = readGolden<ModelGolden>("smollm2-135m-instruct.q4_1.json");
    const { full_logits: full, text, chats } = golden;
    const rows = full.positions.filter((position) => position < 64);
    // As much of an answer as the reference is sure of.
    const sure = ({ margin: margins }: Chat) => [...margins, 0].findIndex((each) => each <= margin);
    const chat = chats.reduce((longest, chat) => (sure(chat) > sure(longest) ? chat : longest));
    const maxTokens = Math.min(24, sure(chat));
    await openSdk(page);
    const result = await page.evaluate(
      async ({ tokens, full, rows, prompt, maxTokens, threads, options }) => {
        const chord = await sdk.Chord.load("/models/SmolLM2-135M-Instruct.Q4_1.gguf", {
          backend: "cpu",
          store: "none",
          contextLength: 256,
          threads,
          ...options,
        });
        const logits = await chord.debug.logits(tokens);
        const expected = new Float32Array(await (await fetch(`/golden/${full.file}`)).arrayBuffer());
        const { choices } = await chord.completions.create({ prompt, max_tokens: maxTokens, temperature: 0 });
        await chord.unload();
        return { ...compareStored(expected, rows, logits, full.vocab), answer: choices[0]!.text };
      },
      { tokens: text.tokens.slice(0, 64), full, rows, prompt: chat.tokens, maxTokens, threads, options },
    );
    expect(rows.length).toBeGreaterThan(0);
    expect(result.nmse).toBeLessThanOrEqual(1e-5);
    expectSameChoices(text, result.argmax);
    expect(maxTokens).toBeGreaterThan(4);
    expect(result.answer.length).toBeGreaterThan(10);
    expect(chat.text.startsWith(result.answer), `${result.answer} begins ${chat.text}`).toBe(true);
  });
}
