import { type DBSchema, type IDBPDatabase, type IDBPTransaction, openDB, type StoreNames } from "idb";
import { guarded } from "./failure.js";
import { type Manifest, nameOf } from "./store.js";

/** Name of the database. */
export const DATABASE = "wasm-chord";
const VERSION = 2;

/** A commit means that the bytes are on the disk. */
export const STRICT = { durability: "strict" } as const;

/** What lies where. */
export interface Schema extends DBSchema {
  manifests: { key: string; value: Manifest };
  /** Key `[id, index]`. A Blob is kept as a file of its own and read back at the disk's speed. */
  chunks: { key: [string, number]; value: Blob };
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
