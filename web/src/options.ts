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
   * CPU threads, used if the page is cross-origin isolated. Default: the number of cores, minus one for the page if
   * there are more than two. At most 64.
   */
  threads?: number;
  /**
   * How the CPU rounds activations before it multiplies them with quantized weights. `q16`: to 16 bits, in practice as
   * good as `f32`. `q8`: to 8 bits like llama.cpp, which reads prompts faster but leaves close choices between tokens
   * to chance. `mixed`: to 8 bits in the middle of prompts and to 16 elsewhere, nearly as fast as `q8` and nearly as
   * good as `q16`. `f32`: not at all, which is slow. Default `mixed`.
   */
  activations?: "mixed" | "q16" | "q8" | "f32";
  /** Under `auto`, also use a GPU emulated in software. Default false: the CPU itself is faster. */
  softwareGpu?: boolean;
  /** Most tokens of a conversation. Default: the model's trained context, at most 4,096. */
  contextLength?: number;
  /** Precision of the KV cache. Default `f16`; `f32` takes twice the memory. */
  kv?: "f16" | "f32";
  /** GPU features not to use even where the adapter has them: `subgroups`, `shader-f16`. */
  disableFeatures?: string[];
  /**
   * Compare the GPU with the CPU on a small program before the GPU is used. Default true. A test that passed is
   * remembered for a week, for this adapter, browser and version of the engine.
   */
  selfTest?: boolean;
  /**
   * Most bytes to use on the GPU. If a model needs more, as many layers as fit stay there; the others are read from the
   * store again for every token, which works but is slow. `Chord.inspect` says whether this applies to a model. Use it
   * with a store: without one the layers come over the network each time. Default: no limit.
   */
  maxGpuBytes?: number;
  /** Aborts the load and frees all that it uses. The stored part of the file stays. */
  signal?: AbortSignal;
  /** How the model is downloaded. */
  download?: DownloadSettings;
  /** Pauses and resumes the download. */
  control?: LoadControl;
  /** At most ten calls a second. */
  onProgress?: (progress: LoadProgress) => void;
  /**
   * Where the model is kept for the next visit: `auto` (the default) uses `opfs` if this browser has it, otherwise
   * `indexeddb`. `memory` keeps it while it is loaded, `none` not at all. A stored model is found in whichever store it
   * is; a `File` is always used in place.
   */
  store?: StoreChoice;
  /** For tests and bug reports. */
  debug?: {
    /** Drop the weights instead of uploading them, to measure the load itself. Such a model cannot run. */
    discardWeights?: boolean;
    /** On the CPU, use the 64-bit engine for a model of any size. */
    memory64?: boolean;
    /**
     * The CPU's instruction set, one of those that `info()` names under `features`: `relaxed-simd` and `relaxed-dot`
     * where the browser has relaxed SIMD. Default: the faster one, which the first load measures.
     */
    instructionSet?: string;
  };
  /** Where `chord-worker.js` is, if not beside this module. */
  workerUrl?: string | URL;
  /**
   * Where the WebAssembly is, if not beside this module: one address, which is used as the `baseline` artifact and the
   * only one, or an address for each artifact that is elsewhere.
   */
  wasmUrl?: string | URL | Partial<Record<ArtifactName, string | URL>>;
}

/** Checked options, with defaults filled in. */
export interface CheckedOptions {
  engine: EngineLoadOptions;
  threads: number;
  softwareGpu: boolean;
  memory64: boolean;
  store: StoreChoice;
  download: DownloadSettings;
}

const STORE_CHOICES: readonly StoreChoice[] = ["auto", "opfs", "indexeddb", "memory", "none"];

/** Checks what types cannot express, and what plain JavaScript may get wrong. */
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
      throw new ChordError(
        "invalid-argument",
        `contextLength must be a whole number of at least 1, not ${contextLength}`,
        {
          field: "contextLength",
        },
      );
    }
    engine.n_ctx = contextLength;
  }
  if (maxGpuBytes !== undefined) {
    if (!Number.isSafeInteger(maxGpuBytes) || maxGpuBytes < 1) {
      throw new ChordError("invalid-argument", `maxGpuBytes must be a whole number of at least 1, not ${maxGpuBytes}`, {
        field: "maxGpuBytes",
      });
    }
    engine.max_gpu_bytes = maxGpuBytes;
  }
  if (selfTest !== undefined) engine.self_test = selfTest;
  if (options.debug?.discardWeights === true) engine.discard_weights = true;
  if (options.debug?.instructionSet !== undefined) engine.instruction_set = options.debug.instructionSet;
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
