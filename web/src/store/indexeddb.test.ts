import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { beforeEach, expect, test } from "vitest";
import { randomBytes } from "../testing/model-server.js";
import { IndexedDbStore } from "./indexeddb.js";
import { isComplete, type Manifest, sha256, storedBytes } from "./store.js";

const manifest = (key: string): Manifest => ({
  key,
  size: 25,
  chunkBytes: 10,
  validator: null,
  hashes: [null, null, null],
  createdAt: 1,
});

beforeEach(() => {
  globalThis.indexedDB = new IDBFactory();
});

test("a chunk is recorded with its hash and read back as it was", async () => {
  const store = await IndexedDbStore.open();
  const bytes = randomBytes(5);
  await store.begin(manifest("a"));
  await store.putChunk("a", 2, bytes, await sha256(bytes));
  const stored = await store.manifest("a");
  expect(stored?.hashes).toEqual([null, null, await sha256(bytes)]);
  expect(storedBytes(stored!)).toBe(5);
  expect(isComplete(stored!)).toBe(false);
  expect(new Uint8Array(await (await store.chunk("a", 2))!.arrayBuffer())).toEqual(bytes);
  expect(await store.chunk("a", 1)).toBeUndefined();
});

test("a model begun again has no old chunks, and others keep theirs", async () => {
  const store = await IndexedDbStore.open();
  for (const key of ["a", "b"]) {
    await store.begin(manifest(key));
    await store.putChunk(key, 0, randomBytes(10), "hash");
  }
  await store.begin(manifest("a"));
  expect(await store.chunk("a", 0)).toBeUndefined();
  expect((await store.manifest("a"))?.hashes).toEqual([null, null, null]);
  expect(await store.chunk("b", 0)).toBeDefined();
});

test("deleting says whether there was something, and leaves nothing", async () => {
  const store = await IndexedDbStore.open();
  await store.begin(manifest("a"));
  await store.putChunk("a", 0, randomBytes(10), "hash");
  expect(await store.delete("a")).toBe(true);
  expect(await store.delete("a")).toBe(false);
  expect(await store.chunk("a", 0)).toBeUndefined();
  expect(await store.list()).toEqual([]);
});

test("a chunk of a model that was deleted meanwhile leaves no record", async () => {
  const store = await IndexedDbStore.open();
  await store.putChunk("gone", 0, randomBytes(10), "hash");
  expect(await store.manifest("gone")).toBeUndefined();
});

test("a later visit finds what an earlier one stored", async () => {
  const first = await IndexedDbStore.open();
  await first.begin(manifest("a"));
  first.close();
  const second = await IndexedDbStore.open();
  expect((await second.list()).map(({ key }) => key)).toEqual(["a"]);
});

test("a full disk is told apart from other failures", async () => {
  const store = await IndexedDbStore.open();
  store.close();
  await expect(store.list()).rejects.toMatchObject({ code: "storage-failed" });
});
