import type { Arrived } from "./options.js";

/** Counts the bytes of a file that have come, each byte once, and reports the count. */
export class Arrivals {
  /** Bytes that have come of each chunk. */
  private readonly filled = new Map<number, number>();
  private counted = 0;
  /** The count of the tab that downloads the file, which includes chunks that this tab has yet to read. */
  private ofWriter = 0;
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
      this.counted += filled - before;
    }
    this.tell();
  }

  /** Notes the count of the tab that downloads the file, which is reported while it is the higher one. */
  countOfWriter(bytes: number): void {
    const isHigher = bytes > this.bytes;
    this.ofWriter = Math.max(this.ofWriter, bytes);
    if (isHigher) this.tell();
  }

  /** Reports the count as it is. */
  tell(): void {
    const { bytes, networkBytes } = this;
    const networkDone = this.missing.size === 0 || bytes === this.size;
    this.report({ bytes, networkBytes, networkDone });
  }

  private get bytes(): number {
    return Math.max(this.counted, this.ofWriter);
  }
}
