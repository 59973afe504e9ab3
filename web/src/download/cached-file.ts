import { ChordError, type ErrorRecord, toErrorRecord } from "../errors.js";
import type { IoTimes, StoreReport } from "../protocol.js";
import { type ModelFile, type RemoteBody, type RemoteSource, sameFile } from "../source/source.js";
import type { ModelStore } from "../store/model-store.js";
import { chunkRange, hasHeader, isComplete, type Manifest, newManifest } from "../store/store.js";
import { BufferPool } from "./buffers.js";
import { CONNECTIONS, Download, isRangeRefused } from "./download.js";
import { Gate } from "./gate.js";
import { RETRY, type RetryPolicy, retrying } from "./retry.js";
import { StoredChunks } from "./stored-chunks.js";
import { ModelTabs, type TabMessage } from "./tabs.js";
import { WholeHash } from "./whole-hash.js";

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
  /** What is stored is used, and nothing is added to it. */
  readOnly?: boolean | undefined;
  chunkBytes?: number | undefined;
  /** SHA-256 of the whole file in hexadecimal, where it is known. */
  sha256?: string | undefined;
  /** While it is shut nothing is downloaded. */
  gate?: Gate | undefined;
  connections?: number | undefined;
  retry?: RetryPolicy | undefined;
  onArrived?: ((arrived: Arrived) => void) | undefined;
  /** Made when the file is opened: of `sha256`, or of what the source knows of its parts. */
  wholeHash?: WholeHash | undefined;
  /** For tests; the browser's own where left out. */
  locks?: LockManager | undefined;
}

/**
 * What this file may do: read what is stored; download, and store that; or wait for another tab that does.
 */
type Role = "reader" | "writer" | "follower";

/**
 * A remote file behind the store: a chunk comes from the store, else from the network, and is stored on the way. Stored
 * chunks are checked against their hash before they are used, and fetched again when they are missing, short or altered.
 */
export class CachedFile implements ModelFile {
  readonly size: number;
  readonly chunkBytes: number;
  private readonly store: ModelStore | undefined;
  private readonly stored: StoredChunks | undefined;
  private readonly gate: Gate;
  private readonly buffers: BufferPool;
  private readonly missing: Set<number>;
  /** Bytes that have come of each chunk. */
  private readonly arrived = new Map<number, number>();
  private readonly waiting: (() => void)[] = [];
  /** As long as it is to be compared. */
  private wholeHash: WholeHash | undefined;
  private catchingUp: Promise<void> | undefined;
  private download: Download | undefined;
  private keeping: boolean;
  private bytes = 0;
  private networkBytes = 0;
  /** Why the announced hash was not compared. */
  private notCompared: string | undefined;
  private notKept: ErrorRecord | undefined;
  private closed = false;
  private finished = false;

  private constructor(
    private readonly source: RemoteSource,
    private readonly manifest: Manifest,
    private readonly options: CachedFileOptions,
    private role: Role,
    private tabs?: ModelTabs,
    private first?: RemoteBody,
  ) {
    this.size = manifest.size;
    this.chunkBytes = manifest.chunkBytes;
    this.store = options.store;
    this.keeping = this.store !== undefined && options.readOnly !== true;
    this.gate = options.gate ?? new Gate();
    this.buffers = new BufferPool((options.connections ?? CONNECTIONS) + 1);
    this.stored = this.store && new StoredChunks(this.store, manifest, this.buffers);
    this.missing = new Set(manifest.hashes.flatMap((hash, index) => (hash === null ? [index] : [])));
    if (options.sha256 !== manifest.fileHash) this.wholeHash = options.wholeHash;
    if (tabs) tabs.onMessage = (message) => this.hear(message);
    // What another tab has stored of the file is on its way here as well.
    if (role === "follower") void this.takeOver();
  }

