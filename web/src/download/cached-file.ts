import { ChordError } from "../errors.js";
import type { IoTimes, ModelFile, RemoteBody, RemoteSource, StoreReport } from "../source/source.js";
import type { Manifest } from "../store/store.js";
import { AnnouncedHash } from "./announced-hash.js";
import { Arrivals } from "./arrivals.js";
import { BufferPool } from "./buffers.js";
import { CONNECTIONS, Download } from "./download.js";
import { Gate } from "./gate.js";
import { type Opened, openFile } from "./opening.js";
import type { CachedFileOptions, OpeningOptions } from "./options.js";
import { StallWatch } from "./stall.js";
import { StoredCopy } from "./stored-copy.js";
import { TabRole } from "./tab-role.js";
import { ModelTabs } from "./tabs.js";
import { Unstored } from "./unstored.js";

export type { Arrived, CachedFileOptions } from "./options.js";

/**
 * A remote file behind the store: a chunk comes from the store, else from the network, and is stored on the way. Stored
 * chunks are checked against their hash before they are used, and fetched again when they are missing, short or
 * altered.
 */
export class CachedFile implements ModelFile {
  readonly size: number;
  readonly chunkBytes: number;
  private readonly manifest: Manifest;
  private readonly buffers: BufferPool;
  private readonly copy: StoredCopy;
  private readonly arrivals: Arrivals;
  private readonly role: TabRole;
  private readonly unstored: Unstored;
  /** Set until the hash is compared. */
  private announced: AnnouncedHash | undefined;
  private first: RemoteBody | undefined;
  private download: Download | undefined;
  /** Pending reads of chunks that are not stored. */
  private fetching = 0;
  private finished = false;

  private constructor(
    private readonly source: RemoteSource,
    private readonly options: OpeningOptions,
    { role, manifest, tabs, first, wholeHash }: Opened,
  ) {
    const { store, readOnly = false, watch } = options;
    this.manifest = manifest;
    this.size = manifest.size;
    this.chunkBytes = manifest.chunkBytes;
    this.first = first;
    this.buffers = new BufferPool((options.connections ?? CONNECTIONS) + 1);
    this.unstored = new Unstored(this.buffers);
    this.copy = new StoredCopy(manifest, store, readOnly, this.buffers, {
      recorded: () => watch.alive(),
      stopped: () => this.download?.onlyWanted(),
      refused: () => this.role.endWriting(),
    });
    this.arrivals = new Arrivals(this.size, this.copy.missing, (arrived) => {
      watch.alive();
      options.onArrived?.(arrived);
      this.role.tellProgress(arrived.bytes);
    });
    if (wholeHash) {
      this.announced = new AnnouncedHash(wholeHash, manifest.hashes.length, {
        has: (index) => this.copy.has(index),
        read: (index) => this.fromStore(index),
        recycle: (buffer) => this.recycle(buffer),
      });
    }
    this.role = new TabRole(role, tabs, this.copy, this.arrivals, watch, {
      download: () => void this.downloading(),
      isIntact: (index) => this.isIntact(index),
      connect: () => new ModelTabs(manifest.key, options.locks),
    });
  }

  /** Opens the file. A model that is stored completely touches no network. */
  static async open(key: string, source: RemoteSource, options: CachedFileOptions = {}): Promise<CachedFile> {
    const { gate = new Gate() } = options;
    const watch = options.watch ?? new StallWatch(source.url, gate, options.stallMs);
    const opening = CachedFile.openWatched(key, source, { ...options, gate, watch });
    return options.watch ? opening : watch.during(opening);
  }

  private static async openWatched(key: string, source: RemoteSource, options: OpeningOptions): Promise<CachedFile> {
    const opened = await openFile(key, source, options);
    const file = new CachedFile(source, options, opened);
    if (opened.isNew && !(await file.copy.begin())) file.role.endWriting();
    if (opened.role === "writer") file.role.begin();
    return file;
  }

  get fromCache(): boolean {
    return this.copy.missing.size === 0 && this.arrivals.fromNetwork === 0;
  }

  get times(): IoTimes {
    return this.copy.times;
  }

  async chunk(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const count = this.manifest.hashes.length;
    if (!Number.isInteger(index) || index < 0 || index >= count) {
      throw new ChordError("internal", `chunk ${index} of a file of ${count} chunks`);
    }
    return this.options.watch.during(this.whole(index));
  }

  recycle(buffer: ArrayBuffer): void {
    this.buffers.back(buffer);
  }

  noteHeader(bytes: number): void {
    // Not awaited: it only spares a later look at the model the network.
    void this.copy.update({ headerBytes: bytes });
  }

