import { ChordError } from "../errors.js";
import { type Database, openDatabase } from "./database.js";
import { IndexedDbStore } from "./indexeddb.js";
import { IndexedDbManifests } from "./manifests.js";
import { MemoryManifests, MemoryStore } from "./memory.js";
import { OpfsStore } from "./opfs.js";
import { quotaError, storageRoom } from "./quota.js";
import {
  type ChunkStore,
  isComplete,
  type Manifest,
  type ManifestChanges,
  type ManifestStore,
  type Piece,
  recordedParts,
  sha256,
  type StoreChoice,
  type StoreKind,
} from "./store.js";

/**
 * Stored models: manifests and, behind them, the chunks in any store. A stored model is found whatever kind of store
 * was requested; the choice decides where new ones go.
 */
export class ModelStore {
  private constructor(
    private readonly manifests: ManifestStore,
    private readonly stores: ReadonlyMap<StoreKind, ChunkStore>,
    private preferred: StoreKind,
    private reason: string | undefined,
  ) {}

  /** Opens the stores of this browser. `auto`: OPFS where files can be written synchronously, else IndexedDB. */
  static async open(choice: Exclude<StoreChoice, "none"> = "auto", database?: string): Promise<ModelStore> {
    if (choice === "memory") return ModelStore.openMemory(database);
    const db = await openDatabase(database);
    const { stores, reason } = await lastingStores(db, database);
    const manifests = new IndexedDbManifests(db);
    if (choice === "indexeddb") return new ModelStore(manifests, stores, "indexeddb", undefined);
    return new ModelStore(manifests, stores, reason === undefined ? "opfs" : "indexeddb", reason);
  }

  /** New models go to memory; complete stored ones are found, in browsers that store anything. */
  private static async openMemory(database: string | undefined): Promise<ModelStore> {
    const db = await openDatabase(database).catch(() => undefined);
    const { stores } = db ? await lastingStores(db, database) : { stores: new Map<StoreKind, ChunkStore>() };
    stores.set("memory", new MemoryStore());
    const manifests = new MemoryManifests(db && new IndexedDbManifests(db));
    return new ModelStore(manifests, stores, "memory", undefined);
  }

  /** Where new models go. */
  get kind(): StoreKind {
    return this.preferred;
  }

  /** Why not OPFS, where it was wanted. */
  get why(): string | undefined {
    return this.reason;
  }

  /** The stored part of a model. Recorded chunks that are gone or too short are reported as missing. */
  async manifest(key: string): Promise<Manifest | undefined> {
    const manifest = await this.manifests.get(key);
    return manifest && this.reconciled(manifest);
  }

  /** Every model, as {@link manifest} has it. */
  async list(): Promise<Manifest[]> {
    return Promise.all((await this.manifests.list()).map((manifest) => this.reconciled(manifest)));
  }

  /**
   * Starts a new model: an earlier one under its key is dropped. `manifest.store` becomes the place of its chunks.
   * Rejects with `storage-quota` (`details.needed`, `details.free`) when the whole model would not fit.
   */
  async begin(manifest: Manifest): Promise<void> {
    const old = await this.manifests.get(manifest.key);
    if (old) await this.dropChunks(old);
    await this.sweep();
    await this.checkRoom(manifest.size);
    manifest.store = await this.prepare(manifest);
    await this.manifests.put(manifest);
  }

