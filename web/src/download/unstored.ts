import type { BufferPool } from "./buffers.js";

/** How many of the chunks read last are kept. */
const RECENT = 2;

/**
 * Downloaded chunks that could not be stored: those that have not been read yet, and copies of the last ones that were
 * read, which may soon be requested again. No byte should be downloaded twice.
 */
export class Unstored {
  private readonly unread = new Map<number, Uint8Array<ArrayBuffer>>();
  private readonly recent = new Map<number, Uint8Array<ArrayBuffer>>();

  constructor(private readonly buffers: BufferPool) {}

  has(index: number): boolean {
    return this.unread.has(index) || this.recent.has(index);
  }

  /** Keeps a chunk, whose buffer counts as lent, until it is read. */
  keep(index: number, bytes: Uint8Array<ArrayBuffer>): void {
    this.unread.set(index, bytes);
  }

  /** A chunk that is here, in a lent buffer. */
  take(index: number): Uint8Array<ArrayBuffer> | undefined {
    const recent = this.recent.get(index);
    if (recent) {
      const copy = this.buffers.borrow(recent.length);
      copy.set(recent);
      return copy;
    }
    const bytes = this.unread.get(index);
    this.unread.delete(index);
    return bytes && this.read(index, bytes);
  }

  /** Notes a chunk that is being handed over. */
  read(index: number, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    for (const old of [...this.recent.keys()].slice(0, 1 - RECENT)) this.recent.delete(old);
    this.recent.set(index, bytes.slice());
    return bytes;
  }

  /** Frees what was read. */
  release(): void {
    this.recent.clear();
  }
}
