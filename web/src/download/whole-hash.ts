import { createSHA256, type IHasher } from "hash-wasm";

/**
 * SHA-256 of the whole file, from chunks as they come. Web Crypto hashes only what is there as a whole, so this one is
 * computed in WebAssembly, and only where a hash is known to compare it with.
 */
export class WholeHash {
  private done = 0;

  private constructor(
    readonly expected: string,
    private readonly hasher: IHasher,
  ) {}

  static async create(expected: string): Promise<WholeHash> {
    return new WholeHash(expected, await createSHA256());
  }

  /** The chunk that is to come next. */
  get next(): number {
    return this.done;
  }

  /** Takes a chunk if it is the next one. */
  offer(index: number, bytes: Uint8Array): void {
    if (index !== this.done) return;
    this.hasher.update(bytes);
    this.done++;
  }

  /** The hash of all chunks, in hexadecimal. Once. */
  found(): string {
    return this.hasher.digest("hex");
  }
}
