/** Pages that end in the middle of a download. */

import { type Browser, type BrowserContext, expect, type Page } from "@playwright/test";
import type { ModelServer } from "../../web/src/testing/model-server.ts";
import { loadUrl, manifests, MiB, openIo, recorded, servedAgain, sha256, small } from "./downloads.ts";

/** Chunks of the file. */
const CHUNKS = MiB / small.chunkBytes!;

/**
 * Starts a download, ends its page at a random moment, and resumes in a new one, `kills` times over; whenever the
 * file is complete it is checked and deleted. Bytes recorded at a kill are never requested again: the server's log is
 * compared with the manifest that the kill left behind.
 *
 * Moments are places in the download, not times, so that a slow machine has as many of them: every other page
 * ends as soon as a random share of what is missing was sent, the others once a random number of chunks are recorded.
 */
export async function killAtRandomMoments(context: BrowserContext, server: ModelServer, kills: number): Promise<void> {
  server.behaviour = { pauseMs: 15 };
  let chunksLeft = 0;
  let finished = 0;
  for (let kill = 0; kill < kills; kill++) {
    const page = await context.newPage();
    await openIo(page);
    const [before] = await manifests(page);
    server.served.length = 0;
    const loading = loadUrl(page, server.url, { store: "auto" }).catch(() => undefined);
    await Promise.race([loading, kill % 2 === 0 ? someSent(server, before && recorded(before)) : someRecorded(page)]);
    await page.close();
    await loading;

    const after = await context.newPage();
    await openIo(after);
    if (before) expect(servedAgain(before, server.served), `kill ${kill}`).toBe(0);
    const [manifest] = await manifests(after);
    chunksLeft += manifest ? recorded(manifest) : 0;
    if (manifest?.hashes.every((hash) => hash !== null) || kill === kills - 1) {
      server.served.length = 0;
      const whole = await loadUrl(after, server.url, { store: "auto" });
      expect(whole).toMatchObject({ sha256: sha256(server.bytes), report: { complete: true } });
      if (manifest) expect(servedAgain(manifest, server.served), `kill ${kill}`).toBe(0);
      await after.evaluate(async () => {
        const deleting = indexedDB.deleteDatabase("wasm-chord");
        await new Promise((done) => (deleting.onsuccess = deleting.onerror = done));
        const root = await navigator.storage.getDirectory();
        await root.removeEntry("wasm-chord", { recursive: true }).catch(() => undefined);
      });
      finished++;
    }
    await after.close();
  }
  expect(chunksLeft, "no chunk survived a kill").toBeGreaterThan(0);
  expect(finished).toBeGreaterThan(0);
  expect(server.bytes.length).toBe(MiB);
}

/** Resolves when a random share of the bytes that a download still has to fetch was sent. */
async function someSent(server: ModelServer, alreadyRecorded = 0): Promise<void> {
  const missing = MiB * (1 - alreadyRecorded / CHUNKS);
  const goal = server.sent + Math.random() * missing;
  await expect.poll(() => server.sent, { intervals: [1] }).toBeGreaterThanOrEqual(goal);
}

/** Resolves when a random number of chunks are recorded, but not all of them. */
async function someRecorded(page: Page): Promise<void> {
  const goal = 1 + Math.floor(Math.random() * (CHUNKS - 1));
  await expect
    .poll(async () => Math.max(0, ...(await manifests(page)).map(recorded)), { intervals: [10] })
    .toBeGreaterThanOrEqual(goal);
}

/** Ends every process that shows a page, as the system does when it needs the memory. */
export async function killRenderers(browser: Browser): Promise<void> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  for (const { type, id } of processInfo) if (type === "renderer") process.kill(id, "SIGKILL");
  await session.detach();
}
