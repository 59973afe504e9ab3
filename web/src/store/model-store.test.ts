import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { openDB } from "idb";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { ChordError } from "../errors.js";
import { randomBytes } from "../testing/random-bytes.js";
import { DATABASE, openDatabase } from "./database.js";
import { IndexedDbStore } from "./indexeddb.js";
import { ModelStore } from "./model-store.js";
import { isComplete, type Manifest, newManifest, sha256, storedBytes } from "./store.js";

let store: ModelStore;

beforeEach(async () => {
  globalThis.indexedDB = new IDBFactory();
  store = await ModelStore.open();
});

const fresh = (key: string): Manifest => newManifest({ key, size: 25, chunkBytes: 10 });

async function begun(key: string): Promise<Manifest> {
  const manifest = fresh(key);
  await store.begin(manifest);
  return manifest;
}

async function put(manifest: Manifest, index: number, bytes = randomBytes(index === 2 ? 5 : 10)): Promise<void> {
  await store.putChunk(manifest, index, bytes, await sha256(bytes));
}

describe("a manifest", () => {
  test("records each chunk by its hash, in the caller's copy too", async () => {
    const manifest = await begun("https://host/m.gguf");
    await put(manifest, 2);
    const hash = await sha256(randomBytes(5));
    expect(manifest.hashes).toEqual([null, null, hash]);
    const stored = (await store.manifest(manifest.key))!;
    expect(stored.hashes).toEqual([null, null, hash]);
    expect(stored).toMatchObject({ name: "m.gguf", store: "indexeddb", version: 2 });
    expect(storedBytes(stored)).toBe(5);
    expect(isComplete(stored)).toBe(false);
  });

  test("two writers of one model lose none of each other's chunks", async () => {
    const manifest = await begun("a");
    const second = await ModelStore.open();
    await Promise.all([put(manifest, 0), second.putChunk((await second.manifest("a"))!, 1, randomBytes(10), "hash")]);
    expect((await store.manifest("a"))!.hashes.map((hash) => hash !== null)).toEqual([true, true, false]);
  });

  test("can be changed, and a later visit finds the change", async () => {
    const manifest = await begun("a");
    await store.update(manifest, { lastUsed: 77, fileHash: "f".repeat(64) });
    store.close();
    expect(await (await ModelStore.open()).manifest("a")).toMatchObject({ lastUsed: 77, fileHash: "f".repeat(64) });
  });
});

describe("a model", () => {
  test("begun again has no old chunks, and others keep theirs", async () => {
    const old = await begun("a");
    const other = await begun("b");
    await put(old, 0);
    await put(other, 0);
    const again = await begun("a");
    expect(await store.chunk(again, 0)).toBeUndefined();
    expect(await store.chunk(old, 0)).toBeUndefined();
    expect(await store.chunk(other, 0)).toEqual(randomBytes(10));
  });

  test("deleted leaves nothing, and deleting says whether there was something", async () => {
    const manifest = await begun("a");
    await put(manifest, 0);
    expect(await store.delete("a")).toBe(true);
    expect(await store.delete("a")).toBe(false);
    expect(await store.chunk(manifest, 0)).toBeUndefined();
    expect(await store.list()).toEqual([]);
  });

  test("deleted while it is being stored gets no record, and its bytes go too", async () => {
    const manifest = await begun("a");
    await store.delete("a");
    await expect(put(manifest, 0)).rejects.toMatchObject({ code: "storage-failed" });
    expect(await store.manifest("a")).toBeUndefined();
    expect(await store.chunk(manifest, 0)).toBeUndefined();
  });

  test("begun again by another tab is not written by the first", async () => {
    const first = await begun("a");
    await begun("a");
    await expect(put(first, 0)).rejects.toMatchObject({ code: "storage-failed" });
    expect((await store.manifest("a"))!.hashes).toEqual([null, null, null]);
  });
});

describe("what is found at the start", () => {
  /** The chunk store under the model store. */
  const chunks = async () => new IndexedDbStore(await openDatabase());

  test("a chunk whose bytes are gone is missing", async () => {
    const manifest = await begun("a");
    for (const index of [0, 1, 2]) await put(manifest, index);
    const db = await openDatabase();
    await db.delete("chunks", [manifest.id, 1]);
    expect((await store.manifest("a"))!.hashes.map((hash) => hash !== null)).toEqual([true, false, true]);
    await (await chunks()).delete(manifest.id);
    expect((await store.list())[0]!.hashes).toEqual([null, null, null]);
  });

  test("a chunk that is too short is missing", async () => {
    const manifest = await begun("a");
    for (const index of [0, 1, 2]) await put(manifest, index);
    const db = await openDatabase();
    const blob = (await db.get("chunks", [manifest.id, 1]))!;
    await db.put("chunks", blob.slice(1), [manifest.id, 1]);
    expect((await store.manifest("a"))!.hashes.map((hash) => hash !== null)).toEqual([true, false, true]);
  });

  test("bytes without a record are not used: the page was killed between the two", async () => {
    const manifest = await begun("a");
    await (await chunks()).write(manifest, 0, randomBytes(10));
    expect((await store.manifest("a"))!.hashes).toEqual([null, null, null]);
  });

  test("bytes of no known model are deleted, those of models stay", async () => {
    const manifest = await begun("a");
    await put(manifest, 0);
    const below = await chunks();
    await below.write({ ...manifest, id: "left behind" }, 0, randomBytes(10));
    await begun("another");
    expect(await below.ids()).toEqual([manifest.id]);
    expect(await store.chunk(manifest, 0)).toEqual(randomBytes(10));
  });

  test("a model in a store that this browser does not have is a model without chunks", async () => {
    const manifest = await begun("a");
    await put(manifest, 0);
    await (await openDatabase()).put("manifests", { ...manifest, store: "opfs" });
    const found = (await store.manifest("a"))!;
    expect(found.hashes).toEqual([null, null, null]);
    expect(await store.chunk(found, 0)).toBeUndefined();
    expect(await store.read(found, 0, new Uint8Array(1))).toBe(false);
  });
});

