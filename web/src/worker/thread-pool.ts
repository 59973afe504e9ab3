/** The engine worker's side of the CPU pool. The page starts the workers: only it learns of failures in time. */

import type { EngineResponse, PoolRequest, PoolStart } from "../protocol.js";
import { withResolvers } from "../queue.js";
import type { Bindings, StartedModule } from "./modules.js";

type ThreadPool = InstanceType<Bindings["ThreadPool"]>;

/** How long workers that have started may take to join. */
const JOIN_MS = 10_000;

/** Requests workers from the page, and gives each the module and its memory through its own port. */
export class PoolHost {
  private asked: ReturnType<typeof withResolvers<void>> | undefined;

  constructor(
    private readonly post: (message: Extract<EngineResponse, { type: "startPool" }>, transfer: MessagePort[]) => void,
  ) {}

  /** A pool of `threads` threads, this worker included. All of them have joined: nothing waits for one to start. */
  async start({ artifact, bindings, module, memory }: StartedModule, threads: number): Promise<ThreadPool> {
    const pool = new bindings.ThreadPool(threads);
    if (threads === 1) return pool;
    const ports: MessagePort[] = [];
    const ask = (port: MessagePort, request: PoolRequest) => port.postMessage(request);
    try {
      const invitations = Array.from({ length: threads - 1 }, () => pool.invitation());
      const workers = invitations.map(() => {
        const { port1, port2 } = new MessageChannel();
        ports.push(port1);
        return port2;
      });
      this.asked = withResolvers<void>();
      const start: PoolStart = { type: "start", artifact, module, memory };
      const isSent = ports.every((port) => passes(port, start));
      this.post({ type: "startPool", workers, ...(isSent ? {} : { start }) }, workers);
      await this.asked.promise;
      // No worker joins before all are ready to.
      ports.forEach((port, index) => ask(port, { type: "join", invitation: invitations[index]! }));
      await complete(pool).catch((error: unknown) => {
        // Those that have joined are no longer needed.
        this.post({ type: "startPool", workers: [] }, []);
        throw error;
      });
      return pool;
    } catch (error) {
      pool.free();
      throw error;
    } finally {
      ports.forEach((port) => port.close());
    }
  }

  /** The page's answer. */
  started(error: string | undefined): void {
    if (error === undefined) this.asked?.resolve();
    else this.asked?.reject(new Error(error));
  }
}

/** Sends the message; false if this browser's ports take no shared memory. */
function passes(port: MessagePort, start: PoolStart): boolean {
  try {
    port.postMessage(start);
    return true;
  } catch {
    return false;
  }
}

async function complete(pool: ThreadPool): Promise<void> {
  const until = performance.now() + JOIN_MS;
  while (!pool.is_complete()) {
    if (performance.now() > until) throw new Error(`not all workers had started after ${JOIN_MS / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
