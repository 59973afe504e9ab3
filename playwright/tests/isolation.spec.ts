/** The demo on a host that cannot set headers. */

import { expect, test } from "@playwright/test";
import { port } from "../support/places.mjs";

test("a service worker isolates the page, at the cost of one reload, and leaves downloads alone", async ({ page }) => {
  // Load events would not suffice: a page that is replaced early has none.
  let documents = 0;
  page.on("request", (request) => (documents += Number(request.isNavigationRequest())));
  const first = await page.goto("/plain/", { waitUntil: "commit" });
  expect(first?.headers()["cross-origin-embedder-policy"]).toBeUndefined();
  await expect.poll(() => page.evaluate(() => crossOriginIsolated).catch(() => false)).toBe(true);
  await page.waitForLoadState();
  expect(documents).toBe(2);

  const download = await page.evaluate(async (other) => {
    const path = "/slow/SmolLM2-135M-Instruct.Q4_1.gguf";
    const sent = async () => (await (await fetch("/transfers.json")).json())[path] ?? 0;
    const before = await sent();
    const { body, headers } = await fetch(path);
    const reader = body!.getReader();
    let own = (await reader.read()).value!.length;
    // A streamed response is there with its first piece; the rest waits until it is read.
    const streams = (await sent()) - before < Number(headers.get("content-length"));
    while (own < 10_000_000) own += (await reader.read()).value!.length;
    await reader.cancel();
    const foreign = await fetch(`${other}/golden/tiny/llama.Q4_0.gguf`, { headers: { Range: "bytes=0-99" } });
    return { streams, own: own >= 10_000_000, other: (await foreign.arrayBuffer()).byteLength };
  }, `http://127.0.0.1:${port}`);
  expect(download).toEqual({ streams: true, own: true, other: 100 });

  await page.reload();
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
  expect(documents).toBe(3);

  await page.getByRole("radio", { name: "Address" }).check();
  await page.locator("#url").fill(`http://127.0.0.1:${port}/models/SmolLM2-135M-Instruct.Q4_1.gguf`);
  await page.getByRole("button", { name: "Load model" }).click();
  await expect(page.locator("#chat")).toBeVisible({ timeout: 120_000 });
  // The engine worker, the I/O worker, and at least one pool worker if the machine has two cores.
  const cores = await page.evaluate(() => navigator.hardwareConcurrency);
  await expect.poll(() => page.workers().length).toBeGreaterThanOrEqual(cores > 1 ? 3 : 2);
});
