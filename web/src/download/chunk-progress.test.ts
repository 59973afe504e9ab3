/** A download that is cut within a chunk resumes there: pieces are recorded, and checked before they are used. */

import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { HttpSource } from "../source/http.js";
import { openDatabase } from "../store/database.js";
import { ModelStore } from "../store/model-store.js";
import { pieceBytes, storedBytes } from "../store/store.js";
import { fakeLocks, readAll } from "../testing/cached-files.js";
import { ModelServer } from "../testing/model-server.js";
import { randomBytes } from "../testing/random-bytes.js";
import { CachedFile, type CachedFileOptions } from "./cached-file.js";

const chunkBytes = 64 * 1024;
const piece = pieceBytes(chunkBytes);
const bytes = randomBytes(5 * chunkBytes + 30_000);
let server: ModelServer;
let store: ModelStore;

beforeEach(async () => {
  globalThis.indexedDB = new IDBFactory();
  server = await ModelServer.start(bytes);
  store = await ModelStore.open("indexeddb");
});
afterEach(() => server.stop());

function open(options: CachedFileOptions = {}): Promise<CachedFile> {
  const source = new HttpSource(server.url, { stallMs: 500 });
  const retry = { attempts: 2, firstAttempts: 2, baseMs: 1, maxMs: 10 };
  return CachedFile.open(server.url, source, { store, chunkBytes, retry, locks: fakeLocks(), ...options });
}

/** Loads as far as byte `at`, and waits until so much of it is stored. */
async function cutAt(at: number, stored: number): Promise<void> {
  server.behaviour = { cutAt: at };
  const file = await open({ connections: 1 });
  await expect(readAll(file)).rejects.toThrow();
  await vi.waitFor(async () => expect(storedBytes((await store.manifest(server.url))!)).toBe(stored), 5_000);
  file.close();
  server.behaviour = {};
  server.sent = 0;
  server.served.length = 0;
}

async function loadsWhole(): Promise<void> {
  const file = await open();
  expect(Buffer.from(await readAll(file)).equals(bytes)).toBe(true);
  expect(await file.finish()).toMatchObject({ complete: true });
  file.close();
}

test("pieces have at most 256 KiB, and small chunks small ones", () => {
  expect(pieceBytes(16 * 1024 * 1024)).toBeLessThanOrEqual(256 * 1024);
  expect(pieceBytes(64 * 1024)).toBe(8 * 1024);
  expect(pieceBytes(4096)).toBe(4096);
});

describe("a cut in the middle of a chunk", () => {
  const cut = 2 * chunkBytes + 3 * piece + 1_000;
  const stored = 2 * chunkBytes + 3 * piece;

  test("costs less than a piece", async () => {
    await cutAt(cut, stored);
    await loadsWhole();
    expect(server.sent).toBe(bytes.length - stored);
    expect(server.ranges[0]).toBe(`bytes=${stored}-${3 * chunkBytes - 1}`);
  });

  test("counts as stored in the list, and is deleted with the model", async () => {
    await cutAt(cut, stored);
    const [listed] = await store.list();
    expect(storedBytes(listed!)).toBe(stored);
    expect(listed!.partial).toEqual({ 2: 3 * piece });
    expect(await store.delete(server.url)).toBe(true);
    const db = await openDatabase();
    expect(await db.getAllKeys("chunks")).toEqual([]);
    db.close();
  });

  test("leaves no pieces behind once the chunk is whole", async () => {
    await cutAt(cut, stored);
    await loadsWhole();
    const db = await openDatabase();
    await vi.waitFor(async () => {
      expect((await db.getAllKeys("chunks")).map((key) => key.length)).toEqual([2, 2, 2, 2, 2, 2]);
    });
    db.close();
  });

  test.each([0, 1, 2])("uses no piece that was altered, nor what lies behind it (piece %i)", async (altered) => {
    await cutAt(cut, stored);
    const db = await openDatabase();
    const id = (await store.manifest(server.url))!.id;
    const key: [string, "piece", number, number] = [id, "piece", 2, altered * piece];
    const value = (await db.get("chunks", key)) as unknown as Uint8Array;
    value[77]! ^= 1;
    await db.put("chunks", value as unknown as Blob, key);
    db.close();
    await loadsWhole();
    // The first answer begins where the records end: it is of no use then.
    const useful = server.served.filter(({ start }) => start !== stored);
    expect(Math.min(...useful.map(({ start }) => start))).toBe(2 * chunkBytes + altered * piece);
  });

  test("starts again when the file has changed", async () => {
    await cutAt(cut, stored);
    server.etag = '"2"';
    server.bytes = randomBytes(bytes.length, 9);
    const file = await open();
    expect(Buffer.from(await readAll(file)).equals(server.bytes)).toBe(true);
    expect(await file.finish()).toMatchObject({ complete: true });
  });
});

test("cut again and again, every piece comes once", async () => {
  let total = 0;
  for (let cut = 10_000; cut < bytes.length; cut += 23_456) {
    server.behaviour = { cutAt: cut };
    const file = await open({ connections: 1 });
    await readAll(file).catch(() => undefined);
    const least = Math.floor((cut % chunkBytes) / piece) * piece + Math.floor(cut / chunkBytes) * chunkBytes;
    await vi.waitFor(async () => expect(storedBytes((await store.manifest(server.url))!)).toBe(least), 5_000);
    file.close();
    total++;
  }
  server.behaviour = {};
  await loadsWhole();
  expect(server.sent).toBeLessThan(bytes.length + total * piece);
});
