/**
 * All messages between page, engine worker, I/O worker and pool workers. One worker script plays all the
 * parts; its first message says which. Calls of the page and their answers are one table, {@link EngineCalls}; the
 * messages are derived from it, so that both ends agree by type.
 */

import type { ArtifactName } from "./artifacts.js";
import type {
  DeviceFacts,
  EncodeOptions,
  EngineInfo,
  GenerateEvent,
  GenerateRequest,
  GenerateResult,
  Inspection,
  LoadOptions,
  Message,
} from "./engine-types.js";
import type { DownloadSettings } from "./download/settings.js";
import type { ErrorRecord } from "./errors.js";
import type { LoadProgress } from "./progress.js";
import type { IoTimes, SourceDescriptor, StoreReport } from "./source/source.js";
import type { NewModel, StoreChoice } from "./store/store.js";

export type { IoTimes, StoreReport };

/** First message to a worker: which part it plays. */
export type WorkerStart =
  | { role: "engine"; io: MessagePort }
  | { role: "import"; page: MessagePort }
  | { role: "pool"; engine: MessagePort; start?: PoolStart }
  | ({ role: "io"; engine: MessagePort } & IoStart);

/** What the I/O worker is to open. */
export interface IoStart {
  source: SourceDescriptor;
  store: StoreChoice;
  download?: DownloadSettings;
  /** The model is only inspected: nothing is stored, and little more is fetched than is read. */
  inspect?: boolean;
}

/** Page → import worker: chunks come in order, and `end` without `keep` deletes what has come. */
export type ImportRequest =
  | { type: "begin"; id: number; model: NewModel; store: Exclude<StoreChoice, "none" | "memory"> }
  | { type: "chunk"; id: number; index: number; bytes: Uint8Array<ArrayBuffer> }
  | { type: "end"; id: number; keep: boolean };

/** Import worker → page. */
export interface ImportResponse {
  id: number;
  error?: ErrorRecord;
}

/** Addresses of artifacts. */
export type WasmUrls = { baseline: string } & Partial<Record<ArtifactName, string>>;

/** What to load, how, and where its parts are. */
export interface LoadParams {
  /** The artifacts to choose from. */
  wasmUrls: WasmUrls;
  options: LoadOptions;
  /** CPU threads wanted. */
  threads: number;
  /** Under `auto`, a GPU that is computed in software counts as a real one. */
  softwareGpu: boolean;
  /** On the CPU, use the 64-bit engine for a model of any size. */
  memory64: boolean;
}

/** The engine's facts, and those of the worker around it. */
export interface WorkerInfo {
  engine: EngineInfo;
  artifact: ArtifactName;
  threads: number;
  wasmHeapBytes: number;
}

/** How long the parts of a load outside of the engine took, in milliseconds. */
export interface WorkerLoadTimes {
  /** From the moment that the engine ran and the file was open to the end of the load. */
  sinceOpenMs: number;
  /** Waiting for the I/O worker to have stored everything. */
  keepMs: number;
  io: IoTimes;
}

/** What the page hears of a generation. Tokens stay with the worker, which continues from them on another device. */
export type AnswerEvent = Exclude<GenerateEvent, { token: number }>;

/** Calls of the page to the engine worker. */
export interface EngineCalls {
  load: {
    params: LoadParams;
    result: { info: EngineInfo; store: StoreReport; times: WorkerLoadTimes };
    event: LoadProgress;
  };
  generate: { params: GenerateRequest; result: GenerateResult; event: AnswerEvent };
  tokenize: { params: { text: string; options: EncodeOptions }; result: Uint32Array; event: never };
  tokenizeChat: { params: { messages: Message[]; now: number }; result: Uint32Array; event: never };
  logits: { params: { tokens: Uint32Array }; result: Float32Array; event: never };
  info: { params: null; result: WorkerInfo; event: never };
  /** In place of a load, with an I/O worker that was started with `inspect`. Ends that worker. */
  inspect: {
    params: { wasmUrls: WasmUrls; options: LoadOptions; device: DeviceFacts };
    result: Inspection;
    event: never;
  };
  unload: { params: null; result: null; event: never };
}

/** Name of a call. */
export type CallName = keyof EngineCalls;

/**
 * Page → engine worker. `cancel` stops the call `id`; `abandon` says that the I/O worker is gone; `loseDevice` destroys
 * the GPU device, for tests; `poolStarted` answers `startPool`.
 */
export type EngineRequest =
  | { [K in CallName]: { type: "call"; call: K; id: number; params: EngineCalls[K]["params"] } }[CallName]
  | { type: "cancel"; id: number }
  | { type: "abandon" }
  | { type: "loseDevice" }
  | { type: "poolStarted"; error?: string };

/**
 * Engine worker → page. After `fatal` nothing more comes and every call has failed. `startPool` requests a pool worker
 * for each port, in place of earlier ones. Module and memory go through these ports and not through the page, which
 * would keep them until its garbage is collected; only where ports take no shared memory, `start` has them.
 */
export type EngineResponse =
  | { [K in CallName]: { type: "result"; call: K; id: number; result: EngineCalls[K]["result"] } }[CallName]
  | { [K in CallName]: { type: "event"; call: K; id: number; event: EngineCalls[K]["event"] } }[CallName]
  | { type: "failed"; id: number; error: ErrorRecord }
  | { type: "fatal"; error: ErrorRecord }
  | { type: "startPool"; workers: MessagePort[]; start?: PoolStart };

/** Engine worker → pool worker: what to start, and, once every worker is ready, the invitation to join the pool. */
export type PoolRequest = PoolStart | { type: "join"; invitation: number };

/** What a pool worker starts. */
export interface PoolStart {
  type: "start";
  artifact: ArtifactName;
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
}

/** Pool worker → page. */
export type PoolResponse = { type: "ready" } | { type: "failed"; reason: string } | { type: "panic"; message: string };

/**
 * Engine worker → I/O worker. `recycle` hands the buffer of a chunk back, `header` says how many bytes were read for
 * the header; neither is answered. `finish` fetches the unread rest and reports how the file is stored; chunks continue
 * to be answered until `close`, which frees everything.
 */
export type IoRequest =
  | { type: "open"; id: number }
  | { type: "chunk"; id: number; index: number }
  | { type: "recycle"; buffer: ArrayBuffer }
  | { type: "header"; bytes: number }
  | { type: "finish"; id: number }
  | { type: "close"; id: number };

/** Page → I/O worker, after its first message: pauses or resumes the download. */
export interface IoControl {
  paused: boolean;
}

/** I/O worker → engine worker. */
export type IoResponse =
  | { type: "opened"; id: number; size: bigint; chunkBytes: number; fromCache: boolean }
  | { type: "chunk"; id: number; bytes: Uint8Array<ArrayBuffer> }
  | { type: "finished"; id: number; report: StoreReport; times: IoTimes }
  | { type: "closed"; id: number }
  | { type: "failed"; id: number; error: ErrorRecord }
  | { type: "arrived"; bytes: number; networkBytes: number; networkDone: boolean };
