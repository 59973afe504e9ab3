/** A load that would wait forever ends with an error and loses nothing. */

import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { HttpSource } from "../source/http.js";
import { ModelStore } from "../store/model-store.js";
import { fakeLocks, readAll } from "../testing/cached-files.js";
import { ModelServer } from "../testing/model-server.js";
import { randomBytes } from "../testing/random-bytes.js";
import { CachedFile, type CachedFileOptions } from "./cached-file.js";
import { Gate } from "./gate.js";
import { StallWatch } from "./stall.js";
import { ModelTabs } from "./tabs.js";

const chunkBytes = 4_000;
const bytes = randomBytes(30_500);
const never = new Promise<never>(() => undefined);
let server: ModelServer;
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
  const source = new HttpSource(server.url, { stallMs: 200 });
  return CachedFile.open(server.url, source, { store, chunkBytes, locks, stallMs: 200, ...options });
}

const stalled = { code: "load-stalled", details: { seconds: 0.2 } };

describe("a load that waits for something that never comes rejects, and what is recorded stays", () => {
  test("a chunk that is never stored", async () => {
    const put = store.putChunk.bind(store);
    store.putChunk = (manifest, index, ...rest) => (index === 5 ? never : put(manifest, index, ...rest));
    const file = await open();
    await expect(readAll(file)).rejects.toMatchObject(stalled);
    file.close();
    const hashes = (await store.manifest(server.url))!.hashes;
    expect(hashes.filter((hash) => hash !== null).length).toBeGreaterThan(3);
    store.putChunk = put;
    const again = await open();
    expect(Buffer.from(await readAll(again)).equals(bytes)).toBe(true);
    again.close();
  });

  test("a chunk that is never read back", async () => {
    const first = await open();
    await first.finish();
    first.close();
    store.chunk = () => never;
    const file = await open();
    await expect(file.chunk(2)).rejects.toMatchObject(stalled);
  });

  test("the rest of the file, which is not read: the model is loaded, and the report says why it is not kept", async () => {
    const put = store.putChunk.bind(store);
    store.putChunk = (manifest, index, ...rest) => (index === 5 ? never : put(manifest, index, ...rest));
    const file = await open();
    expect(await file.finish()).toMatchObject({ complete: false, error: { code: "load-stalled" } });
    file.close();
  });

  test("a manifest that is never read", async () => {
    store.manifest = () => never;
    await expect(open()).rejects.toMatchObject(stalled);
  });

  test("a tab that holds the model and does not answer", async () => {
    void locks.request(`wasm-chord:${server.url}`, { ifAvailable: true }, () => never);
    await expect(open()).rejects.toMatchObject(stalled);
  });
});

describe("a load waits without limit", () => {
  test("for another tab that answers", async () => {
    const other = new ModelTabs(server.url, locks);
    expect(await other.tryWrite()).toBe(true);
    const opening = open();
    await new Promise((later) => setTimeout(later, 700));
    other.close();
    const file = await opening;
    expect(Buffer.from(await readAll(file)).equals(bytes)).toBe(true);
    file.close();
  });

  test("for another tab that answers, to repair a chunk after it", async () => {
    const first = await open();
    await first.finish();
    first.close();
    await store.putChunk((await store.manifest(server.url))!, 3, randomBytes(chunkBytes, 9), "0".repeat(64));
    const other = new ModelTabs(server.url, locks);
    await vi.waitFor(async () => expect(await other.tryWrite()).toBe(true));
    const file = await open();
    const reading = readAll(file);
    await new Promise((later) => setTimeout(later, 700));
    other.close();
    expect(Buffer.from(await reading).equals(bytes)).toBe(true);
    file.close();
  });

  test("while the download is paused", async () => {
    const gate = new Gate();
    const file = await open({ gate });
    gate.set(true);
    const reading = readAll(file);
    await new Promise((later) => setTimeout(later, 700));
    gate.set(false);
    expect(Buffer.from(await reading).equals(bytes)).toBe(true);
    file.close();
  });

  test("while something comes, however slowly", async () => {
    server.behaviour = { pauseMs: 150 };
    const file = await open({ connections: 1 });
    expect(Buffer.from(await readAll(file)).equals(bytes)).toBe(true);
    file.close();
  });
});

describe("a watch", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test("counts only while a call waits, and from the last event on", async () => {
    const watch = new StallWatch("u", new Gate(), 800);
    await vi.advanceTimersByTimeAsync(5_000);
    let error: Error | undefined;
    watch.during(never).catch((caught: Error) => (error = caught));
    await vi.advanceTimersByTimeAsync(700);
    watch.alive();
    await vi.advanceTimersByTimeAsync(700);
    expect(error).toBeUndefined();
    await vi.advanceTimersByTimeAsync(300);
    expect(error).toMatchObject({ code: "load-stalled", details: { url: "u", seconds: 0.8 } });
    expect(vi.getTimerCount()).toBe(0);
  });

  test("leaves a connection the time to give up by itself, and a pause all the time that it takes", async () => {
    const watch = new StallWatch("u", new Gate(), 800);
    let error: Error | undefined;
    watch.during(never).catch((caught: Error) => (error = caught));
    void watch.pause(10_000);
    await vi.advanceTimersByTimeAsync(10_000);
    void watch.connected(() => never);
    await vi.advanceTimersByTimeAsync(1_500);
    expect(error).toBeUndefined();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(error).toMatchObject({ code: "load-stalled" });
  });
});
