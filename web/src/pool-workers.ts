import { ChordError } from "./errors.js";
import type { PoolResponse, PoolStart, WorkerStart } from "./protocol.js";
import { startWorker, workerError } from "./worker-handle.js";

/** How long workers may take to start. */
const START_MS = 20_000;

/**
 * The workers of the CPU pool. They share the engine worker's memory, which passes through the page only where that
 * cannot be avoided. From the moment they join until the pool is dropped they receive no messages.
 */
export class PoolWorkers {
  private workers: Worker[] = [];

  /** `onFailure` is called if a worker ends or panics after all have started. */
  constructor(
    private readonly url: string,
    private readonly onFailure: (error: ChordError) => void,
  ) {}

  /** Starts a worker for each of the engine's ports, in place of earlier ones, and waits until all are ready. */
  async start(ports: readonly MessagePort[], start?: PoolStart): Promise<void> {
    this.end();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`they did not start within ${START_MS / 1000} s`)), START_MS);
    });
    try {
      await Promise.race([
        Promise.all(
          ports.map((port, index) => this.startOne({ role: "pool", engine: port, ...(start && { start }) }, index + 1)),
        ),
        late,
      ]);
    } catch (error) {
      this.end();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends all workers, whatever they are doing. */
  end(): void {
    this.workers.forEach((worker) => worker.terminate());
    this.workers = [];
  }

  private startOne(message: Extract<WorkerStart, { role: "pool" }>, number: number): Promise<void> {
    const worker = startWorker(this.url, `chord-cpu-${number}`);
    this.workers.push(worker);
    return new Promise((resolve, reject) => {
      let isReady = false;
      worker.onmessage = ({ data }: MessageEvent<PoolResponse>) => {
        switch (data.type) {
          case "ready":
            isReady = true;
            return resolve();
          case "failed":
            return reject(new Error(data.reason));
          case "panic":
            return this.onFailure(new ChordError("internal", `A bug in the engine: ${data.message}`));
        }
      };
      worker.onerror = (event) => {
        event.preventDefault();
        const error = workerError(event, this.url);
        if (isReady) this.onFailure(error);
        else reject(error);
      };
      worker.postMessage(message, [message.engine]);
    });
  }
}
