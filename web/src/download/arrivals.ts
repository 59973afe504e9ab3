import type { Arrived } from "./options.js";

/** Counts the bytes of a file that have come, each byte once, and reports the count. */
export class Arrivals {
  /** Bytes that have come of each chunk. */
  private readonly filled = new Map<number, number>();
  private bytes = 0;
  private networkBytes = 0;

  /** `missing`: the chunks that are still to be fetched. */
  constructor(
    private readonly size: number,
    private readonly missing: ReadonlySet<number>,
    private readonly report: (arrived: Arrived) => void,
  ) {}

  /** Bytes that came over the network. */
  get fromNetwork(): number {
    return this.networkBytes;
  }

  /** Counts `filled` bytes of a chunk, `networkBytes` of which have just come over the network. */
  count(index: number, filled: number, networkBytes: number): void {
    this.networkBytes += networkBytes;
    const before = this.filled.get(index) ?? 0;
    if (filled > before) {
      this.filled.set(index, filled);
      this.bytes = Math.min(this.size, this.bytes + filled - before);
    }
    this.tell();
  }

  /** Takes over the count of the tab that downloads the file, if that count is higher. */
  countOfWriter(bytes: number): void {
    if (bytes <= this.bytes) return;
    this.bytes = bytes;
    this.tell();
  }

  /** Reports the count as it is. */
  tell(): void {
    const { bytes, networkBytes } = this;
    const networkDone = this.missing.size === 0 || bytes === this.size;
    this.report({ bytes, networkBytes, networkDone });
  }
}
