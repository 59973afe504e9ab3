/** A worker in which browser tests and measurements use the real stores. Not part of the package. */

import { openDatabase } from "../store/database.js";
import { IndexedDbStore } from "../store/indexeddb.js";
import { ModelStore } from "../store/model-store.js";
import { OpfsStore } from "../store/opfs.js";
import { type ChunkStore, chunkRange, type Manifest, newManifest, sha256, type StoreChoice } from "../store/store.js";
import { toErrorRecord } from "../errors.js";
import { randomBytes } from "./random-bytes.js";
import { STORE_CONTRACT } from "./store-contract.js";

type Kind = "opfs" | "indexeddb";

/** The database and the folder of these tests. */
const PLACE = "store-tests";

let store: ModelStore;

const expected = (manifest: Manifest, index: number) =>
  randomBytes(chunkRange(manifest.size, manifest.chunkBytes, index).length, index + 1);

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

async function known(key: string): Promise<Manifest> {
  const manifest = await store.manifest(key);
  if (!manifest) throw new Error(`no manifest of ${key}`);
  return manifest;
}

async function chunkStore(kind: Kind, place: string): Promise<ChunkStore> {
  return kind === "opfs" ? OpfsStore.open(place) : new IndexedDbStore(await openDatabase(place));
}

async function folder(): Promise<FileSystemDirectoryHandle> {
  return (await navigator.storage.getDirectory()).getDirectoryHandle(PLACE, { create: true });
}

