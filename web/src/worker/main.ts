/** The worker script. Its first message says which part this worker plays. */

import type { WorkerStart } from "../protocol.js";
import { runEngine } from "./engine.js";
import { runIo } from "./io.js";
import { workerScope } from "./scope.js";

workerScope.addEventListener(
  "message",
  ({ data }: MessageEvent<WorkerStart>) => {
    if (data.role === "engine") runEngine(data.io);
    else runIo(data.engine, data.source, data.store);
  },
  { once: true },
);
