import { ChordError, type ErrorRecord, toErrorRecord } from "../errors.js";
import type { IoTimes, StoreReport } from "../protocol.js";
import { type ModelFile, type RemoteBody, type RemoteSource, sameFile } from "../source/source.js";
import type { ModelStore } from "../store/model-store.js";
import { chunkRange, hasHeader, isComplete, type Manifest, newManifest } from "../store/store.js";
import { BufferPool } from "./buffers.js";
import { ChunkProgress } from "./chunk-progress.js";
import { CONNECTIONS, Download } from "./download.js";
import { Gate } from "./gate.js";
import type { CachedFileOptions } from "./options.js";
import { firstMissingByte, isExpected, Probe } from "./probe.js";
import { pause, RETRY, retrying } from "./retry.js";
import { StallWatch } from "./stall.js";
import { StoredChunks } from "./stored-chunks.js";
import { ModelTabs, type TabMessage, untilWriting } from "./tabs.js";
import { Unstored } from "./unstored.js";
import { WholeHash } from "./whole-hash.js";

export type { Arrived, CachedFileOptions } from "./options.js";

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
  private readonly progress: ChunkProgress | undefined;
  private readonly gate: Gate;
  private readonly watch: StallWatch;
  private readonly buffers: BufferPool;
  private readonly missing: Set<number>;
  /** Bytes that have come of each chunk. */
  private readonly arrived = new Map<number, number>();
  private readonly waiting: (() => void)[] = [];
  private readonly unstored: Unstored;
  /** The repair of a chunk that is under way. */
  private repair: Promise<unknown> = Promise.resolve();
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
  /** The storage has refused. What it has already is read on. */
  private storageFailed = false;
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
    this.watch = options.watch ?? new StallWatch(source.url, this.gate, options.stallMs);
    this.buffers = new BufferPool((options.connections ?? CONNECTIONS) + 1);
    this.unstored = new Unstored(this.buffers);
    this.stored = this.store && new StoredChunks(this.store, manifest, this.buffers);
    if (this.store && this.keeping) {
      this.progress = new ChunkProgress(this.store, manifest, () => this.watch.alive());
    }
    this.missing = new Set(manifest.hashes.flatMap((hash, index) => (hash === null ? [index] : [])));
    if (options.sha256 !== manifest.fileHash) this.wholeHash = options.wholeHash;
    this.adopt(tabs);
    if (role === "follower") {
      // What was recorded between the reading of the manifest and now was told to nobody.
      void this.refresh();
      // What another tab has stored of the file is on its way here as well.
      void this.takeOver();
    }
  }

  /** Opens the file. A model that is stored completely touches no network. */
  static async open(key: string, source: RemoteSource, options: CachedFileOptions = {}): Promise<CachedFile> {
    if (options.watch) return CachedFile.openWatched(key, source, options);
    const { gate = new Gate(), stallMs } = options;
    const watch = new StallWatch(source.url, gate, stallMs);
    return watch.during(CachedFile.openWatched(key, source, { ...options, gate, watch }));
  }

  private static async openWatched(key: string, source: RemoteSource, options: CachedFileOptions): Promise<CachedFile> {
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
    const manifest = await untilWriting(tabs, options.watch, async (id) => {
      const found = await store.manifest(key);
      return found?.id === id ? found : undefined;
    });
    return manifest && new CachedFile(source, manifest, options, "follower", tabs);
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
    const { gate = new Gate(), retry = RETRY, watch } = options;
    const wanted = stored ? firstMissingByte(stored) : 0;
    const probe = new Probe(source, stored?.chunkBytes ?? options.chunkBytes);
    let body = await retrying(() => probe.open(wanted), gate, retry, watch);
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
      body = await retrying(() => probe.open(0), gate, retry, watch);
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
    return this.watch.during(this.whole(index));
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
      await this.watch.during(this.fetchRest());
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
    if (this.storageFailed) await this.giveRoomBack();
    this.buffers.release();
    this.unstored.release();
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
    this.progress?.stop();
    this.download?.stop(new ChordError("internal", "the file is closed"));
    this.first?.cancel();
    this.tabs?.close();
    this.wake();
  }

  private async whole(index: number): Promise<Uint8Array<ArrayBuffer>> {
    for (;;) {
      const here = this.unstored.take(index);
      if (here) return here;
      const stored = await this.fromStore(index);
      if (stored) return stored;
      if (!(await this.mayDownload(index))) continue;
      // It may have come while the store was asked.
      const cameMeanwhile =
        this.unstored.has(index) || (this.stored !== undefined && this.manifest.hashes[index] !== null);
      if (cameMeanwhile) continue;
      const fetched = await this.fromNetwork((download) => download.want(index));
      return this.storageFailed && this.manifest.hashes[index] === null ? this.unstored.read(index, fetched) : fetched;
    }
  }

  /** Fetches what nobody read. */
  private async fetchRest(): Promise<void> {
    while (this.keeping && !this.notKept && this.missing.size > 0) {
      if (this.role === "follower") await this.change();
      else if (await this.mayDownload([...this.missing][0]!)) await this.fromNetwork((download) => download.whole());
    }
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
        this.repair = this.repair.catch(() => undefined).then(() => this.mayRepair(index));
        return this.repair as Promise<boolean>;
    }
  }

  /** A chunk of a model that was whole is not any more: only one tab repairs it, and that one chunk after the other. */
  private async mayRepair(index: number): Promise<boolean> {
    const { manifest, store } = this;
    if (this.role === "writer") return true;
    if (!this.tabs) this.adopt((this.tabs = new ModelTabs(manifest.key, this.options.locks)));
    if (!(await this.tabs.waitToWrite())) throw new ChordError("internal", "the file is closed");
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
    if (!tabs || !(await tabs.waitToWrite().catch(() => false)) || this.closed) return;
    // The tab that ended may still be letting go of the file.
    const read = () => store?.manifest(manifest.key);
    const fresh = await read()
      ?.catch(() => pause(AGAIN_MS).then(read))
      .catch(() => undefined);
    if (fresh?.id === manifest.id) {
      fresh.hashes.forEach((hash, index) => this.recorded(index, hash));
      manifest.partial = fresh.partial ?? {};
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

  /** Reads what the tab that writes has recorded so far. */
  private async refresh(): Promise<void> {
    const { manifest, store } = this;
    const fresh = await store?.manifest(manifest.key).catch(() => undefined);
    if (fresh?.id !== manifest.id || this.role !== "follower") return;
    fresh.hashes.forEach((hash, index) => {
      if (hash !== null) this.recorded(index, hash);
    });
    this.wake();
  }

  private adopt(tabs: ModelTabs | undefined): void {
    if (!tabs) return;
    tabs.state = { id: this.manifest.id, bytes: 0 };
    tabs.onMessage = (message) => this.hear(message);
    // As long as another tab answers, it is at work.
    this.watch.onLook = () => {
      if (this.role === "follower") tabs.post({ type: "hello" });
    };
  }

  /** This tab writes: it tells the others, and starts. */
  private begun(): void {
    if (this.tabs?.writing) this.tabs.tell();
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
      // After the load nobody waits for this tab to go on.
      if (this.finished) this.repaired();
      throw error;
    }
  }

  private downloading(): Download {
    if (!this.download) {
      const { missing, gate, watch, buffers, options, first, progress } = this;
      this.first = undefined;
      this.download = new Download(
        this.source,
        this.manifest,
        {
          ...{ missing, gate, watch, buffers, all: this.keeping },
          ...(options.connections === undefined ? {} : { connections: options.connections }),
          ...(options.retry === undefined ? {} : { retry: options.retry }),
          ...(progress ? { restore: (index, bytes) => progress.restore(index, bytes) } : {}),
          onBytes: (index, filled, count, bytes) => {
            progress?.reached(index, bytes, filled);
            this.count(index, filled, count);
          },
          left: async (index) => progress?.leave(index),
          deliver: (index, bytes) => this.take(index, bytes),
          hold: (index, bytes) => {
            this.unstored.keep(index, bytes);
            this.wake();
          },
        },
        first,
      );
    }
    return this.download;
  }

  /** A chunk from the network: data, flush, record, and only then anybody else. False where it could not be stored. */
  private async take(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<boolean> {
    await this.progress?.leave(index);
    this.wholeHash?.offer(index, bytes);
    let isStored = false;
    if (this.keeping && this.stored) {
      try {
        const hash = await this.stored.hash(bytes);
        // Another chunk may have found the storage full meanwhile.
        if (this.keeping) {
          await this.stored.write(index, bytes, hash);
          isStored = true;
          this.progress?.whole(index);
          this.tabs?.post({ type: "recorded", id: this.manifest.id, index, hash });
        }
      } catch (error) {
        this.stopStoring(error);
      }
    }
    this.missing.delete(index);
    this.watch.alive();
    this.catchUp();
    this.tell();
    if (this.finished && this.missing.size === 0) this.repaired();
    return isStored;
  }

  private repaired(): void {
    if (this.role === "writer") this.role = "reader";
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

  /**
   * The model still loads. What has been stored of it is read before its room is given back, for no byte is to come
   * over the network twice; and another tab may have more luck.
   */
  private stopStoring(error: unknown): void {
    if (!this.keeping) return;
    this.notKept = toErrorRecord(error);
    this.storageFailed = true;
    this.keeping = false;
    this.progress?.stop();
    this.download?.onlyWanted();
    this.tabs?.endWriting();
  }

  /** What could not be stored as a whole takes no room, unless another tab is at it. */
  private async giveRoomBack(): Promise<void> {
    const { store, manifest, tabs } = this;
    if (!store || (tabs && !(await tabs.tryWrite()))) return;
    try {
      const fresh = await store.manifest(manifest.key);
      if (fresh?.id !== manifest.id || isComplete(fresh)) return;
      await store.delete(manifest.key);
      this.dropped();
    } catch {
      // A later load begins afresh, or goes on.
    } finally {
      tabs?.endWriting();
    }
  }

  /** Nothing is stored any more, nor will be. */
  private dropped(): void {
    this.keeping = false;
    this.progress?.stop();
    this.stored?.forgetAll();
    this.download?.onlyWanted();
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
    this.watch.alive();
    if (message.type === "hello") return;
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
    this.watch.alive();
    if (filled > before) {
      this.arrived.set(index, filled);
      this.bytes = Math.min(this.size, this.bytes + filled - before);
    }
    this.tell();
  }

  private tell(): void {
    const { bytes, networkBytes } = this;
    const networkDone = this.missing.size === 0 || bytes === this.size;
    this.options.onArrived?.({ bytes, networkBytes, networkDone });
    this.tabs?.progress(bytes);
  }

  /** Resolves when another tab has stored something, or has ended. */
  private change(): Promise<void> {
    return new Promise((wake) => this.waiting.push(wake));
  }

  private wake(): void {
    for (const wake of this.waiting.splice(0)) wake();
  }
}

/** What could not be read is read again so much later. */
const AGAIN_MS = 100;
