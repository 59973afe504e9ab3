import type { ArtifactName } from "./artifacts.js";
import type { EngineInfo } from "./engine-types.js";
import type { StoreReport, WorkerInfo, WorkerLoadTimes } from "./protocol.js";

/**
 * What a load took, in milliseconds. The parts up to `keep` follow each other and make up `total`, but for what lies
 * between them; `storeRead` and `hash` went on beside them in another worker.
 */
export interface LoadTimes {
  /** From the call of `Chord.load` to its end. */
  total: number;
  /** Until reading could begin: the workers, the WebAssembly, the file's place in the store or its first answer. */
  start: number;
  /** Reading and checking the header. */
  header: number;
  /** Building the tokenizer and the chat template. */
  text: number;
  /** Opening the GPU, or gathering the CPU's threads. */
  device: number;
  /** Comparing the GPU with the CPU; kernels that the test and the model share are compiled here. */
  selfTest: number;
  /** Compiling the other kernels, and making room for the weights. */
  compile: number;
  /** Waiting for bytes: of the network, or for what `storeRead` and `hash` had not done ahead. */
  read: number;
  /** Bringing the weights to where they are computed with, until the last of them is there. */
  upload: number;
  /** Waiting until every byte was stored. */
  keep: number;
  /** Reading the store, or a local file. */
  storeRead: number;
  /** Computing the SHA-256 of chunks. */
  hash: number;
}

/** Facts about a loaded model. Byte counts are exact as numbers up to 2^53. */
export interface ChordInfo {
  backend: "webgpu" | "cpu";
  /** Why this one and on so many threads, for people: each step of the ladder that was taken, with its reason. */
  why: string;
  /** Threads of the CPU that compute; 1 where the GPU does. */
  threads: number;
  /** The WebAssembly that runs: chosen by what the browser has, and the only one that was fetched. */
  artifact: ArtifactName;
  adapter: {
    name: string;
    /** A GPU that is computed on the CPU. */
    isSoftware: boolean;
  };
  /** Optional features in use. */
  features: string[];
  /** Tokens that a conversation can have. */
  contextLength: number;
  /** Precision of the KV cache. */
  kv: "f16" | "f32";
  model: {
    /** As the file says, where it does. */
    name: string | null;
    architecture: string;
    /** Number of weights. */
    parameters: number;
    sizeBytes: number;
    vocabularySize: number;
    /** Tokens; 0 where the file does not say. */
    trainedContextLength: number;
    /** Without one, `chat.completions` cannot be used. */
    hasChatTemplate: boolean;
    /** Bytes of tensors by storage type (`Q4_K`, `F32`), largest first. */
    tensorTypes: Record<string, number>;
  };
  /** What makes answers worse than the model could give them, in sentences to show; empty for nearly all models. */
  warnings: string[];
  /** What is odd in the file and changes no answer. */
  notes: string[];
  /** Bytes held on the device. */
  memory: { weights: number; kv: number; scratch: number; total: number };
  /** Layers that are not held on the GPU but read again for every token: see `maxGpuBytes`. */
  paging: {
    residentLayers: number;
    pagedLayers: number;
    /** Bytes read for every token decoded, and for every chunk of a prompt. */
    bytesPerToken: number;
    /** Bytes of each of the two places that these layers take turns in. */
    slotBytes: number;
    /** Since the load. */
    bytesRead: number;
    /** Milliseconds since the load in which the GPU had nothing to do because a layer was not there yet. */
    stallMs: number;
  };
  /** Counts since the load. After the first token of a greedy run only the last three still move. */
  counters: {
    buffersCreated: number;
    bindGroupsCreated: number;
    pipelinesCreated: number;
    readbacksBeforeSubmit: number;
    submits: number;
    dispatches: number;
    tokens: number;
  };
  /** Bytes of the engine's own memory. */
  wasmHeapBytes: number;
  store: StoreReport;
  load: LoadTimes;
}

/** What was measured on either side of the workers → the API's words. */
export function toLoadTimes(totalMs: number, { load }: EngineInfo, worker: WorkerLoadTimes): LoadTimes {
  return {
    total: totalMs,
    start: totalMs - worker.sinceOpenMs,
    header: load.header_ms,
    text: load.text_ms,
    device: load.device_ms,
    selfTest: load.self_test_ms,
    compile: load.compile_ms,
    read: load.read_ms,
    upload: load.upload_ms,
    keep: worker.keepMs,
    storeRead: worker.io.readMs,
    hash: worker.io.hashMs,
  };
}

/** The engine's words → the API's. */
export function toChordInfo(worker: WorkerInfo, store: StoreReport, load: LoadTimes): ChordInfo {
  const { engine: info, threads, artifact, wasmHeapBytes } = worker;
  const { model, counters, memory, paging } = info;
  return {
    backend: info.backend === "gpu" ? "webgpu" : "cpu",
    why: info.why.join("; "),
    threads,
    artifact,
    adapter: { name: info.device, isSoftware: info.is_software },
    features: info.features,
    contextLength: info.n_ctx,
    kv: info.kv,
    model: {
      name: model.name,
      architecture: model.architecture,
      parameters: model.n_params,
      sizeBytes: model.file_bytes,
      vocabularySize: info.n_vocab,
      trainedContextLength: model.n_ctx_train ?? 0,
      hasChatTemplate: info.has_chat_template,
      tensorTypes: Object.fromEntries(model.types),
    },
    warnings: info.warnings,
    notes: info.notes,
    memory: { ...memory, total: memory.weights + memory.kv + memory.scratch },
    paging: {
      residentLayers: paging.resident_layers,
      pagedLayers: paging.paged_layers,
      bytesPerToken: paging.bytes_per_token,
      slotBytes: paging.slot_bytes,
      bytesRead: paging.bytes_read,
      stallMs: paging.stall_ms,
    },
    counters: {
      buffersCreated: counters.buffers_created,
      bindGroupsCreated: counters.bind_groups_created,
      pipelinesCreated: counters.pipelines_created,
      readbacksBeforeSubmit: counters.readbacks_before_submit,
      submits: counters.submits,
      dispatches: counters.dispatches,
      tokens: counters.tokens,
    },
    wasmHeapBytes,
    store,
    load,
  };
}
