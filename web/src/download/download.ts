import { ChordError } from "../errors.js";
import { withResolvers } from "../queue.js";
import { type RemoteBody, type RemoteSource, sameFile, type Validators } from "../source/source.js";
import { chunkRange } from "../store/store.js";
import type { BufferPool } from "./buffers.js";
import type { Gate } from "./gate.js";
import { pause, RETRY, retryDelay, type RetryPolicy } from "./retry.js";
import type { StallWatch } from "./stall.js";

/** Connections at once to a server that honours ranges. */
export const CONNECTIONS = 3;

/** The file that is downloaded. */
export interface RemoteFile extends Validators {
  size: number;
  chunkBytes: number;
}

/** What a {@link Download} works with. */
export interface DownloadOptions {
  /** Chunks that have not arrived yet; they are removed as they are delivered. */
  missing: Set<number>;
  /** Fetch every missing chunk, not only requested ones. */
  all: boolean;
  /** While it is shut nothing is fetched. */
  gate: Gate;
  /** Where chunks are filled. */
  buffers: BufferPool;
  connections?: number;
  retry?: RetryPolicy;
  /** Notified of what happens and what is in progress. */
  watch?: StallWatch;
  /**
   * Fills the beginning of a chunk with bytes of an earlier visit, and returns how many. They count as arrived, but not
   * as bytes from the network.
   */
  restore?: (index: number, bytes: Uint8Array<ArrayBuffer>) => Promise<number>;
  /** Called for each read: `filled` bytes of the chunk are there, of which `count` have just come from the network. */
  onBytes?: (index: number, filled: number, count: number, bytes: Uint8Array<ArrayBuffer>) => void;
  /** A chunk was given up before it was whole. Its buffer is used again when this resolves. */
  left?: (index: number) => Promise<void>;
  /**
   * Receives a complete chunk before those who requested it. Its bytes may be used until the promise is settled. False
   * when the chunk cannot be had again without the network.
   */
  deliver: (index: number, bytes: Uint8Array<ArrayBuffer>) => Promise<boolean | void>;
  /** Receives a chunk that was neither stored nor requested. Its buffer counts as lent. */
  hold?: (index: number, bytes: Uint8Array<ArrayBuffer>) => void;
}

/** A requested chunk. */
type Waiter = ReturnType<typeof withResolvers<Uint8Array<ArrayBuffer>>>;

/**
 * Fetches chunks of a remote file: first the requested ones, in the order of the requests, then the others from there
 * on. Each connection fetches one chunk at a time and resumes a broken one where it broke. A server without ranges is
 * read on one connection from its start.
 */
export class Download {
  private readonly wanted = new Map<number, Waiter[]>();
  /** Chunks that a connection is fetching, or that are being delivered. */
  private readonly claimed = new Set<number>();
  private readonly bodies = new Set<RemoteBody>();
  private readonly buffers: BufferPool;
  private readonly retry: RetryPolicy;
  private readonly ended: (() => void)[] = [];
  private readonly ignoreGate: () => void;
  private running = 0;
  private limit: number;
  /** Where the search for the next chunk begins if none is requested. */
  private cursor = 0;
  /** The host has sent bytes. */
  private answered = false;
  /** A body that can be read on where the last chunk ended. */
  private rest: RemoteBody | undefined;
  /** The one connection to a server without ranges is in use. */
  private streaming = false;
  private failure: unknown;
  /** The failure has been reported. */
  private told = true;
  private stopped = false;
  private all: boolean;

  /** `first`: the body that was opened to find out the file's size and validators. */
  constructor(
    private readonly source: RemoteSource,
    private readonly file: RemoteFile,
    private readonly options: DownloadOptions,
    first?: RemoteBody,
  ) {
    this.all = options.all;
    this.retry = options.retry ?? RETRY;
    this.limit = options.connections ?? CONNECTIONS;
    this.buffers = options.buffers;
    this.rest = first;
    if (first) {
      this.bodies.add(first);
      this.answered = true;
      if (!first.ranged) this.limit = 1;
      else if (options.gate.shut) this.drop(first);
    }
    this.ignoreGate = options.gate.subscribe(() => this.gateChanged());
    this.pump();
  }

  /** A chunk, however long it takes. The caller owns its buffer. */
  want(index: number): Promise<Uint8Array<ArrayBuffer>> {
    if (this.stopped) return Promise.reject(new ChordError("internal", `chunk ${index} is requested of a closed file`));
    // An earlier failure would otherwise be retried, and often fail in another way.
    if (!this.told) {
      this.told = true;
      return Promise.reject(this.failure);
    }
    const waiter: Waiter = withResolvers<Uint8Array<ArrayBuffer>>();
    const others = this.wanted.get(index);
    if (others) others.push(waiter);
    else this.wanted.set(index, [waiter]);
    this.options.missing.add(index);
    this.failure = undefined;
    this.pump();
    return waiter.promise;
  }

