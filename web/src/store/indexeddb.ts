import { type Database, STRICT } from "./database.js";
import { guarded } from "./failure.js";
import { chunkRange, type ChunkStore, type ModelBytes } from "./store.js";

const READ = "could not be read";
const WRITE = "could not be written";

/** Chunks as Blobs in IndexedDB. */
export class IndexedDbStore implements ChunkStore {
  readonly kind = "indexeddb";

  constructor(private readonly db: Database) {}

  prepare(): Promise<void> {
    return Promise.resolve();
  }

  write(model: ModelBytes, index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    return guarded(WRITE, async () => {
      const tx = this.db.transaction("chunks", "readwrite", STRICT);
      await Promise.all([tx.store.put(new Blob([bytes]), [model.id, index]), tx.done]);
    });
  }

  async chunk(model: ModelBytes, index: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const blob = await this.blob(model, index);
    return blob && this.bytes(blob);
  }

  async read(model: ModelBytes, offset: number, target: Uint8Array): Promise<boolean> {
    let filled = 0;
    while (filled < target.length) {
      const at = offset + filled;
      const index = Math.floor(at / model.chunkBytes);
      const blob = await this.blob(model, index);
      const start = at - index * model.chunkBytes;
      const piece = blob?.slice(start, start + target.length - filled);
      const bytes = piece && (await this.bytes(piece));
      if (!bytes || bytes.length === 0) return false;
      target.set(bytes, filled);
      filled += bytes.length;
    }
    return true;
  }

  async present(model: ModelBytes): Promise<Set<number>> {
    return guarded(READ, async () => {
      const { store, done } = this.db.transaction("chunks");
      // Blobs come without their bytes.
      const [keys, blobs] = await Promise.all([
        store.getAllKeys(chunksOf(model.id)),
        store.getAll(chunksOf(model.id)),
        done,
      ]);
      const isWhole = (index: number, at: number) => blobs[at]?.size === lengthOf(model, index);
      return new Set(keys.map(([, index]) => index).filter(isWhole));
    });
  }

  delete(id: string): Promise<void> {
    return guarded(WRITE, async () => {
      const tx = this.db.transaction("chunks", "readwrite", STRICT);
      await Promise.all([tx.store.delete(chunksOf(id)), tx.done]);
    });
  }

  ids(): Promise<string[]> {
    return guarded(READ, async () => {
      const keys = await this.db.getAllKeys("chunks");
      return [...new Set(keys.map(([id]) => id))];
    });
  }

  close(): void {
    this.db.close();
  }

  private async blob(model: ModelBytes, index: number): Promise<Blob | undefined> {
    const blob = await guarded(READ, () => this.db.get("chunks", [model.id, index]));
    return blob?.size === lengthOf(model, index) ? blob : undefined;
  }

  /** The browser may have lost a Blob's file while it kept the record: the same as a missing chunk. */
  private async bytes(blob: Blob): Promise<Uint8Array<ArrayBuffer> | undefined> {
    try {
      return new Uint8Array(await blob.arrayBuffer());
    } catch {
      return undefined;
    }
  }
}

function lengthOf({ size, chunkBytes }: ModelBytes, index: number): number {
  return chunkRange(size, chunkBytes, index).length;
}

function chunksOf(id: string): IDBKeyRange {
  return IDBKeyRange.bound([id, 0], [id, Number.MAX_SAFE_INTEGER]);
}