  /**
   * Stores a chunk and then, when its bytes are on the disk, its hash, here and in `manifest`. A page killed in between
   * leaves bytes without a record, which the next visit fetches again. Rejects with `storage-quota` (`details.needed`,
   * `details.free`) when the storage is full; what was recorded before stays.
   */
  async putChunk(manifest: Manifest, index: number, bytes: Uint8Array<ArrayBuffer>, hash: string): Promise<void> {
    const store = this.storeOf(manifest);
    if (!store) throw new ChordError("storage-failed", `This browser has no ${manifest.store} to store chunks in`);
    try {
      await store.write(manifest, index, bytes);
    } catch (error) {
      if (!isQuotaError(error)) throw error;
      const free = await this.room(bytes.length);
      // There was no room for them a moment ago, so an estimate that says otherwise is wrong.
      throw quotaError(bytes.length, free !== null && free < bytes.length ? free : null, error);
    }
    if (!(await this.manifests.record(manifest.key, manifest.id, index, hash))) {
      await this.dropChunks(manifest);
      throw new ChordError("storage-failed", "The model was deleted from the browser's storage while it was stored");
    }
    manifest.hashes[index] = hash;
  }

  /**
   * Stores bytes of an incomplete chunk, from byte `start` of the chunk on, and then records the pieces that
   * they consist of.
   */
  async putPieces(manifest: Manifest, start: number, bytes: Uint8Array<ArrayBuffer>, pieces: Piece[]): Promise<void> {
    const store = this.storeOf(manifest);
    if (!store || pieces.length === 0) return;
    await store.writePieces(manifest, start, bytes, pieces);
    await this.manifests.recordPieces(manifest.id, pieces);
  }

  /**
   * Reads recorded pieces of a chunk into the beginning of `bytes`, each checked by its hash, up to the first that is
   * missing or altered. Returns the number of bytes read.
   */
  async pieces(manifest: Manifest, index: number, bytes: Uint8Array<ArrayBuffer>): Promise<number> {
    const store = this.storeOf(manifest);
    const recorded = (await this.manifests.pieces(manifest.id)).filter((piece) => piece.index === index);
    let filled = 0;
    for (const piece of recorded.sort((a, b) => a.start - b.start)) {
      const { start, length, hash } = piece;
      if (start < filled) continue;
      if (!store || start > filled || start + length > bytes.length) break;
      const target = bytes.subarray(start, start + length);
      if (!(await store.readPiece(manifest, piece, target)) || (await sha256(target)) !== hash) break;
      filled = start + length;
    }
    return filled;
  }

  /** Drops the pieces of a chunk that is now stored as a whole. */
  async dropPieces(manifest: Manifest, index: number): Promise<void> {
    await this.manifests.deletePieces(manifest.id, index);
  }

  /**
   * A chunk's bytes, or `undefined` when they are not there. Read into `into` (of the chunk's length) without a copy
   * where the store can; always use what is returned. The caller checks them against the manifest's hash before use.
   */
  async chunk(
    manifest: Manifest,
    index: number,
    into?: Uint8Array<ArrayBuffer>,
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return this.storeOf(manifest)?.chunk(manifest, index, into);
  }

  /** Fills `target` from `offset` of the file on. False when bytes are missing. For chunks that were checked before. */
  async read(manifest: Manifest, offset: number, target: Uint8Array): Promise<boolean> {
    return (await this.storeOf(manifest)?.read(manifest, offset, target)) ?? false;
  }

  /** Removes a missing or altered chunk from the record. */
  async forgetChunk(manifest: Manifest, index: number): Promise<void> {
    manifest.hashes[index] = null;
    await this.manifests.record(manifest.key, manifest.id, index, null);
  }

  /** Changes a model's record, such as when it was last used. */
  async update(manifest: Manifest, changes: ManifestChanges): Promise<void> {
    Object.assign(manifest, changes);
    await this.manifests.update(manifest.key, changes);
  }

  /** Deletes a model. True when there was something to delete. */
  async delete(key: string): Promise<boolean> {
    const manifest = await this.manifests.get(key);
    if (!manifest) return false;
    // Bytes first: if that is refused nothing has changed, and a record without bytes is read as a model without
    // chunks.
    await this.storeOf(manifest)?.delete(manifest.id);
    await this.deletePieces(manifest);
    await this.manifests.delete(key);
    return true;
  }

