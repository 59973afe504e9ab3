/** The numbers of the engine on WebGPU in Chromium against llama.cpp's. */

import { expect, test } from "@playwright/test";
import { expectSameChoices, type ModelGolden, readGolden, type TinyGolden } from "../support/goldens.ts";
import { openSdk } from "../support/page.ts";
import { fullTier } from "../support/places.mjs";

const limit = { f16: 1e-5, f32: 1e-6 };
const tiny = ["llama.Q4_0", "llama.Q8_0", "llama.Q4_K_M", "llama.Q6_K", "llama.F16", "gemma3.Q4_K_M"];

/** The features of this Chromium: with its optional ones, and with none of them. */
const variants = [
  { name: "all features", disableFeatures: [] },
  { name: "baseline", disableFeatures: ["subgroups", "shader-f16"] },
];

for (const name of tiny) {
  for (const { name: variant, disableFeatures } of variants) {
    for (const kv of fullTier ? (["f16", "f32"] as const) : (["f16"] as const)) {
      test(`${name} on WebGPU, ${variant}, ${kv} KV`, async ({ page }) => {
        const golden = readGolden<TinyGolden>(`tiny/${name}.json`);
        await openSdk(page);
        const result = await page.evaluate(
          async ({ golden, disableFeatures, kv }) => {
            const chord = await sdk.Chord.load(`/golden/tiny/${golden.model}`, {
              backend: "webgpu",
              store: "none",
              contextLength: 256,
              kv,
              disableFeatures,
            });
            const logits = await chord.debug.logits(golden.tokens);
            const file = await (await fetch(`/golden/tiny/${golden.logits}`)).arrayBuffer();
            const info = await chord.info();
            await chord.unload();
            return { ...compareLogits(new Float32Array(file), logits, golden.vocab), info };
          },
          { golden, disableFeatures, kv },
        );
        expect(result.info.backend).toBe("webgpu");
        for (const feature of disableFeatures) expect(result.info.features).not.toContain(feature);
        expect(result.nmse).toBeLessThanOrEqual(limit[kv]);
        expectSameChoices(golden, result.argmax);
      });
    }
  }
}

test("SmolLM2 on WebGPU, 64 positions", async ({ page }) => {
  test.setTimeout(300_000);
  const golden = readGolden<ModelGolden>("smollm2-135m-instruct.q4_1.json");
  const count = 64;
  const { full_logits: full, text } = golden;
  const rows = full.positions.filter((position) => position < count);
  await openSdk(page);
  const result = await page.evaluate(
    async ({ tokens, full, rows }) => {
      const chord = await sdk.Chord.load("/models/SmolLM2-135M-Instruct.Q4_1.gguf", {
        backend: "webgpu",
        store: "none",
        contextLength: 128,
      });
      const logits = await chord.debug.logits(tokens);
      const expected = new Float32Array(await (await fetch(`/golden/${full.file}`)).arrayBuffer());
      await chord.unload();
      return compareStored(expected, rows, logits, full.vocab);
    },
    { tokens: text.tokens.slice(0, count), full, rows },
  );
  expect(rows.length).toBeGreaterThan(0);
  expect(result.nmse).toBeLessThanOrEqual(limit.f16);
  expectSameChoices(text, result.argmax);
});
