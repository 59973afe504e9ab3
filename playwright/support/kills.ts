/** Pages that end in the middle of a download. */

import { type BrowserContext, expect } from "@playwright/test";
import type { ModelServer } from "../../web/src/testing/model-server.ts";
import { loadUrl, manifests, MiB, openIo, servedAgain, sha256 } from "./downloads.ts";

/** A download takes about this long: kills fall before, into and after it. */
const DOWNLOAD_MS = 400;

/**
 * Starts a download, ends its page at a random moment, and goes on in a new one, `kills` times over; whenever the file is
 * whole it is checked and deleted. What was recorded at a kill is never asked for again: the server's log is compared
 * with the manifest that the kill left behind.
 */
export async function killAtRandomMoments(context: BrowserContext, server: ModelServer, kills: number): Promise<void> {
  server.behaviour = { pauseMs: 15 };
  let recorded = 0;
  let finished = 0;
  for (let kill = 0; kill < kills; kill++) {
    const page = await context.newPage();
    await openIo(page);
    const [before] = await manifests(page);
    server.served.length = 0;
    const loading = loadUrl(page, server.url, { store: "auto" }).catch(() => undefined);
    await page.waitForTimeout(Math.random() * DOWNLOAD_MS);
    await page.close();
    await loading;

    const after = await context.newPage();
    await openIo(after);
    if (before) expect(servedAgain(before, server.served), `kill ${kill}`).toBe(0);
    const [manifest] = await manifests(after);
    recorded += manifest?.hashes.filter((hash) => hash !== null).length ?? 0;
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
  expect(recorded, "no page lived long enough to record anything").toBeGreaterThan(0);
  expect(finished).toBeGreaterThan(0);
  expect(server.bytes.length).toBe(MiB);
}
