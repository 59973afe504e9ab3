import { type DBSchema, type IDBPDatabase, type IDBPTransaction, openDB, type StoreNames } from "idb";
import { guarded } from "./failure.js";
import { type Manifest, nameOf } from "./store.js";

/** Name of the database. */
export const DATABASE = "wasm-chord";
const VERSION = 2;

/** A commit means that the bytes are on the disk. */
export const STRICT = { durability: "strict" } as const;

/** Written in order, and soon on the disk: for data that is checked by its hash before use. */
export const RELAXED = { durability: "relaxed" } as const;

/**
 * Keys of `chunks`. A whole chunk is a Blob at `[id, index]`: a separate file, read back at the disk's speed. Where a
 * browser stores no Blobs it is bytes at `[id, "bytes", index]`. Incomplete chunks have pieces, each under the byte of
 * the chunk that it begins at: its bytes, if IndexedDB holds them, at `[id, "piece", index, start]`, and its record at
 * `[id, "record", index, start]`.
 */
export type ChunkKey =
  | [id: string, index: number]
  | [id: string, kind: "bytes", index: number]
  | [id: string, kind: "piece" | "record", index: number, start: number];

/** The tables. */
export interface Schema extends DBSchema {
  manifests: { key: string; value: Manifest };
  /** A whole chunk; at the other keys there are bytes or a `Piece`. */
  chunks: { key: ChunkKey; value: Blob };
}

/** The keys that begin with these parts. */
export function keysUnder(...parts: (string | number)[]): IDBKeyRange {
  // An array sorts after any number or string that can follow.
  return IDBKeyRange.bound(parts, [...parts, []]);
}

/** Whole chunks that are Blobs. */
export function blobsOf(id: string): IDBKeyRange {
  return IDBKeyRange.bound([id, 0], [id, Number.MAX_SAFE_INTEGER]);
}

/** The one database of this package. */
export type Database = IDBPDatabase<Schema>;

/** Opens the database, and brings one of an earlier version up to date. */
export function openDatabase(name = DATABASE): Promise<Database> {
  return guarded("could not be opened", () =>
    openDB<Schema>(name, VERSION, {
      async upgrade(db, oldVersion, _newVersion, tx) {
        if (oldVersion === 1) return upgradeManifests(tx);
        db.createObjectStore("manifests", { keyPath: "key" });
        db.createObjectStore("chunks");
      },
      // A tab of a later version wants to upgrade: let it.
      blocking: (_current, _blocked, event) => (event.target as IDBDatabase).close(),
    }),
  );
}

/** A manifest of version 1. Its chunks have the keys `[key, index]`. */
interface FirstManifest {
  key: string;
  size: number;
  chunkBytes: number;
  validator: string | null;
  hashes: (string | null)[];
  createdAt: number;
}

/** Chunks stay where they are: a model's `id` is its key. */
async function upgradeManifests(tx: IDBPTransaction<Schema, StoreNames<Schema>[], "versionchange">): Promise<void> {
  const manifests = tx.objectStore("manifests");
  for (const old of (await manifests.getAll()) as unknown as FirstManifest[]) {
    const { key, size, chunkBytes, validator, hashes, createdAt } = old;
    const isEtag = validator !== null && /^(W\/)?"/.test(validator);
    await manifests.put({
      version: 2,
      key,
      name: nameOf(key),
      id: key,
      store: "indexeddb",
      size,
      chunkBytes,
      etag: isEtag ? validator : null,
      lastModified: isEtag ? null : validator,
      hashes,
      fileHash: null,
      createdAt,
      lastUsed: createdAt,
    });
  }
}
