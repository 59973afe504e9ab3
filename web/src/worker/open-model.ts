/** Opens a model: from its source, as the caller named it, to a file whose chunks can be read. */

import { type Arrived, CachedFile } from "../download/cached-file.js";
import type { Gate } from "../download/gate.js";
import { retryPolicy, type RetryPolicy, retrying } from "../download/retry.js";
import { StallWatch } from "../download/stall.js";
import type { IoStart } from "../protocol.js";
import { BlobFile } from "../source/blob.js";
import { findHubFile } from "../source/hugging-face.js";
import { HttpSource } from "../source/http.js";
import { ImportedSource, isImported } from "../source/imported.js";
import { sourceKey, storeKey } from "../source/resolve.js";
import { partCount, partUrls, SplitSource } from "../source/split.js";
import type { ModelFile, RemoteSource, SourceDescriptor } from "../source/source.js";
import { holdInUse } from "../store/locks.js";
import { ModelStore } from "../store/model-store.js";
import { hasHeader, isComplete, type StoreChoice } from "../store/store.js";

/** Chunk size of a model that is only inspected. */
const GLANCE_BYTES = 1024 * 1024;

/** Where a remote file was found, and what is known of it. */
interface Remote {
  url: string;
  key: string;
  size?: number;
  sha256?: string;
  partHashes?: (string | undefined)[];
}

/** Opens a model. */
export function openModel(start: IoStart, gate: Gate, onArrived: (arrived: Arrived) => void): Promise<ModelFile> {
  const { source } = start;
  const name = source.kind === "url" ? source.url : source.kind === "hub" ? source.repo : "the file";
  const watch = new StallWatch(name, gate, start.download?.stallMs);
  return watch.during(openWatched(start, gate, watch, onArrived));
}

async function openWatched(
  { source, store: choice, download = {}, inspect = false }: IoStart,
  gate: Gate,
  watch: StallWatch,
  onArrived: (arrived: Arrived) => void,
): Promise<ModelFile> {
  const chunkBytes = inspect ? GLANCE_BYTES : download.chunkBytes;
  if (source.kind === "blob") return new BlobFile(source.blob, chunkBytes);
  if (source.kind === "handle") return BlobFile.ofHandle(source.handle, chunkBytes);

  // A blob: URL is valid during this visit only.
  const ofThisVisit = source.kind === "url" && source.url.startsWith("blob:");
  const store = ofThisVisit ? undefined : await openStore(choice);
  const retry = retryPolicy(download);
  const { url, key, size, sha256, partHashes } = await find(source, store, gate, retry, watch, inspect);
  // Held until this worker ends, so that the model cannot be deleted.
  if (store && !inspect) await holdInUse(key);
  const split = partCount(url) > 1;
  const http = { stallMs: download.stallMs, token: source.kind === "hub" ? source.token : undefined };
  let remote: RemoteSource;
  if (isImported(key)) remote = new ImportedSource(key);
  else if (split) {
    const parts = partUrls(url).map((part) => new HttpSource(part, http));
    remote = new SplitSource(parts, partHashes);
  } else remote = new HttpSource(url, { ...http, size });
  return CachedFile.open(key, remote, {
    ...{ store, gate, watch, retry, chunkBytes, onArrived },
    // Each part has a hash, the joined file has none.
    ...(split ? {} : { sha256 }),
    ...{ readOnly: inspect, connections: inspect ? 1 : download.connections },
  });
}

/** Where the model is. If it is stored (for `inspect`, if its header is), this needs no network. */
async function find(
  source: SourceDescriptor & { kind: "url" | "hub" },
  store: ModelStore | undefined,
  gate: Gate,
  retry: RetryPolicy,
  watch: StallWatch,
  inspect: boolean,
): Promise<Remote> {
  // The usual case needs no list, which looks at every stored model.
  const address = sourceKey(source, []);
  const found = address === undefined ? undefined : await store?.manifest(address);
  const stored = found ? [found] : ((await store?.list()) ?? []);
  const key = sourceKey(source, stored);
  if (source.kind === "url") {
    const remote: Remote = { url: source.url, key: key ?? storeKey(source.url) };
    return source.sha256 === undefined ? remote : { ...remote, sha256: source.sha256 };
  }
  const there = stored.find((manifest) => manifest.key === key);
  const isEnough = there && (isComplete(there) || (inspect && hasHeader(there)));
  if (isEnough && key !== undefined) return { url: key, key };
  return retrying<Remote>(() => findHubFile(source), gate, retry, watch);
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
