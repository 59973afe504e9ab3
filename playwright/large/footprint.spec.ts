/**
 * A load takes the same memory whatever the model's size: 6 GiB pass through source, store and engine to a sink that
 * drops them, because no adapter of a test machine holds so much.
 */

import { expect, test } from "@playwright/test";
import { openSdk } from "../support/page.ts";
import { watchMemory } from "../support/processes.ts";
import { syntheticUrl } from "./synthetic.ts";

const mebibyte = 1024 * 1024;
const heapLimit = 64 * mebibyte;
const rendererLimit = 256 * mebibyte;
const size = 6 * 1024;

test("a load of 6 GiB leaves the heap below 64 MiB and the renderer within 256 MiB of an empty page", async ({
  page,
  browser,
}, testInfo) => {
  await openSdk(page);
  const before = await watchMemory(browser);
  await page.waitForTimeout(3_000);
  const empty = await before.stop();

  const during = await watchMemory(browser);
  const loaded = await page.evaluate(
    async ({ url }) => {
      const started = performance.now();
      const options = { backend: "cpu", store: "none", contextLength: 256, debug: { discardWeights: true } } as const;
      const chord = await sdk.Chord.load(url, options);
      const info = await chord.info();
      const run = chord.completions.create({ prompt: "a", max_tokens: 1 });
      const refused = await run.then(
        () => "it ran",
        (error: Error) => error.message,
      );
      await chord.unload();
      return { info, refused, milliseconds: performance.now() - started };
    },
    { url: syntheticUrl(size, "Q8_0") },
  );
  const peak = await during.stop();

  const { info } = loaded;
  const above = (peak["renderer"] ?? 0) - (empty["renderer"] ?? 0);
  const figures =
    `${(info.model.sizeBytes / 2 ** 30).toFixed(2)} GiB in ${(loaded.milliseconds / 1000).toFixed(1)} s; ` +
    `wasm heap ${(info.wasmHeapBytes / mebibyte).toFixed(1)} MiB; renderer's peak PSS ` +
    `${((peak["renderer"] ?? 0) / mebibyte).toFixed(0)} MiB, ${(above / mebibyte).toFixed(0)} above an empty page's`;
  testInfo.annotations.push({ type: "footprint", description: figures });
  console.log(figures);
  expect(info.model.sizeBytes).toBeGreaterThanOrEqual(size * mebibyte);
  expect(info.store.networkBytes).toBe(info.model.sizeBytes);
  expect(loaded.refused).toContain("the weights were dropped");
  expect(info.wasmHeapBytes).toBeLessThanOrEqual(heapLimit);
  expect(empty["renderer"]).toBeGreaterThan(0);
  expect(above).toBeLessThanOrEqual(rendererLimit);
});
