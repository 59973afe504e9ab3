/** Threads without relaxed SIMD, for Safari: in a Chromium that denies having it, the results are the baseline's. */

import { expect, type Page, test } from "@playwright/test";
import type { ChordLoadOptions } from "@querent-ai/wasm-chord";
import { bytesSent, openSdk, workerWith } from "../support/page.ts";

const model = "/models/SmolLM2-135M-Instruct.Q4_1.gguf";
const tiny = ["llama.Q4_0", "llama.Q4_K_M", "gemma3.Q4_K_M"];

/** No module with an instruction of relaxed SIMD, whose codes begin at 0x100, is valid for this browser's checks. */
const withoutRelaxedSimd = `{
  const { validate } = WebAssembly;
  WebAssembly.validate = (bytes) => {
    const hasRelaxed = [...bytes].some((byte, at) => byte === 0xfd && bytes[at + 1] >= 0x80 && bytes[at + 2] === 2);
    return !hasRelaxed && validate(bytes);
  };
}`;

/** Logits of small models with each rounding of activations, and what they ran on. */
function smallModels(page: Page, options: ChordLoadOptions) {
  return page.evaluate(
    async ({ tiny, options }) => {
      const ran = new Set<string>();
      const logits: Record<string, number[]> = {};
      for (const name of tiny) {
        for (const activations of ["f32", "q16", "q8", "mixed"] as const) {
          const more = { backend: "cpu", store: "none", contextLength: 256, activations } as const;
          const chord = await sdk.Chord.load(`/golden/tiny/${name}.gguf`, { ...more, ...options });
          const prompt = [1, 17, 300, 41, 5, 260, 99, 2];
          // A prompt, and a token alone, which other kernels multiply.
          for (const tokens of [prompt, prompt.slice(0, 1)]) {
            logits[`${name}, ${activations}, ${tokens.length} tokens`] = [...(await chord.debug.logits(tokens))];
          }
          const { artifact, threads, why } = await chord.info();
          ran.add(`${artifact}, ${threads}: ${why}`);
          await chord.unload();
        }
      }
      return { ran: [...ran], logits };
    },
    { tiny, options },
  );
}

/** Logits after a few tokens, and a greedy answer of SmolLM2. */
function smollm2(page: Page, options: ChordLoadOptions) {
  return page.evaluate(
    async ({ model, options }) => {
      const chord = await sdk.Chord.load(model, { backend: "cpu", store: "memory", contextLength: 256, ...options });
      const logits = [...(await chord.debug.logits([504, 3575, 282, 4649, 314])).slice(-49_152)];
      const messages = [{ role: "user" as const, content: "Name three colours." }];
      const { choices } = await chord.chat.completions.create({ messages, temperature: 0, max_tokens: 24 });
      const { artifact, threads, why } = await chord.info();
      await chord.unload();
      return { artifact, threads, why, logits, text: choices[0]!.message.content };
    },
    { model, options },
  );
}

/** How many numbers differ, under each name. */
function differing(some: Record<string, number[]>, others: Record<string, number[]>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const [name, values] of Object.entries(some)) {
    const other = others[name]!;
    const count =
      values.filter((value, index) => value !== other[index]).length + Math.abs(values.length - other.length);
    if (count > 0) counts[name] = count;
  }
  return counts;
}

const baseline = { wasmUrl: "/package/chord.wasm" };

test("small models on two threads have the baseline's logits, bit for bit", async ({ page }) => {
  await openSdk(page);
  const workerUrl = await workerWith(page, withoutRelaxedSimd);
  const two = await smallModels(page, { workerUrl, threads: 2 });
  expect(two.ran).toEqual([expect.stringMatching(/^threads-simd128, 2: .*the CPU runs everything on 2 threads$/)]);
  const one = await smallModels(page, baseline);
  expect(one.ran).toEqual([expect.stringContaining("baseline, 1:")]);
  expect(Object.keys(two.logits)).toHaveLength(2 * 4 * tiny.length);
  expect(differing(two.logits, one.logits)).toEqual({});
});

test("SmolLM2 on two threads answers as with the baseline, and fetches no other artifact", async ({
  page,
  request,
}) => {
  const files = ["chord.wasm", "chord-threads.wasm", "chord-threads-simd128.wasm", "chord-memory64.wasm"];
  const sent = () => Promise.all(files.map((file) => bytesSent(request, `/package/${file}`)));
  await openSdk(page);
  const workerUrl = await workerWith(page, withoutRelaxedSimd);
  const before = await sent();
  const two = await smollm2(page, { workerUrl, threads: 2 });
  const after = await sent();
  expect(two).toMatchObject({ artifact: "threads-simd128", threads: 2 });
  expect(files.filter((_, index) => after[index]! > before[index]!)).toEqual(["chord-threads-simd128.wasm"]);

  const one = await smollm2(page, baseline);
  expect(one).toMatchObject({ artifact: "baseline", threads: 1 });
  expect(two.logits).toHaveLength(49_152);
  expect(differing({ logits: two.logits }, { logits: one.logits })).toEqual({});
  expect(two.text).toBe(one.text);
  expect(two.text.length).toBeGreaterThan(10);
});

test("an isolated page that has no SharedArrayBuffer, as in WebKitGTK, uses the baseline", async ({ page }) => {
  await openSdk(page);
  const workerUrl = await workerWith(page, `${withoutRelaxedSimd} delete globalThis.SharedArrayBuffer;`);
  const plain = await smollm2(page, { workerUrl, threads: 2 });
  expect(plain).toMatchObject({
    artifact: "baseline",
    threads: 1,
    why: expect.stringContaining("this browser has no shared memory"),
  });
});

test("a page that is not isolated uses the baseline, and says why there is one thread", async ({ page }) => {
  await openSdk(page, "/plain-pages/sdk.html");
  const workerUrl = await workerWith(page, withoutRelaxedSimd);
  const plain = await smollm2(page, { workerUrl, threads: 2 });
  expect(plain).toMatchObject({
    artifact: "baseline",
    threads: 1,
    why: expect.stringContaining("the page is not cross-origin isolated"),
  });
});