  /** Opens the file. A model that is stored completely touches no network. */
  static async open(key: string, source: RemoteSource, options: CachedFileOptions = {}): Promise<CachedFile> {
    const { store, sha256: announced } = options;
    if (announced !== undefined && !options.readOnly) {
      const whole = { url: source.url, start: 0, end: Infinity, before: new Uint8Array(0), sha256: announced };
      options = { ...options, wholeHash: await WholeHash.create([whole]) };
    }
    const stored = await store?.manifest(key);
    // A header that is stored is read from there, and nothing else is asked for where nothing is to be added.
    const isEnough = stored && (isComplete(stored) || (options.readOnly && hasHeader(stored)));
    if (isEnough && isExpected(stored, options)) return new CachedFile(source, stored, options, "reader");
    if (!store || options.readOnly) return CachedFile.openRemote(key, source, options, stored);

    // What lies in memory is this tab's alone.
    if (store.kind === "memory") return CachedFile.openRemote(key, source, options, stored);

    const tabs = new ModelTabs(key, options.locks);
    try {
      if (!(await tabs.tryWrite())) {
        const followed = await CachedFile.follow(key, source, options, store, tabs);
        if (followed) return followed;
      }
      // The writer before may have stored it all meanwhile.
      return await CachedFile.openRemote(key, source, options, await store.manifest(key), tabs);
    } catch (error) {
      tabs.close();
      throw error;
    }
  }

  /** Opens a file that another tab is downloading, unless that one ends before. */
  private static async follow(
    key: string,
    source: RemoteSource,
    options: CachedFileOptions,
    store: ModelStore,
    tabs: ModelTabs,
  ): Promise<CachedFile | undefined> {
    const states: string[] = [];
    let wake: () => void = () => undefined;
    tabs.onMessage = (message) => {
      if (message.type === "state") states.push(message.id);
      wake();
    };
    const writing = tabs.waitToWrite().then(() => wake());
    tabs.post({ type: "hello" });
    for (;;) {
      if (tabs.writing) return writing.then(() => undefined);
      const id = states.pop();
      const manifest = id === undefined ? undefined : await store.manifest(key);
      if (manifest && manifest.id === id) return new CachedFile(source, manifest, options, "follower", tabs);
      if (states.length === 0 && !tabs.writing) await new Promise<void>((go) => (wake = go));
    }
  }

  private static async openRemote(
    key: string,
    source: RemoteSource,
    options: CachedFileOptions,
    stored: Manifest | undefined,
    tabs?: ModelTabs,
  ): Promise<CachedFile> {
    if (stored && isComplete(stored) && isExpected(stored, options)) {
      tabs?.endWriting();
      return new CachedFile(source, stored, options, "reader", tabs);
    }
    const { gate = new Gate(), retry = RETRY } = options;
    const firstMissing = stored?.hashes.indexOf(null) ?? -1;
    const wanted = stored && firstMissing >= 0 ? firstMissing * stored.chunkBytes : 0;
    const probe = new Probe(source, stored?.chunkBytes ?? options.chunkBytes);
    let body = await retrying(() => probe.open(wanted), gate, retry);
    // Of a file that is put together, what the parts are is known by now.
    const stretches = options.readOnly || options.wholeHash ? [] : ((await source.hashed?.()) ?? []);
    if (stretches.length > 0) options = { ...options, wholeHash: await WholeHash.create(stretches) };
    if (stored && stored.size === body.size && sameFile(stored, body) && isExpected(stored, options)) {
      const file = new CachedFile(source, stored, options, "writer", tabs, body);
      file.begun();
      return file;
    }
    if (body.position !== 0) {
      body.cancel();
      body = await retrying(() => probe.open(0), gate, retry);
    }
    const { size, etag, lastModified } = body;
    const chunkBytes = options.chunkBytes;
    const manifest = newManifest({
      key,
      size,
      etag,
      lastModified,
      ...(chunkBytes === undefined ? {} : { chunkBytes }),
    });
    const file = new CachedFile(source, manifest, options, "writer", tabs, body);
    await file.beginStoring();
    return file;
  }

  get fromCache(): boolean {
    return this.missing.size === 0 && this.networkBytes === 0;
  }

  get times(): IoTimes {
    const { stored } = this;
    return { readMs: stored?.reading.ms ?? 0, hashMs: stored?.hashing.ms ?? 0 };
  }

