/** Downloads from a server with every fault that a server can have: the right bytes arrive, or an error with a code. */

import { expect, type Page, test } from "@playwright/test";
import { type Behaviour, ModelServer } from "../../web/src/testing/model-server.ts";
import { randomBytes } from "../../web/src/testing/random-bytes.ts";
import { KiB, type Loaded, loadUrl, manifests, MiB, openIo, sha256 } from "../support/downloads.ts";
import { settled } from "../support/page.ts";

const bytes = randomBytes(MiB, 11);
const right = sha256(bytes);
let server: ModelServer;

test.beforeEach(async ({ page }) => {
  server = await ModelServer.start(bytes);
  await openIo(page);
});
test.afterEach(() => server.stop());

test("a connection cut at every 64 KiB is resumed where it broke", async ({ page }) => {
  for (let cut = 64 * KiB; cut < MiB; cut += 64 * KiB) {
    server.behaviour = { cutOnceAt: cut };
    [server.sent, server.served.length] = [0, 0];
    const loaded = await loadUrl(page, server.url);
    expect(loaded, `cut at ${cut}`).toMatchObject({ sha256: right, report: { networkBytes: MiB } });
    expect(server.sent, `cut at ${cut}`).toBe(MiB);
    expect(loaded.arrived.at(-1)).toMatchObject({ bytes: MiB, networkDone: true });
  }
});

/** One connection, so that the script's answers come in their order. */
const inOrder = { download: { connections: 1 } };

const survived: [string, Behaviour[]][] = [
  ["no ranges at all", [{ noRanges: true }]],
  ["200 instead of 206 when the download goes on", [{}, { cutAfter: 50_000 }, { noRanges: true }]],
  ["a cut, on a server without ranges", [{ noRanges: true, cutAfter: 300_000 }, { noRanges: true }]],
  ["another range than asked for", [{}, { shiftRange: 4096 }]],
  ["another range than asked for, at the first request", [{ shiftRange: 4096 }]],
  ["416 inside of the file", [{}, { status: 416, headers: { "content-range": `bytes */${MiB}` } }]],
  ["416 that says nothing", [{}, { status: 416 }]],
  ["a body that ends early in good order", [{}, { endAfter: 70_000 }, {}, { endAfter: 1 }]],
  ["a stall", [{}, { stallAfter: 40_000 }, { stallAfter: 0 }]],
  ["a compressed range, which the browser refuses", [{}, { gzip: true }]],
  ["503 twice", [{ status: 503 }, { status: 503 }]],
  ["503, 502, 500 and 504 on the way", [{}, ...[503, 502, 500, 504].map((status) => ({ status }))]],
  ["nothing of Content-Length", [{ without: ["content-length"] }, { without: ["content-length"] }]],
];

test("the right bytes arrive despite faults that pass", async ({ page }) => {
  for (const [name, script] of survived) {
    await test.step(name, async () => {
      server.script.push(...script);
      expect.soft(await loadUrl(page, server.url, inOrder), name).toMatchObject({ sha256: right });
      expect.soft(server.script.splice(0), name).toEqual([]);
    });
  }
});

test("headers that other origins may not read are not needed", async ({ page }) => {
  server.exposed = "";
  expect(await loadUrl(page, server.url)).toMatchObject({ sha256: right });
});

test("a server that asks for a pause gets it", async ({ page }) => {
  server.exposed += ", Retry-After";
  server.script.push({ status: 429, headers: { "retry-after": "1" } });
  const begun = Date.now();
  expect(await loadUrl(page, server.url)).toMatchObject({ sha256: right });
  expect(Date.now() - begun).toBeGreaterThanOrEqual(1000);
});

test("a redirect is followed, and one that leads to another file in the middle is noticed", async ({ page }) => {
  const redirect = `${server.origin}/elsewhere.gguf`;
  server.script.push({ redirect }, {}, { redirect }, {});
  expect(await loadUrl(page, server.url, inOrder)).toMatchObject({ sha256: right });

  const other = await ModelServer.start(randomBytes(MiB, 12));
  other.etag = '"other"';
  try {
    server.script.push({ redirect }, {}, { redirect: other.url });
    expect(await loadUrl(page, server.url, inOrder)).toMatchObject({ code: "source-changed" });
  } finally {
    await other.stop();
  }
});

async function expectNothingKept(page: Page): Promise<void> {
  expect(await manifests(page)).toEqual([]);
}

const refused: [string, Behaviour[], string][] = [
  ["a server that reports no length", [{ noRanges: true, without: ["content-length"] }], "size-unknown"],
  ["a file that is not there", [{ status: 404 }], "http-status"],
  ["a file that changes in the middle", [{}, { headers: { etag: '"2"' } }], "source-changed"],
  ["a server that is always busy", new Array(3).fill({ status: 503 }), "http-status"],
];

