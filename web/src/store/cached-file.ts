import type { Gate } from "../download/gate.js";
import { ChordError, type ErrorRecord, toErrorRecord } from "../errors.js";
import type { StoreReport } from "../protocol.js";
import type { ModelFile, RemoteBody, RemoteSource } from "../source/source.js";
import type { ModelStore } from "./model-store.js";
import { chunkRange, isComplete, type Manifest, newManifest, sha256 } from "./store.js";

/** Chunks held in memory: the one being read, its neighbour at a window's edge, and the one read ahead. */
const CHUNKS_IN_MEMORY = 3;

/** Bytes that have come so far, each byte of the file counted once. */
export interface Arrived {
  bytes: number;
  /** Of these, over the network. */
  networkBytes: number;
  /** Nothing more is to come over the network. */
  networkDone: boolean;
}

/** What a {@link CachedFile} works with. */
export interface CachedFileOptions {
  /** Without a store nothing is kept. */
  store?: ModelStore | undefined;
  chunkBytes?: number;
  /** While it is shut nothing is downloaded. */
  gate?: Gate;
  onArrived?: (arrived: Arrived) => void;
  /** Becomes the only writer of a model's chunks until the returned function is called; `undefined` if another is. */
  lock?: (key: string) => Promise<(() => void) | undefined>;
  /** Bytes that the browser would still store. */
  freeBytes?: () => Promise<number | undefined>;
}

/**
 * A remote file behind the store: a read is served from memory, else from the store, else from the network, whose bytes
 * are stored on the way. Stored chunks are checked against their hash before they are used, and fetched again when they
 * are missing, short or altered.
 */
export class CachedFile implements ModelFile {
  readonly size: number;
  private readonly chunkBytes: number;
  private readonly store: ModelStore | undefined;
  /** Chunks in memory or on their way, oldest first. */
  private readonly chunks = new Map<number, Promise<Uint8Array<ArrayBuffer>>>();
  /** Downloads run one after the other, on one connection where they are neighbours. */
  private downloads: Promise<unknown> = Promise.resolve();
  /** Writes to the store, in order. */
  private writes: Promise<void> = Promise.resolve();
  /** Chunks that must still come over the network. */
  private readonly missing: Set<number>;
  /** Chunks whose bytes have been counted. */
  private readonly counted = new Set<number>();
  private bytes = 0;
  private networkBytes = 0;
  private release: (() => void) | undefined;
  private mayWrite: Promise<boolean> | undefined;
  private notKept: ErrorRecord | undefined;

  private constructor(
    private readonly source: RemoteSource,
    private readonly manifest: Manifest,
    private body: RemoteBody | undefined,
    private readonly options: CachedFileOptions,
  ) {
    this.size = manifest.size;
    this.chunkBytes = manifest.chunkBytes;
    this.store = options.store;
    this.missing = new Set(manifest.hashes.flatMap((hash, index) => (hash === null ? [index] : [])));
  }

  /** Opens the file. A model that is stored completely touches no network. */
  static async open(key: string, source: RemoteSource, options: CachedFileOptions = {}): Promise<CachedFile> {
    const { store } = options;
    const stored = await store?.manifest(key);
    if (stored && isComplete(stored)) return new CachedFile(source, stored, undefined, options);

    const wanted = stored ? stored.hashes.indexOf(null) * stored.chunkBytes : 0;
    let body = await source.open(wanted).catch((error: unknown) => {
      // The file has become shorter than what is stored of it.
      if (wanted > 0 && isRangeRefused(error)) return source.open(0);
      throw error;
    });
    if (stored && stored.size === body.size && sameFile(validatorOf(stored), body.validator)) {
      return new CachedFile(source, stored, body, options);
    }
    if (body.position !== 0) {
      body.cancel();
      body = await source.open(0);
    }
    const { chunkBytes } = options;
    const manifest = newManifest({
      ...{ key, size: body.size, ...validators(body.validator) },
      ...(chunkBytes === undefined ? {} : { chunkBytes }),
    });
    const file = new CachedFile(source, manifest, body, options);
    await file.beginStoring();
    return file;
  }

