import { ChordError } from "../errors.js";
import type { ModelFile } from "./source.js";

/** A file the visitor chose, read in place: only the wanted slice is ever in memory. */
export class BlobFile implements ModelFile {
  readonly size: number;

  constructor(private readonly blob: Blob) {
    this.size = blob.size;
  }

  async readInto(offset: number, target: Uint8Array): Promise<void> {
    let bytes: ArrayBuffer;
    try {
      bytes = await this.blob.slice(offset, offset + target.length).arrayBuffer();
    } catch (cause) {
      const name = this.blob instanceof File ? this.blob.name : "The file";
      throw new ChordError("file-unreadable", `${name} can no longer be read. Choose it again.`, { offset }, { cause });
    }
    if (bytes.byteLength !== target.length) {
      throw new ChordError(
        "file-unreadable",
        `The file ends at byte ${offset + bytes.byteLength}, ${offset + target.length} were expected. Choose it again.`,
        { offset, expected: target.length, found: bytes.byteLength },
      );
    }
    target.set(new Uint8Array(bytes));
  }
}