test("a fault that stays is an error with a code, nothing of the file is kept, and the next load works", async ({
  page,
}) => {
  for (const [name, script, code] of refused) {
    await test.step(name, async () => {
      const url = `${server.origin}/${code}-${script.length}.gguf`;
      server.script.push(...script);
      const loaded = await loadUrl(page, url, { ...inOrder, store: "auto" });
      expect.soft(loaded, name).toMatchObject({ code, message: expect.stringContaining(url) });
      expect.soft(server.script.splice(0), name).toEqual([]);
      expect.soft((await manifests(page)).filter(({ key }) => key === url)).toEqual([]);
      expect.soft(await loadUrl(page, url, { store: "auto" }), name).toMatchObject({ sha256: right });
    });
  }
});

test("a file that is always compressed is an error with a code, whether that made it shorter or longer", async ({
  page,
}) => {
  server.behaviour = { gzip: true };
  server.files.set("/shorter.gguf", new Uint8Array(MiB));
  const shorter = await loadUrl(page, `${server.origin}/shorter.gguf`, { ...inOrder, store: "auto" });
  expect(shorter).toMatchObject({ code: "bad-response", message: expect.stringContaining("Content-Encoding") });
  const longer = await loadUrl(page, server.url, { ...inOrder, store: "auto" });
  expect(longer).toMatchObject({ code: "source-changed" });
  server.behaviour = {};
  expect(await loadUrl(page, server.url, { store: "auto" })).toMatchObject({ sha256: right });
});

test("a file that is always compressed is an error that says so, where the page may read the header", async ({
  page,
}) => {
  server.exposed += ", Content-Encoding";
  server.behaviour = { gzip: true };
  expect(await loadUrl(page, server.url)).toMatchObject({
    code: "size-unknown",
    message: expect.stringContaining("Content-Encoding gzip"),
  });
});

test("a server that no other origin may read from is an error with a code", async ({ page }) => {
  server.cors = false;
  expect(await loadUrl(page, server.url)).toMatchObject({ code: "network-failed" });
});

test("a download that cannot finish is given up, and the next one continues there", async ({ page }) => {
  server.behaviour = { cutAt: 700_000 };
  const download = { attempts: 3, connections: 1 };
  const cut = await loadUrl(page, server.url, { store: "auto", download });
  expect(["short-body", "network-failed"]).toContain(cut.code);
  server.behaviour = {};
  server.served.length = 0;
  const loaded = await loadUrl(page, server.url, { store: "auto" });
  expect(loaded).toMatchObject({ sha256: right, report: { complete: true } });
  expect(server.served.every(({ start }) => start >= 5 * 128 * KiB)).toBe(true);
});

test("a file that changed since a part of it was stored is downloaded afresh", async ({ page }) => {
  server.behaviour = { cutAt: 700_000 };
  await loadUrl(page, server.url, { store: "auto", download: { attempts: 2 } });
  server.behaviour = {};
  server.etag = '"2"';
  server.bytes = randomBytes(MiB, 13);
  const loaded = await loadUrl(page, server.url, { store: "auto" });
  expect(loaded).toMatchObject({ sha256: sha256(server.bytes), report: { complete: true, networkBytes: MiB } });
});

test("a file with another hash than announced is refused, and one with the right hash is known to be whole", async ({
  page,
}) => {
  const options = { store: "auto" as const, sha256: "0".repeat(64) };
  const wrong: Loaded = await loadUrl(page, server.url, options);
  expect(wrong).toMatchObject({ code: "hash-mismatch", details: { expected: options.sha256, found: right } });
  await expectNothingKept(page);
  const loaded = await loadUrl(page, server.url, { ...options, sha256: right });
  expect(loaded).toMatchObject({ sha256: right, report: { complete: true } });
  expect((await manifests(page)).map(({ fileHash }) => fileHash)).toEqual([right]);
});

test("a paused download requests nothing, and continues where it stopped", async ({ page }) => {
  // Two seconds for the whole file, so that the pause comes in time.
  server.behaviour = { pauseMs: 100 };
  await page.evaluate(
    (start) => {
      globalThis.running = new IoWorker(start);
      void running.read();
    },
    { source: { kind: "url", url: server.url }, store: "auto", download: { chunkBytes: 128 * KiB } },
  );
  await expect.poll(() => server.sent).toBeGreaterThan(200 * KiB);
  await page.evaluate(() => running.setPaused(true));
  const sent = await settled(() => server.sent);
  expect(sent).toBeLessThan(MiB);
  server.behaviour = {};
  const report = await page.evaluate(async () => {
    running.setPaused(false);
    return running.ask("finish");
  });
  expect(report).toMatchObject({ report: { complete: true } });
  // Only bytes that were on their way at the pause may come twice.
  expect(server.sent).toBeLessThan(MiB + 3 * 128 * KiB);
  expect(await loadUrl(page, server.url, { store: "auto" })).toMatchObject({ sha256: right });
});