  /** From now on, fetches only what is requested. */
  onlyWanted(): void {
    this.all = false;
    // Calls that wait for the whole file would wait forever.
    this.wake();
  }

  /** Resolves when all chunks have come that are fetched without a request; rejects when the download gave up. */
  async whole(): Promise<void> {
    while (this.all && (this.options.missing.size > 0 || this.running > 0)) {
      if (this.failure !== undefined) {
        this.told = true;
        throw this.failure;
      }
      if (this.stopped) return;
      this.pump();
      await new Promise<void>((wake) => this.ended.push(wake));
    }
  }

  /** Closes every connection. Chunks that were not delivered reject with `reason`. */
  stop(reason: unknown): void {
    this.stopped = true;
    this.ignoreGate();
    for (const body of this.bodies) body.cancel();
    this.bodies.clear();
    this.fail(reason);
  }

  private pump(): void {
    while (!this.stopped && !this.options.gate.shut && this.failure === undefined && this.running < this.limit) {
      const index = this.next();
      if (index === undefined) return;
      this.claimed.add(index);
      this.running++;
      void this.run(index);
    }
  }

  /** The chunk that is needed most. */
  private next(): number | undefined {
    const { missing } = this.options;
    for (const index of this.wanted.keys()) {
      if (this.claimed.has(index)) continue;
      this.cursor = index + 1;
      return index;
    }
    if (!this.all) return undefined;
    // A stream continues where it is.
    if (this.rest && !this.rest.ranged) this.cursor = Math.floor(this.rest.position / this.file.chunkBytes);
    const free = [...missing].filter((index) => !this.claimed.has(index)).sort((a, b) => a - b);
    const index = free.find((index) => index >= this.cursor) ?? free[0];
    if (index !== undefined) this.cursor = index + 1;
    return index;
  }

  /** One connection: fetches a chunk, and those that follow in the same body. */
  private async run(first: number): Promise<void> {
    let index: number | undefined = first;
    try {
      while (index !== undefined) index = await this.fetchChunk(index);
    } catch (error) {
      if (!(error instanceof NotNeeded)) this.fail(error);
    } finally {
      if (index !== undefined) this.claimed.delete(index);
      this.running--;
      this.pump();
      this.wake();
    }
  }

  /** Fetches a chunk and passes it on; returns the next chunk if this connection should continue with it. */
  private async fetchChunk(index: number): Promise<number | undefined> {
    const { start, length } = chunkRange(this.file.size, this.file.chunkBytes, index);
    const bytes = await this.buffers.take(length);
    let body: RemoteBody | undefined;
    try {
      body = await this.fill(bytes, index, start);
    } catch (error) {
      await this.options.left?.(index);
      this.buffers.give(bytes.buffer);
      throw error;
    }
    void this.deliver(index, bytes);
    if (!body) return undefined;
    if (!body.ranged) this.streaming = false;
    if (body.position >= body.end) {
      this.drop(body);
      return undefined;
    }
    if (this.rest) this.drop(this.rest);
    this.rest = body;
    // The next chunk in the same body needs no other request.
    const after = index + 1;
    const wanted = this.wanted.has(after) || (this.all && this.options.missing.has(after));
    if (!wanted || this.claimed.has(after) || this.options.gate.shut) {
      if (body.ranged) this.drop(body);
      return undefined;
    }
    this.claimed.add(after);
    this.cursor = after + 1;
    return after;
  }

  /** Fills `bytes` over as many successive connections as needed; returns the last one, if it can be read further. */
  private async fill(bytes: Uint8Array<ArrayBuffer>, index: number, start: number): Promise<RemoteBody | undefined> {
    const { gate, watch } = this.options;
    let filled = (await this.options.restore?.(index, bytes)) ?? 0;
    if (filled > 0) this.options.onBytes?.(index, filled, 0, bytes);
    let failures = 0;
    let body = this.takeRest(start + filled);
    while (body || filled < bytes.length) {
      try {
        await gate.opened();
        body ??= await this.open(start + filled, start + bytes.length);
        if (body.position < start + filled) {
          await this.skipTo(body, start);
          filled = 0;
        }
        while (filled < bytes.length) {
          await gate.opened();
          if (this.stopped) throw new NotNeeded();
          const count = await this.read(body, bytes.subarray(filled));
          filled += count;
          failures = 0;
          this.options.onBytes?.(index, filled, count, bytes);
          // A server may send less than requested.
          if (body.position >= body.end && filled < bytes.length) {
            this.drop(body);
            body = await this.open(start + filled, start + bytes.length);
          }
        }
        return body;
      } catch (error) {
        if (body) {
          this.drop(body);
          if (!body.ranged) this.streaming = false;
          body = undefined;
        }
        if (this.stopped) throw new NotNeeded();
        if (gate.shut) continue;
        const delay = retryDelay(error, ++failures, this.answered, this.retry, Math.random());
        if (delay === undefined) throw error;
        await pause(delay, watch);
      }
    }
    return undefined;
  }

