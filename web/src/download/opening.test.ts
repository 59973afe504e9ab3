/** Which role a file takes when it is opened. */

import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { afterEach, beforeEach, expect, test } from "vitest";
import { HttpSource } from "../source/http.js";
import { ModelStore } from "../store/model-store.js";
import { type Manifest, newManifest, sha256 } from "../store/store.js";
import { fakeLocks } from "../testing/cached-files.js";
import { ModelServer } from "../testing/model-server.js";
import { randomBytes } from "../testing/random-bytes.js";
import { Gate } from "./gate.js";
import { type Opened, openFile } from "./opening.js";
import type { CachedFileOptions } from "./options.js";
import { StallWatch } from "./stall.js";
import { ModelTabs } from "./tabs.js";

const chunkBytes = 4_000;
const bytes = randomBytes(10_000);
let server: ModelServer;
let store: ModelStore;
let locks: LockManager;
let opened: Opened | undefined;

beforeEach(async () => {
  globalThis.indexedDB = new IDBFactory();
  server = await ModelServer.start(bytes);
  store = await ModelStore.open("indexeddb");
  locks = fakeLocks();
});
afterEach(async () => {
  opened?.first?.cancel();
  opened?.tabs?.close();
  await server.stop();
});

async function open(options: CachedFileOptions = {}): Promise<Opened> {
  const gate = new Gate();
  const watch = new StallWatch(server.url, gate);
  opened = await openFile(server.url, new HttpSource(server.url), {
    ...{ store, chunkBytes, locks, gate, watch },
    ...options,
  });
  return opened;
}

/** Stores the first chunks. */
async function storeChunks(count: number): Promise<Manifest> {
  const manifest = newManifest({ key: server.url, size: bytes.length, chunkBytes, etag: server.etag });
  await store.begin(manifest);
  for (let index = 0; index < count; index++) {
    const chunk = new Uint8Array(bytes.subarray(index * chunkBytes, (index + 1) * chunkBytes));
    await store.putChunk(manifest, index, chunk, await sha256(chunk));
  }
  return manifest;
}

test("a stored file is opened by a reader, which asks no server", async () => {
  await storeChunks(3);
  expect((await open()).role).toBe("reader");
  expect(server.ranges).toEqual([]);
});

test("a file that is not stored is opened by a writer, which begins it", async () => {
  expect(await open()).toMatchObject({ role: "writer", isNew: true, tabs: { writing: true } });
});

test("a partly stored file is opened by a writer, which continues it", async () => {
  const { id } = await storeChunks(1);
  const { role, isNew, manifest, first } = await open();
  expect({ role, isNew, id: manifest.id, position: first?.position }).toEqual({
    ...{ role: "writer", isNew: undefined, id, position: chunkBytes },
  });
});

test("a file that has changed on its server is opened by a writer, which begins it", async () => {
  const { id } = await storeChunks(1);
  server.etag = '"2"';
  const { role, isNew, manifest, first } = await open();
  expect({ role, isNew, position: first?.position }).toEqual({ role: "writer", isNew: true, position: 0 });
  expect(manifest.id).not.toBe(id);
});

test("a file that another tab writes is opened by a follower", async () => {
  const { id } = await storeChunks(1);
  const other = new ModelTabs(server.url, locks);
  await other.tryWrite();
  other.state.id = id;
  expect(await open()).toMatchObject({ role: "follower", manifest: { id }, tabs: { writing: false } });
  expect(server.ranges).toEqual([]);
  other.close();
});

test("a file kept in memory connects to no other tab", async () => {
  const memory = await ModelStore.open("memory");
  expect((await open({ store: memory })).tabs).toBeUndefined();
});