  /** True when the file needs no network. */
  get fromCache(): boolean {
    return this.missing.size === 0 && this.networkBytes === 0;
  }

  async readInto(offset: number, target: Uint8Array): Promise<void> {
    if (offset < 0 || offset + target.length > this.size) {
      throw new ChordError("internal", `read of ${target.length} bytes at ${offset} of a file of ${this.size}`);
    }
    let filled = 0;
    while (filled < target.length) {
      const at = offset + filled;
      const index = Math.floor(at / this.chunkBytes);
      const chunk = await this.chunk(index);
      const piece = chunk.subarray(at - index * this.chunkBytes).subarray(0, target.length - filled);
      target.set(piece, filled);
      filled += piece.length;
      this.readAhead(index + 1);
    }
  }

  /**
   * Fetches what nobody read (tensors that the model's program does not use), so that the stored file is whole; waits
   * for the store, frees the memory and says what became of the file, which can still be read.
   */
  async finish(): Promise<StoreReport> {
    await this.downloads;
    try {
      for (const index of [...this.missing]) if (this.store && !this.notKept) await this.obtain(index);
    } catch (error) {
      // The model is loaded all the same; the next load goes on here.
      this.notKept = toErrorRecord(error);
    }
    this.body?.cancel();
    this.body = undefined;
    this.chunks.clear();
    await this.writes;
    this.release?.();
    this.release = undefined;
    const lasting = this.store !== undefined && this.store.kind !== "memory";
    const complete = lasting && this.notKept === undefined && isComplete(this.manifest);
    const report: StoreReport = {
      kind: this.store ? (complete ? this.manifest.store : this.store.kind) : "none",
      complete,
      networkBytes: this.networkBytes,
    };
    const why = this.notKept?.message ?? this.store?.why;
    if (why !== undefined) report.why = why;
    return report;
  }

  /** Drops the connection and everything in memory. */
  close(): void {
    this.body?.cancel();
    this.body = undefined;
    this.chunks.clear();
    this.release?.();
    this.release = undefined;
  }

  private chunk(index: number): Promise<Uint8Array<ArrayBuffer>> {
    let chunk = this.chunks.get(index);
    if (chunk === undefined) {
      chunk = this.obtain(index);
      chunk.catch(() => this.chunks.delete(index));
    }
    // To the young end of the map.
    this.chunks.delete(index);
    this.chunks.set(index, chunk);
    for (const oldest of this.chunks.keys()) {
      if (this.chunks.size <= CHUNKS_IN_MEMORY) break;
      this.chunks.delete(oldest);
    }
    return chunk;
  }

  private readAhead(index: number): void {
    if (index < this.manifest.hashes.length && !this.chunks.has(index)) {
      // A failure is told to the read that wants the chunk: it tries again.
      this.chunk(index).catch(() => undefined);
    }
  }

  private async obtain(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const stored = await this.fromStore(index);
    if (stored) return stored;
    const download = this.downloads.then(() => this.download(index));
    this.downloads = download.catch(() => undefined);
    return download;
  }

  /** A stored chunk, if it is what was stored. */
  private async fromStore(index: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const hash = this.manifest.hashes[index];
    if (!this.store || !hash) return undefined;
    const { length } = this.range(index);
    try {
      const bytes = await this.store.chunk(this.manifest, index);
      if (bytes && (await sha256(bytes)) === hash) {
        this.count(index, length);
        return bytes;
      }
    } catch {
      // What cannot be read is fetched again.
    }
    this.manifest.hashes[index] = null;
    this.missing.add(index);
    return undefined;
  }

  private async download(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const { start, length } = this.range(index);
    await this.options.gate?.opened();
    let body = await this.bodyAt(start);
    while (body.position < start) {
      // No ranges: what lies before is downloaded too, and stored.
      await this.take(body, Math.floor(body.position / this.chunkBytes));
      body = this.body ?? (await this.bodyAt(start));
    }
    if (body.position !== start) throw new ChordError("internal", `at byte ${body.position}, ${start} wanted`);
    const bytes = await this.take(body, index);
    if (bytes.length !== length) throw new ChordError("internal", `chunk ${index} has ${bytes.length} bytes`);
    return bytes;
  }

