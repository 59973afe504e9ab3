/** What is known about a file before it is downloaded. */

import type { RemoteBody, RemoteSource } from "../source/source.js";
import { type Manifest, newManifest } from "../store/store.js";
import { isRangeRefused } from "./download.js";

/** Opens a file at a byte, when only its address is known. */
export class Probe {
  constructor(
    private readonly source: RemoteSource,
    private readonly chunkBytes = newManifest({ key: "", size: 0 }).chunkBytes,
  ) {}

  /** From byte `start` to the end of its chunk; from the beginning when the file has become shorter than that. */
  async open(start: number): Promise<RemoteBody> {
    try {
      return await this.source.open(start, start + this.chunkBytes - (start % this.chunkBytes));
    } catch (error) {
      if (start > 0 && isRangeRefused(error)) return this.source.open(0, this.chunkBytes);
      throw error;
    }
  }
}

/** The stored file is, as far as can be checked, the one whose hash was announced. */
export function isExpected(manifest: Manifest, { sha256 }: { sha256?: string | undefined }): boolean {
  return sha256 === undefined || manifest.fileHash === null || manifest.fileHash === sha256;
}

/** The first byte that is not recorded. */
export function firstMissingByte({ hashes, chunkBytes, partial = {} }: Manifest): number {
  const index = hashes.indexOf(null);
  return index < 0 ? 0 : index * chunkBytes + (partial[index] ?? 0);
}
