import { createHash } from "node:crypto";
import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ChordError } from "../errors.js";
import { HttpSource } from "../source/http.js";
import { ModelStore } from "../store/model-store.js";
import { fakeLocks, read, readAll } from "../testing/cached-files.js";
import { ModelServer } from "../testing/model-server.js";
import { randomBytes } from "../testing/random-bytes.js";
import { type Arrived, CachedFile, type CachedFileOptions } from "./cached-file.js";
import { RETRY } from "./retry.js";
import { ModelTabs } from "./tabs.js";

const chunkBytes = 4_000;
const bytes = randomBytes(30_500);
let server: ModelServer;
const sum = (some: Uint8Array) => createHash("sha256").update(some).digest("hex");
let store: ModelStore;
let locks: LockManager;

beforeEach(async () => {
  globalThis.indexedDB = new IDBFactory();
  server = await ModelServer.start(bytes);
  store = await ModelStore.open("indexeddb");
  locks = fakeLocks();
});
afterEach(() => server.stop());

function open(options: CachedFileOptions = {}): Promise<CachedFile> {
  const retry = { ...RETRY, attempts: 2, firstAttempts: 1, baseMs: 1 };
  const source = new HttpSource(server.url, { stallMs: 500 });
  return CachedFile.open(server.url, source, { store, chunkBytes, retry, connections: 1, locks, ...options });
}

/** Loads the whole file into the store. */
async function loadOnce(): Promise<void> {
  const file = await open();
  expect(sum(await readAll(file))).toBe(sum(bytes));
  expect(await file.finish()).toEqual({ kind: "indexeddb", complete: true, networkBytes: bytes.length });
}

/** Waits until `count` chunks are stored: as when a page is closed, writes in progress may finish. */
async function storedChunks(count: number): Promise<void> {
  await vi.waitFor(async () => {
    const hashes = (await store.manifest(server.url))?.hashes ?? [];
    expect(hashes.filter((hash) => hash !== null).length).toBe(count);
  });
}