  /** A connection from which byte `start` can be read on, perhaps after others. */
  private async bodyAt(start: number): Promise<RemoteBody> {
    const current = this.body;
    if (current && (current.position === start || (current.position < start && !current.ranged))) return current;
    current?.cancel();
    this.body = undefined;
    const body = await this.source.open(start);
    if (body.size !== this.size || !sameFile(validatorOf(this.manifest), body.validator)) {
      body.cancel();
      await this.store?.delete(this.manifest.key).catch(() => undefined);
      throw new ChordError("source-changed", "The file changed on the server while it was being read. Load again.", {
        expected: this.size,
        found: body.size,
      });
    }
    this.body = body;
    return body;
  }

  /** The next chunk of the connection, on its way to the store. */
  private async take(body: RemoteBody, index: number): Promise<Uint8Array<ArrayBuffer>> {
    const { length } = this.range(index);
    const bytes = new Uint8Array(length);
    const before = this.bytes;
    const fresh = !this.counted.has(index);
    try {
      await body.fill(bytes, (count) => {
        this.networkBytes += count;
        if (fresh) this.bytes += count;
        this.tell();
      });
    } catch (error) {
      this.bytes = before;
      body.cancel();
      this.body = undefined;
      throw error;
    }
    if (body.position >= this.size) this.body = undefined;
    this.counted.add(index);
    this.missing.delete(index);
    this.tell();
    await this.keep(index, bytes);
    return bytes;
  }

  /** Stores a chunk while the next one is being downloaded; at most one write is under way. */
  private async keep(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const { store } = this;
    if (!store || this.manifest.hashes[index]) return;
    await this.writes;
    if (this.notKept || !(await this.writable())) return;
    this.writes = (async () => {
      await store.putChunk(this.manifest, index, bytes, await sha256(bytes));
    })().catch((error: unknown) => this.stopStoring(error));
  }

  private async beginStoring(): Promise<void> {
    const { store, manifest } = this;
    if (!store) return;
    try {
      if (!(await this.writable())) return;
      const free = await this.options.freeBytes?.();
      if (free !== undefined && free < manifest.size) {
        throw new ChordError(
          "storage-quota",
          `The model needs ${manifest.size} bytes of the browser's storage, ${free} are free: it is not kept`,
          { needed: manifest.size, free },
        );
      }
      await store.begin(manifest);
    } catch (error) {
      this.notKept = toErrorRecord(error);
    }
  }

  private writable(): Promise<boolean> {
    this.mayWrite ??= (async () => {
      if (!this.options.lock) return true;
      this.release = await this.options.lock(this.manifest.key);
      if (this.release) return true;
      this.notKept = { code: "storage-failed", message: "Another tab is storing this model" };
      return false;
    })();
    return this.mayWrite;
  }

  /** The model still loads; what has been stored of it would only take the space. */
  private async stopStoring(error: unknown): Promise<void> {
    this.notKept = toErrorRecord(error);
    await this.store?.delete(this.manifest.key).catch(() => undefined);
  }

  private count(index: number, length: number): void {
    if (this.counted.has(index)) return;
    this.counted.add(index);
    this.bytes += length;
    this.tell();
  }

  private tell(): void {
    const { bytes, networkBytes } = this;
    this.options.onArrived?.({ bytes, networkBytes, networkDone: this.missing.size === 0 });
  }

  private range(index: number): { start: number; length: number } {
    return chunkRange(this.size, this.chunkBytes, index);
  }
}

function isRangeRefused(error: unknown): boolean {
  return error instanceof ChordError && error.code === "http-status" && error.details["status"] === 416;
}

function validators(validator: string | null): { etag: string | null; lastModified: string | null } {
  const isEtag = validator !== null && /^(W\/)?"/.test(validator);
  return { etag: isEtag ? validator : null, lastModified: isEtag ? null : validator };
}

function validatorOf({ etag, lastModified }: Manifest): string | null {
  return etag ?? lastModified;
}

/** Two validators may belong to one file: they are equal, or one of them is hidden by another origin. */
function sameFile(a: string | null, b: string | null): boolean {
  return a === null || b === null || a === b;
}
