/** The demo on a host that cannot set headers. */

import { expect, test } from "@playwright/test";
import { port } from "../support/places.mjs";

test("a service worker isolates the page, at the cost of one reload, and leaves downloads alone", async ({ page }) => {
  let loads = 0;
  page.on("load", () => (loads += 1));
  const first = await page.goto("/plain/");
  expect(first?.headers()["cross-origin-embedder-policy"]).toBeUndefined();
  await expect.poll(() => page.evaluate(() => crossOriginIsolated).catch(() => false)).toBe(true);
  // The page is isolated a moment before it has loaded.
  await expect.poll(() => loads).toBe(2);

  const download = await page.evaluate(async (other) => {
    const seen = { own: 0, other: 0, early: false };
    const began = performance.now();
    let first = 0;
    const own = await fetch("/slow/SmolLM2-135M-Instruct.Q4_1.gguf", { headers: { Range: "bytes=0-9999999" } });
    const reader = own.body!.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      if (seen.own === 0) first = performance.now() - began;
      seen.own += part.value.length;
    }
    // 10 MB at 20 MB/s: what comes as a stream begins long before it ends.
    seen.early = first < (performance.now() - began) / 2;
    const foreign = await fetch(`${other}/golden/tiny/llama.Q4_0.gguf`, { headers: { Range: "bytes=0-99" } });
    seen.other = (await foreign.arrayBuffer()).byteLength;
    return seen;
  }, `http://127.0.0.1:${port}`);
  expect(download).toEqual({ own: 10_000_000, other: 100, early: true });

  await page.reload();
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
  await expect.poll(() => loads).toBe(3);

  await page.getByRole("radio", { name: "Address" }).check();
  await page.locator("#url").fill(`http://127.0.0.1:${port}/models/SmolLM2-135M-Instruct.Q4_1.gguf`);
  await page.getByRole("button", { name: "Load model" }).click();
  await expect(page.locator("#chat")).toBeVisible({ timeout: 120_000 });
  // The engine's, that of its files, and one of its pool at least where the machine has two cores.
  const cores = await page.evaluate(() => navigator.hardwareConcurrency);
  expect(page.workers().length).toBeGreaterThanOrEqual(cores > 1 ? 3 : 2);
});

test("a page that has its headers registers nothing", async ({ page }) => {
  await page.goto("/");
  await expect(page.getByRole("button", { name: "Load model" })).toBeVisible();
  expect(await page.evaluate(async () => (await navigator.serviceWorker.getRegistrations()).length)).toBe(0);
});
