/** The worker script. Its first message says which part this worker plays. */

import type { IoControl, WorkerStart } from "../protocol.js";
import { runEngine } from "./engine.js";
import { runImport } from "./import.js";
import { runIo } from "./io.js";
import { runPool } from "./pool.js";
import { workerScope } from "./scope.js";

workerScope.addEventListener(
  "message",
  ({ data }: MessageEvent<WorkerStart>) => {
    if (data.role === "engine") return runEngine(data.io);
    if (data.role === "import") return runImport(data.page);
    if (data.role === "pool") return runPool(data.engine, data.start);
    const setPaused = runIo(data.engine, data);
    workerScope.addEventListener("message", ({ data }: MessageEvent<IoControl>) => setPaused(data.paused));
  },
  { once: true },
);
