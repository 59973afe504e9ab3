import type { ModelStore } from "../store/model-store.js";
import type { Gate } from "./gate.js";
import type { RetryPolicy } from "./retry.js";
import type { StallWatch } from "./stall.js";

/** Bytes that have come so far, each byte of the file counted once. */
export interface Arrived {
  bytes: number;
  /** Of these, over the network. */
  networkBytes: number;
  /** Nothing more is to come over the network. */
  networkDone: boolean;
}

/** What a `CachedFile` works with. */
export interface CachedFileOptions {
  /** Without a store nothing is kept. */
  store?: ModelStore | undefined;
  /** Uses the store without adding to it. */
  readOnly?: boolean | undefined;
  chunkBytes?: number | undefined;
  /** SHA-256 of the whole file in hexadecimal, where it is known. */
  sha256?: string | undefined;
  /** While it is shut nothing is downloaded. */
  gate?: Gate | undefined;
  connections?: number | undefined;
  retry?: RetryPolicy | undefined;
  /** Milliseconds without any progress after which waiting ends, or an existing watch. */
  stallMs?: number | undefined;
  watch?: StallWatch | undefined;
  onArrived?: ((arrived: Arrived) => void) | undefined;
  /** For tests; the browser's own where left out. */
  locks?: LockManager | undefined;
}

/** The options of a file that is being opened: its gate and its watch exist. */
export interface OpeningOptions extends CachedFileOptions {
  gate: Gate;
  watch: StallWatch;
}
