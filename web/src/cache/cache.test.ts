import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { cache } from "../cache.js";
import { openDatabase } from "../store/database.js";
import { ModelStore } from "../store/model-store.js";
import { isComplete, newManifest, sha256 } from "../store/store.js";
import { randomBytes } from "../testing/random-bytes.js";
import { runImport } from "../worker/import.js";
import { exportModel } from "./export.js";
import { importModel, type ImportPlan, type ImportSource } from "./import.js";

const file = randomBytes(30_500);
file.set(new TextEncoder().encode("GGUF"));
const chunkBytes = 4_000;

beforeEach(() => {
  globalThis.indexedDB = new IDBFactory();
  vi.stubGlobal("location", { href: "https://page/" });
  vi.stubGlobal("navigator", globalThis.navigator ?? {});
  vi.stubGlobal("Worker", class {});
});

/** What `cache.import` does, with the worker in this process. */
function importNamed(source: ImportSource, name: string, plan: Partial<ImportPlan> = {}, size = file.length) {
  const { port1, port2 } = new MessageChannel();
  runImport(port2);
  const model = { key: `imported:${name}`, name, size, chunkBytes };
  return importModel(source, { model, store: "auto", signal: undefined, onProgress: undefined, ...plan }, port1);
}

async function stored(key: string, chunks: number, lastUsed: number): Promise<void> {
  const store = await ModelStore.open();
  const manifest = newManifest({ key, size: 25, chunkBytes: 10 });
  await store.begin(manifest);
  for (let index = 0; index < chunks; index++) {
    const bytes = randomBytes(index === 2 ? 5 : 10);
    await store.putChunk(manifest, index, bytes, await sha256(bytes));
  }
  await store.update(manifest, { lastUsed });
  store.close();
}

function streamOf(bytes: Uint8Array, piece: number): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.subarray(at, (at += piece)));
    },
  });
}

const all = (stream: ReadableStream<Uint8Array>) => new Response(stream).bytes();

describe("import and export", () => {
  test.each([
    ["a Blob", () => new Blob([file])],
    ["a stream in pieces of 999 bytes", () => streamOf(file, 999)],
    ["a stream in one piece", () => streamOf(file, 1e9)],
  ])("%s comes out as it went in", async (_what, source) => {
    const progress: number[] = [];
    await importNamed(source(), "mine", { onProgress: ({ loaded }) => progress.push(loaded) });
    expect(progress.at(-1)).toBe(file.length);
    expect(progress.length).toBe(Math.ceil(file.length / chunkBytes));
    expect(await cache.has("mine")).toBe(true);
    expect(await all(await cache.export("mine"))).toEqual(file);
    expect(await cache.list()).toMatchObject([
      { name: "mine", url: null, size: file.length, stored: file.length, complete: true, store: "indexeddb" },
    ]);
    expect(await cache.delete("mine")).toBe(true);
    expect(await cache.has("mine")).toBe(false);
  });

  test("the same name again replaces what was there", async () => {
    await importNamed(new Blob([file]), "mine");
    const other = file.slice(0, 9_000);
    await importNamed(new Blob([other]), "mine", {}, other.length);
    expect(await all(await cache.export("mine"))).toEqual(other);
    expect((await cache.list()).length).toBe(1);
  });

  test.each([
    ["what is not GGUF", () => new Blob([randomBytes(30_500)]), file.length, "bad-magic"],
    ["a stream that is too short", () => streamOf(file.subarray(0, 30_000), 999), file.length, "short-body"],
    ["a stream that is too long", () => streamOf(file, 999), 30_000, "invalid-argument"],
  ])("%s is refused and leaves nothing", async (_what, source, size, code) => {
    await expect(importNamed(source(), "mine", {}, size)).rejects.toMatchObject({ code });
    expect(await cache.list()).toEqual([]);
    expect(await (await openDatabase()).count("chunks")).toBe(0);
  });

  test("an import that is stopped in the middle leaves nothing", async () => {
    const abort = new AbortController();
    const importing = importNamed(new Blob([file]), "mine", {
      signal: abort.signal,
      onProgress: () => abort.abort(),
    });
    await expect(importing).rejects.toMatchObject({ name: "AbortError" });
    expect(await cache.list()).toEqual([]);
    expect(await (await openDatabase()).count("chunks")).toBe(0);
  });

  test("a name that could be an address is refused, and so is a stream without a size", async () => {
    for (const name of ["https://host/x", "", "file:x"]) {
      await expect(cache.import(new Blob([file]), name)).rejects.toMatchObject({ details: { field: "name" } });
    }
    await expect(cache.import(streamOf(file, 999), "x")).rejects.toMatchObject({ details: { field: "size" } });
  });

  test("an altered chunk ends the export before any of its bytes are out", async () => {
    await importNamed(new Blob([file]), "mine");
    const db = await openDatabase();
    const { id } = (await db.getAll("manifests"))[0]!;
    await db.put("chunks", new Blob([randomBytes(chunkBytes, 9)]), [id, 3]);
    const reader = (await cache.export("mine")).getReader();
    for (let index = 0; index < 3; index++) await reader.read();
    await expect(reader.read()).rejects.toMatchObject({ code: "stored-damaged", details: { chunk: 3 } });
  });

  test("a partly stored model is not exported", async () => {
    await stored("https://host/m.gguf", 1, 5);
    await expect(cache.export("https://host/m.gguf")).rejects.toMatchObject({
      code: "not-stored",
      details: { expected: 25, found: 10 },
    });
    await expect(cache.export("nothing")).rejects.toMatchObject({ code: "not-stored" });
    await expect(cache.export({ repo: "one/model", quant: "Q4_0", token: "secret" })).rejects.toMatchObject({
      code: "not-stored",
      message: "There is no stored model one/model/Q4_0",
    });
  });

  test("a model is in use while it is exported", async () => {
    const held: string[] = [];
    const request = (name: string, _options: object, work: () => Promise<void>) => {
      held.push(name);
      return work().finally(() => held.splice(held.indexOf(name), 1));
    };
    await importNamed(new Blob([file]), "mine");
    vi.stubGlobal("navigator", { locks: { request } });
    const store = await ModelStore.open();
    const manifest = (await store.list())[0]!;
    expect(isComplete(manifest)).toBe(true);
    const stream = await exportModel(store, manifest);
    expect(held).toEqual(["wasm-chord:use:imported:mine"]);
    await stream.cancel();
    await vi.waitFor(() => expect(held).toEqual([]));
    vi.unstubAllGlobals();
  });
});