  async chunk(index: number): Promise<Uint8Array<ArrayBuffer>> {
    if (!Number.isInteger(index) || index < 0 || index >= this.manifest.hashes.length) {
      throw new ChordError("internal", `chunk ${index} of a file of ${this.manifest.hashes.length} chunks`);
    }
    for (;;) {
      const stored = await this.fromStore(index);
      if (stored) return stored;
      if (await this.mayDownload(index)) return this.fromNetwork((download) => download.want(index));
    }
  }

  recycle(buffer: ArrayBuffer): void {
    this.buffers.back(buffer);
  }

  noteHeader(bytes: number): void {
    // Not waited for: it spares a later look at the model the network, no more.
    if (this.keeping) this.store?.update(this.manifest, { headerBytes: bytes }).catch(() => undefined);
  }

  async finish(): Promise<StoreReport> {
    try {
      while (this.keeping && !this.notKept && this.missing.size > 0) {
        if (this.role === "follower") await this.change();
        else if (await this.mayDownload([...this.missing][0]!)) await this.fromNetwork((download) => download.whole());
      }
    } catch (error) {
      // The model is loaded all the same; the next load goes on here.
      this.notKept = toErrorRecord(error);
    }
    const complete = this.keeping && this.notKept === undefined && isComplete(this.manifest);
    // Not waited for: it says only how old the model is, should somebody want its room.
    if (this.keeping) this.store?.update(this.manifest, { lastUsed: Date.now() }).catch(() => undefined);
    await this.checkWhole();
    this.finished = true;
    this.download?.stop(new ChordError("internal", "the download has finished"));
    this.download = undefined;
    // A chunk that proves altered later is repaired under the lock, as in any model that was whole.
    if (this.role === "writer" && this.missing.size === 0) this.role = "reader";
    this.tabs?.endWriting();
    this.buffers.release();
    const report: StoreReport = {
      kind: this.store ? (complete ? this.manifest.store : this.store.kind) : "none",
      complete,
      networkBytes: this.networkBytes,
    };
    const why = this.notKept?.message ?? this.notCompared ?? this.store?.why;
    if (why !== undefined) report.why = why;
    if (this.notKept) report.error = this.notKept;
    return report;
  }

  close(): void {
    this.closed = true;
    this.download?.stop(new ChordError("internal", "the file is closed"));
    this.first?.cancel();
    this.tabs?.close();
    this.wake();
  }

  /** A stored chunk, if it is what was stored. */
  private async fromStore(index: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const hash = this.manifest.hashes[index];
    if (!this.stored || !hash) return undefined;
    const bytes = await this.stored.read(index);
    if (bytes) this.count(index, bytes.length, 0);
    else if (this.manifest.hashes[index] === hash) {
      this.stored.forget(index);
      this.missing.add(index);
    }
    return bytes;
  }

  /** Resolves with true when a chunk is this tab's to fetch, with false when it may have been stored meanwhile. */
  private async mayDownload(index: number): Promise<boolean> {
    if (this.closed) throw new ChordError("internal", "the file is closed");
    if (!this.keeping) return true;
    switch (this.role) {
      case "writer":
        return true;
      case "follower":
        if (this.manifest.hashes[index] === null) await this.change();
        return false;
      case "reader":
        return this.mayRepair(index);
    }
  }

  /** A chunk of a model that was whole is not any more: only one tab repairs it. */
  private async mayRepair(index: number): Promise<boolean> {
    const { manifest, store } = this;
    this.tabs ??= new ModelTabs(manifest.key, this.options.locks);
    await this.tabs.waitToWrite();
    const fresh = await store?.manifest(manifest.key);
    if (fresh?.id !== manifest.id) {
      this.keeping = false;
      this.tabs.endWriting();
      return true;
    }
    manifest.hashes[index] = fresh.hashes[index] ?? null;
    this.missing.delete(index);
    const repaired = await this.fromStore(index);
    if (repaired) {
      this.recycle(repaired.buffer);
      this.tabs.endWriting();
      return false;
    }
    this.missing.add(index);
    await store?.forgetChunk(manifest, index);
    this.role = "writer";
    return true;
  }