describe("a first load", () => {
  test("asks for every byte once", async () => {
    await loadOnce();
    expect(server.ranges[0]).toBe("bytes=0-3999");
    expect(server.ranges.length).toBe(8);
    expect(server.sent).toBe(bytes.length);
  });

  test("wanted chunks come first, then those behind them, then the rest", async () => {
    server.behaviour = { pauseMs: 20 };
    const file = await open();
    await Promise.all([file.chunk(6), file.chunk(3)]);
    await file.finish();
    // The first request, for chunk 0, found out the size.
    expect(server.served.map(({ start }) => start / chunkBytes)).toEqual([0, 6, 3, 4, 5, 7, 1, 2]);
  });

  test("several connections fetch at once, and no byte twice", async () => {
    server.behaviour = { pauseMs: 20 };
    const file = await open({ connections: 3 });
    expect(sum(await readAll(file))).toBe(sum(bytes));
    await file.finish();
    expect(server.atOnce).toBeGreaterThanOrEqual(2);
    expect(server.sent).toBe(bytes.length);
  });

  test("jumps by range, backwards and forwards", async () => {
    const file = await open();
    expect(file.fromCache).toBe(false);
    for (const at of [20_000, 0, 30_000, 9_999]) {
      expect(await read(file, at, 500)).toEqual(bytes.subarray(at, at + 500));
    }
    await file.finish();
  });

  test("chunks that were not read are fetched at the end, so that the next load needs no network", async () => {
    const first = await open();
    await read(first, 0, 100);
    expect((await first.finish()).complete).toBe(true);
    server.behaviour = { status: 500 };
    const second = await open();
    expect(sum(await readAll(second))).toBe(sum(bytes));
  });

  test("if that fails, the load does not, and the next load continues there", async () => {
    server.behaviour = { cutAt: 14_000 };
    const file = await open();
    expect(await read(file, 0, 100)).toEqual(bytes.subarray(0, 100));
    expect(await file.finish()).toMatchObject({ complete: false, why: expect.stringContaining(server.url) });
    file.close();
    server.behaviour = {};
    server.served.length = 0;
    await (await open()).finish();
    expect(server.ranges[0]).toBe(`bytes=${3 * chunkBytes}-${4 * chunkBytes - 1}`);
    expect(server.served.every(({ start }) => start >= 3 * chunkBytes)).toBe(true);
  });

  test("if that fails, what is read later is fetched, and nothing else", async () => {
    server.behaviour = { cutAt: 14_000 };
    const file = await open();
    expect(await file.finish()).toMatchObject({ complete: false });
    server.behaviour = {};
    server.served.length = 0;
    await Promise.all([file.chunk(6), file.chunk(4)]);
    await new Promise((later) => setTimeout(later, 50));
    expect(server.served.map(({ start }) => start / chunkBytes)).toEqual([6, 4]);
    const other = new ModelTabs(server.url, locks);
    expect(await other.tryWrite()).toBe(true);
    other.close();
    file.close();
  });

  test("a server without ranges is streamed, also when the end is read first", async () => {
    server.behaviour = { noRanges: true };
    const file = await open();
    expect(await read(file, 29_000, 1_500)).toEqual(bytes.subarray(29_000));
    expect(sum(await readAll(file))).toBe(sum(bytes));
    expect(await file.finish()).toMatchObject({ complete: true, networkBytes: bytes.length });
    expect(server.ranges).toEqual(["bytes=0-3999"]);
  });

  test("without a store too, where it starts again for earlier bytes", async () => {
    server.behaviour = { noRanges: true };
    const file = await open({ store: undefined });
    await read(file, 29_000, 1_500);
    expect(sum(await readAll(file))).toBe(sum(bytes));
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
    expect(sum(await readAll(file))).toBe(sum(bytes));
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
    server.served.length = 0;
    const file = await open();
    expect(sum(await readAll(file))).toBe(sum(bytes));
    expect(server.ranges).toEqual([`bytes=${3 * chunkBytes}-${4 * chunkBytes - 1}`]);
    expect(await file.finish()).toMatchObject({ complete: true, networkBytes: chunkBytes });

    server.behaviour = { status: 500 };
    expect(sum(await readAll(await open()))).toBe(sum(bytes));
  });
});

describe("a look at a partly stored file", () => {
  const look = (options: CachedFileOptions = {}) => open({ readOnly: true, connections: 1, ...options });

  /** Stores the first three chunks, and notes the header's length if it is given. */
  async function storePart(headerBytes: number | undefined): Promise<void> {
    server.behaviour = { cutAt: 14_000 };
    const first = await open();
    if (headerBytes !== undefined) first.noteHeader(headerBytes);
    await expect(readAll(first)).rejects.toThrow();
    await storedChunks(3);
    first.close();
    server.behaviour = { status: 500 };
    server.served.length = 0;
  }

  test("needs no network where the header is stored, and fetches later bytes when they are read", async () => {
    await storePart(9_000);
    const file = await look();
    expect(await read(file, 0, 9_000)).toEqual(bytes.subarray(0, 9_000));
    expect(server.ranges).toEqual([]);
    server.behaviour = {};
    expect(await read(file, 20_000, 10)).toEqual(bytes.subarray(20_000, 20_010));
    file.close();
    expect((await store.manifest(server.url))!.hashes.filter((hash) => hash !== null).length).toBe(3);
  });

  test.each([
    ["where not all of the header is stored", 12_001],
    ["where nobody has read the header", undefined],
  ])("asks the server %s", async (_where, headerBytes) => {
    await storePart(headerBytes);
    await expect(look()).rejects.toMatchObject({ code: "http-status" });
    expect(server.ranges.length).toBeGreaterThan(0);
  });
});

