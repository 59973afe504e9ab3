/** A fixed number of chunk buffers, used again and again: a download takes the same memory whatever the file's size. */
export class BufferPool {
  private out = 0;
  private readonly spares: ArrayBuffer[] = [];
  private readonly waiting: (() => void)[] = [];

  /** `most` buffers at once are filled or written; those that were lent are not counted. */
  constructor(private readonly most: number) {}

  /** Room for `length` bytes, as soon as there is a buffer. */
  async take(length: number): Promise<Uint8Array<ArrayBuffer>> {
    while (this.out >= this.most) await new Promise<void>((go) => this.waiting.push(go));
    this.out++;
    return this.fresh(length);
  }

  /** A buffer that is not counted: one that came back, or a new one. */
  fresh(length: number): Uint8Array<ArrayBuffer> {
    const fitting = this.spares.findIndex((buffer) => buffer.byteLength === length);
    return new Uint8Array(fitting < 0 ? new ArrayBuffer(length) : this.spares.splice(fitting, 1)[0]!);
  }

  /** Gives a buffer back. */
  give(buffer: ArrayBuffer): void {
    this.spare(buffer);
    this.lend();
  }

  /** A buffer that was taken is somebody else's from now on. */
  lend(): void {
    this.out--;
    this.waiting.shift()?.();
  }

  /** A buffer that is not counted comes in. */
  spare(buffer: ArrayBuffer): void {
    if (buffer.byteLength === 0) return;
    if (this.spares.length < this.most) this.spares.push(buffer);
    else free(buffer);
  }
}

/** Gives memory back at once where the browser can, and not when it next looks for garbage. */
export function free(buffer: ArrayBuffer): void {
  (buffer as { transfer?: (length: number) => ArrayBuffer }).transfer?.(0);
}
