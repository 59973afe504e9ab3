import { openDB, type DBSchema, type IDBPDatabase } from "idb";
import { ChordError } from "../errors.js";
import type { ChunkStore, Manifest } from "./store.js";

const DATABASE = "wasm-chord";
const VERSION = 1;
/** A commit means that the bytes are on the disk. */
const STRICT = { durability: "strict" } as const;

interface Schema extends DBSchema {
  manifests: { key: string; value: Manifest };
  /** Key `[model, index]`. A Blob is kept as a file of its own and read back at the disk's speed. */
  chunks: { key: [string, number]; value: Blob };
}

/** Chunks as Blobs in IndexedDB. */
export class IndexedDbStore implements ChunkStore {
  private constructor(private readonly db: IDBPDatabase<Schema>) {}

  static async open(name = DATABASE): Promise<IndexedDbStore> {
    try {
      const db = await openDB<Schema>(name, VERSION, {
        upgrade(db) {
          db.createObjectStore("manifests", { keyPath: "key" });
          db.createObjectStore("chunks");
        },
        // A tab of a later version wants to upgrade: let it.
        blocking: (_current, _blocked, event) => (event.target as IDBDatabase).close(),
      });
      return new IndexedDbStore(db);
    } catch (cause) {
      throw storageError("could not be opened", cause);
    }
  }

  async manifest(key: string): Promise<Manifest | undefined> {
    return this.guard("could not be read", () => this.db.get("manifests", key));
  }

  async begin(manifest: Manifest): Promise<void> {
    await this.guard("could not be written", async () => {
      const tx = this.db.transaction(["manifests", "chunks"], "readwrite", STRICT);
      await Promise.all([
        tx.objectStore("chunks").delete(chunksOf(manifest.key)),
        tx.objectStore("manifests").put(manifest),
        tx.done,
      ]);
    });
  }

  async putChunk(key: string, index: number, bytes: Uint8Array<ArrayBuffer>, hash: string): Promise<void> {
    await this.guard("could not be written", async () => {
      const data = this.db.transaction("chunks", "readwrite", STRICT);
      await Promise.all([data.store.put(new Blob([bytes]), [key, index]), data.done]);
      // Only now: a page killed in between has a chunk that no record speaks of, and fetches it again.
      const record = this.db.transaction("manifests", "readwrite", STRICT);
      const manifest = await record.store.get(key);
      if (manifest && index < manifest.hashes.length) {
        manifest.hashes[index] = hash;
        await record.store.put(manifest);
      }
      await record.done;
    });
  }

  async chunk(key: string, index: number): Promise<Blob | undefined> {
    return this.guard("could not be read", () => this.db.get("chunks", [key, index]));
  }

  async list(): Promise<Manifest[]> {
    return this.guard("could not be read", () => this.db.getAll("manifests"));
  }

  async delete(key: string): Promise<boolean> {
    return this.guard("could not be written", async () => {
      const tx = this.db.transaction(["manifests", "chunks"], "readwrite", STRICT);
      const [found] = await Promise.all([
        tx.objectStore("manifests").count(key),
        tx.objectStore("manifests").delete(key),
        tx.objectStore("chunks").delete(chunksOf(key)),
        tx.done,
      ]);
      return found > 0;
    });
  }

  close(): void {
    this.db.close();
  }

  private async guard<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      throw storageError(what, cause);
    }
  }
}

function chunksOf(key: string): IDBKeyRange {
  return IDBKeyRange.bound([key, 0], [key, Number.MAX_SAFE_INTEGER]);
}

function storageError(what: string, cause: unknown): ChordError {
  const full = cause instanceof Error && cause.name === "QuotaExceededError";
  return full
    ? new ChordError("storage-quota", "The browser's storage is full", {}, { cause })
    : new ChordError("storage-failed", `The browser's storage ${what} (${String(cause)})`, {}, { cause });
}
