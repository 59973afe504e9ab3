import { createSHA256, type IHasher } from "hash-wasm";
import type { HashedStretch } from "../source/source.js";

/** A stretch whose hash is not the announced one. */
export interface Mismatch {
  url: string;
  expected: string;
  found: string;
}

/**
 * SHA-256 of the whole file, or of each part of a joined file, from chunks as they come. Web Crypto cannot hash
 * incrementally, so this is computed in WebAssembly, and only if there is a hash to compare with.
 */
export class WholeHash {
  private done = 0;
  private position = 0;
  /** The stretch that is being hashed, and whether it has begun. */
  private current = 0;
  private begun = false;
  private mismatch: Mismatch | undefined;

  private constructor(
    private readonly stretches: HashedStretch[],
    private readonly hasher: IHasher,
  ) {}

  /** `stretches`: sorted by their beginnings, without overlaps; one without an end extends to the file's end. */
  static async create(stretches: HashedStretch[]): Promise<WholeHash> {
    return new WholeHash(stretches, await createSHA256());
  }

  /** The chunk that is to come next. */
  get next(): number {
    return this.done;
  }

  /** Adds a chunk if it is the next one. */
  offer(index: number, bytes: Uint8Array): void {
    if (index !== this.done) return;
    const start = this.position;
    const end = (this.position += bytes.length);
    this.done++;
    for (;;) {
      const stretch = this.stretches[this.current];
      if (!stretch || stretch.start >= end) return;
      this.begin(stretch);
      this.hasher.update(bytes.subarray(Math.max(0, stretch.start - start), stretch.end - start));
      if (stretch.end > end) return;
      this.end(stretch);
    }
  }

  /** After all chunks: the first stretch, if any, whose hash is not the announced one. */
  finish(): Mismatch | undefined {
    for (let stretch; (stretch = this.stretches[this.current]);) {
      this.begin(stretch);
      this.end(stretch);
    }
    return this.mismatch;
  }

  private begin(stretch: HashedStretch): void {
    if (this.begun) return;
    this.begun = true;
    this.hasher.init().update(stretch.before);
    stretch.before = new Uint8Array(0);
  }

  private end({ url, sha256 }: HashedStretch): void {
    const found = this.hasher.digest("hex");
    if (found !== sha256) this.mismatch ??= { url, expected: sha256, found };
    this.current++;
    this.begun = false;
  }
}
