import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ChordError } from "../errors.js";
import { HttpSource } from "../source/http.js";
import { ModelServer, randomBytes } from "../testing/model-server.js";
import { type Arrived, CachedFile, type CachedFileOptions } from "./cached-file.js";
import { ModelStore } from "./model-store.js";

const chunkBytes = 4_000;
const bytes = randomBytes(30_500);
let server: ModelServer;
let store: ModelStore;

beforeEach(async () => {
  globalThis.indexedDB = new IDBFactory();
  server = await ModelServer.start(bytes);
  store = await ModelStore.open("indexeddb");
});
afterEach(() => server.stop());

function open(options: CachedFileOptions = {}): Promise<CachedFile> {
  return CachedFile.open(server.url, new HttpSource(server.url), { store, chunkBytes, ...options });
}

async function read(file: CachedFile, offset: number, length: number): Promise<Uint8Array> {
  const target = new Uint8Array(length);
  await file.readInto(offset, target);
  return target;
}

/** Reads the file in windows that cross chunks. */
async function readAll(file: CachedFile): Promise<Uint8Array> {
  const all = new Uint8Array(file.size);
  for (let at = 0; at < file.size; at += 2_700) await file.readInto(at, all.subarray(at, at + 2_700));
  return all;
}

/** Loads the whole file into the store. */
async function loadOnce(): Promise<void> {
  const file = await open();
  expect(await readAll(file)).toEqual(bytes);
  expect(await file.finish()).toEqual({ kind: "indexeddb", complete: true, networkBytes: bytes.length });
}

/** Waits until so many chunks are stored: as when a page is closed, what is on its way to the store may finish. */
async function storedChunks(count: number): Promise<void> {
  await vi.waitFor(async () => {
    const hashes = (await store.manifest(server.url))?.hashes ?? [];
    expect(hashes.filter((hash) => hash !== null).length).toBe(count);
  });
}

describe("a first load", () => {
  test("brings every byte with one request", async () => {
    await loadOnce();
    expect(server.ranges).toEqual(["bytes=0-"]);
  });

  test("jumps by range, backwards and forwards", async () => {
    const file = await open();
    expect(file.fromCache).toBe(false);
    for (const at of [20_000, 0, 30_000, 9_999]) {
      expect(await read(file, at, 500)).toEqual(bytes.subarray(at, at + 500));
    }
    await file.finish();
  });

  test("what nobody read is fetched at the end, so that the next load needs no network", async () => {
    const first = await open();
    await read(first, 0, 100);
    expect((await first.finish()).complete).toBe(true);
    server.behaviour = { status: 500 };
    const second = await open();
    expect(await readAll(second)).toEqual(bytes);
  });

  test("if that fails, the load does not, and the next one goes on there", async () => {
    server.behaviour = { cutAfter: 14_000 };
    const file = await open();
    expect(await read(file, 0, 100)).toEqual(bytes.subarray(0, 100));
    expect(await file.finish()).toMatchObject({ complete: false, why: expect.stringContaining("Load again") });
    server.behaviour = {};
    server.ranges.length = 0;
    await (await open()).finish();
    expect(server.ranges).toEqual([`bytes=${3 * chunkBytes}-`]);
  });

  test("a server without ranges is streamed, also when the end is read first", async () => {
    server.behaviour = { noRanges: true };
    const file = await open();
    expect(await read(file, 29_000, 1_500)).toEqual(bytes.subarray(29_000));
    expect(await readAll(file)).toEqual(bytes);
    expect(await file.finish()).toMatchObject({ complete: true, networkBytes: bytes.length });
    expect(server.ranges).toEqual(["bytes=0-"]);
  });

  test("without a store too, then it starts again for what lies behind", async () => {
    server.behaviour = { noRanges: true };
    const file = await open({ store: undefined });
    await read(file, 29_000, 1_500);
    expect(await readAll(file)).toEqual(bytes);
    expect(await file.finish()).toMatchObject({ kind: "none", complete: false });
  });

  test("counts each byte once, from 0 to the whole file", async () => {
    const reports: Arrived[] = [];
    const file = await open({ onArrived: (arrived) => reports.push({ ...arrived }) });
    await readAll(file);
    await file.finish();
    const counts = reports.map((report) => report.bytes);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    expect(reports.at(-1)).toEqual({ bytes: bytes.length, networkBytes: bytes.length, networkDone: true });
  });
});

