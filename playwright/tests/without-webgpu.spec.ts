/** A browser that offers no adapter: models run on the CPU, and the page says so. */

import { expect, test } from "@playwright/test";
import { openSdk } from "../support/page.ts";

test("auto uses the CPU and says why", async ({ page }) => {
  await openSdk(page);
  const result = await page.evaluate(async () => {
    const { webgpu } = await sdk.Chord.capabilities();
    const chord = await sdk.Chord.load("/models/SmolLM2-135M-Instruct.Q4_1.gguf", {
      store: "none",
      contextLength: 256,
    });
    const answer = await chord.chat.completions.create({
      messages: [{ role: "user", content: "Name the capital of France." }],
      temperature: 0,
      max_tokens: 16,
    });
    const info = await chord.info();
    await chord.unload();
    return { webgpu, info, text: answer.choices[0]!.message.content, usage: answer.usage };
  });
  expect(result.webgpu.available).toBe(false);
  expect(result.info.backend).toBe("cpu");
  expect(result.info.why).not.toBe("");
  expect(result.text).toBe("The capital of France is Paris.");
  // Logged, not asserted: a test on a busy machine proves nothing about speed (docs/bench).
  console.log(`CPU in Chromium: ${result.usage.extra.decode_tokens_per_s.toFixed(1)} tok/s`);
});

test("asking for WebGPU fails with a code", async ({ page }) => {
  await openSdk(page);
  const error = await page.evaluate(() =>
    sdk.Chord.load("/golden/tiny/llama.Q4_0.gguf", { backend: "webgpu", store: "none" }).then(
      () => ({ code: "loaded", message: "" }),
      ({ code, message }: InstanceType<typeof sdk.ChordError>) => ({ code, message }),
    ),
  );
  expect(error.code).toBe("no-backend");
  expect(error.message).not.toBe("");
});

test("the page says what it runs on", async ({ page }) => {
  await page.goto("/");
  await expect(page.locator("#capability")).toContainText("Models run on the CPU here");
  await page.getByRole("button", { name: "Load model" }).click();
  await expect(page.locator("#chat")).toBeVisible({ timeout: 120_000 });
  await expect(page.locator("#notice")).toContainText("Running on the CPU");
  await expect(page.locator("#model-backend")).toHaveText("CPU");
});
