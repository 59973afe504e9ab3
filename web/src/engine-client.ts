import type { DownloadSettings } from "./download/settings.js";
import { ChordError, type ErrorRecord, fromErrorRecord } from "./errors.js";
import { PoolWorkers } from "./pool-workers.js";
import type { CallName, EngineCalls, EngineRequest, EngineResponse, IoControl, WorkerStart } from "./protocol.js";
import { withResolvers } from "./queue.js";
import { forgetTests } from "./self-tests.js";
import type { SourceDescriptor } from "./source/source.js";
import { asWritten } from "./source/written.js";
import type { StoreChoice } from "./store/store.js";
import { startWorker, workerError } from "./worker-handle.js";

/** A call that has not been answered. */
interface Pending {
  resolve: (result: never) => void;
  reject: (error: unknown) => void;
  onEvent: ((event: never) => void) | undefined;
}

/** Errors after which nothing works any more. */
const FATAL = new Set(["device-lost", "worker-failed", "internal"]);

/** How long the engine may take to free its memory before its worker is ended anyway. */
const UNLOAD_MS = 2_000;

/** The page's end of the protocol: starts the workers, sends calls, and fails all of them together. */
export class EngineClient {
  private readonly engine: Worker;
  private readonly io: Worker;
  private readonly pool: PoolWorkers;
  private readonly pending = new Map<number, Pending>();
  private nextId = 1;
  private dead: Error | undefined;
  private closing: Error | undefined;

  /** `inspect`: the model is only inspected, and `inspect` is the only call. */
  constructor(
    workerUrl: string,
    private readonly source: SourceDescriptor,
    store: StoreChoice,
    download: DownloadSettings = {},
    inspect = false,
  ) {
    this.engine = startWorker(workerUrl, "chord-engine");
    try {
      this.io = startWorker(workerUrl, "chord-io");
    } catch (error) {
      this.engine.terminate();
      throw error;
    }
    this.pool = new PoolWorkers(workerUrl, (error) => this.end(error));
    const { port1, port2 } = new MessageChannel();
    this.start(this.engine, { role: "engine", io: port1 }, port1, workerUrl);
    this.start(this.io, { role: "io", engine: port2, source, store, download, inspect }, port2, workerUrl);
    this.engine.onmessage = ({ data }: MessageEvent<EngineResponse>) => this.receive(data);
  }

  /** Why no call can succeed any more, if so. */
  get failure(): Error | undefined {
    return this.dead ?? this.closing;
  }

  /**
   * Sends a call. It rejects when the call fails or when the engine does. The signal asks the engine to stop; the call
   * ends when the engine has.
   */
  async call<K extends CallName>(
    call: K,
    params: EngineCalls[K]["params"],
    options: { onEvent?: (event: EngineCalls[K]["event"]) => void; signal?: AbortSignal | undefined } = {},
  ): Promise<EngineCalls[K]["result"]> {
    if (this.failure) throw this.failure;
    const id = this.nextId++;
    const { promise, resolve, reject } = withResolvers<EngineCalls[K]["result"]>();
    this.pending.set(id, { resolve, reject, onEvent: options.onEvent });
    this.post({ type: "call", call, id, params } as EngineRequest);
    const { signal } = options;
    const cancel = () => this.post({ type: "cancel", id });
    signal?.addEventListener("abort", cancel, { once: true });
    try {
      return await promise;
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
  }

  /** Pauses or resumes the download. */
  setPaused(paused: boolean): void {
    const message: IoControl = { paused };
    if (!this.dead) this.io.postMessage(message);
  }

  /** Destroys the GPU device under the engine. */
  loseDevice(): void {
    this.post({ type: "loseDevice" });
  }

  /** Stops what is running and lets the engine free its memory. Calls that were not answered reject with `error`. */
  async unload(error: Error): Promise<void> {
    if (this.dead) return;
    const calls = [...this.pending];
    this.pending.clear();
    calls.forEach(([id]) => this.post({ type: "cancel", id }));
    const freed = this.call("unload", null).catch(() => undefined);
    this.closing = error;
    calls.forEach(([, { reject }]) => reject(error));
    const late = new Promise((resolve) => setTimeout(resolve, UNLOAD_MS));
    await Promise.race([freed, late]);
    this.end(error);
  }

  /**
   * Gives a load up. Calls reject with `error` and nothing more is fetched, at once; the engine frees its memory before
   * it is ended, because pool workers that wait for it in the middle of a load would be slow to end.
   */
  abandon(error: Error): void {
    if (this.failure) return;
    this.io.terminate();
    this.post({ type: "abandon" });
    void this.unload(error);
  }

  /** Ends all workers, and with them the device. Running calls reject with `error`. */
  end(error: Error): void {
    if (this.dead) return;
    this.dead = error;
    // The engine worker is ended before it could do this.
    if (error instanceof ChordError && error.code === "device-lost") void forgetTests();
    this.engine.terminate();
    this.io.terminate();
    this.pool.end();
    const calls = [...this.pending.values()];
    this.pending.clear();
    calls.forEach(({ reject }) => reject(error));
  }

  private start(worker: Worker, message: WorkerStart, port: MessagePort, url: string): void {
    worker.onerror = (event) => {
      event.preventDefault();
      this.end(workerError(event, url));
    };
    worker.onmessageerror = () => this.end(new ChordError("worker-failed", "A message of a worker could not be read"));
    worker.postMessage(message, [port]);
  }

  private post(request: EngineRequest): void {
    if (!this.dead) this.engine.postMessage(request);
  }

  private receive(response: EngineResponse): void {
    switch (response.type) {
      case "event":
        this.pending.get(response.id)?.onEvent?.(response.event as never);
        return;
      case "result":
        this.take(response.id)?.resolve(response.result as never);
        return;
      case "failed": {
        const error = this.errorOf(response.error);
        this.take(response.id)?.reject(error);
        if (FATAL.has(response.error.code)) this.end(error);
        return;
      }
      case "fatal":
        this.end(this.errorOf(response.error));
        return;
      case "startPool":
        this.pool.start(response.workers, response.start).then(
          () => this.post({ type: "poolStarted" }),
          (error: Error) => this.post({ type: "poolStarted", error: error.message }),
        );
        return;
    }
  }

  private errorOf(record: ErrorRecord): Error {
    return fromErrorRecord({ ...record, message: asWritten(record.message, this.source) });
  }

  private take(id: number): Pending | undefined {
    const pending = this.pending.get(id);
    this.pending.delete(id);
    return pending;
  }
}
