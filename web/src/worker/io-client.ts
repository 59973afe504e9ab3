import { free, LENT } from "../download/buffers.js";
import { ChordError, fromErrorRecord } from "../errors.js";
import type { IoRequest, IoResponse, IoTimes, StoreReport } from "../protocol.js";
import { withResolvers } from "../queue.js";

type Answer = Exclude<IoResponse, { type: "arrived" } | { type: "failed" }>;
type Arrived = Extract<IoResponse, { type: "arrived" }>;
type Asked = Exclude<IoRequest, { type: "recycle" | "header" }>;
/** A request without its number. */
type Unnumbered<R> = R extends unknown ? Omit<R, "id"> : never;

/** Chunks requested before they are needed: they are read, checked and transferred while the engine works. */
const CHUNKS_AHEAD = LENT - 1;

/**
 * The engine worker's end of the conversation with the I/O worker. Whole chunks are transferred, without a copy; reads
 * are served from them, one at a time.
 */
export class IoClient {
  private readonly pending = new Map<number, { resolve: (answer: Answer) => void; reject: (error: unknown) => void }>();
  private nextId = 1;
  /** The last read. */
  private turn: Promise<unknown> = Promise.resolve();
  private size = 0;
  private chunkBytes = 1;
  /** Where the furthest read ended. */
  private reach = 0;
  private hasHeader = false;
  /** Chunks that are here or on their way. */
  private readonly chunks = new Map<number, Promise<Uint8Array<ArrayBuffer>>>();
  /** Why nothing comes any more, if so. */
  private abandoned: Error | undefined;
  /** The buffer of reads that span chunks. */
  private joined: Uint8Array<ArrayBuffer> = new Uint8Array(0);

  constructor(
    private readonly port: MessagePort,
    onArrived: (arrived: Arrived) => void,
    private chunksAhead = CHUNKS_AHEAD,
  ) {
    port.onmessage = ({ data }: MessageEvent<IoResponse>) => {
      if (data.type === "arrived") return onArrived(data);
      const pending = this.pending.get(data.id);
      this.pending.delete(data.id);
      if (data.type === "failed") pending?.reject(fromErrorRecord(data.error));
      else pending?.resolve(data);
    };
  }

  /** For a model that is only inspected, `chunksAhead` is 0: only what is read is fetched. */
  async open(chunksAhead = this.chunksAhead): Promise<{ size: bigint; fromCache: boolean }> {
    this.chunksAhead = chunksAhead;
    const opened = await this.ask<"opened">({ type: "open" });
    this.size = Number(opened.size);
    this.chunkBytes = opened.chunkBytes;
    return opened;
  }

  /** Bytes of the file, valid until the next read. */
  read(offset: bigint, length: number): Promise<Uint8Array> {
    // An abandoned read may still be running: it must not interfere with this one.
    const bytes = this.turn.then(() => this.readNow(Number(offset), length));
    this.turn = bytes.catch(() => undefined);
    return bytes;
  }

  private async readNow(start: number, length: number): Promise<Uint8Array> {
    if (start + length > this.size) {
      throw new ChordError("internal", `read of ${length} bytes at ${start} of a file of ${this.size}`);
    }
    // An empty file has no chunk to request.
    if (length === 0) return new Uint8Array(0);
    this.reach = Math.max(this.reach, start + length);
    const first = Math.floor(start / this.chunkBytes);
    const last = Math.floor((start + length - 1) / this.chunkBytes);
    if (first === last) {
      const chunk = await this.chunk(first);
      const from = start - first * this.chunkBytes;
      return chunk.subarray(from, from + length);
    }
    if (this.joined.length < length) this.joined = new Uint8Array(length);
    for (let index = first, filled = 0; index <= last; index++) {
      const chunk = await this.chunk(index);
      const from = Math.max(0, start - index * this.chunkBytes);
      const piece = chunk.subarray(from, from + length - filled);
      this.joined.set(piece, filled);
      filled += piece.length;
    }
    return this.joined.subarray(0, length);
  }

  /** What has been read so far is the header; only the first call counts. */
  noteHeader(): void {
    if (this.hasHeader) return;
    this.hasHeader = true;
    this.port.postMessage({ type: "header", bytes: this.reach } satisfies IoRequest);
  }

  /** Waits until everything is stored, and reports how the file is stored. It can still be read. */
  async finish(): Promise<{ report: StoreReport; times: IoTimes }> {
    const held = [...this.chunks.values()];
    this.keepOnly(0, -1);
    // They are returned first, because the I/O worker frees its buffers when it is done.
    await Promise.allSettled(held);
    const { report, times } = await this.ask<"finished">({ type: "finish" });
    return { report, times };
  }

  /** Frees what the I/O worker has. Nothing can be read any more. */
  async close(): Promise<void> {
    this.chunks.clear();
    this.joined = new Uint8Array(0);
    await this.ask<"closed">({ type: "close" });
    this.port.close();
  }

  /** Ends the conversation: pending and future requests reject with `error`. */
  abandon(error: Error): void {
    this.abandoned = error;
    const waiting = [...this.pending.values()];
    this.pending.clear();
    waiting.forEach(({ reject }) => reject(error));
  }

  /** A chunk. The following ones are requested too, and all other chunks are returned. */
  private async chunk(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const count = Math.ceil(this.size / this.chunkBytes);
    const last = Math.min(count - 1, index + this.chunksAhead);
    this.keepOnly(index, last);
    const chunk = this.request(index);
    for (let ahead = index + 1; ahead <= last; ahead++) void this.request(ahead);
    return chunk;
  }

  private request(index: number): Promise<Uint8Array<ArrayBuffer>> {
    let chunk = this.chunks.get(index);
    if (!chunk) {
      chunk = this.ask<"chunk">({ type: "chunk", index }).then(({ bytes }) => bytes);
      this.chunks.set(index, chunk);
      const asked = chunk;
      // A failure is reported to the read that needs the chunk; a later read asks again.
      chunk.catch(() => {
        if (this.chunks.get(index) === asked) this.chunks.delete(index);
      });
    }
    return chunk;
  }

  private keepOnly(first: number, last: number): void {
    for (const [index, chunk] of this.chunks) {
      if (index >= first && index <= last) continue;
      this.chunks.delete(index);
      void chunk.then(
        ({ buffer }) => this.recycle(buffer),
        () => undefined,
      );
    }
  }

  private recycle(buffer: ArrayBuffer): void {
    const request: IoRequest = { type: "recycle", buffer };
    try {
      this.port.postMessage(request, [buffer]);
    } catch {
      free(buffer);
    }
  }

  private ask<T extends Answer["type"]>(request: Unnumbered<Asked>): Promise<Extract<Answer, { type: T }>> {
    if (this.abandoned) return Promise.reject(this.abandoned);
    const id = this.nextId++;
    const { promise, resolve, reject } = withResolvers<Answer>();
    this.pending.set(id, { resolve, reject });
    this.port.postMessage({ ...request, id });
    return promise as Promise<Extract<Answer, { type: T }>>;
  }
}
