/** Chunks that the engine worker has or waits for at once: the one that it reads, and the next ones. */
export const LENT = 3;

/**
 * Chunk buffers, which are reused: a load needs the same memory whatever the file's size. There are never more than
 * `most` that are filled or written, {@link LENT} that are lent, and spares up to the sum of both.
 */
export class BufferPool {
  private out = 0;
  private lent = 0;
  private readonly spares: ArrayBuffer[] = [];
  private readonly waiting: (() => void)[] = [];

  /** At most `most` buffers are filled or written at once; lent ones are not counted. */
  constructor(private readonly most: number) {}

  /** Room for `length` bytes, as soon as there is a buffer. */
  async take(length: number): Promise<Uint8Array<ArrayBuffer>> {
    while (this.out >= this.most) await new Promise<void>((go) => this.waiting.push(go));
    this.out++;
    try {
      return this.room(length);
    } catch (error) {
      this.out--;
      this.waiting.shift()?.();
      throw error;
    }
  }

  /** Returns a buffer. */
  give(buffer: ArrayBuffer): void {
    this.out--;
    this.keep(buffer);
    this.waiting.shift()?.();
  }

  /** Lends a buffer until it comes {@link back}. */
  lend(): void {
    this.out--;
    this.lent++;
    this.waiting.shift()?.();
  }

  /** A buffer of `length` bytes to lend, at once. */
  borrow(length: number): Uint8Array<ArrayBuffer> {
    this.lent++;
    return this.room(length);
  }

  /** Counts a buffer that was made elsewhere as lent. */
  adopt(): void {
    this.lent++;
    this.trim();
  }

  /** Accepts a buffer that was lent. */
  back(buffer: ArrayBuffer): void {
    this.lent--;
    this.keep(buffer);
  }

  /** Frees unused buffers. */
  release(): void {
    for (const buffer of this.spares.splice(0)) free(buffer);
  }

  private room(length: number): Uint8Array<ArrayBuffer> {
    const fitting = this.spares.findIndex((buffer) => buffer.byteLength === length);
    if (fitting >= 0) return new Uint8Array(this.spares.splice(fitting, 1)[0]!);
    // Spares of another length, such as that of the last chunk, would be too many now.
    this.trim();
    return new Uint8Array(length);
  }

  private keep(buffer: ArrayBuffer): void {
    if (buffer.byteLength > 0) this.spares.push(buffer);
  }

  private trim(): void {
    while (this.out + this.lent + this.spares.length > this.most + LENT && this.spares.length > 0) {
      free(this.spares.shift()!);
    }
  }
}

/** Releases memory at once where the browser can, instead of at the next garbage collection. */
export function free(buffer: ArrayBuffer): void {
  (buffer as { transfer?: (length: number) => ArrayBuffer }).transfer?.(0);
}
