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
      const tx = this.db.transaction(["manifests", "headers"], "readwrite", STRICT);
      const changes = [tx.objectStore("manifests").put(manifest), tx.objectStore("headers").delete(manifest.key)];
      await Promise.all([...changes, tx.done]);
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

  header(key: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return guarded(READ, () => this.db.get("headers", key));
  }

  putHeader(key: string, bytes: Uint8Array<ArrayBuffer>): Promise<boolean> {
    return guarded(WRITE, async () => {
      const tx = this.db.transaction(["manifests", "headers"], "readwrite", STRICT);
      const manifest = await tx.objectStore("manifests").get(key);
      if (manifest) {
        manifest.headerBytes = bytes.length;
        // A copy without what else the buffer holds.
        await tx.objectStore("headers").put(bytes.slice(), key);
        await tx.objectStore("manifests").put(manifest);
      }
      await tx.done;
      return manifest !== undefined;
    });
  }

  delete(key: string): Promise<Manifest | undefined> {
    return guarded(WRITE, async () => {
      const tx = this.db.transaction(["manifests", "headers"], "readwrite", STRICT);
      const manifest = await tx.objectStore("manifests").get(key);
      const changes = [tx.objectStore("manifests").delete(key), tx.objectStore("headers").delete(key)];
      await Promise.all([...changes, tx.done]);
      return manifest;
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
