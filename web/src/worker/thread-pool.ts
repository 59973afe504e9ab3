/** The engine worker's end of the CPU pool: the page starts the workers, for only it hears of their failures in time. */

import type { EngineResponse } from "../protocol.js";
import { withResolvers } from "../queue.js";
import type { Bindings, StartedModule } from "./modules.js";

type ThreadPool = InstanceType<Bindings["ThreadPool"]>;

/** Workers that run have this long to arrive in the module. */
const JOIN_MS = 10_000;

/** Asks the page for workers. */
export class PoolHost {
  private asked: ReturnType<typeof withResolvers<void>> | undefined;

  constructor(private readonly post: (message: Extract<EngineResponse, { type: "startPool" }>) => void) {}

  /** A pool of `threads`, this worker included, whose members are all there: nothing ever waits for one to start. */
  async start({ artifact, bindings, module, memory }: StartedModule, threads: number): Promise<ThreadPool> {
    const pool = new bindings.ThreadPool(threads);
    if (threads === 1) return pool;
    try {
      const invitations = Array.from({ length: threads - 1 }, () => pool.invitation());
      this.asked = withResolvers<void>();
      this.post({ type: "startPool", artifact, module, memory, invitations });
      await this.asked.promise;
      await complete(pool).catch((error: unknown) => {
        // Whoever has come will not be needed.
        this.post({ type: "startPool", artifact, module, memory, invitations: [] });
        throw error;
      });
      return pool;
    } catch (error) {
      pool.free();
      throw error;
    }
  }

  /** The page's answer. */
  started(error: string | undefined): void {
    if (error === undefined) this.asked?.resolve();
    else this.asked?.reject(new Error(error));
  }
}

async function complete(pool: ThreadPool): Promise<void> {
  const until = performance.now() + JOIN_MS;
  while (!pool.is_complete()) {
    if (performance.now() > until) throw new Error(`not every worker was there after ${JOIN_MS / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