  async finish(): Promise<StoreReport> {
    const { copy, options, manifest, arrivals } = this;
    try {
      await options.watch.during(this.fetchRest());
    } catch (error) {
      // The model is loaded all the same; the next load continues the download.
      copy.fail(error);
    }
    // Not awaited: it only records which models were used least recently.
    void copy.update({ lastUsed: Date.now() });
    const notCompared = await this.compareHash();
    // The comparison reads chunks, and may find one altered.
    const { complete } = copy;
    this.finished = true;
    this.download?.stop(new ChordError("internal", "the download has finished"));
    this.download = undefined;
    this.role.finish();
    if (copy.refused) await this.role.asWriter(() => copy.giveRoomBack());
    this.buffers.release();
    this.unstored.release();
    const { store } = options;
    const report: StoreReport = {
      kind: store ? (complete ? manifest.store : store.kind) : "none",
      complete,
      networkBytes: arrivals.fromNetwork,
    };
    const why = copy.failure?.message ?? notCompared ?? store?.why;
    if (why !== undefined) report.why = why;
    if (copy.failure) report.error = copy.failure;
    return report;
  }

  close(): void {
    this.announced?.stop();
    this.copy.pieces?.stop();
    this.download?.stop(new ChordError("internal", "the file is closed"));
    this.first?.cancel();
    this.role.close();
  }

  private async whole(index: number): Promise<Uint8Array<ArrayBuffer>> {
    for (;;) {
      const here = this.unstored.take(index) ?? (await this.fromStore(index)) ?? (await this.fetch(index));
      if (here) return here;
    }
  }

  /** A chunk from the network; `undefined` where it may have been stored meanwhile. */
  private async fetch(index: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const { copy, unstored } = this;
    this.fetching++;
    try {
      if (!(await this.role.mayDownload(index))) return undefined;
      // It may have come while the store was asked.
      if (unstored.has(index) || copy.has(index)) return undefined;
      const fetched = await this.fromNetwork((download) => download.want(index));
      return copy.refused && !copy.has(index) ? unstored.read(index, fetched) : fetched;
    } finally {
      this.fetching--;
      // After the load this tab writes only while a chunk is being read.
      if (this.finished && this.fetching === 0) this.role.endRepair();
    }
  }

  /** Fetches the chunks that the engine has not read. */
  private async fetchRest(): Promise<void> {
    const { copy, role } = this;
    while (!this.finished && copy.keeping && !copy.failure && copy.missing.size > 0) {
      const [index] = copy.missing;
      if (await role.mayDownload(index!)) await this.fromNetwork((download) => download.whole());
    }
  }

  private async fromStore(index: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const bytes = await this.copy.read(index);
    if (bytes) this.arrivals.count(index, bytes.length, 0);
    return bytes;
  }

  private async isIntact(index: number): Promise<boolean> {
    const bytes = await this.fromStore(index);
    if (bytes) this.recycle(bytes.buffer);
    return bytes !== undefined;
  }

  private async fromNetwork<T>(work: (download: Download) => Promise<T>): Promise<T> {
    try {
      return await work(this.downloading());
    } catch (error) {
      const changed = error instanceof ChordError && error.code === "source-changed";
      if (changed && this.copy.keeping) await this.copy.remove();
      throw error;
    }
  }

  private downloading(): Download {
    if (!this.download) {
      const { buffers, options, first, copy, arrivals } = this;
      const { gate, watch, connections, retry } = options;
      const { missing, pieces } = copy;
      this.first = undefined;
      this.download = new Download(
        this.source,
        this.manifest,
        {
          ...{ missing, gate, watch, buffers, all: copy.keeping && !this.finished },
          ...(connections === undefined ? {} : { connections }),
          ...(retry === undefined ? {} : { retry }),
          ...(pieces ? { restore: (index, bytes) => pieces.restore(index, bytes) } : {}),
          onBytes: (index, filled, count, bytes) => {
            pieces?.reached(index, bytes, filled);
            arrivals.count(index, filled, count);
          },
          left: async (index) => pieces?.leave(index),
          deliver: (index, bytes) => this.take(index, bytes),
          hold: (index, bytes) => {
            this.unstored.keep(index, bytes);
            this.role.wake();
          },
        },
        first,
      );
    }
    return this.download;
  }

  /** Stores a chunk from the network before it is handed out. False where it could not be stored. */
  private async take(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<boolean> {
    const { copy, role } = this;
    await copy.pieces?.leave(index);
    this.announced?.offer(index, bytes);
    const hash = await copy.write(index, bytes);
    if (hash !== undefined) role.tellRecorded(index, hash);
    copy.missing.delete(index);
    this.announced?.catchUp();
    this.arrivals.tell();
    return hash !== undefined;
  }

  /** Compares the file with its announced hash, and deletes it where they differ. Returns why it was not compared. */
  private async compareHash(): Promise<string | undefined> {
    const result = await this.announced?.compare();
    if (result === undefined) return undefined;
    if (result === "unread") return "the SHA-256 of the file was not compared: not all of it was read, or kept";
    this.announced = undefined;
    if (result === "equal") {
      await this.copy.update({ fileHash: this.options.sha256 ?? null });
      return undefined;
    }
    await this.copy.remove();
    const { url, expected, found } = result;
    const message = `The SHA-256 of ${url} is ${found}, expected ${expected}. Load again.`;
    throw new ChordError("hash-mismatch", message, { ...result });
  }
}
