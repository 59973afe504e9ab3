import type { ModelStore } from "../store/model-store.js";
import { type Manifest, type Piece, pieceBytes, sha256 } from "../store/store.js";

/** The most pieces that are recorded together, where several have come meanwhile. */
const PIECES_AT_ONCE = 16;

/** A chunk that is being filled. */
interface Filling {
  bytes: Uint8Array<ArrayBuffer>;
  filled: number;
  recorded: number;
  /** It is no longer being filled. */
  left: boolean;
  working: Promise<void> | undefined;
}

/**
 * Records chunks while they are filled, in pieces with a hash each, so that a page that ends loses the piece in flight
 * and not the chunk. Only a caller that is about to reuse a chunk's buffer waits for it.
 */
export class ChunkProgress {
  private readonly chunks = new Map<number, Filling>();
  private readonly step: number;
  private stopped = false;

  /** `onRecorded` is called for each piece. */
  constructor(
    private readonly store: ModelStore,
    private readonly manifest: Manifest,
    private readonly onRecorded: () => void,
  ) {
    this.step = pieceBytes(manifest.chunkBytes);
  }

  /** Fills the beginning of a chunk from its recorded pieces; returns the number of bytes. */
  async restore(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<number> {
    if (!this.manifest.partial?.[index]) return 0;
    const recorded = await this.store.pieces(this.manifest, index, bytes).catch(() => 0);
    this.manifest.partial[index] = recorded;
    if (!this.stopped) this.chunks.set(index, { bytes, filled: recorded, recorded, left: false, working: undefined });
    return recorded;
  }

  /** The first `filled` bytes of a chunk are there. */
  reached(index: number, bytes: Uint8Array<ArrayBuffer>, filled: number): void {
    // Memory does not outlive the page.
    if (this.stopped || this.manifest.store === "memory") return;
    let chunk = this.chunks.get(index);
    if (chunk?.bytes !== bytes) {
      chunk = { bytes, filled: 0, recorded: 0, left: false, working: undefined };
      this.chunks.set(index, chunk);
    }
    chunk.filled = Math.max(chunk.filled, filled);
    // A complete chunk is recorded as a whole.
    if (filled === bytes.length) chunk.left = true;
    chunk.working ??= this.record(index, chunk).finally(() => (chunk.working = undefined));
  }

  /** Resolves when the chunk's buffer is not read any more. */
  async leave(index: number): Promise<void> {
    const chunk = this.chunks.get(index);
    if (!chunk) return;
    chunk.left = true;
    await chunk.working;
    if (this.chunks.get(index) === chunk) this.chunks.delete(index);
  }

  /** The chunk is stored as a whole: its pieces are no longer needed. */
  whole(index: number): void {
    const { partial } = this.manifest;
    if (!partial || !(index in partial)) return;
    delete partial[index];
    this.store.dropPieces(this.manifest, index).catch(() => undefined);
  }

  /** Records nothing more. */
  stop(): void {
    this.stopped = true;
  }

  /** Stores the data of pieces, then records them, as long as there are any. */
  private async record(index: number, chunk: Filling): Promise<void> {
    const { manifest, step } = this;
    const due = () => Math.floor((chunk.filled - chunk.recorded) / step);
    while (!this.stopped && !chunk.left && due() > 0) {
      const from = chunk.recorded;
      const count = Math.min(PIECES_AT_ONCE, due());
      try {
        const pieces = await Promise.all(
          Array.from({ length: count }, async (_, piece): Promise<Piece> => {
            const start = from + piece * step;
            const hash = await sha256(chunk.bytes.subarray(start, start + step));
            return { index, start, length: step, hash };
          }),
        );
        if (this.stopped || chunk.left) return;
        await this.store.putPieces(manifest, from, chunk.bytes.subarray(from, from + count * step), pieces);
      } catch {
        // Storing the whole chunk will report the failure.
        return this.stop();
      }
      chunk.recorded = from + count * step;
      (manifest.partial ??= {})[index] = chunk.recorded;
      this.onRecorded();
    }
  }
}
