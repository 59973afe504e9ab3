import { type ArtifactName, defaultThreads } from "./artifacts.js";
import { MOST_THREADS } from "./engine-limits.js";
import type { LoadOptions as EngineLoadOptions } from "./engine-types.js";
import { ChordError } from "./errors.js";
import { checkDownload, type DownloadSettings } from "./download/settings.js";
import type { LoadControl } from "./load-control.js";
import type { LoadProgress } from "./progress.js";
import type { StoreChoice } from "./store/store.js";

/** Options of `Chord.load`. */
export interface ChordLoadOptions {
  /**
   * `auto` uses a real GPU, or else the CPU. `webgpu` uses any adapter, including one emulated in software, and fails
   * if there is none. `cpu` always works. Default `auto`.
   */
  backend?: "auto" | "webgpu" | "cpu";
  /**
   * Threads of the CPU, used where the page is cross-origin isolated. Default: the cores, less one for the page where
   * there are more than two. At most 64.
   */
  threads?: number;
  /**
   * What the CPU multiplies quantized weights with: activations rounded to 16 bits (`q16`), as good as `f32` for all
   * practical purposes; to 8 bits (`q8`), as llama.cpp does, which reads prompts faster and leaves close choices
   * between tokens to chance; to 8 bits in the middle of prompts and to 16 elsewhere (`mixed`), which is nearly as fast
   * as the one and nearly as good as the other; or not rounded at all (`f32`), which is slow. Default `mixed`.
   */
  activations?: "mixed" | "q16" | "q8" | "f32";
  /** Under `auto`, count a GPU that is computed in software as a real one. Default false: the CPU itself is faster. */
  softwareGpu?: boolean;
  /** Tokens that a conversation can have. Default: what the model was trained for, at most 4,096. */
  contextLength?: number;
  /** Precision of the KV cache. Default `f16`; `f32` takes twice the memory. */
  kv?: "f16" | "f32";
  /** GPU features not to use even where the adapter has them: `subgroups`, `shader-f16`. */
  disableFeatures?: string[];
  /**
   * Compare the GPU with the CPU on a small program before it is trusted. Default true. That it passed is remembered
   * for a week, for this adapter, browser and version of the engine.
   */
  selfTest?: boolean;
  /**
   * Most bytes to hold on the GPU. Of a model that needs more, as many layers as fit stay there; the others are read
   * from the store again for every token, which is slow and works. `Chord.inspect` tells whether a model would. Give a
   * store too: without one the layers come over the network each time. Without this option everything is held.
   */
  maxGpuBytes?: number;
  /** Aborts the load: everything of it is stopped and freed. What has been stored of the file stays. */
  signal?: AbortSignal;
  /** How the model is downloaded. */
  download?: DownloadSettings;
  /** Pauses the download and lets it go on. */
  control?: LoadControl;
  /** At most ten calls a second. */
  onProgress?: (progress: LoadProgress) => void;
  /**
   * Where the model is kept for the next visit: `auto` (the default) takes the faster of `opfs` and `indexeddb` that
   * this browser has. `memory` keeps it while it is loaded, `none` not at all. A model that is stored is found wherever
   * it lies; a `File` is always used in place.
   */
  store?: StoreChoice;
  /** What tests and bug reports need. */
  debug?: {
    /** Drop the weights where a device would take them: shows what a load itself costs. Such a model cannot run. */
    discardWeights?: boolean;
    /** On the CPU, take the 64-bit engine whatever the model's size. */
    memory64?: boolean;
  };
  /** Where `chord-worker.js` is, if not beside this module. */
  workerUrl?: string | URL;
  /**
   * Where the WebAssembly is, if not beside this module: one address, which is that of the `baseline` artifact and the
   * only one then used, or an address for each artifact that lies elsewhere.
   */
  wasmUrl?: string | URL | Partial<Record<ArtifactName, string | URL>>;
}

/** Options that were checked, with defaults. */
export interface CheckedOptions {
  engine: EngineLoadOptions;
  threads: number;
  softwareGpu: boolean;
  memory64: boolean;
  store: StoreChoice;
  download: DownloadSettings;
}

const STORE_CHOICES: readonly StoreChoice[] = ["auto", "opfs", "indexeddb", "memory", "none"];

/** Checks what types cannot, and what plain JavaScript may get wrong. */
export function checkOptions(options: ChordLoadOptions): CheckedOptions {
  const backend = oneOf("backend", options.backend, ["auto", "webgpu", "cpu"]) ?? "auto";
  const engine: EngineLoadOptions = {
    backend: backend === "webgpu" ? "gpu" : backend,
    kv: oneOf("kv", options.kv, ["f16", "f32"]) ?? "f16",
    activations: oneOf("activations", options.activations, ["mixed", "q16", "q8", "f32"]) ?? "mixed",
  };
  const { contextLength, disableFeatures, maxGpuBytes, selfTest, softwareGpu = false } = options;
  const threads = options.threads ?? defaultThreads(navigator.hardwareConcurrency);
  if (!Number.isInteger(threads) || threads < 1 || threads > MOST_THREADS) {
    const message = `threads must be a whole number from 1 to ${MOST_THREADS}, not ${threads}`;
    throw new ChordError("invalid-argument", message, { field: "threads" });
  }
  if (contextLength !== undefined) {
    if (!Number.isInteger(contextLength) || contextLength < 1 || contextLength > 0xffffffff) {
      throw new ChordError("invalid-argument", `contextLength must be a whole number from 1 on, not ${contextLength}`, {
        field: "contextLength",
      });
    }
    engine.n_ctx = contextLength;
  }
  if (maxGpuBytes !== undefined) {
    if (!Number.isSafeInteger(maxGpuBytes) || maxGpuBytes < 1) {
      throw new ChordError("invalid-argument", `maxGpuBytes must be a whole number from 1 on, not ${maxGpuBytes}`, {
        field: "maxGpuBytes",
      });
    }
    engine.max_gpu_bytes = maxGpuBytes;
  }
  if (selfTest !== undefined) engine.self_test = selfTest;
  if (options.debug?.discardWeights === true) engine.discard_weights = true;
  if (disableFeatures !== undefined) engine.disable_features = [...disableFeatures];
  const store = oneOf("store", options.store, STORE_CHOICES) ?? "auto";
  const memory64 = options.debug?.memory64 === true;
  return { engine, threads, softwareGpu, memory64, store, download: checkDownload(options.download) };
}

function oneOf<T extends string>(field: string, value: T | undefined, allowed: readonly T[]): T | undefined {
  if (value === undefined || allowed.includes(value)) return value;
  throw new ChordError("invalid-argument", `${field} must be one of ${allowed.join(", ")}, not ${String(value)}`, {
    field,
  });
}