describe("a second load", () => {
  test("touches no network", async () => {
    await loadOnce();
    server.behaviour = { status: 500 };
    const requests = server.ranges.length;
    const file = await open();
    expect(file.fromCache).toBe(true);
    expect(await readAll(file)).toEqual(bytes);
    expect(await file.finish()).toEqual({ kind: "indexeddb", complete: true, networkBytes: 0 });
    expect(server.ranges.length).toBe(requests);
  });

  test.each([
    [
      "altered",
      async () => store.putChunk((await store.manifest(server.url))!, 3, randomBytes(chunkBytes, 9), "0".repeat(64)),
    ],
    [
      "altered under its hash",
      async () => {
        const manifest = (await store.manifest(server.url))!;
        await store.putChunk(manifest, 3, randomBytes(chunkBytes, 9), manifest.hashes[3]!);
      },
    ],
    ["short", async () => store.putChunk((await store.manifest(server.url))!, 3, randomBytes(10), "0".repeat(64))],
  ])("fetches a chunk that is %s again, and only that one", async (_how, damage) => {
    await loadOnce();
    await damage();
    server.ranges.length = 0;
    const file = await open();
    expect(await readAll(file)).toEqual(bytes);
    expect(server.ranges).toEqual([`bytes=${3 * chunkBytes}-`]);
    expect(await file.finish()).toMatchObject({ complete: true, networkBytes: chunkBytes });

    server.behaviour = { status: 500 };
    expect(await readAll(await open())).toEqual(bytes);
  });
});

describe("a load that was cut", () => {
  test("goes on where it ended", async () => {
    server.behaviour = { cutAfter: 14_000 };
    const first = await open();
    await expect(readAll(first)).rejects.toMatchObject({ code: "short-body" });
    await storedChunks(3);

    server.behaviour = {};
    server.ranges.length = 0;
    const second = await open();
    expect(await readAll(second)).toEqual(bytes);
    expect(server.ranges).toEqual([`bytes=${3 * chunkBytes}-`]);
    expect(await second.finish()).toMatchObject({ complete: true, networkBytes: bytes.length - 3 * chunkBytes });
  });

  test("starts again when the file has changed meanwhile", async () => {
    server.behaviour = { cutAfter: 14_000 };
    await expect(readAll(await open())).rejects.toThrow();
    await storedChunks(3);
    server.behaviour = {};
    server.etag = '"2"';
    server.bytes = randomBytes(bytes.length, 7);
    const file = await open();
    expect(await readAll(file)).toEqual(server.bytes);
    expect((await file.finish()).complete).toBe(true);
  });

  test("starts again when the file has become shorter than what was stored", async () => {
    server.behaviour = { cutAfter: 14_000 };
    await expect(readAll(await open())).rejects.toThrow();
    await storedChunks(3);
    server.behaviour = {};
    server.bytes = randomBytes(5_000, 3);
    const file = await open();
    expect(await readAll(file)).toEqual(server.bytes);
    expect(server.ranges.slice(-2)).toEqual([`bytes=${3 * chunkBytes}-`, "bytes=0-"]);
    expect((await file.finish()).complete).toBe(true);
  });

  test("within one load a changed file is an error, and nothing of it stays", async () => {
    const file = await open();
    await read(file, 0, 100);
    server.etag = '"2"';
    await expect(read(file, 24_000, 100)).rejects.toMatchObject({ code: "source-changed" });
    expect(await store.manifest(server.url)).toBeUndefined();
  });
});

describe("storage that does not want", () => {
  test("too little of it is said before anything is written, and the model loads all the same", async () => {
    const file = await open({ freeBytes: () => Promise.resolve(1_000) });
    expect(await readAll(file)).toEqual(bytes);
    const report = await file.finish();
    expect(report).toMatchObject({ complete: false, networkBytes: bytes.length });
    expect(report.why).toMatch(/30500.*1000/);
    expect(await store.manifest(server.url)).toBeUndefined();
  });

  test("full in the middle: the model loads, and the part that was stored is given back", async () => {
    const put = store.putChunk.bind(store);
    store.putChunk = (manifest, index, chunk, hash) =>
      index === 4 ? Promise.reject(new ChordError("storage-quota", "full")) : put(manifest, index, chunk, hash);
    const file = await open();
    expect(await readAll(file)).toEqual(bytes);
    expect(await file.finish()).toMatchObject({ complete: false, why: "full" });
    expect(await store.manifest(server.url)).toBeUndefined();
  });

  test("another tab is storing the model: this one only reads", async () => {
    const file = await open({ lock: () => Promise.resolve(undefined) });
    expect(await readAll(file)).toEqual(bytes);
    expect(await file.finish()).toMatchObject({ complete: false, why: "Another tab is storing this model" });
    expect(await store.list()).toEqual([]);
  });

  test("the lock is given back at the end", async () => {
    const held: string[] = [];
    const lock = (key: string) => {
      held.push(key);
      return Promise.resolve(() => void held.pop());
    };
    const file = await open({ lock });
    expect(held).toEqual([server.url]);
    await file.finish();
    expect(held).toEqual([]);
  });
});
