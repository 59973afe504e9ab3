import { free } from "../download/buffers.js";
import { ChordError } from "../errors.js";
import { BusyTime } from "../download/busy-time.js";
import { CHUNK_BYTES, chunkRange } from "../store/store.js";
import type { IoTimes, ModelFile, StoreReport } from "./source.js";

/** A file the visitor chose, read in place: only the wanted chunks are ever in memory. */
export class BlobFile implements ModelFile {
  readonly size: number;
  readonly fromCache = true;
  private readonly reading = new BusyTime();

  constructor(
    private readonly blob: Blob,
    readonly chunkBytes = CHUNK_BYTES,
  ) {
    this.size = blob.size;
  }

  /** The file behind a handle that the visitor gave the page before. */
  static async ofHandle(handle: FileSystemFileHandle, chunkBytes?: number): Promise<BlobFile> {
    try {
      return new BlobFile(await handle.getFile(), chunkBytes);
    } catch (cause) {
      throw unreadable(handle.name, {}, cause);
    }
  }

  get times(): IoTimes {
    return { readMs: this.reading.ms, hashMs: 0 };
  }

  async chunk(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const { start, length } = chunkRange(this.size, this.chunkBytes, index);
    let bytes: ArrayBuffer;
    try {
      bytes = await this.reading.during(() => this.blob.slice(start, start + length).arrayBuffer());
    } catch (cause) {
      throw unreadable(this.blob instanceof File ? this.blob.name : "The file", { offset: start }, cause);
    }
    if (bytes.byteLength !== length) {
      throw new ChordError(
        "file-unreadable",
        `The file ends at byte ${start + bytes.byteLength}, ${start + length} were expected. Choose it again.`,
        { offset: start, expected: length, found: bytes.byteLength },
      );
    }
    return new Uint8Array(bytes);
  }

  recycle(buffer: ArrayBuffer): void {
    // A Blob allocates a new buffer each time.
    free(buffer);
  }

  noteHeader(): void {}

  finish(): Promise<StoreReport> {
    return Promise.resolve({ kind: "file", complete: true, networkBytes: 0 });
  }

  close(): void {}
}

function unreadable(name: string, details: Record<string, unknown>, cause: unknown): ChordError {
  const message = `${name} cannot be read (${String(cause)}). Choose it again.`;
  return new ChordError("file-unreadable", message, { name, ...details }, { cause });
}
