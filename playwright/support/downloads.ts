/** A server that misbehaves, and pages that load from it with nothing but the package's I/O worker. */

import { createHash } from "node:crypto";
import { expect, type Page } from "@playwright/test";
import type { DownloadSettings } from "../../web/src/download/settings.ts";
import type { StoreReport } from "../../web/src/protocol.ts";
import type { Served } from "../../web/src/testing/model-server.ts";
import type { Manifest, StoreChoice } from "../../web/src/store/store.ts";

export const MiB = 1024 * 1024;
export const KiB = 1024;

/** The result of a load. */
export interface Loaded {
  sha256?: string;
  report?: StoreReport;
  code?: string;
  message?: string;
  details?: Record<string, unknown>;
  arrived: { bytes: number; networkBytes: number; networkDone: boolean }[];
}

interface IoWorker {
  read(): Promise<Uint8Array>;
  ask(type: string, request?: object): Promise<unknown>;
  setPaused(paused: boolean): void;
  kill(): void;
  arrived: Loaded["arrived"];
}

declare global {
  var load: (start: object) => Promise<Loaded>;
  var IoWorker: new (start: object) => IoWorker;
  var running: IoWorker;
}

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Chunks and pauses that fit a file of a megabyte. */
export const small: DownloadSettings = { chunkBytes: 128 * KiB, retryMs: 5, stallMs: 400, connections: 3 };

/** Opens the page that has `IoWorker` and `load`. */
export async function openIo(page: Page): Promise<void> {
  await page.goto("/pages/io.html");
  await expect(page).toHaveTitle("ready");
}

/** Loads a file with the I/O worker alone. */
export async function loadUrl(
  page: Page,
  url: string,
  options: { store?: StoreChoice; sha256?: string; download?: DownloadSettings } = {},
): Promise<Loaded> {
  const { store = "none", sha256: hash, download } = options;
  const source = { kind: "url", url, ...(hash === undefined ? {} : { sha256: hash }) };
  return page.evaluate((start) => load(start), { source, store, download: { ...small, ...download } });
}

/** Manifests as they are in the browser's storage. */
export async function manifests(page: Page): Promise<Manifest[]> {
  return page.evaluate(async () => {
    if (!(await indexedDB.databases()).some(({ name }) => name === "wasm-chord")) return [];
    const open = indexedDB.open("wasm-chord");
    await new Promise((done) => (open.onsuccess = open.onerror = done));
    const db = open.result;
    try {
      const all = db.transaction("manifests").objectStore("manifests").getAll();
      await new Promise((done) => (all.onsuccess = all.onerror = done));
      return all.result as Manifest[];
    } finally {
      db.close();
    }
  });
}

/** How many chunks are recorded. */
export function recorded({ hashes }: Manifest): number {
  return hashes.filter((hash) => hash !== null).length;
}

/** Bytes of recorded chunks that were served again. */
export function servedAgain({ hashes, chunkBytes }: Manifest, served: Served[]): number {
  let bytes = 0;
  hashes.forEach((hash, index) => {
    if (hash === null) return;
    const [first, end] = [index * chunkBytes, (index + 1) * chunkBytes];
    for (const one of served) bytes += Math.max(0, Math.min(end, one.end) - Math.max(first, one.start));
  });
  return bytes;
}
