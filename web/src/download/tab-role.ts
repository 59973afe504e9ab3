import { ChordError } from "../errors.js";
import { chunkRange, type Manifest } from "../store/store.js";
import type { Arrivals } from "./arrivals.js";
import { pause } from "./retry.js";
import type { StallWatch } from "./stall.js";
import type { StoredCopy } from "./stored-copy.js";
import type { ModelTabs, TabMessage } from "./tabs.js";

/** A reader has a file that is stored; a writer downloads and stores it; a follower waits for another tab that does. */
export type Role = "reader" | "writer" | "follower";

/** How long after a failure the manifest is read again. */
const AGAIN_MS = 100;

/** What a {@link TabRole} asks of its owner. */
export interface RoleActions {
  /** Starts the download: this tab has become the writer. */
  download: () => void;
  /** Reads a stored chunk and says whether it is as it was stored. */
  isIntact: (index: number) => Promise<boolean>;
  /** Connects this tab with others that use the same file. */
  connect: () => ModelTabs;
}

/** The role of this tab among all tabs with the same file: follows the writer, takes over from it, repairs chunks. */
export class TabRole {
  private readonly waiting: (() => void)[] = [];
  /** The last repair in the queue. */
  private repair: Promise<unknown> = Promise.resolve();
  /** A repair waits for the right to write. */
  private queued = false;
  private closed = false;
  private loaded = false;

  /** Without `tabs` this tab is not connected to others; a repair connects it. */
  constructor(
    private role: Role,
    private tabs: ModelTabs | undefined,
    private readonly copy: StoredCopy,
    private readonly arrivals: Arrivals,
    private readonly watch: StallWatch,
    private readonly actions: RoleActions,
  ) {
    if (tabs) this.listen(tabs);
    if (role === "follower") {
      // This tab was not told of chunks recorded since it read the manifest.
      void this.refresh();
      void this.takeOver();
    }
  }

  /** Tells other tabs that this one writes, and starts the download. */
  begin(): void {
    if (this.tabs?.writing) this.tabs.tell();
    if (this.copy.keeping) this.actions.download();
  }

  /** Resolves with true when this tab is to fetch a chunk, with false when the chunk may have been stored meanwhile. */
  async mayDownload(index: number): Promise<boolean> {
    if (this.closed) throw closedError();
    if (!this.copy.keeping) return true;
    switch (this.role) {
      case "writer":
        return true;
      case "follower":
        if (!this.copy.has(index)) await this.change();
        return false;
      case "reader":
        this.repair = this.repair.catch(() => undefined).then(() => this.mayRepair(index));
        return this.repair as Promise<boolean>;
    }
  }

  /** Tells other tabs that this one has recorded a chunk. */
  tellRecorded(index: number, hash: string): void {
    this.tabs?.post({ type: "recorded", id: this.copy.manifest.id, index, hash });
  }

  /** Tells other tabs how many bytes of the file have come. */
  tellProgress(bytes: number): void {
    this.tabs?.progress(bytes);
  }

  /** Wakes the calls that wait for a chunk. */
  wake(): void {
    for (const wake of this.waiting.splice(0)) wake();
  }

  /** Lets another tab write. The role stays: what this tab still needs, it fetches itself. */
  endWriting(): void {
    this.tabs?.endWriting();
  }

  /** The load has ended: a writer of a file that is whole becomes a reader, which repairs chunks under the lock. */
  finish(): void {
    this.loaded = true;
    if (this.role === "writer" && this.copy.missing.size === 0) this.role = "reader";
    this.endWriting();
  }

  /** After the load: the last read that waited for a chunk has ended. */
  endRepair(): void {
    if (this.role === "writer" && this.tabs) this.role = "reader";
    this.endWriting();
  }

  /** Runs `work` as the writer, unless another tab writes. */
  async asWriter(work: () => Promise<void>): Promise<void> {
    if (this.tabs && !(await this.tabs.tryWrite())) return;
    try {
      await work();
    } finally {
      this.endWriting();
    }
  }

  close(): void {
    this.closed = true;
    this.tabs?.close();
    this.wake();
  }

  private listen(tabs: ModelTabs): void {
    tabs.state = { id: this.copy.manifest.id, bytes: 0 };
    tabs.onMessage = (message) => this.hear(message);
    // While the writer answers, it is at work.
    this.watch.onLook = () => {
      if (this.role === "follower" || this.queued) tabs.post({ type: "hello" });
    };
  }

  /** A follower adopts the writer's records and its count of bytes. */
  private hear(message: TabMessage): void {
    this.watch.alive();
    if (message.type === "hello") return;
    const { size, chunkBytes, id } = this.copy.manifest;
    if (message.id !== id || this.role !== "follower") return;
    if (message.type === "recorded") {
      this.copy.note(message.index, message.hash);
      this.arrivals.count(message.index, chunkRange(size, chunkBytes, message.index).length, 0);
    } else {
      this.arrivals.countOfWriter(message.bytes);
    }
    this.wake();
  }

  /** Reads the writer's records so far. */
  private async refresh(): Promise<void> {
    const fresh = await this.copy.fresh().catch(() => undefined);
    if (!fresh || this.role !== "follower") return;
    fresh.hashes.forEach((hash, index) => {
      if (hash !== null) this.copy.note(index, hash);
    });
    this.wake();
  }

  /** A follower becomes the writer when the writer's tab ends. */
  private async takeOver(): Promise<void> {
    const { tabs, copy } = this;
    if (!tabs || !(await tabs.waitToWrite().catch(() => false)) || this.closed) return;
    const fresh = await this.afterWriter();
    if (fresh) {
      fresh.hashes.forEach((hash, index) => copy.note(index, hash));
      copy.manifest.partial = fresh.partial ?? {};
    } else {
      copy.lost();
    }
    // After the load only chunks that are read are downloaded.
    this.role = this.loaded || copy.missing.size === 0 ? "reader" : "writer";
    if (this.role === "reader" || !copy.keeping) tabs.endWriting();
    else this.begin();
    this.wake();
  }

  /** The manifest as the last writer left it. A failed read is retried once: that tab may still be closing the file. */
  private async afterWriter(): Promise<Manifest | undefined> {
    const read = () => this.copy.fresh();
    return read()
      .catch(() => pause(AGAIN_MS).then(read))
      .catch(() => undefined);
  }

  /** A stored chunk is missing or altered: one tab at a time repairs it, one chunk after the other. */
  private async mayRepair(index: number): Promise<boolean> {
    const { copy } = this;
    if (this.role === "writer") return true;
    if (!this.tabs) this.listen((this.tabs = this.actions.connect()));
    this.queued = true;
    const mayWrite = await this.tabs.waitToWrite().finally(() => (this.queued = false));
    if (!mayWrite) throw closedError();
    const fresh = await copy.fresh();
    if (!fresh) {
      copy.stop();
      this.endWriting();
      return true;
    }
    // Another tab may have repaired it.
    copy.note(index, fresh.hashes[index] ?? null);
    if (await this.actions.isIntact(index)) {
      this.endWriting();
      return false;
    }
    await copy.forget(index);
    this.role = "writer";
    return true;
  }

  /** Resolves when the writer has stored something, or has ended. */
  private change(): Promise<void> {
    return new Promise((wake) => this.waiting.push(wake));
  }
}

function closedError(): ChordError {
  return new ChordError("internal", "the file is closed");
}
