import { type Database, keysUnder, RELAXED, STRICT } from "./database.js";
import { guarded } from "./failure.js";
import type { Manifest, ManifestChanges, ManifestStore, Piece } from "./store.js";

const READ = "could not be read";
const WRITE = "could not be written";

/** Manifests in IndexedDB, whatever holds the chunks. */
export class IndexedDbManifests implements ManifestStore {
  constructor(private readonly db: Database) {}

  get(key: string): Promise<Manifest | undefined> {
    return guarded(READ, () => this.db.get("manifests", key));
  }

  list(): Promise<Manifest[]> {
    return guarded(READ, () => this.db.getAll("manifests"));
  }

  put(manifest: Manifest): Promise<void> {
    return guarded(WRITE, async () => {
      const tx = this.db.transaction("manifests", "readwrite", STRICT);
      await Promise.all([tx.store.put(manifest), tx.done]);
    });
  }

  record(key: string, id: string, index: number, hash: string | null): Promise<boolean> {
    return this.change(key, (manifest) => {
      if (manifest.id !== id || index >= manifest.hashes.length) return false;
      manifest.hashes[index] = hash;
      return true;
    });
  }

  recordPieces(id: string, pieces: Piece[]): Promise<void> {
    return guarded(WRITE, async () => {
      const tx = this.db.transaction("chunks", "readwrite", RELAXED);
      const puts = pieces.map((piece) =>
        tx.store.put(piece as unknown as Blob, [id, "record", piece.index, piece.start]),
      );
      await Promise.all([...puts, tx.done]);
    });
  }

  pieces(id: string): Promise<Piece[]> {
    return guarded(READ, async () => (await this.db.getAll("chunks", keysUnder(id, "record"))) as unknown[] as Piece[]);
  }

  deletePieces(id: string, index?: number): Promise<void> {
    return guarded(WRITE, async () => {
      const tx = this.db.transaction("chunks", "readwrite", RELAXED);
      const under = (kind: string) => (index === undefined ? keysUnder(id, kind) : keysUnder(id, kind, index));
      await Promise.all([tx.store.delete(under("record")), tx.store.delete(under("piece")), tx.done]);
    });
  }

  update(key: string, changes: ManifestChanges): Promise<boolean> {
    return this.change(key, (manifest) => {
      Object.assign(manifest, changes);
      return true;
    });
  }

  delete(key: string): Promise<void> {
    return guarded(WRITE, async () => {
      const tx = this.db.transaction("manifests", "readwrite", STRICT);
      await Promise.all([tx.store.delete(key), tx.done]);
    });
  }

  close(): void {
    this.db.close();
  }

  /** Reads, changes and writes in one transaction: two writers never lose each other's change. */
  private change(key: string, apply: (manifest: Manifest) => boolean): Promise<boolean> {
    return guarded(WRITE, async () => {
      const tx = this.db.transaction("manifests", "readwrite", STRICT);
      const manifest = await tx.store.get(key);
      const changed = manifest !== undefined && apply(manifest);
      if (changed) await tx.store.put(manifest);
      await tx.done;
      return changed;
    });
  }
}
