import type { ArtifactName } from "./artifacts.js";
import type { EngineInfo } from "./engine-types.js";
import type { StoreReport, WorkerInfo, WorkerLoadTimes } from "./protocol.js";

/**
 * The parts of a load, in milliseconds. Those up to `keep` follow each other and add up to nearly `total`; `storeRead`
 * and `hash` run at the same time in another worker.
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
  /** Opening the GPU, or starting the CPU's threads. */
  device: number;
  /**
   * Comparing the GPU with the CPU; kernels that the test and the model share are compiled here. On the CPU, measuring
   * which instruction set is the fastest.
   */
  selfTest: number;
  /** Compiling the other kernels, and allocating memory for the weights. */
  compile: number;
  /** Waiting for bytes: from the network, or from the store if reading and hashing are not far enough ahead. */
  read: number;
  /** Bringing the weights to the device, until the last byte is there. */
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
  /** Why this backend and this number of threads, for people: each fallback with its reason. */
  why: string;
  /** CPU threads in use; 1 on the GPU. */
  threads: number;
  /** The WebAssembly artifact that runs, chosen by the browser's features. */
  artifact: ArtifactName;
  adapter: {
    name: string;
    /** A GPU emulated on the CPU. */
    isSoftware: boolean;
  };
  /** Optional features in use. */
  features: string[];
  /** Most tokens of a conversation. */
  contextLength: number;
  /** Precision of the KV cache. */
  kv: "f16" | "f32";
  model: {
    /** The name in the file, if it has one. */
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
  /** What makes answers worse than they could be, in sentences to show; empty for nearly all models. */
  warnings: string[];
  /** Oddities of the file that change no answer. */
  notes: string[];
  /** Bytes held on the device. */
  memory: { weights: number; kv: number; scratch: number; total: number };
  /** Layers that are read again for every token instead of staying on the GPU: see `maxGpuBytes`. */
  paging: {
    residentLayers: number;
    pagedLayers: number;
    /** Bytes read for every token decoded, and for every chunk of a prompt. */
    bytesPerToken: number;
    /** Bytes of each of the two slots that the paged layers share. */
    slotBytes: number;
    /** Since the load. */
    bytesRead: number;
    /** Milliseconds since the load in which the GPU was idle because a layer had not been read yet. */
    stallMs: number;
  };
  /** Counts since the load. After the first token of a greedy run only the last three still change. */
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

/** Measurements of the page and of the workers → the API's names. */
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

/** The engine's names → the API's. */
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
