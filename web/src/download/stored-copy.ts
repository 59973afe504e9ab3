import { ChordError, type ErrorRecord, toErrorRecord } from "../errors.js";
import type { IoTimes } from "../source/source.js";
import type { ModelStore } from "../store/model-store.js";
import { isComplete, type Manifest, type ManifestChanges } from "../store/store.js";
import type { BufferPool } from "./buffers.js";
import { ChunkProgress } from "./chunk-progress.js";
import { StoredChunks } from "./stored-chunks.js";

/** What a {@link StoredCopy} reports to its owner. */
export interface StorageEvents {
  /** A piece of a chunk was recorded. */
  recorded: () => void;
  /** Nothing is stored from now on, whatever the cause. */
  stopped: () => void;
  /** The storage has refused a chunk, after which this tab no longer needs the right to write. */
  refused: () => void;
}

/** The stored copy of one file: reads and writes chunks, and stops writing once the storage refuses. */
export class StoredCopy {
  /** Chunks that are still to be fetched. */
  readonly missing: Set<number>;
  /** Records chunks while they are filled. */
  readonly pieces: ChunkProgress | undefined;
  private readonly chunks: StoredChunks | undefined;
  private isKeeping: boolean;
  private hasRefused = false;
  private error: ErrorRecord | undefined;

  /** Without a store nothing is kept; with `readOnly` nothing is added. */
  constructor(
    readonly manifest: Manifest,
    private readonly store: ModelStore | undefined,
    readOnly: boolean,
    buffers: BufferPool,
    private readonly events: StorageEvents,
  ) {
    this.isKeeping = store !== undefined && !readOnly;
    this.chunks = store && new StoredChunks(store, manifest, buffers);
    if (store && this.isKeeping) this.pieces = new ChunkProgress(store, manifest, events.recorded);
    this.missing = new Set(manifest.hashes.flatMap((hash, index) => (hash === null ? [index] : [])));
  }

  /** Downloaded chunks are stored. */
  get keeping(): boolean {
    return this.isKeeping;
  }

  /** The storage has refused a chunk. The chunks that are stored can still be read. */
  get refused(): boolean {
    return this.hasRefused;
  }

  /** Why the file is not kept as a whole. */
  get failure(): ErrorRecord | undefined {
    return this.error;
  }

  /** The whole file is stored, and stays. */
  get complete(): boolean {
    return this.isKeeping && this.error === undefined && isComplete(this.manifest);
  }

  get times(): IoTimes {
    return { readMs: this.chunks?.reading.ms ?? 0, hashMs: this.chunks?.hashing.ms ?? 0 };
  }

  /** The chunk is stored. */
  has(index: number): boolean {
    return this.chunks !== undefined && Boolean(this.manifest.hashes[index]);
  }

  /** A stored chunk; one that is missing or altered counts as missing from then on. */
  async read(index: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const hash = this.manifest.hashes[index];
    if (!this.chunks || !hash) return undefined;
    const bytes = await this.chunks.read(index);
    if (!bytes && this.manifest.hashes[index] === hash) {
      this.chunks.forget(index);
      this.missing.add(index);
    }
    return bytes;
  }

  /** Stores and records a chunk, and returns its hash; `undefined` where the chunk could not be stored. */
  async write(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<string | undefined> {
    if (!this.isKeeping || !this.chunks) return undefined;
    try {
      const hash = await this.chunks.hash(bytes);
      // Another chunk may have found the storage full meanwhile.
      if (!this.isKeeping) return undefined;
      await this.chunks.write(index, bytes, hash);
      this.pieces?.whole(index);
      return hash;
    } catch (error) {
      this.refuse(error);
      return undefined;
    }
  }

  /** Adopts another tab's record: a chunk's hash, or `null` for a chunk that is not stored. */
  note(index: number, hash: string | null): void {
    this.manifest.hashes[index] = hash;
    if (hash === null) this.missing.add(index);
    else this.missing.delete(index);
  }

  /** Removes an altered chunk from the record. */
  async forget(index: number): Promise<void> {
    this.missing.add(index);
    await this.store?.forgetChunk(this.manifest, index);
  }

  /** The manifest as it is in the store; `undefined` if the file was deleted or started over. */
  async fresh(): Promise<Manifest | undefined> {
    const { manifest } = this;
    const found = await this.store?.manifest(manifest.key);
    return found?.id === manifest.id ? found : undefined;
  }

  /** Changes the manifest. A failure is ignored: the file can be read all the same. */
  async update(changes: ManifestChanges): Promise<void> {
    if (this.isKeeping) await this.store?.update(this.manifest, changes).catch(() => undefined);
  }

  /** Begins a new file in the store. False where the storage refuses. */
  async begin(): Promise<boolean> {
    if (!this.store || !this.isKeeping) return true;
    try {
      await this.store.begin(this.manifest);
      return true;
    } catch (error) {
      this.fail(error);
      // The store may still have a part of an earlier state of the file, which is of no use.
      await this.remove();
      return false;
    }
  }

  /** Notes why the file is not kept as a whole. */
  fail(error: unknown): void {
    this.error = toErrorRecord(error);
  }

  /** Stores nothing more. Chunks that are stored can still be read. */
  stop(): void {
    this.isKeeping = false;
    this.pieces?.stop();
    this.events.stopped();
  }

  /** Another tab has removed the stored copy. Chunks that are still needed are fetched. */
  lost(): void {
    const message = "Another tab has given up storing this model, or it was deleted";
    this.error ??= toErrorRecord(new ChordError("storage-failed", message));
    this.drop();
  }

  /** Deletes the file from the store. */
  async remove(): Promise<void> {
    if (this.isKeeping) await this.store?.delete(this.manifest.key).catch(() => undefined);
    this.drop();
  }

  /** Deletes the part that was stored before the storage refused, unless the file was completed meanwhile. */
  async giveRoomBack(): Promise<void> {
    try {
      const fresh = await this.fresh();
      if (!fresh || isComplete(fresh)) return;
      await this.store?.delete(this.manifest.key);
      this.drop();
    } catch {
      // The next load starts over, or continues with the part.
    }
  }

  /**
   * The model still loads. The part that is stored stays until the end of the load: its chunks need not come over the
   * network again, and another tab that takes the download over may be able to store the rest.
   */
  private refuse(error: unknown): void {
    if (!this.isKeeping) return;
    this.fail(error);
    this.hasRefused = true;
    this.stop();
    this.events.refused();
  }

  /** Nothing is stored any more. */
  private drop(): void {
    this.chunks?.forgetAll();
    this.stop();
  }
}
