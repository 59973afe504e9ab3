/** A pool worker: runs its share of the CPU's work on the engine worker's memory. */

import type { PoolRequest, PoolResponse, WorkerStart } from "../protocol.js";
import { instantiate } from "./modules.js";
import { workerScope } from "./scope.js";

const post = (message: PoolResponse) => workerScope.postMessage(message);

/** Starts the module, says so, and joins the pool when it is told to. Blocks this worker until the pool is dropped. */
export function runPool({ artifact, module, memory }: Extract<WorkerStart, { role: "pool" }>): void {
  instantiate(artifact, module, memory).then(
    ({ bindings }) => {
      bindings.on_panic((message: string) => post({ type: "panic", message }));
      workerScope.addEventListener("message", ({ data }: MessageEvent<PoolRequest>) => {
        bindings.join_pool(data.invitation);
      });
      post({ type: "ready" });
    },
    (error: unknown) => post({ type: "failed", reason: String(error) }),
  );
}
