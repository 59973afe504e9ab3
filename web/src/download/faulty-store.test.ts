/** Storage that fails, at any chunk and in any way: the model loads, and no byte comes over the network twice. */

import { createHash } from "node:crypto";
import "fake-indexeddb/auto";
import { IDBFactory, IDBObjectStore } from "fake-indexeddb";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ChordError } from "../errors.js";
import { HttpSource } from "../source/http.js";
import { ModelStore } from "../store/model-store.js";
import { storedBytes } from "../store/store.js";
import { fakeLocks, readAll } from "../testing/cached-files.js";
import { ModelServer } from "../testing/model-server.js";
import { randomBytes } from "../testing/random-bytes.js";
import { CachedFile, type CachedFileOptions } from "./cached-file.js";
import { RETRY } from "./retry.js";

const chunkBytes = 4_000;
const bytes = randomBytes(30_500);
const chunks = Math.ceil(bytes.length / chunkBytes);
const sum = (some: Uint8Array) => createHash("sha256").update(some).digest("hex");
let server: ModelServer;
let store: ModelStore;
let locks: LockManager;

beforeEach(async () => {
  globalThis.indexedDB = new IDBFactory();
  server = await ModelServer.start(bytes);
  store = await ModelStore.open("indexeddb");
  locks = fakeLocks();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await server.stop();
});

function open(options: CachedFileOptions = {}): Promise<CachedFile> {
  const retry = { ...RETRY, attempts: 2, firstAttempts: 1, baseMs: 1 };
  const source = new HttpSource(server.url, { stallMs: 2_000 });
  const all = { store, chunkBytes, retry, connections: 3, locks, stallMs: 2_000, ...options };
  return CachedFile.open(server.url, source, all);
}

/** How storing a chunk can fail: before anything is written, when it is written, and when it is to be recorded. */
const faults = {
  "the write throws": (failing: (index: number) => boolean) => {
    const put = store.putChunk.bind(store);
    store.putChunk = (manifest, index, chunk, hash) =>
      failing(index) ? Promise.reject(new Error("the disk is gone")) : put(manifest, index, chunk, hash);
  },
  "there is no room": (failing: (index: number) => boolean) => {
    const put = store.putChunk.bind(store);
    store.putChunk = async (manifest, index, chunk, hash) => {
      await new Promise((later) => setTimeout(later, 5));
      if (failing(index)) throw new ChordError("storage-quota", "full");
      return put(manifest, index, chunk, hash);
    };
  },
  "the record cannot be written": (failing: (index: number) => boolean) => {
    const put = store.putChunk.bind(store);
    store.putChunk = async (manifest, index, chunk, hash) => {
      const before = manifest.hashes[index]!;
      await put(manifest, index, chunk, hash);
      if (!failing(index)) return;
      await store.forgetChunk(manifest, index);
      manifest.hashes[index] = before;
      throw new ChordError("storage-failed", "the manifest could not be written");
    };
  },
} as const;

describe.each(Object.entries(faults))("where %s", (_how, fail) => {
  const places = Array.from({ length: chunks }, (_, index) => index);

  test.each(places)("at chunk %i, every byte comes once", async (index) => {
    fail((asked) => asked === index);
    const file = await open();
    expect(sum(await readAll(file))).toBe(sum(bytes));
    const report = await file.finish();
    expect(server.sent).toBe(bytes.length);
    expect(report).toMatchObject({ complete: false, networkBytes: bytes.length, error: {} });
    file.close();
    // What was stored as a part gives its room back.
    expect(await store.manifest(server.url)).toBeUndefined();
  });

  test.each(places)("from chunk %i on, while nobody reads, the load ends", async (index) => {
    fail((asked) => asked >= index);
    const file = await open();
    expect(await file.finish()).toMatchObject({ complete: false, error: {} });
    expect(server.sent).toBeLessThanOrEqual(bytes.length);
    file.close();
  });

  test("every time, every byte comes once", async () => {
    fail(() => true);
    const file = await open();
    expect(sum(await readAll(file))).toBe(sum(bytes));
    await file.finish();
    file.close();
    expect(server.sent).toBe(bytes.length);
  });
});

test("a waiting tab continues with what another one could not store, and the stored part is not lost", async () => {
  const put = store.putChunk.bind(store);
  let failed = false;
  store.putChunk = (manifest, index, chunk, hash) => {
    if (index !== 4 || failed) return put(manifest, index, chunk, hash);
    failed = true;
    return Promise.reject(new ChordError("storage-failed", "once"));
  };
  server.behaviour = { pauseMs: 2 };
  const [first, second] = await Promise.all([open(), open()]);
  const [one, two] = await Promise.all([readAll(first), readAll(second)]);
  expect([sum(one), sum(two)]).toEqual([sum(bytes), sum(bytes)]);
  const reports = await Promise.all([first.finish(), second.finish()]);
  expect(reports.map(({ complete }) => complete).sort((a, b) => Number(a) - Number(b))).toEqual([false, true]);
  const manifest = await store.manifest(server.url);
  expect(manifest && storedBytes(manifest)).toBe(bytes.length);
});

describe("a browser that stores no Blobs", () => {
  /** As WebKit does in private windows. */
  function refuseBlobs(): { refused: number } {
    const count = { refused: 0 };
    const put = IDBObjectStore.prototype.put;
    vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(function (this: IDBObjectStore, value, key) {
      if (value instanceof Blob) {
        count.refused++;
        throw new DOMException("Error preparing Blob/File data to be stored in object store", "UnknownError");
      }
      return put.call(this, value, key);
    });
    return count;
  }

  test("has the model after the first load, without a byte fetched twice", async () => {
    const count = refuseBlobs();
    const first = await open();
    expect(sum(await readAll(first))).toBe(sum(bytes));
    expect(await first.finish()).toEqual({ kind: "indexeddb", complete: true, networkBytes: bytes.length });
    first.close();
    expect(server.sent).toBe(bytes.length);
    expect(count.refused).toBeGreaterThan(0);
    expect(count.refused).toBeLessThanOrEqual(4);

    server.behaviour = { status: 500 };
    store = await ModelStore.open("indexeddb");
    const second = await open();
    expect(sum(await readAll(second))).toBe(sum(bytes));
    expect(await second.finish()).toEqual({ kind: "indexeddb", complete: true, networkBytes: 0 });
    const [listed] = await store.list();
    expect(listed && storedBytes(listed)).toBe(bytes.length);
    expect(await store.delete(server.url)).toBe(true);
    expect(await store.list()).toEqual([]);
  });

  test("continues with a part that was stored as Blobs", async () => {
    server.behaviour = { cutAt: 14_000 };
    const cut = await open({ connections: 1 });
    await expect(readAll(cut)).rejects.toThrow();
    await vi.waitFor(async () => {
      const manifest = await store.manifest(server.url);
      expect(manifest?.hashes.filter((hash) => hash !== null).length).toBe(3);
    });
    cut.close();
    server.behaviour = {};
    server.sent = 0;
    refuseBlobs();
    const file = await open();
    expect(sum(await readAll(file))).toBe(sum(bytes));
    expect(await file.finish()).toMatchObject({ complete: true });
    expect(server.sent).toBe(bytes.length - 3 * chunkBytes);
    file.close();
    expect(sum(await readAll(await open()))).toBe(sum(bytes));
  });
});
