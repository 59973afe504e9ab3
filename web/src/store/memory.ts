import {
  chunkRange,
  isComplete,
  type ChunkStore,
  type Manifest,
  type ManifestChanges,
  type ManifestStore,
  type ModelBytes,
  type Piece,
} from "./store.js";

/** Chunks in memory: the whole file, for as long as the worker lives. Only if a caller requests it. */
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

  writePieces(): Promise<void> {
    return Promise.resolve();
  }

  readPiece(): Promise<boolean> {
    return Promise.resolve(false);
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

/** Manifests of models in memory, in front of those of stored models, which need not be downloaded again. */
export class MemoryManifests implements ManifestStore {
  private readonly manifests = new Map<string, Manifest>();

  constructor(private readonly stored?: ManifestStore) {}

  async get(key: string): Promise<Manifest | undefined> {
    const own = this.manifests.get(key);
    if (own) return structuredClone(own);
    const stored = await this.stored?.get(key);
    return stored && isComplete(stored) ? stored : undefined;
  }

  async list(): Promise<Manifest[]> {
    const stored = (await this.stored?.list()) ?? [];
    const others = stored.filter((manifest) => isComplete(manifest) && !this.manifests.has(manifest.key));
    return [...structuredClone([...this.manifests.values()]), ...others];
  }

  put(manifest: Manifest): Promise<void> {
    this.manifests.set(manifest.key, structuredClone(manifest));
    return Promise.resolve();
  }

  async record(key: string, id: string, index: number, hash: string | null): Promise<boolean> {
    const manifest = this.manifests.get(key);
    if (!manifest) return (await this.stored?.record(key, id, index, hash)) ?? false;
    if (manifest.id !== id || index >= manifest.hashes.length) return false;
    manifest.hashes[index] = hash;
    return true;
  }

  /** Pieces are useful only to a later visit, which finds nothing here. */
  recordPieces(): Promise<void> {
    return Promise.resolve();
  }

  pieces(): Promise<Piece[]> {
    return Promise.resolve([]);
  }

  deletePieces(id: string, index?: number): Promise<void> {
    return this.stored?.deletePieces(id, index) ?? Promise.resolve();
  }

  async update(key: string, changes: ManifestChanges): Promise<boolean> {
    const manifest = this.manifests.get(key);
    if (!manifest) return (await this.stored?.update(key, changes)) ?? false;
    Object.assign(manifest, changes);
    return true;
  }

  async delete(key: string): Promise<void> {
    if (!this.manifests.delete(key)) await this.stored?.delete(key);
  }

  close(): void {
    this.manifests.clear();
    this.stored?.close();
  }
}
