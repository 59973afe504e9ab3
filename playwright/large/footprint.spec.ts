/**
 * A load takes the same memory whatever the model's size: 6 GiB pass through source, I/O worker and engine to a sink
 * that drops them, because no adapter of a test machine holds so much. A model of 1 GiB goes through each store, and
 * onto WebGPU, where it runs. `CHORD_FOOTPRINT_MIB` makes the large file smaller, for a quick look.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, expect, type Page, test, type TestInfo } from "@playwright/test";
import type { ChordInfo, ChordLoadOptions } from "@querent-ai/wasm-chord";
import { openSdk } from "../support/page.ts";
import { watchMemory } from "../support/processes.ts";
import { syntheticUrl } from "./synthetic.ts";

const mebibyte = 1024 * 1024;
const heapLimit = 64 * mebibyte;
const rendererLimit = 256 * mebibyte;
const large = Number(process.env["CHORD_FOOTPRINT_MIB"] ?? 6 * 1024);
/** A size that SwiftShader accepts, and that fits on a test machine's disk. */
const real = Math.min(large, 1024);

interface Footprint {
  info: ChordInfo;
  /** How an answer ended. */
  answer: string;
}

/** Loads a synthetic model, watches the renderer's memory meanwhile, and checks both limits. */
async function load(
  page: Page,
  browser: Browser,
  testInfo: TestInfo,
  mebibytes: number,
  options: ChordLoadOptions,
): Promise<Footprint> {
  await openSdk(page);
  const before = await watchMemory(browser);
  await page.waitForTimeout(3_000);
  const empty = await before.stop();

  const during = await watchMemory(browser);
  const { milliseconds, ...found } = await page.evaluate(
    async ({ url, options }) => {
      const started = performance.now();
      const chord = await sdk.Chord.load(url, options);
      const milliseconds = performance.now() - started;
      const info = await chord.info();
      const answer = await chord.completions.create({ prompt: "a", max_tokens: 1, temperature: 0 }).then(
        ({ choices }) => `it ran: ${choices[0]?.finish_reason}`,
        (error: Error) => error.message,
      );
      await chord.unload();
      return { info, answer, milliseconds };
    },
    { url: syntheticUrl(mebibytes, "Q8_0"), options },
  );
  const peak = await during.stop();

  const { info } = found;
  const above = (peak["renderer"] ?? 0) - (empty["renderer"] ?? 0);
  const figures =
    `${(info.model.sizeBytes / 2 ** 30).toFixed(2)} GiB in ${(milliseconds / 1000).toFixed(1)} s, store ` +
    `${info.store.kind}; wasm heap ${(info.wasmHeapBytes / mebibyte).toFixed(1)} MiB; renderer's peak PSS ` +
    `${((peak["renderer"] ?? 0) / mebibyte).toFixed(0)} MiB, ${(above / mebibyte).toFixed(0)} above an empty page's`;
  testInfo.annotations.push({ type: "footprint", description: figures });
  console.log(figures);
  expect(info.model.sizeBytes).toBeGreaterThanOrEqual(mebibytes * mebibyte);
  expect(info.wasmHeapBytes).toBeLessThanOrEqual(heapLimit);
  expect(empty["renderer"]).toBeGreaterThan(0);
  expect(above).toBeLessThanOrEqual(rendererLimit);
  return found;
}

const discard = { backend: "cpu", contextLength: 256, debug: { discardWeights: true } } as const;

test("a load of 6 GiB leaves the heap below 64 MiB and the renderer within 256 MiB of an empty page", async ({
  page,
  browser,
}, testInfo) => {
  const { info, answer } = await load(page, browser, testInfo, large, { ...discard, store: "none" });
  expect(info.store.networkBytes).toBe(info.model.sizeBytes);
  expect(answer).toContain("the weights were dropped");
});

for (const store of ["opfs", "indexeddb"] as const) {
  test(`a load of 1 GiB into ${store}, and one from there, stay within the same limits`, async ({
    playwright,
    baseURL,
  }, testInfo) => {
    // On a disk: a window without a profile stores data in memory.
    const profile = mkdtempSync(join(tmpdir(), "chord-footprint-"));
    const { launchOptions } = testInfo.project.use;
    const context = await playwright.chromium.launchPersistentContext(profile, {
      ...launchOptions,
      ...(baseURL === undefined ? {} : { baseURL }),
    });
    const browser = context.browser();
    try {
      if (!browser) throw new Error("the browser's processes cannot be asked for");
      const first = await load(await context.newPage(), browser, testInfo, real, { ...discard, store });
      expect(first.info.store).toMatchObject({ kind: store, complete: true, networkBytes: first.info.model.sizeBytes });
      await context.pages().at(-1)?.close();
      const second = await load(await context.newPage(), browser, testInfo, real, { ...discard, store });
      expect(second.info.store).toMatchObject({ kind: store, complete: true, networkBytes: 0 });
    } finally {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    }
  });
}

test("a load of 1 GiB onto WebGPU stays within the same limits, and the model runs", async ({
  page,
  browser,
}, testInfo) => {
  const options = { backend: "webgpu", contextLength: 256, store: "none" } as const;
  const { info, answer } = await load(page, browser, testInfo, real, options);
  expect(info.backend).toBe("webgpu");
  expect(info.memory.weights).toBeGreaterThan(real * mebibyte * 0.95);
  expect(answer).toMatch(/^it ran/);
});
