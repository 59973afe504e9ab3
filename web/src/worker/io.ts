/** The I/O worker: fetches, checks and stores the model's bytes, and hands chunks of them to the engine worker. */

import type { Arrived } from "../download/cached-file.js";
import { Gate } from "../download/gate.js";
import { ChordError, toErrorRecord } from "../errors.js";
import type { IoRequest, IoResponse, IoStart } from "../protocol.js";
import type { ModelFile } from "../source/source.js";
import { openModel } from "./open-model.js";

/** Reports of bytes that arrived are at least this far apart. */
const ARRIVED_INTERVAL_MS = 50;

/** Answers the engine worker until it closes the file. The returned function holds the download back. */
export function runIo(engine: MessagePort, start: IoStart): (paused: boolean) => void {
  const gate = new Gate();
  let opened: ModelFile | undefined;
  const post = (message: IoResponse, transfer: Transferable[] = []) => engine.postMessage(message, transfer);
  const file = (): ModelFile => {
    if (!opened) throw new ChordError("internal", "the file is not open");
    return opened;
  };

  async function answer(request: Exclude<IoRequest, { type: "recycle" | "header" }>): Promise<void> {
    const { id } = request;
    switch (request.type) {
      case "open": {
        opened = await openModel(start, gate, arrivedReporter(post));
        const { size, chunkBytes, fromCache } = opened;
        return post({ type: "opened", id, size: BigInt(size), chunkBytes, fromCache });
      }
      case "chunk": {
        const bytes = await file().chunk(request.index);
        return post({ type: "chunk", id, bytes }, [bytes.buffer]);
      }
      case "finish":
        return post({ type: "finished", id, report: await file().finish(), times: file().times });
      case "close":
        opened?.close();
        opened = undefined;
        // The page ends this worker when it unloads the model. Until then the model cannot be deleted.
        return post({ type: "closed", id });
    }
  }

  engine.onmessage = ({ data }: MessageEvent<IoRequest>) => {
    if (data.type === "recycle") return opened?.recycle(data.buffer);
    if (data.type === "header") return opened?.noteHeader(data.bytes);
    answer(data).catch((error: unknown) => post({ type: "failed", id: data.id, error: toErrorRecord(error) }));
  };
  return (paused) => gate.set(paused);
}

function arrivedReporter(post: (message: IoResponse) => void): (arrived: Arrived) => void {
  let last = -Infinity;
  let done = false;
  return ({ bytes, networkBytes, networkDone }) => {
    const now = performance.now();
    // The last report of the network is never left out.
    const due = now - last >= ARRIVED_INTERVAL_MS || (networkDone && !done);
    if (!due) return;
    [last, done] = [now, networkDone];
    post({ type: "arrived", bytes, networkBytes, networkDone });
  };
}
