/** A pool worker: runs its share of the CPU's work on the engine worker's memory. */

import type { PoolRequest, PoolResponse, PoolStart } from "../protocol.js";
import { type Bindings, instantiate } from "./modules.js";
import { workerScope } from "./scope.js";

const post = (message: PoolResponse) => workerScope.postMessage(message);

/**
 * Starts the module, which comes through the port unless `first` has it, reports to the page, and joins the pool when
 * it is told to. Blocks this worker until the pool is dropped; then the worker ends.
 */
export function runPool(engine: MessagePort, first?: PoolStart): void {
  let bindings: Bindings | undefined;
  const start = async ({ artifact, module, memory }: PoolStart) => {
    ({ bindings } = await instantiate(artifact, module, memory));
    bindings.on_panic((message: string) => post({ type: "panic", message }));
    post({ type: "ready" });
  };
  const failed = (error: unknown) => post({ type: "failed", reason: String(error) });
  engine.onmessage = ({ data }: MessageEvent<PoolRequest>) => {
    if (data.type === "start") return start(data).catch(failed);
    engine.close();
    bindings?.join_pool(data.invitation);
    workerScope.close();
  };
  engine.onmessageerror = () => failed("the module or its memory could not be handed over");
  if (first) void start(first).catch(failed);
}