const commands = {
  /** Runs every case in a separate place and returns the failed ones with the reasons. */
  async contract({ kind }: { kind: Kind }) {
    const failed: string[] = [];
    for (const { name, run } of STORE_CONTRACT) {
      const place = `contract-${crypto.randomUUID()}`;
      const opened: ChunkStore[] = [];
      const open = async () => {
        opened.push(await chunkStore(kind, place));
        return opened.at(-1)!;
      };
      await run({ open, reopen: open }).catch((error: Error) => failed.push(`${name}: ${error.message}`));
      opened.forEach((each) => each.close());
    }
    return { cases: STORE_CONTRACT.length, failed };
  },

  async open({ choice }: { choice: Exclude<StoreChoice, "none"> }) {
    store = await ModelStore.open(choice, PLACE);
    return { kind: store.kind, why: store.why };
  },

  /** Begins a model. */
  async begin({ key, size, chunkBytes }: { key: string; size: number; chunkBytes: number }) {
    const manifest = newManifest({ key, size, chunkBytes });
    await store.begin(manifest);
    return { store: manifest.store, why: store.why };
  },

  /** Stores those of the first `count` chunks that are missing. */
  async fill({ key, count }: { key: string; count: number }) {
    const manifest = await known(key);
    for (let index = 0; index < count; index++) {
      if (manifest.hashes[index] !== null) continue;
      const bytes = expected(manifest, index);
      await store.putChunk(manifest, index, bytes, await sha256(bytes));
    }
  },

  /** Stores a chunk's bytes without its record. */
  async writeUnrecorded({ key, index }: { key: string; index: number }) {
    const manifest = await known(key);
    const below = await chunkStore(manifest.store as Kind, PLACE);
    await below.write(manifest, index, expected(manifest, index));
    below.close();
  },

  /** Which recorded chunks match their hash, which are altered, and which cannot be read in full. */
  async check({ key }: { key: string }) {
    const manifest = await known(key);
    const good: number[] = [];
    const bad: number[] = [];
    const missing: number[] = [];
    for (const [index, hash] of manifest.hashes.entries()) {
      if (hash === null) continue;
      const bytes = await store.chunk(manifest, index);
      if (bytes === undefined) missing.push(index);
      else (same(bytes, expected(manifest, index)) && (await sha256(bytes)) === hash ? good : bad).push(index);
    }
    return { good, bad, missing, store: manifest.store };
  },

  /** Removes an altered or missing chunk from the record, as a load does. */
  async forget({ key, index }: { key: string; index: number }) {
    await store.forgetChunk(await known(key), index);
  },

  async room({ needed }: { needed: number }) {
    const start = performance.now();
    const free = await (await OpfsStore.open(PLACE)).room(needed);
    return { free, ms: performance.now() - start };
  },

  async delete({ key }: { key: string }) {
    return store.delete(key);
  },

  close() {
    store.close();
    return Promise.resolve();
  },

  /** Damages stored bytes as disks, browsers and people do. */
  async damage({ key, how }: { key: string; how: "flip" | "shorten" | "remove" }) {
    const { id, store: kind } = await known(key);
    store.close();
    if (kind === "opfs") {
      const files = await folder();
      if (how === "remove") return files.removeEntry(id);
      const file = (await files.getFileHandle(id)) as unknown as {
        createSyncAccessHandle(): Promise<{
          read(to: Uint8Array, from: { at: number }): void;
          write(bytes: Uint8Array, to: { at: number }): void;
          truncate(size: number): void;
          getSize(): number;
          close(): void;
        }>;
      };
      const handle = await file.createSyncAccessHandle();
      if (how === "shorten") handle.truncate(handle.getSize() - 1);
      else {
        const byte = new Uint8Array(1);
        handle.read(byte, { at: 1234 });
        byte[0]! ^= 1;
        handle.write(byte, { at: 1234 });
      }
      return handle.close();
    }
    const db = await openDatabase(PLACE);
    const keys = await db.getAllKeys("chunks", IDBKeyRange.bound([id, 0], [id, 1e9]));
    const at = how === "flip" ? keys[0]! : keys.at(-1)!;
    if (how === "remove") await db.delete("chunks", at);
    else {
      const bytes = new Uint8Array(await (await db.get("chunks", at))!.arrayBuffer());
      bytes[how === "flip" ? 1234 : 0]! ^= 1;
      await db.put("chunks", new Blob([how === "flip" ? bytes : bytes.subarray(1)]), at);
    }
    db.close();
  },

  /** Files and bytes in the folder. */
  async onDisk() {
    const found: { files: number; bytes: number } = { files: 0, bytes: 0 };
    for await (const handle of (await folder()).values()) {
      found.files += 1;
      found.bytes += (await (handle as FileSystemFileHandle).getFile()).size;
    }
    return found;
  },

  /** From now on synchronous access is refused as a browser would refuse it, or does not exist. */
  breakFiles({ how }: { how: "absent" | "NoModificationAllowedError" }) {
    const prototype = FileSystemFileHandle.prototype as { createSyncAccessHandle?: unknown };
    if (how === "absent") delete prototype.createSyncAccessHandle;
    else prototype.createSyncAccessHandle = () => Promise.reject(new DOMException("locked", how));
    return Promise.resolve();
  },

  /** MB/s of writing, of reading, and of reading with hashing. */
  async measure({ kind, chunks, chunkBytes }: { kind: Kind; chunks: number; chunkBytes: number }) {
    const place = `measure-${crypto.randomUUID()}`;
    const first = await chunkStore(kind, place);
    const model = { id: "model", size: chunks * chunkBytes, chunkBytes };
    const bytes = crypto.getRandomValues(new Uint8Array(65_536));
    const buffer = new Uint8Array(chunkBytes);
    for (let at = 0; at < chunkBytes; at += bytes.length) buffer.set(bytes.subarray(0, chunkBytes - at), at);
    const rate = async (work: (index: number) => Promise<unknown>) => {
      const start = performance.now();
      for (let index = 0; index < chunks; index++) await work(index);
      return model.size / 1e3 / (performance.now() - start);
    };
    await first.prepare(model);
    const write = await rate((index) => first.write(model, index, buffer));
    first.close();
    const second = await chunkStore(kind, place);
    const read = await rate((index) => second.chunk(model, index, buffer));
    const readAndHash = await rate(async (index) => sha256((await second.chunk(model, index, buffer))!));
    await second.delete(model.id);
    second.close();
    return { write, read, readAndHash };
  },
};

export type StoreCommands = typeof commands;

globalThis.onmessage = ({ data }: MessageEvent<{ id: number; command: keyof StoreCommands; args: never }>) => {
  const { id, command, args } = data;
  (commands[command](args) as Promise<unknown>).then(
    (result) => globalThis.postMessage({ id, result }),
    (error: unknown) => globalThis.postMessage({ id, error: toErrorRecord(error) }),
  );
};
