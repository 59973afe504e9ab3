/** Where models are kept between visits. */

/** Bytes of one stored chunk (the last one of a model may be shorter). */
export const CHUNK_BYTES = 16 * 1024 * 1024;

/** What is stored of one model. */
export interface Manifest {
  /** Address of the model without its fragment. */
  key: string;
  /** Bytes of the whole file. */
  size: number;
  /** Bytes of a chunk. */
  chunkBytes: number;
  /** ETag or Last-Modified of the file these chunks belong to, where it was readable. */
  validator: string | null;
  /** SHA-256 of each stored chunk in hexadecimal; `null` where the chunk is not there yet. */
  hashes: (string | null)[];
  /** Milliseconds since 1970. */
  createdAt: number;
}

/** Keeps chunks of bytes and a manifest for each model. */
export interface ChunkStore {
  manifest(key: string): Promise<Manifest | undefined>;
  /** Starts a model afresh: what was there under its key is dropped. */
  begin(manifest: Manifest): Promise<void>;
  /** Stores a chunk and then, when its bytes are safe, its hash. */
  putChunk(key: string, index: number, bytes: Uint8Array<ArrayBuffer>, hash: string): Promise<void>;
  chunk(key: string, index: number): Promise<Blob | undefined>;
  list(): Promise<Manifest[]>;
  /** True when there was something to delete. */
  delete(key: string): Promise<boolean>;
}

/** Number of chunks of a file. */
export function chunkCount(size: number, chunkBytes: number): number {
  return Math.ceil(size / chunkBytes);
}

/** First byte and length of a chunk. */
export function chunkRange(size: number, chunkBytes: number, index: number): { start: number; length: number } {
  const start = index * chunkBytes;
  return { start, length: Math.min(chunkBytes, size - start) };
}

/** Every chunk is stored. */
export function isComplete(manifest: Manifest): boolean {
  return manifest.hashes.every((hash) => hash !== null);
}

/** Bytes stored. */
export function storedBytes({ size, chunkBytes, hashes }: Manifest): number {
  let bytes = 0;
  hashes.forEach((hash, index) => {
    if (hash !== null) bytes += chunkRange(size, chunkBytes, index).length;
  });
  return bytes;
}

/** SHA-256 in hexadecimal. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