describe("the list", () => {
  test("has the most recently used model first, with the bytes stored of each", async () => {
    await stored("https://host/old.gguf", 3, 10);
    await stored("https://host/part.gguf", 1, 30);
    await stored("https://host/new.gguf", 3, 20);
    const models = await cache.list();
    expect(models.map(({ name, stored, complete }) => [name, stored, complete])).toEqual([
      ["part.gguf", 10, false],
      ["new.gguf", 25, true],
      ["old.gguf", 25, true],
    ]);
    expect(models[1]).toMatchObject({ url: "https://host/new.gguf", lastUsed: new Date(20) });
  });

  test("finds a model by its address, and an imported one by its name", async () => {
    await stored("https://host/m.gguf", 3, 10);
    await stored("imported:mine", 3, 10);
    for (const source of ["https://host/m.gguf", new URL("https://host/m.gguf#x"), "mine"]) {
      expect(await cache.has(source)).toBe(true);
    }
    // A file of that name beside the page is another one.
    expect(await cache.has("m.gguf")).toBe(false);
    expect(await cache.delete("m.gguf")).toBe(false);
    expect(await cache.delete("mine")).toBe(true);
    expect((await cache.list()).map(({ url }) => url)).toEqual(["https://host/m.gguf"]);
  });
});

describe("eviction", () => {
  const room = (quota: number, usage: number, locks?: object) =>
    vi.stubGlobal("navigator", { storage: { estimate: () => Promise.resolve({ quota, usage }) }, locks });

  beforeEach(async () => {
    await stored("https://host/b.gguf", 3, 20);
    await stored("https://host/a.gguf", 3, 10);
    await stored("https://host/c.gguf", 3, 30);
    return () => vi.unstubAllGlobals();
  });

  const names = async () => (await cache.list()).map(({ name }) => name);

  test("deletes the least recently used models, and no more than needed", async () => {
    room(1_000, 970);
    expect((await cache.evict({ bytes: 70 })).map(({ name }) => name)).toEqual(["a.gguf", "b.gguf"]);
    expect(await names()).toEqual(["c.gguf"]);
  });

  test("deletes nothing where there is room", async () => {
    room(1_000, 900);
    expect(await cache.evict({ bytes: 100 })).toEqual([]);
    expect((await names()).length).toBe(3);
  });

  test("leaves models that are in use", async () => {
    const request = (name: string, _options: object, work: (lock: object | null) => unknown) =>
      Promise.resolve().then(() => work(name.endsWith("a.gguf") ? null : {}));
    room(1_000, 1_000, { request });
    expect((await cache.evict({ bytes: 20 })).map(({ name }) => name)).toEqual(["b.gguf"]);
    await expect(cache.delete("https://host/a.gguf")).rejects.toMatchObject({ code: "model-in-use" });
    expect(await names()).toEqual(["c.gguf", "a.gguf"]);
  });

  test("usage reports models, room and persistence", async () => {
    const storage = {
      estimate: () => Promise.resolve({ quota: 100, usage: 80 }),
      persisted: () => Promise.resolve(true),
    };
    vi.stubGlobal("navigator", { storage });
    expect(await cache.usage()).toEqual({ models: 75, used: 80, quota: 100, free: 20, persisted: true });
  });
});
