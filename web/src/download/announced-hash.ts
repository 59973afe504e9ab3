import type { Mismatch, WholeHash } from "./whole-hash.js";

/** The stored chunks that an {@link AnnouncedHash} reads. */
export interface ReadableChunks {
  /** The chunk is stored. */
  has(index: number): boolean;
  /** A stored chunk; `undefined` where it is altered or gone. */
  read(index: number): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Returns the buffer of a chunk. */
  recycle(buffer: ArrayBuffer): void;
}

/** Compares a file of `count` chunks with the hash that it was announced with. */
export class AnnouncedHash {
  private catchingUp: Promise<void> | undefined;
  private stopped = false;

  constructor(
    private readonly hash: WholeHash,
    private readonly count: number,
    private readonly chunks: ReadableChunks,
  ) {}

  /** Hashes a chunk from the network if it is the next one in order. */
  offer(index: number, bytes: Uint8Array): void {
    this.hash.offer(index, bytes);
  }

  /** Hashes stored chunks that came out of order, or in an earlier visit, as far as they follow without a gap. */
  catchUp(): void {
    this.catchingUp ??= this.hashStored().finally(() => (this.catchingUp = undefined));
  }

  /** Compares the hashes: `unread` where some chunk could not be hashed. */
  async compare(): Promise<"equal" | "unread" | Mismatch> {
    this.catchUp();
    await this.catchingUp;
    if (this.hash.next < this.count) return "unread";
    return this.hash.finish() ?? "equal";
  }

  /** Reads no more chunks. */
  stop(): void {
    this.stopped = true;
  }

  private async hashStored(): Promise<void> {
    const { hash, chunks } = this;
    while (!this.stopped && chunks.has(hash.next)) {
      const index = hash.next;
      const bytes = await chunks.read(index);
      if (!bytes) return;
      hash.offer(index, bytes);
      chunks.recycle(bytes.buffer);
    }
  }
}