  /** Becomes the writer when the tab that is one ends. */
  private async takeOver(): Promise<void> {
    const { tabs, manifest, store } = this;
    if (!tabs || !(await tabs.waitToWrite()) || this.closed) return;
    const fresh = await store?.manifest(manifest.key).catch(() => undefined);
    if (fresh?.id === manifest.id) {
      fresh.hashes.forEach((hash, index) => this.recorded(index, hash));
    } else {
      // What was stored is gone: the file has changed, or there was no room. What is still needed is fetched.
      this.notKept ??= toErrorRecord(
        new ChordError("storage-failed", "Another tab has given up storing this model, or it was deleted"),
      );
      this.dropped();
    }
    this.role = this.missing.size === 0 ? "reader" : "writer";
    if (this.role === "reader" || !this.keeping) tabs.endWriting();
    else this.begun();
    this.wake();
  }

  /** This tab writes: it tells the others, and starts. */
  private begun(): void {
    this.tabs?.post({ type: "state", id: this.manifest.id, bytes: this.bytes });
    if (this.keeping) this.downloading();
  }

  private async fromNetwork<T>(work: (download: Download) => Promise<T>): Promise<T> {
    try {
      return await work(this.downloading());
    } catch (error) {
      if (error instanceof ChordError && error.code === "source-changed" && this.keeping) {
        await this.store?.delete(this.manifest.key).catch(() => undefined);
        this.dropped();
      }
      throw error;
    }
  }

  private downloading(): Download {
    if (!this.download) {
      const { missing, gate, buffers, options, first } = this;
      this.first = undefined;
      this.download = new Download(
        this.source,
        this.manifest,
        {
          ...{ missing, gate, buffers, all: this.keeping },
          ...(options.connections === undefined ? {} : { connections: options.connections }),
          ...(options.retry === undefined ? {} : { retry: options.retry }),
          onBytes: (index, filled, count) => this.count(index, filled, count),
          deliver: (index, bytes) => this.take(index, bytes),
        },
        first,
      );
    }
    return this.download;
  }

  /** A chunk from the network: data, flush, record, and only then anybody else. */
  private async take(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.wholeHash?.offer(index, bytes);
    if (this.keeping && this.stored) {
      try {
        const hash = await this.stored.hash(bytes);
        // Another chunk may have found the storage full meanwhile.
        if (this.keeping) {
          await this.stored.write(index, bytes, hash);
          this.tabs?.post({ type: "recorded", id: this.manifest.id, index, hash });
        }
      } catch (error) {
        await this.stopStoring(error);
      }
    }
    this.missing.delete(index);
    this.catchUp();
    this.tell();
    if (this.finished && this.missing.size === 0) this.repaired();
  }

  private repaired(): void {
    this.role = "reader";
    this.tabs?.endWriting();
  }

  private async beginStoring(): Promise<void> {
    const { store, manifest, keeping } = this;
    if (store && keeping) {
      try {
        await store.begin(manifest);
      } catch (error) {
        this.notKept = toErrorRecord(error);
        // A part of an earlier state of the file is of no use to anybody.
        await store.delete(manifest.key).catch(() => undefined);
        this.dropped();
        this.tabs?.endWriting();
      }
    }
    this.begun();
  }

  /** The model still loads; what has been stored of it would only take the space. */
  private async stopStoring(error: unknown): Promise<void> {
    if (!this.keeping) return;
    this.notKept = toErrorRecord(error);
    this.dropped();
    await this.store?.delete(this.manifest.key).catch(() => undefined);
    this.tabs?.endWriting();
  }

  /** Nothing is stored any more, nor will be. */
  private dropped(): void {
    this.keeping = false;
    this.stored?.forgetAll();
    if (this.download) this.download.all = false;
  }

