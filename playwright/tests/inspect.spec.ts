/** What is known of a model before it is downloaded, and how many bytes that takes. */

import { expect, test } from "@playwright/test";
import { bytesSent, openSdk } from "../support/page.ts";

const file = "SmolLM2-135M-Instruct.Q4_1.gguf";

test("a model is judged by its header, and nothing else is downloaded", async ({ page, request }) => {
  const sentBefore = await bytesSent(request, `/models/${file}`);
  await openSdk(page);
  const result = await page.evaluate(async (url) => {
    const whole = await sdk.Chord.inspect(url, { contextLength: 2048 });
    const judge = async (maxGpuBytes: number, contextLength = 2048) =>
      (await sdk.Chord.inspect(url, { backend: "webgpu", contextLength, maxGpuBytes })).verdict;
    const kept = await sdk.Chord.cache.list();
    return {
      whole,
      roomy: await judge(1e9),
      short: await judge(whole.memory!.total - whole.memory!.kv / 2),
      paged: await judge(Math.floor(whole.memory!.weights * 0.8), 512),
      hopeless: await judge(1e6),
      kept,
    };
  }, `/models/${file}`);
  const { whole } = result;
  expect(whole).toMatchObject({
    architecture: "llama",
    parameters: 134_515_008,
    sizeBytes: 98_362_432,
    contextLength: 2048,
    trainedContextLength: 8192,
    hasChatTemplate: true,
    verdict: { kind: "fits", text: "fits" },
  });
  expect(Object.keys(whole.tensorTypes)).toContain("Q4_1");
  // 30 layers, 3 heads, 64 columns, keys and values in two bytes.
  expect(whole.memory?.kv).toBe(2048 * 30 * 3 * 64 * 2 * 2);
  expect(whole.memory?.weights).toBeGreaterThan(90e6);
  expect(result.roomy.kind).toBe("fits");
  expect(result.short).toMatchObject({ kind: "fits-with-context" });
  expect(result.short.text).toMatch(/^fits with context \d+$/);
  expect(result.paged).toMatchObject({ kind: "pages", text: "pages" });
  expect(result.hopeless.text).toMatch(/^unsupported: .*1000000/);
  expect(result.kept).toEqual([]);

  // Five looks at the header, each in growing pieces of whole MiB: of the weights, only what the last piece has.
  const sent = (await bytesSent(request, `/models/${file}`)) - sentBefore;
  expect(sent).toBeGreaterThanOrEqual(5 * whole.headerBytes);
  expect(sent).toBeLessThanOrEqual(5 * (2 * whole.headerBytes + 1.25 * 2 ** 20));
});

test("a file that is not a model is an error, and the browser's capabilities are reported", async ({ page }) => {
  await openSdk(page);
  const result = await page.evaluate(async () => {
    const code = (promise: Promise<unknown>) =>
      promise.then(
        () => "none",
        (error: { code: string }) => error.code,
      );
    const blob = new Blob([new Uint8Array(1000)]);
    return {
      missing: await code(sdk.Chord.inspect("/models/no-such.gguf")),
      other: await code(sdk.Chord.inspect("/pages/sdk.html")),
      blob: await code(sdk.Chord.inspect(blob)),
      offers: await sdk.Chord.capabilities(),
    };
  });
  expect(result.missing).toBe("http-status");
  expect(result.other).toBe("bad-magic");
  expect(result.blob).toBe("bad-magic");
  const { offers } = result;
  expect(offers.webgpu.available).toBe(true);
  expect(offers.webgpu.limits.maxComputeInvocationsPerWorkgroup).toBeGreaterThanOrEqual(256);
  expect(offers.wasm).toMatchObject({ available: true, simd: true, relaxedSimd: true });
  expect(offers.threads.hardwareConcurrency).toBeGreaterThan(0);
  expect(offers.threads.available).toBe(offers.crossOriginIsolated);
  expect(offers.storage.quota).toBeGreaterThan(0);
});