  private async read(body: RemoteBody, target: Uint8Array): Promise<number> {
    const read = () => body.read(target);
    const count = await (this.options.watch?.connected(read) ?? read());
    this.answered = true;
    return count;
  }

  /** The rest of an earlier body, if the chunk can be reached in it without another request. */
  private takeRest(start: number): RemoteBody | undefined {
    const body = this.rest;
    if (!body) return undefined;
    const usable = body.ranged ? body.position === start : body.position <= start && !this.streaming;
    if (!usable) {
      // A stream that is past the chunk has to begin again, and there is room for one only.
      if (!body.ranged || this.limit === 1) this.drop(body);
      return undefined;
    }
    this.rest = undefined;
    if (!body.ranged) this.streaming = true;
    return body;
  }

  private async open(start: number, end: number): Promise<RemoteBody> {
    if (this.stopped) throw new NotNeeded();
    const opening = () => this.source.open(start, end);
    const body = await (this.options.watch?.connected(opening) ?? opening()).catch((error: unknown) => {
      // The file ends before a byte that it was said to have.
      throw isRangeRefused(error) ? this.changed(undefined) : error;
    });
    this.bodies.add(body);
    if (this.stopped) {
      this.drop(body);
      throw new NotNeeded();
    }
    // Requested just before the download was paused: unread data would pile up on the way.
    if (this.options.gate.shut && body.ranged) {
      this.drop(body);
      throw new NotNeeded();
    }
    if (body.size !== this.file.size || !sameFile(this.file, body)) {
      this.drop(body);
      throw this.changed(body.size);
    }
    if (!body.ranged) {
      this.limit = 1;
      if (this.streaming) {
        // Another connection has found this out first, and reads everything.
        this.drop(body);
        throw new NotNeeded();
      }
      this.streaming = true;
    }
    return body;
  }

  private changed(found: number | undefined): ChordError {
    const { url } = this.source;
    const message = `${url} changed on the server while it was being read. Load again.`;
    return new ChordError("source-changed", message, { url, expected: this.file.size, found });
  }

  /** Reads a stream up to byte `start`: missing chunks on the way are delivered, others are passed over. */
  private async skipTo(body: RemoteBody, start: number): Promise<void> {
    while (body.position < start) {
      const index = Math.floor(body.position / this.file.chunkBytes);
      const range = chunkRange(this.file.size, this.file.chunkBytes, index);
      const useful = (this.all || this.wanted.has(index)) && this.options.missing.has(index);
      const keep = useful && !this.claimed.has(index) && body.position === range.start;
      const bytes = await this.buffers.take(range.length);
      let filled = body.position - range.start;
      if (keep) this.claimed.add(index);
      try {
        while (filled < range.length) {
          await this.options.gate.opened();
          const count = await this.read(body, bytes.subarray(filled));
          filled += count;
          if (keep) this.options.onBytes?.(index, filled, count, bytes);
        }
      } catch (error) {
        if (keep) {
          await this.options.left?.(index);
          this.claimed.delete(index);
        }
        this.buffers.give(bytes.buffer);
        throw error;
      }
      if (keep) void this.deliver(index, bytes);
      else this.buffers.give(bytes.buffer);
    }
  }

  private async deliver(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    try {
      const canReturn = (await this.options.deliver(index, bytes)) !== false;
      this.options.missing.delete(index);
      const [first, ...others] = this.wanted.get(index) ?? [];
      this.wanted.delete(index);
      for (const other of others) {
        const copy = this.buffers.borrow(bytes.length);
        copy.set(bytes);
        other.resolve(copy);
      }
      if (first || !canReturn) this.buffers.lend();
      if (first) first.resolve(bytes);
      else if (canReturn) this.buffers.give(bytes.buffer);
      else this.options.hold?.(index, bytes);
    } catch (error) {
      this.buffers.give(bytes.buffer);
      this.fail(error);
    } finally {
      this.claimed.delete(index);
      this.pump();
      this.wake();
    }
  }

  private gateChanged(): void {
    if (!this.options.gate.shut) return this.pump();
    // A stream is held back instead: it would have to begin again.
    for (const body of this.bodies) if (body.ranged) body.cancel();
    if (this.rest?.ranged) this.drop(this.rest);
  }

  private drop(body: RemoteBody): void {
    body.cancel();
    this.bodies.delete(body);
    if (this.rest === body) this.rest = undefined;
  }

  private fail(error: unknown): void {
    this.failure = error;
    const waiters = [...this.wanted.values()].flat();
    this.wanted.clear();
    for (const waiter of waiters) waiter.reject(error);
    this.told = waiters.length > 0;
    this.wake();
  }

  private wake(): void {
    for (const wake of this.ended.splice(0)) wake();
  }
}

/** The server says that the file has no such bytes. */
export function isRangeRefused(error: unknown): boolean {
  return error instanceof ChordError && error.code === "http-status" && error.details["status"] === 416;
}

/** A connection ends because there is nothing for it to do. */
class NotNeeded extends Error {}