  /** Hashes stored chunks that did not come in their order, or in an earlier visit. */
  private catchUp(): void {
    this.catchingUp ??= (async () => {
      const whole = this.wholeHash;
      for (;;) {
        if (!whole || this.closed || !this.manifest.hashes[whole.next]) return;
        const { next } = whole;
        const bytes = await this.fromStore(next);
        if (!bytes) return;
        whole.offer(next, bytes);
        this.recycle(bytes.buffer);
      }
    })().finally(() => (this.catchingUp = undefined));
  }

  /** Compares the whole file with the hash that it was announced with. */
  private async checkWhole(): Promise<void> {
    const { wholeHash: whole, manifest, options } = this;
    if (!whole) return;
    this.catchUp();
    await this.catchingUp;
    if (whole.next < manifest.hashes.length) {
      this.notCompared = "the SHA-256 of the file was not compared: not all of it was read, or kept";
      return;
    }
    this.wholeHash = undefined;
    const mismatch = whole.finish();
    if (!mismatch) {
      const fileHash = options.sha256 ?? null;
      if (this.keeping) await this.store?.update(manifest, { fileHash }).catch(() => undefined);
      else manifest.fileHash = fileHash;
      return;
    }
    if (this.keeping) await this.store?.delete(manifest.key).catch(() => undefined);
    this.dropped();
    const { url, expected, found } = mismatch;
    const message = `The SHA-256 of ${url} is ${found}, announced was ${expected}. Load again.`;
    throw new ChordError("hash-mismatch", message, { ...mismatch });
  }

  /** What another tab says. */
  private hear(message: TabMessage): void {
    if (message.type === "hello") {
      if (this.role === "writer" && this.tabs?.writing) {
        this.tabs.post({ type: "state", id: this.manifest.id, bytes: this.bytes });
      }
      return;
    }
    if (message.id !== this.manifest.id || this.role !== "follower") return;
    if (message.type === "recorded") {
      this.recorded(message.index, message.hash);
      this.count(message.index, chunkRange(this.size, this.chunkBytes, message.index).length, 0);
    } else if (message.bytes > this.bytes) {
      this.bytes = message.bytes;
      this.tell();
    }
    this.wake();
  }

  private recorded(index: number, hash: string | null): void {
    this.manifest.hashes[index] = hash;
    if (hash === null) this.missing.add(index);
    else this.missing.delete(index);
  }

  private count(index: number, filled: number, fromNetwork: number): void {
    this.networkBytes += fromNetwork;
    const before = this.arrived.get(index) ?? 0;
    if (filled > before) {
      this.arrived.set(index, filled);
      this.bytes = Math.min(this.size, this.bytes + filled - before);
    }
    this.tell();
  }

  private lastState = 0;

  private tell(): void {
    const { bytes, networkBytes } = this;
    const networkDone = this.missing.size === 0 || bytes === this.size;
    this.options.onArrived?.({ bytes, networkBytes, networkDone });
    const now = performance.now();
    if (!this.tabs?.writing || now - this.lastState < STATE_MS) return;
    this.lastState = now;
    this.tabs.post({ type: "state", id: this.manifest.id, bytes });
  }

  /** Resolves when another tab has stored something, or has ended. */
  private change(): Promise<void> {
    return new Promise((wake) => this.waiting.push(wake));
  }

  private wake(): void {
    for (const wake of this.waiting.splice(0)) wake();
  }
}

/** Other tabs hear of bytes this often. */
const STATE_MS = 200;

/** Opens a file of which only the address is known, at a byte. */
class Probe {
  constructor(
    private readonly source: RemoteSource,
    private readonly chunkBytes = newManifest({ key: "", size: 0 }).chunkBytes,
  ) {}

  /** From byte `start` on; from the beginning when the file has become shorter than that. */
  async open(start: number): Promise<RemoteBody> {
    try {
      return await this.source.open(start, start + this.chunkBytes);
    } catch (error) {
      if (start > 0 && isRangeRefused(error)) return this.source.open(0, this.chunkBytes);
      throw error;
    }
  }
}

/** What is stored is, as far as one can tell, the file whose hash was announced. */
function isExpected(manifest: Manifest, { sha256 }: CachedFileOptions): boolean {
  return sha256 === undefined || manifest.fileHash === null || manifest.fileHash === sha256;
}
