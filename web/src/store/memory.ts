import {
  chunkRange,
  type ChunkStore,
  type Manifest,
  type ManifestChanges,
  type ManifestStore,
  type ModelBytes,
} from "./store.js";

/** Chunks in memory: the whole file, for as long as the worker lives. Only where a caller asks for it. */
export class MemoryStore implements ChunkStore {
  readonly kind = "memory";
  private readonly models = new Map<string, Map<number, Uint8Array<ArrayBuffer>>>();

  prepare(): Promise<void> {
    return Promise.resolve();
  }

  write(model: ModelBytes, index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const chunks = this.models.get(model.id) ?? new Map<number, Uint8Array<ArrayBuffer>>();
    this.models.set(model.id, chunks.set(index, bytes.slice()));
    return Promise.resolve();
  }

  chunk(
    model: ModelBytes,
    index: number,
    into?: Uint8Array<ArrayBuffer>,
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const bytes = this.whole(model, index);
    if (!bytes || !into) return Promise.resolve(bytes?.slice());
    into.set(bytes);
    return Promise.resolve(into);
  }

  read(model: ModelBytes, offset: number, target: Uint8Array): Promise<boolean> {
    let filled = 0;
    while (filled < target.length) {
      const at = offset + filled;
      const index = Math.floor(at / model.chunkBytes);
      const start = at - index * model.chunkBytes;
      const piece = this.whole(model, index)?.subarray(start, start + target.length - filled);
      if (!piece || piece.length === 0) return Promise.resolve(false);
      target.set(piece, filled);
      filled += piece.length;
    }
    return Promise.resolve(true);
  }

  present(model: ModelBytes): Promise<Set<number>> {
    const indices = [...(this.models.get(model.id)?.keys() ?? [])];
    return Promise.resolve(new Set(indices.filter((index) => this.whole(model, index) !== undefined)));
  }

  delete(id: string): Promise<void> {
    this.models.delete(id);
    return Promise.resolve();
  }

  ids(): Promise<string[]> {
    return Promise.resolve([...this.models.keys()]);
  }

  close(): void {
    this.models.clear();
  }

  private whole(model: ModelBytes, index: number): Uint8Array<ArrayBuffer> | undefined {
    const bytes = this.models.get(model.id)?.get(index);
    return bytes?.length === chunkRange(model.size, model.chunkBytes, index).length ? bytes : undefined;
  }
}

/** Manifests of what lies in memory. */
export class MemoryManifests implements ManifestStore {
  private readonly manifests = new Map<string, Manifest>();

  get(key: string): Promise<Manifest | undefined> {
    return Promise.resolve(structuredClone(this.manifests.get(key)));
  }

  list(): Promise<Manifest[]> {
    return Promise.resolve(structuredClone([...this.manifests.values()]));
  }

  put(manifest: Manifest): Promise<void> {
    this.manifests.set(manifest.key, structuredClone(manifest));
    return Promise.resolve();
  }

  record(key: string, id: string, index: number, hash: string | null): Promise<boolean> {
    const manifest = this.manifests.get(key);
    if (manifest?.id !== id || index >= manifest.hashes.length) return Promise.resolve(false);
    manifest.hashes[index] = hash;
    return Promise.resolve(true);
  }

  update(key: string, changes: ManifestChanges): Promise<boolean> {
    const manifest = this.manifests.get(key);
    if (manifest) Object.assign(manifest, changes);
    return Promise.resolve(manifest !== undefined);
  }

  delete(key: string): Promise<void> {
    this.manifests.delete(key);
    return Promise.resolve();
  }

  close(): void {
    this.manifests.clear();
  }
}
