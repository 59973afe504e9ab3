/** The package on a plain page of the test server. */

import { type APIRequestContext, expect, type Page } from "@playwright/test";

declare global {
  var sdk: typeof import("@querent-ai/wasm-chord");
  var compareLogits: (
    expected: Float32Array,
    actual: Float32Array,
    columns: number,
  ) => { nmse: number; argmax: number[] };
  var compareStored: (
    stored: Float32Array,
    positions: number[],
    actual: Float32Array,
    columns: number,
  ) => { nmse: number; argmax: number[] };
}

/** Opens the page on which `sdk` is the imported package. */
export async function openSdk(page: Page, address = "/pages/sdk.html"): Promise<void> {
  await page.goto(address);
  await expect(page).toHaveTitle("ready");
}

/**
 * Address of a worker script that begins with `prelude`: what a browser lacks, or how a worker fails. For `workerUrl`,
 * on the page that is open.
 */
export function workerWith(page: Page, prelude: string): Promise<string> {
  return page.evaluate(async (prelude) => {
    const worker = await (await fetch("/package/chord-worker.js")).text();
    return URL.createObjectURL(new Blob([`${prelude}\n${worker}`], { type: "text/javascript" }));
  }, prelude);
}

/** A number, once it has not changed for half a second. */
export async function settled(read: () => number | Promise<number>): Promise<number> {
  for (let last = await read(); ;) {
    await new Promise((later) => setTimeout(later, 500));
    const now = await read();
    if (now === last) return now;
    last = now;
  }
}

/** Bytes that the test server has handed out for a path. */
export async function bytesSent(request: APIRequestContext, path: string): Promise<number> {
  const sent = (await (await request.get("/transfers.json")).json()) as Record<string, number>;
  return sent[path] ?? 0;
}