describe("storage that fails", () => {
  test("full: the error says how much is needed and free, and what was recorded stays", async () => {
    const manifest = await begun("a");
    await put(manifest, 0);
    const write = vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(() => {
      throw new DOMException("full", "QuotaExceededError");
    });
    vi.stubGlobal("navigator", { storage: { estimate: () => Promise.resolve({ quota: 100, usage: 96 }) } });
    await expect(put(manifest, 1)).rejects.toMatchObject({
      code: "storage-quota",
      details: { needed: 10, free: 4 },
    });
    write.mockRestore();
    vi.unstubAllGlobals();
    const stored = (await store.manifest("a"))!;
    expect(stored.hashes.map((hash) => hash !== null)).toEqual([true, false, false]);
    expect(await store.chunk(stored, 1)).toBeUndefined();
  });

  test("any other failure has another code", async () => {
    store.close();
    await expect(store.list()).rejects.toMatchObject({ code: "storage-failed" });
    await expect(store.list()).rejects.toBeInstanceOf(ChordError);
  });

  test("no OPFS: IndexedDB takes its place, and says why", async () => {
    const asked = await ModelStore.open("opfs");
    expect(asked.kind).toBe("indexeddb");
    expect(asked.why).toMatch(/no private file system/);
    expect((await ModelStore.open("indexeddb")).why).toBeUndefined();
  });
});

describe("memory", () => {
  test("finds complete stored models, and nothing else", async () => {
    const whole = await begun("whole");
    for (const index of [0, 1, 2]) await put(whole, index);
    await put(await begun("part"), 0);
    const memory = await ModelStore.open("memory");
    const found = (await memory.manifest("whole"))!;
    expect(isComplete(found)).toBe(true);
    expect(await memory.chunk(found, 2)).toEqual(randomBytes(5));
    expect(await memory.manifest("part")).toBeUndefined();
    expect((await memory.list()).map(({ key }) => key)).toEqual(["whole"]);
    // An altered chunk is also removed from the record that others read.
    await memory.forgetChunk(found, 1);
    expect((await store.manifest("whole"))!.hashes[1]).toBeNull();
  });

  test("is a store of its own that no other store sees", async () => {
    const memory = await ModelStore.open("memory");
    const manifest = fresh("a");
    await memory.begin(manifest);
    expect(manifest.store).toBe("memory");
    const bytes = randomBytes(10);
    await memory.putChunk(manifest, 0, bytes, await sha256(bytes));
    expect(await memory.chunk(manifest, 0)).toEqual(bytes);
    expect(await store.list()).toEqual([]);
    expect((await memory.list()).length).toBe(1);
    expect(await memory.delete("a")).toBe(true);
    expect(await memory.list()).toEqual([]);
  });
});

describe("a database of version 1", () => {
  test("is brought up to date, and its models load from their chunks", async () => {
    globalThis.indexedDB = new IDBFactory();
    const key = "https://host/folder/model%20a.gguf";
    const hash = await sha256(randomBytes(10));
    const old = await openDB(DATABASE, 1, {
      upgrade(db) {
        db.createObjectStore("manifests", { keyPath: "key" });
        db.createObjectStore("chunks");
      },
    });
    const first = { key, size: 25, chunkBytes: 10, validator: '"tag"', hashes: [hash, null, null], createdAt: 5 };
    await old.put("manifests", first);
    await old.put("manifests", { ...first, key: "b", validator: "Wed, 21 Oct 2015 07:28:00 GMT" });
    await old.put("chunks", new Blob([randomBytes(10)]), [key, 0]);
    old.close();

    const upgraded = await ModelStore.open();
    const manifest = (await upgraded.manifest(key))!;
    expect(manifest).toMatchObject({ version: 2, name: "model a.gguf", store: "indexeddb", etag: '"tag"' });
    expect(manifest).toMatchObject({ lastModified: null, hashes: [hash, null, null], createdAt: 5, lastUsed: 5 });
    expect(await upgraded.chunk(manifest, 0)).toEqual(randomBytes(10));
    expect(await upgraded.manifest("b")).toMatchObject({
      etag: null,
      lastModified: "Wed, 21 Oct 2015 07:28:00 GMT",
      // Its only recorded chunk has no bytes.
      hashes: [null, null, null],
    });
  });
});
