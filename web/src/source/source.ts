/** Where a model's bytes come from. */

import type { ErrorRecord } from "../errors.js";
import type { StoreKind } from "../store/store.js";

/** A model to load. A string is an address, or the name under which a model was imported. */
export type ModelSource = string | URL | Blob | FileSystemFileHandle | UrlSource | HuggingFaceSource;

/** A file on a web server. */
export interface UrlSource {
  url: string | URL;
  /** SHA-256 of the whole file in hexadecimal. A download with another hash is refused. */
  sha256?: string;
}

/** A file of a Hugging Face repository, or of a host with the same addresses. */
export interface HuggingFaceSource {
  /** `owner/name`. */
  repo: string;
  /** Path of the file in the repository; for a split model, that of its first part. */
  file?: string;
  /** Instead of `file`: the quantization, such as `Q4_K_M`, whose file is looked up in the repository. */
  quant?: string;
  /** Branch, tag or commit; default `main`. A load reads one commit throughout. */
  revision?: string;
  /** Access token, for repositories that require one. It is never stored. */
  token?: string;
  /** Address of the hub; default `https://huggingface.co`. */
  endpoint?: string;
}

/** A model, for the I/O worker. */
export type SourceDescriptor =
  /** `written` is the address as the caller gave it, for messages; `name` is a text that may be an imported model's. */
  | { kind: "url"; url: string; sha256?: string; name?: string; written?: string }
  | HubDescriptor
  | { kind: "blob"; blob: Blob }
  | { kind: "handle"; handle: FileSystemFileHandle };

/** A checked {@link HuggingFaceSource}. */
export interface HubDescriptor {
  kind: "hub";
  /** Without a slash at its end. */
  endpoint: string;
  repo: string;
  revision: string;
  file?: string;
  quant?: string;
  token?: string;
}

/** One model's bytes, in chunks of one size (the last one may be shorter). */
export interface ModelFile {
  /** Bytes of the whole file. */
  readonly size: number;
  readonly chunkBytes: number;
  /** No byte has come over the network so far. */
  readonly fromCache: boolean;
  /** Times so far. */
  readonly times: IoTimes;
  /** A whole chunk. Its buffer belongs to the caller, who may return it by {@link recycle}. */
  chunk(index: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Accepts the returned buffer of a chunk. */
  recycle(buffer: ArrayBuffer): void;
  /** The header was read, which took the first `bytes` bytes of the file. */
  noteHeader(bytes: number): void;
  /** Fetches the unread rest, waits for the store and reports how the file is stored. It can still be read. */
  finish(): Promise<StoreReport>;
  /** Frees everything. */
  close(): void;
}

/** How the model is stored in the browser. */
export interface StoreReport {
  /** Where the model is stored, or would be if it is not complete. `file`: used in place. */
  kind: StoreKind | "none" | "file";
  /** True when every byte is stored, so that the next load needs no network. */
  complete: boolean;
  /** Bytes that came over the network in this load. */
  networkBytes: number;
  /** Why the model is not kept, or not where it was wanted. */
  why?: string;
  /** The same for programs, where it is not kept: `storage-quota` has `details.needed` and `details.free`. */
  error?: ErrorRecord;
}

/** Milliseconds of the I/O worker's parts of a load, concurrent with the engine's; overlaps count once. */
export interface IoTimes {
  /** Reading chunks from the store, or a local file. */
  readMs: number;
  /** Computing the hashes of chunks. */
  hashMs: number;
}

/** The validators by which a server distinguishes versions of a file, if the page can read them. */
export interface Validators {
  etag: string | null;
  lastModified: string | null;
}

/** A range of a joined file whose hash is known, together with the bytes before it in the file it comes from. */
export interface HashedStretch {
  /** Address of the file that it comes from. */
  url: string;
  start: number;
  end: number;
  /** Bytes that are hashed before the range but are not part of the joined file. */
  before: Uint8Array;
  /** In hexadecimal. */
  sha256: string;
}

/** A remote file that can be read from a given byte on. */
export interface RemoteSource {
  /** For messages. */
  readonly url: string;
  /** For a joined file, once opened: the parts of it that can be compared with a hash. */
  hashed?(): Promise<HashedStretch[]>;
  /** Starts a body at byte `start`, or at 0 if the server has no ranges; it may extend beyond `end`. */
  open(start: number, end: number): Promise<RemoteBody>;
}

/** The bytes of a remote file from `position` to `end`, in order. */
export interface RemoteBody extends Validators {
  /** Bytes of the whole file. */
  readonly size: number;
  /** The server honours ranges, so that another body can start anywhere. */
  readonly ranged: boolean;
  /** The next byte that {@link read} delivers. */
  readonly position: number;
  /** The body ends before this byte. */
  readonly end: number;
  /** Fills the beginning of `target` with the next bytes, at least one, and returns how many. */
  read(target: Uint8Array): Promise<number>;
  /** Drops the connection. */
  cancel(): void;
}

/** Two validators may belong to one file: one of them is equal on both sides, or none can be compared. */
export function sameFile(a: Validators, b: Validators): boolean {
  if (a.etag !== null && b.etag !== null) return opaque(a.etag) === opaque(b.etag);
  if (a.lastModified !== null && b.lastModified !== null) return a.lastModified === b.lastModified;
  return true;
}

/** Compression on the way makes a validator a weak one; the bytes are the same. */
function opaque(etag: string): string {
  return etag.replace(/^W\//, "");
}
