import type { ModelStore } from "../store/model-store.js";
import { chunkRange, type Manifest, sha256 } from "../store/store.js";
import type { BufferPool } from "./buffers.js";
import { BusyTime } from "./busy-time.js";

/** Chunks of one model in the store: checked when they are read, hashed when they are written. */
export class StoredChunks {
  /** Chunks whose stored bytes were right when they were read or written. */
  private readonly verified = new Set<number>();
  readonly reading = new BusyTime();
  readonly hashing = new BusyTime();

  constructor(
    private readonly store: ModelStore,
    private readonly manifest: Manifest,
    private readonly buffers: BufferPool,
  ) {}

  /** A chunk in a lent buffer; `undefined` where it is missing, short, altered or cannot be read. */
  async read(index: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const { store, manifest, buffers } = this;
    const hash = manifest.hashes[index];
    if (!hash) return undefined;
    const { length } = chunkRange(manifest.size, manifest.chunkBytes, index);
    const into = buffers.borrow(length);
    let bytes: Uint8Array<ArrayBuffer> | undefined = into;
    try {
      bytes = await this.reading.during(() => store.chunk(manifest, index, into));
      if (bytes && bytes.buffer !== into.buffer) {
        // Chunks stored as bytes arrive in a new buffer.
        buffers.back(into.buffer);
        buffers.adopt();
      }
      if (bytes && (this.verified.has(index) || (await this.hash(bytes)) === hash)) {
        this.verified.add(index);
        return bytes;
      }
    } catch {
      // A chunk that cannot be read is fetched again.
    }
    buffers.back((bytes ?? into).buffer);
    return undefined;
  }

  /** Data, flush, record. */
  async write(index: number, bytes: Uint8Array<ArrayBuffer>, hash: string): Promise<void> {
    await this.store.putChunk(this.manifest, index, bytes, hash);
    this.verified.add(index);
  }

  hash(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
    return this.hashing.during(() => sha256(bytes));
  }

  forget(index: number): void {
    this.manifest.hashes[index] = null;
    this.verified.delete(index);
  }

  forgetAll(): void {
    this.manifest.hashes.fill(null);
    this.verified.clear();
  }
}
