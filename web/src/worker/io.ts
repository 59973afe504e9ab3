/** The I/O worker: fetches, checks and stores the model's bytes, and hands ranges of them to the engine worker. */

import { ChordError, toErrorRecord } from "../errors.js";
import type { IoRequest, IoResponse, StoreReport } from "../protocol.js";
import { Gate } from "../download/gate.js";
import { BlobFile } from "../source/blob.js";
import { HttpSource } from "../source/http.js";
import { storeKey } from "../source/resolve.js";
import type { ModelFile, SourceDescriptor } from "../source/source.js";
import { type Arrived, CachedFile } from "../store/cached-file.js";
import { holdInUse } from "../store/locks.js";
import { ModelStore } from "../store/model-store.js";
import { storageRoom } from "../store/quota.js";
import type { StoreChoice } from "../store/store.js";
import { workerScope } from "./scope.js";

/** Reports of bytes that arrived are at least this far apart. */
const ARRIVED_INTERVAL_MS = 50;

/** Answers the engine worker until it closes the file. The returned function holds the download back. */
export function runIo(
  engine: MessagePort,
  source: SourceDescriptor,
  storeChoice: StoreChoice,
): (paused: boolean) => void {
  const gate = new Gate();
  let file: ModelFile | undefined;
  const post = (message: IoResponse, transfer: Transferable[] = []) => engine.postMessage(message, transfer);

  async function answer(request: IoRequest): Promise<void> {
    switch (request.type) {
      case "open": {
        file = await open(source, storeChoice, gate, arrivedReporter(post));
        const fromCache = file instanceof CachedFile ? file.fromCache : true;
        post({ type: "opened", id: request.id, size: BigInt(file.size), fromCache });
        return;
      }
      case "read": {
        if (!file) throw new ChordError("internal", "read before open");
        const { id, length } = request;
        const reused = request.buffer && request.buffer.byteLength >= length ? request.buffer : undefined;
        const buffer = reused ?? new ArrayBuffer(length);
        await file.readInto(Number(request.offset), new Uint8Array(buffer, 0, length));
        post({ type: "bytes", id, buffer, length }, [buffer]);
        return;
      }
      case "finish": {
        if (!file) throw new ChordError("internal", "finish before open");
        const inPlace: StoreReport = { kind: "file", complete: true, networkBytes: 0 };
        const report = file instanceof CachedFile ? await file.finish() : inPlace;
        post({ type: "finished", id: request.id, report });
        return;
      }
      case "close": {
        if (file instanceof CachedFile) file.close();
        post({ type: "closed", id: request.id });
        workerScope.close();
        return;
      }
    }
  }

  engine.onmessage = ({ data }: MessageEvent<IoRequest>) => {
    answer(data).catch((error: unknown) => post({ type: "failed", id: data.id, error: toErrorRecord(error) }));
  };
  return (paused) => gate.set(paused);
}

async function open(
  source: SourceDescriptor,
  storeChoice: StoreChoice,
  gate: Gate,
  onArrived: (arrived: Arrived) => void,
): Promise<ModelFile> {
  if (source.kind === "blob") return new BlobFile(source.blob);
  // A blob: URL names the bytes of this visit only.
  const store = source.url.startsWith("blob:") ? undefined : await openStore(storeChoice);
  const key = storeKey(source.url);
  // Held until this worker ends: nobody deletes the model meanwhile.
  if (store) await holdInUse(key);
  return CachedFile.open(key, new HttpSource(source.url), { store, gate, onArrived, lock: lockModel, freeBytes });
}

/** A browser that keeps nothing (private windows, blocked storage) still loads models. */
async function openStore(choice: StoreChoice): Promise<ModelStore | undefined> {
  if (choice === "none") return undefined;
  // Without a secure context there are no hashes to check stored bytes by.
  if (!globalThis.isSecureContext || typeof indexedDB === "undefined") return undefined;
  try {
    return await ModelStore.open(choice);
  } catch {
    return undefined;
  }
}

/** Two tabs never write one model at once. The lock ends with the worker, too. */
async function lockModel(key: string): Promise<(() => void) | undefined> {
  return new Promise((resolve, reject) => {
    const held = (lock: Lock | null) => {
      if (lock === null) {
        resolve(undefined);
        return;
      }
      return new Promise<void>((release) => resolve(release));
    };
    navigator.locks.request(`wasm-chord:${key}`, { ifAvailable: true }, held).catch(reject);
  });
}

async function freeBytes(): Promise<number | undefined> {
  return (await storageRoom()).free ?? undefined;
}

function arrivedReporter(post: (message: IoResponse) => void): (arrived: Arrived) => void {
  let last = -Infinity;
  return ({ bytes, networkBytes, networkDone }) => {
    const now = performance.now();
    if (!networkDone && now - last < ARRIVED_INTERVAL_MS) return;
    last = now;
    post({ type: "arrived", bytes, networkBytes, networkDone });
  };
}
