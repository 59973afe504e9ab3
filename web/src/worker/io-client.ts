import { fromErrorRecord } from "../errors.js";
import type { IoRequest, IoResponse, StoreReport } from "../protocol.js";
import { withResolvers } from "../queue.js";

type Answer = Exclude<IoResponse, { type: "arrived" } | { type: "failed" }>;
type Arrived = Extract<IoResponse, { type: "arrived" }>;
/** A request without its number. */
type Unnumbered<R> = R extends unknown ? Omit<R, "id"> : never;

/** The engine worker's end of the conversation with the I/O worker. One read at a time. */
export class IoClient {
  private readonly pending = new Map<number, { resolve: (answer: Answer) => void; reject: (error: unknown) => void }>();
  private nextId = 1;
  /** The buffer of the last read, to be filled again. */
  private buffer: ArrayBuffer | undefined;

  constructor(
    private readonly port: MessagePort,
    onArrived: (arrived: Arrived) => void,
  ) {
    port.onmessage = ({ data }: MessageEvent<IoResponse>) => {
      if (data.type === "arrived") return onArrived(data);
      const pending = this.pending.get(data.id);
      this.pending.delete(data.id);
      if (data.type === "failed") pending?.reject(fromErrorRecord(data.error));
      else pending?.resolve(data);
    };
  }

  async open(): Promise<{ size: bigint; fromCache: boolean }> {
    return this.ask<"opened">({ type: "open" });
  }

  /** Bytes of the file, valid until the next read: the buffer goes back and forth between the two workers. */
  async read(offset: bigint, length: number): Promise<Uint8Array> {
    const { buffer } = this;
    this.buffer = undefined;
    const answer = buffer
      ? await this.ask<"bytes">({ type: "read", offset, length, buffer }, [buffer])
      : await this.ask<"bytes">({ type: "read", offset, length });
    this.buffer = answer.buffer;
    return new Uint8Array(answer.buffer, 0, answer.length);
  }

  /** Waits until everything is stored, and says what became of the file. It can still be read. */
  async finish(): Promise<StoreReport> {
    return (await this.ask<"finished">({ type: "finish" })).report;
  }

  /** Ends the I/O worker. Nothing can be read any more. */
  async close(): Promise<void> {
    this.buffer = undefined;
    await this.ask<"closed">({ type: "close" });
    this.port.close();
  }

  private ask<T extends Answer["type"]>(
    request: Unnumbered<IoRequest>,
    transfer: Transferable[] = [],
  ): Promise<Extract<Answer, { type: T }>> {
    const id = this.nextId++;
    const { promise, resolve, reject } = withResolvers<Answer>();
    this.pending.set(id, { resolve, reject });
    this.port.postMessage({ ...request, id }, transfer);
    return promise as Promise<Extract<Answer, { type: T }>>;
  }
}
