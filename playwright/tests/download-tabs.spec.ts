/** Several tabs, tabs that end, storage that decays, and no network at all. */

import { expect, test } from "@playwright/test";
import { ModelServer } from "../../web/src/testing/model-server.ts";
import { randomBytes } from "../../web/src/testing/random-bytes.ts";
import { KiB, loadUrl, manifests, MiB, openIo, recorded, sha256, small } from "../support/downloads.ts";
import { killAtRandomMoments } from "../support/kills.ts";

const bytes = randomBytes(MiB, 21);
const right = sha256(bytes);
let server: ModelServer;

test.beforeEach(async () => {
  server = await ModelServer.start(bytes);
});
test.afterEach(() => server.stop());

test("two tabs, one download", async ({ page, context }) => {
  const other = await context.newPage();
  await Promise.all([openIo(page), openIo(other)]);
  server.behaviour = { pauseMs: 50 };
  const [first, second] = await Promise.all([
    loadUrl(page, server.url, { store: "auto" }),
    loadUrl(other, server.url, { store: "auto" }),
  ]);
  for (const loaded of [first, second]) expect(loaded).toMatchObject({ sha256: right, report: { complete: true } });
  expect(server.sent).toBe(MiB);
  expect([first, second].map(({ report }) => report?.networkBytes ?? -1).sort((a, b) => a - b)).toEqual([0, MiB]);
  // The waiting tab shows the progress of the other.
  const waiting = first.report?.networkBytes === 0 ? first : second;
  expect(waiting.arrived.some(({ bytes }) => bytes > 0 && bytes < MiB)).toBe(true);
  expect(waiting.arrived.at(-1)?.bytes).toBe(MiB);
});

test("a waiting tab takes over when the other one is closed, and fetches nothing that is recorded", async ({
  page,
  context,
}) => {
  const other = await context.newPage();
  await Promise.all([openIo(page), openIo(other)]);
  server.behaviour = { pauseMs: 20 };
  void loadUrl(other, server.url, { store: "auto" }).catch(() => undefined);
  await expect.poll(() => server.sent).toBeGreaterThan(64 * KiB);
  const loading = loadUrl(page, server.url, { store: "auto" });
  await expect.poll(async () => Math.max(0, ...(await manifests(page)).map(recorded))).toBeGreaterThan(1);
  await other.close();
  const begun = server.sent;
  server.behaviour = {};
  const loaded = await loading;
  expect(loaded).toMatchObject({ sha256: right, report: { complete: true } });
  expect(loaded.report!.networkBytes).toBeLessThanOrEqual(MiB - 2 * 128 * KiB);
  expect(server.sent - begun).toBeLessThanOrEqual(MiB - 2 * 128 * KiB);
});

test("a download whose page is killed at random moments continues, and fetches no recorded chunk again", async ({
  context,
}) => {
  await killAtRandomMoments(context, server, 4);
});

for (const store of ["indexeddb", "opfs"] as const) {
  test(`one flipped byte in a chunk in ${store} is found, and that chunk alone fetched again`, async ({ page }) => {
    await openIo(page);
    expect(await loadUrl(page, server.url, { store })).toMatchObject({ report: { kind: store, complete: true } });
    const [manifest] = await manifests(page);
    await page.evaluate(
      async ({ id, store, at }) => {
        const flip = (bytes: Uint8Array<ArrayBuffer>) => {
          bytes[at % bytes.length]! ^= 1;
          return bytes;
        };
        if (store === "opfs") {
          const root = await navigator.storage.getDirectory();
          const file = await (await root.getDirectoryHandle("wasm-chord")).getFileHandle(id);
          const whole = new Uint8Array(await (await file.getFile()).arrayBuffer());
          whole[at]! ^= 1;
          const writable = await file.createWritable();
          await writable.write(whole);
          await writable.close();
          return;
        }
        const done = (request: IDBRequest) =>
          new Promise((resolve, reject) => {
            request.onsuccess = () => resolve(request.result);
            request.onerror = () => reject(request.error);
          });
        const db = (await done(indexedDB.open("wasm-chord"))) as IDBDatabase;
        const key = [id, 3];
        const blob = (await done(db.transaction("chunks").objectStore("chunks").get(key))) as Blob;
        const altered = new Blob([flip(new Uint8Array(await blob.arrayBuffer()))]);
        await done(db.transaction("chunks", "readwrite").objectStore("chunks").put(altered, key));
        db.close();
      },
      { id: manifest!.id, store, at: 3 * 128 * KiB + 77 },
    );
    server.served.length = 0;
    const repaired = await loadUrl(page, server.url, { store });
    expect(repaired).toMatchObject({ sha256: right, report: { complete: true, networkBytes: 128 * KiB } });
    expect(server.ranges).toEqual([`bytes=${3 * 128 * KiB}-${4 * 128 * KiB - 1}`]);
    const again = await loadUrl(page, server.url, { store });
    expect(again).toMatchObject({ sha256: right, report: { networkBytes: 0 } });
  });
}

test("a stored model needs no network, also by its quantization", async ({ page }) => {
  await openIo(page);
  const sibling = { rfilename: "m-Q4_K_M.gguf", size: 100, lfs: { sha256: right, size: MiB } };
  server.routes.set("/api/models/owner/name/revision/main", (_, response) => {
    response.end(JSON.stringify({ sha: "c0ffee", siblings: [sibling] }));
  });
  const source = { kind: "hub", endpoint: server.origin, repo: "owner/name", revision: "main", quant: "Q4_K_M" };
  const start = { source, store: "auto", download: small };
  expect(await page.evaluate((start) => load(start), start)).toMatchObject({ sha256: right });
  expect(server.served.map(({ path }) => path)).toContain("/owner/name/resolve/c0ffee/m-Q4_K_M.gguf");
  await server.stop();
  const offline = await page.evaluate((start) => load(start), start);
  expect(offline).toMatchObject({ sha256: right, report: { complete: true, networkBytes: 0 } });
  server = await ModelServer.start(bytes);
});

test("a file behind a handle is read in place", async ({ page }) => {
  await openIo(page);
  const loaded = await page.evaluate(
    async (numbers) => {
      const root = await navigator.storage.getDirectory();
      const handle = await root.getFileHandle("mine.gguf", { create: true });
      const writable = await handle.createWritable();
      await writable.write(Uint8Array.from(numbers));
      await writable.close();
      return load({ source: { kind: "handle", handle }, store: "auto" });
    },
    [...bytes.subarray(0, 1000)],
  );
  expect(loaded).toMatchObject({ sha256: sha256(bytes.subarray(0, 1000)), report: { kind: "file", networkBytes: 0 } });
});
