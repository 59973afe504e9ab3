import { type Database, STRICT } from "./database.js";
import { guarded } from "./failure.js";
import type { Manifest, ManifestChanges, ManifestStore } from "./store.js";

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
