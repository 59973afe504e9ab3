/** Cut downloads resume in every way; killed pages lose little; browsers that store no Blobs keep models. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, type Page, test } from "@playwright/test";
import { smollm2 } from "../../scripts/steps/models.mjs";
import { ModelServer } from "../../web/src/testing/model-server.ts";
import { randomBytes } from "../../web/src/testing/random-bytes.ts";
import { KiB, loadUrl, openIo, sha256 } from "../support/downloads.ts";
import { killRenderers } from "../support/kills.ts";
import { bytesSent, openSdk, workerWith } from "../support/page.ts";
import { models } from "../support/places.mjs";
import { resumeAtRandomCuts } from "../support/resumes.ts";

test("40 downloads cut at random bytes continue and end", async ({ browser, baseURL }) => {
  const server = await ModelServer.start(randomBytes(5 * 128 * KiB + 50_000, 41));
  const download = { chunkBytes: 128 * KiB, attempts: 2, retryMs: 5 };
  const right = sha256(server.bytes);
  try {
    const load = async (page: Page, url: string, store: "opfs" | "indexeddb") => {
      const loaded = await loadUrl(page, url, { store, download: { ...download, stallMs: 20_000 } });
      if (loaded.code === undefined) expect(loaded.sha256).toBe(right);
      return loaded;
    };
    await resumeAtRandomCuts({ browser, baseURL }, server, { open: openIo, load }, 40);
  } finally {
    await server.stop();
  }
});

for (const store of ["opfs", "indexeddb"] as const) {
  test(`a page killed six times in a download of 98 MB into ${store} fetches at most 15% of it again`, async ({
    context,
    browser,
  }, testInfo) => {
    const bytes = readFileSync(join(models, smollm2.file));
    const server = await ModelServer.start(bytes);
    // At most 12 MB/s: a faster server than its reader fills the sockets' buffers with bytes that are never read.
    server.behaviour = { pauseMs: 4 };
    const { length: size } = bytes;
    try {
      // What each page had received, by its last report.
      let received = 0;
      for (let kill = 1; kill <= 6; kill++) {
        const page = await context.newPage();
        let last = 0;
        page.on("console", (message) => {
          const [, count] = /^received (\d+)$/.exec(message.text()) ?? [];
          if (count !== undefined) last = Number(count);
        });
        await openIo(page);
        await page.evaluate(
          (start) => {
            const io = new IoWorker(start);
            io.arrived.push = function (...reports) {
              for (const { networkBytes } of reports) console.log(`received ${networkBytes}`);
              return 0;
            };
            void io.read();
          },
          { source: { kind: "url", url: server.url }, store },
        );
        await expect.poll(() => server.sent, { intervals: [20], timeout: 120_000 }).toBeGreaterThan((kill * size) / 7);
        const crashed = page.waitForEvent("crash");
        await killRenderers(browser!);
        await crashed;
        received += last;
        await page.close();
      }
      const page = await context.newPage();
      await openIo(page);
      const loaded = await loadUrl(page, server.url, {
        store,
        download: { chunkBytes: 16 * 1024 * KiB, retryMs: 500, stallMs: 30_000 },
      });
      expect(loaded).toMatchObject({ sha256: sha256(bytes), report: { complete: true } });
      received += loaded.report!.networkBytes;
      const share = (count: number) => `${(count / 1e6).toFixed(1)} MB (${((100 * count) / size).toFixed(1)}%)`;
      const figures =
        `of ${share(size)}: ${share(server.sent - size)} sent again by the server, its and the browser's buffers ` +
        `included; ${share(Math.max(0, received - size))} received again by the pages`;
      testInfo.annotations.push({ type: "kills", description: figures });
      console.log(figures);
      expect(server.sent - size).toBeLessThanOrEqual(0.15 * size);
    } finally {
      await server.stop();
    }
  });
}

test("a browser that stores no Blobs keeps the model, and no byte comes twice", async ({ page, request }) => {
  await openSdk(page);
  const path = `/models/${smollm2.file}`;
  const workerUrl = await workerWith(
    page,
    `const put = IDBObjectStore.prototype.put;
     IDBObjectStore.prototype.put = function (value, ...key) {
       if (!(value instanceof Blob)) return put.call(this, value, ...key);
       throw new DOMException("Error preparing Blob/File data to be stored in object store", "UnknownError");
     };`,
  );
  const before = await bytesSent(request, path);
  const loads = await page.evaluate(
    async ({ path, workerUrl }) => {
      const stores = [];
      for (let load = 0; load < 2; load++) {
        const options = { backend: "cpu", contextLength: 64, threads: 1, store: "indexeddb", workerUrl } as const;
        const chord = await sdk.Chord.load(path, options);
        stores.push((await chord.info()).store);
        await chord.unload();
      }
      const listed = await sdk.Chord.cache.list();
      const exported = await new Response(await sdk.Chord.cache.export(path)).blob();
      await sdk.Chord.cache.delete(path);
      return { stores, listed, exported: exported.size };
    },
    { path, workerUrl },
  );
  const size = smollm2.bytes;
  expect(loads.stores).toMatchObject([
    { kind: "indexeddb", complete: true, networkBytes: size },
    { kind: "indexeddb", complete: true, networkBytes: 0 },
  ]);
  expect(loads.listed).toMatchObject([{ complete: true, stored: size }]);
  expect(loads.exported).toBe(size);
  expect((await bytesSent(request, path)) - before).toBe(size);
});

test.describe("a load that fails", () => {
  const loadIn = (page: Page, url: string, more: object = {}) =>
    page.evaluate(
      async ({ url, more }) => {
        const download = { attempts: 2, retryMs: 50, stallMs: 10_000 };
        try {
          const options = { backend: "cpu", contextLength: 64, threads: 1, download, ...more } as const;
          const chord = await sdk.Chord.load(url, options);
          const { store } = await chord.info();
          await chord.unload();
          return { code: "it loaded", store };
        } catch (error) {
          const { code, message } = error as { code?: string; message: string };
          return { code: code ?? message };
        }
      },
      { url, more },
    );

  test("leaves nothing that another tab would wait for", async ({ context }) => {
    const server = await ModelServer.start(readFileSync(join(models, smollm2.file)));
    try {
      const [one, two] = [await context.newPage(), await context.newPage()];
      await Promise.all([openSdk(one), openSdk(two)]);
      server.behaviour = { cutAt: 70_000_000 };
      expect((await loadIn(one, server.url)).code).toMatch(/^(short-body|network-failed)$/);
      const held = () => one.evaluate(async () => (await navigator.locks.query()).held?.length);
      await expect.poll(held).toBe(0);
      server.behaviour = {};
      server.sent = 0;
      expect(await loadIn(two, server.url)).toMatchObject({ code: "it loaded", store: { complete: true } });
      // Four chunks are before the cut, and the last of them may not have reached the disk.
      expect(server.sent).toBeLessThanOrEqual(smollm2.bytes - 3 * 16 * 1024 * KiB);
    } finally {
      await server.stop();
    }
  });

  test("because nothing arrives any more says so, keeps what is recorded, and the next one continues there", async ({
    page,
  }) => {
    const server = await ModelServer.start(readFileSync(join(models, smollm2.file)));
    try {
      await openSdk(page);
      // The browser never answers for the fourth chunk.
      const workerUrl = await workerWith(
        page,
        `const digest = crypto.subtle.digest.bind(crypto.subtle);
         let chunks = 0;
         crypto.subtle.digest = (name, bytes) =>
           bytes.byteLength > 8 * 1024 * 1024 && ++chunks > 3 ? new Promise(() => undefined) : digest(name, bytes);`,
      );
      const download = { stallMs: 3_000 };
      expect(await loadIn(page, server.url, { workerUrl, download })).toEqual({ code: "load-stalled" });
      const [listed] = await page.evaluate(() => sdk.Chord.cache.list());
      expect(listed!.stored).toBeGreaterThanOrEqual(3 * 16 * 1024 * KiB);
      expect(listed!.complete).toBe(false);
      server.sent = 0;
      expect(await loadIn(page, server.url)).toMatchObject({ code: "it loaded", store: { complete: true } });
      expect(server.sent).toBeLessThanOrEqual(smollm2.bytes - listed!.stored);
    } finally {
      await server.stop();
    }
  });
});
