/** The package on a plain page of the test server. */

import { type APIRequestContext, expect, type Page } from "@playwright/test";

declare global {
  var sdk: typeof import("@querent-ai/wasm-chord");
  var compareLogits: (
    expected: Float32Array,
    actual: Float32Array,
    columns: number,
  ) => { nmse: number; argmax: number[] };
}

/** Opens the page on which `sdk` is the imported package. */
export async function openSdk(page: Page, address = "/pages/sdk.html"): Promise<void> {
  await page.goto(address);
  await expect(page).toHaveTitle("ready");
}

/** Has every worker of the package begin with `prelude`: what a browser lacks, or how one fails. */
export async function preludeOfWorkers(page: Page, prelude: string): Promise<void> {
  const worker = await (await page.request.get("/package/chord-worker.js")).text();
  await page.route("**/package/chord-worker.js", (route) =>
    route.fulfill({
      body: `${prelude}\n${worker}`,
      contentType: "text/javascript",
      headers: { "Cross-Origin-Embedder-Policy": "require-corp" },
    }),
  );
}

/** Bytes that the test server has handed out for a path. */
export async function bytesSent(request: APIRequestContext, path: string): Promise<number> {
  const sent = (await (await request.get("/transfers.json")).json()) as Record<string, number>;
  return sent[path] ?? 0;
}