  /** Deletes bytes without a manifest, such as those left by a page that was closed in the middle of a deletion. */
  private async sweep(): Promise<void> {
    const found: { store: ChunkStore; id: string }[] = [];
    if (this.preferred === "memory") return;
    for (const store of this.stores.values()) {
      for (const id of await store.ids()) found.push({ store, id });
    }
    // Read after the bytes: a new model's manifest is written before its first chunk.
    // IndexedDB also has records of pieces of models in files: what counts is the id.
    const known = new Set((await this.manifests.list()).map(({ id }) => id));
    for (const { store, id } of found) {
      // A file that is open belongs to a model that is being begun.
      if (!known.has(id)) await store.delete(id).catch(() => undefined);
    }
  }

  close(): void {
    for (const store of this.stores.values()) store.close();
    this.manifests.close();
  }

  private storeOf(manifest: Manifest): ChunkStore | undefined {
    return this.stores.get(manifest.store);
  }

  private async reconciled(manifest: Manifest): Promise<Manifest> {
    const present = (await this.storeOf(manifest)?.present(manifest)) ?? new Set();
    manifest.hashes = manifest.hashes.map((hash, index) => (present.has(index) ? hash : null));
    if (isComplete(manifest)) return manifest;
    const pieces = await this.manifests.pieces(manifest.id);
    const partial = recordedParts(pieces.filter(({ index }) => manifest.hashes[index] === null));
    // A file may be shortened or gone although its records are there.
    const store = this.storeOf(manifest);
    const end = store instanceof OpfsStore ? await store.fileSize(manifest.id) : manifest.size;
    for (const [index, length] of Object.entries(partial)) {
      if (Number(index) * manifest.chunkBytes + length > end) delete partial[Number(index)];
    }
    manifest.partial = partial;
    return manifest;
  }

  private async checkRoom(needed: number): Promise<void> {
    const free = await this.room(needed);
    if (free !== null && free < needed) throw quotaError(needed, free);
  }

  /** How many of `needed` bytes could be stored; `null` if that is unknown. */
  private async room(needed: number): Promise<number | null> {
    if (this.preferred === "memory") return null;
    const opfs = this.stores.get("opfs");
    if (opfs instanceof OpfsStore && OpfsStore.unwritable() === undefined) {
      try {
        return await opfs.room(needed);
      } catch (error) {
        // No room even for a file's name, or files cannot be written after all.
        if (isQuotaError(error)) return 0;
      }
    }
    return (await storageRoom()).free;
  }

  /** If OPFS fails after all (private windows, a locked file), IndexedDB replaces it. */
  private async prepare(manifest: Manifest): Promise<StoreKind> {
    if (this.preferred === "opfs") {
      try {
        await this.stores.get("opfs")?.prepare(manifest);
      } catch (error) {
        this.preferred = "indexeddb";
        this.reason = (error as Error).message;
      }
    }
    return this.preferred;
  }

  private async dropChunks(manifest: Manifest): Promise<void> {
    // Files that cannot be deleted now (another tab still reads them) are deleted later.
    await this.storeOf(manifest)
      ?.delete(manifest.id)
      .catch(() => undefined);
    await this.deletePieces(manifest);
  }

  /** Deletes the pieces' records of a model in a file; IndexedDB has deleted its own. Leftovers are deleted later. */
  private async deletePieces({ id, store }: Manifest): Promise<void> {
    if (store === "opfs") await this.manifests.deletePieces(id).catch(() => undefined);
  }
}

/** IndexedDB and, if there is one, the private file system; and why the latter cannot be written, if so. */
async function lastingStores(db: Database, folder: string | undefined) {
  const stores = new Map<StoreKind, ChunkStore>([["indexeddb", new IndexedDbStore(db)]]);
  let reason = OpfsStore.unwritable();
  try {
    stores.set("opfs", await OpfsStore.open(folder));
  } catch (error) {
    reason ??= (error as Error).message;
  }
  return { stores, reason };
}

function isQuotaError(error: unknown): boolean {
  return error instanceof ChordError && error.code === "storage-quota";
}