describe("a load that was cut", () => {
  test("continues where it ended", async () => {
    server.behaviour = { cutAt: 14_000 };
    const first = await open();
    await expect(readAll(first)).rejects.toMatchObject({
      code: expect.stringMatching(/^(short-body|network-failed)$/),
    });
    await storedChunks(3);
    first.close();

    server.behaviour = {};
    server.served.length = 0;
    const second = await open();
    expect(sum(await readAll(second))).toBe(sum(bytes));
    expect(server.ranges[0]).toBe(`bytes=${3 * chunkBytes}-${4 * chunkBytes - 1}`);
    expect(server.served.every(({ start }) => start >= 3 * chunkBytes)).toBe(true);
    expect(await second.finish()).toMatchObject({ complete: true, networkBytes: bytes.length - 3 * chunkBytes });
  });

  test("starts again when the file has changed meanwhile", async () => {
    server.behaviour = { cutAt: 14_000 };
    const first = await open();
    await expect(readAll(first)).rejects.toThrow();
    await storedChunks(3);
    first.close();
    server.behaviour = {};
    server.etag = '"2"';
    server.bytes = randomBytes(bytes.length, 7);
    const file = await open();
    expect(sum(await readAll(file))).toBe(sum(server.bytes));
    expect((await file.finish()).complete).toBe(true);
  });

  test("starts again when the file has become shorter than what was stored", async () => {
    server.behaviour = { cutAt: 14_000 };
    const first = await open();
    await expect(readAll(first)).rejects.toThrow();
    await storedChunks(3);
    first.close();
    server.behaviour = {};
    server.bytes = randomBytes(5_000, 3);
    server.served.length = 0;
    const file = await open();
    expect(sum(await readAll(file))).toBe(sum(server.bytes));
    expect(server.served.map(({ start, end }) => [start, end])).toEqual([
      [0, 0],
      [0, 4_000],
      [4_000, 5_000],
    ]);
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

describe("the hash of the whole file", () => {
  const sha256 = sum(bytes);

  test("is kept once it was found equal, and then not computed again", async () => {
    const file = await open({ sha256, connections: 3 });
    await readAll(file);
    await file.finish();
    file.close();
    expect((await store.manifest(server.url))!.fileHash).toBe(sha256);
    expect((await open({ sha256 })).fromCache).toBe(true);
  });

  test("is reported as not compared where not all was read or kept", async () => {
    const file = await CachedFile.open(server.url, new HttpSource(server.url), { chunkBytes, sha256 });
    await read(file, 24_000, 100);
    expect(await file.finish()).toMatchObject({ kind: "none", why: expect.stringContaining("was not compared") });
    file.close();
  });

  test("is not compared where a chunk is altered, and the model is reported as not complete", async () => {
    await loadOnce();
    await store.putChunk((await store.manifest(server.url))!, 3, randomBytes(chunkBytes, 9), "0".repeat(64));
    const file = await open({ sha256 });
    expect(await file.finish()).toMatchObject({ complete: false, why: expect.stringContaining("was not compared") });
    file.close();
  });

  test("is compared part by part where the parts' hashes are known", async () => {
    const source = Object.assign(new HttpSource(server.url), {
      hashed: () => Promise.resolve([stretch(0, 10_000), stretch(10_000, 30_500)]),
    });
    const file = await CachedFile.open(server.url, source, { store, chunkBytes, locks });
    await file.finish();
    file.close();
    expect(await store.manifest(server.url)).toMatchObject({ fileHash: null });
    await store.delete(server.url);
    server.bytes = Buffer.from(bytes);
    server.bytes[20_000]! ^= 1;
    const wrong = await CachedFile.open(server.url, source, { store, chunkBytes, locks });
    await expect(wrong.finish()).rejects.toMatchObject({
      code: "hash-mismatch",
      details: { url: "part 10000", expected: stretch(10_000, 30_500).sha256 },
    });
    expect(await store.manifest(server.url)).toBeUndefined();
  });

  const stretch = (start: number, end: number) => ({
    ...{ url: `part ${start}`, start, end, before: new Uint8Array(0), sha256: sum(bytes.subarray(start, end)) },
  });
});

describe("storage that refuses", () => {
  test("too little room is reported before anything is written, and the model loads all the same", async () => {
    store.begin = ({ size }) =>
      Promise.reject(new ChordError("storage-quota", `${size} needed, 1000 free`, { free: 1000 }));
    const file = await open();
    expect(sum(await readAll(file))).toBe(sum(bytes));
    expect(await file.finish()).toMatchObject({
      complete: false,
      why: "30500 needed, 1000 free",
      error: { code: "storage-quota", details: { free: 1000 } },
    });
    expect(await store.manifest(server.url)).toBeUndefined();
  });

  test("full in the middle: the model loads, and the part that was stored is deleted", async () => {
    const put = store.putChunk.bind(store);
    store.putChunk = (manifest, index, chunk, hash) =>
      index === 4 ? Promise.reject(new ChordError("storage-quota", "full")) : put(manifest, index, chunk, hash);
    const file = await open();
    expect(sum(await readAll(file))).toBe(sum(bytes));
    expect(await file.finish()).toMatchObject({ complete: false, why: "full" });
    expect(await store.manifest(server.url)).toBeUndefined();
  });
});

describe("two tabs", () => {
  const other = (): Promise<CachedFile> => open();

  /** A tab that has stored three chunks and holds the right to write the rest, but writes nothing more. */
  async function writer(): Promise<ModelTabs> {
    server.behaviour = { cutAt: 14_000 };
    const cut = await open();
    await expect(readAll(cut)).rejects.toThrow();
    await storedChunks(3);
    cut.close();
    server.behaviour = {};
    const tabs = new ModelTabs(server.url, locks);
    await vi.waitFor(async () => expect(await tabs.tryWrite()).toBe(true));
    tabs.state = { id: (await store.manifest(server.url))!.id, bytes: 3 * chunkBytes };
    return tabs;
  }

  test("download once, and both have all of it", async () => {
    server.behaviour = { pauseMs: 5 };
    const [first, second] = await Promise.all([open(), other()]);
    expect((await Promise.all([readAll(first), readAll(second)])).map(sum)).toEqual([sum(bytes), sum(bytes)]);
    expect(await Promise.all([first.finish(), second.finish()])).toEqual([
      { kind: "indexeddb", complete: true, networkBytes: bytes.length },
      { kind: "indexeddb", complete: true, networkBytes: 0 },
    ]);
    expect(server.sent).toBe(bytes.length);
  });

  test("the second counts each byte once, though the first has counted it, too", async () => {
    const first = await writer();
    const counts: number[] = [];
    const second = await open({ onArrived: (arrived) => counts.push(arrived.bytes) });
    first.tell();
    await vi.waitFor(() => expect(counts).toEqual([3 * chunkBytes]));
    await read(second, 0, 3 * chunkBytes);
    expect(counts.at(-1)).toBe(3 * chunkBytes);
    first.close();
    await readAll(second);
    expect(counts.at(-1)).toBe(bytes.length);
    second.close();
  });

  test("the second, once closed, no longer waits for the first", async () => {
    const first = await writer();
    const second = await open();
    const finishing = second.finish();
    second.close();
    expect(await finishing).toMatchObject({ complete: false, why: "the file is closed" });
    first.close();
  });

  test("the second downloads nothing after its load has ended, and does not keep other tabs from downloading", async () => {
    const first = await writer();
    const second = await open({ stallMs: 100 });
    // A frozen tab does not answer.
    first.tell = () => undefined;
    expect(await second.finish()).toMatchObject({ complete: false, error: { code: "load-stalled" } });
    server.served.length = 0;
    first.close();
    await new Promise((later) => setTimeout(later, 100));
    expect(server.served).toEqual([]);
    const third = new ModelTabs(server.url, locks);
    expect(await third.tryWrite()).toBe(true);
    third.close();
    second.close();
  });

  test("the second continues when the first ends, and fetches nothing again", async () => {
    server.behaviour = { cutAt: 14_000 };
    const first = await open({ retry: { ...RETRY, attempts: 1000, baseMs: 50 } });
    const second = await other();
    const reading = readAll(second);
    await storedChunks(3);
    first.close();
    server.behaviour = {};
    server.served.length = 0;
    expect(sum(await reading)).toBe(sum(bytes));
    expect(await second.finish()).toMatchObject({ complete: true });
    // The second tab reports when it takes over; the last requests of the first one may still be answered.
    expect(server.served.every(({ start }) => start >= 3 * chunkBytes)).toBe(true);
    second.close();
  });
});
