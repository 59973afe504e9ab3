import { artifactUrls, workerAddress } from "./addresses.js";
import { type ArtifactName, cpuBytes, detectFeatures } from "./artifacts.js";
import { webgpuCapabilities } from "./capabilities.js";
import { EngineClient } from "./engine-client.js";
import type { DeviceFacts, Inspection as EngineInspection, Verdict as EngineVerdict } from "./engine-types.js";
import { needWorkers } from "./environment.js";
import { abortError, ChordError, throwIfAborted } from "./errors.js";
import { checkOptions, type ChordLoadOptions } from "./options.js";
import type { WasmUrls } from "./protocol.js";
import { baseUrl, resolveSource } from "./source/resolve.js";
import type { ModelSource } from "./source/source.js";

/** Options of `Chord.inspect`, the same as those of `Chord.load`. */
export type InspectOptions = Pick<
  ChordLoadOptions,
  "backend" | "contextLength" | "kv" | "maxGpuBytes" | "signal" | "workerUrl" | "wasmUrl"
>;

/** Whether this device can run a model with the given options; `text` says it in words. */
export type Verdict =
  | { kind: "fits"; text: string }
  /** With a shorter context: the longest that fits, in steps of 256. */
  | { kind: "fits-with-context"; text: string; contextLength: number }
  /** With layers read from the store again for every token: load it with `maxGpuBytes: inspection.budgetBytes`. */
  | { kind: "pages"; text: string; residentLayers: number; pagedLayers: number; bytesPerToken: number }
  | { kind: "unsupported"; text: string; code: string; why: string };

/** The contents of a model's header. Byte counts are exact as numbers up to 2^53. */
export interface Inspection {
  /** The name in the file, if it has one. */
  name: string | null;
  architecture: string;
  /** Number of weights. */
  parameters: number;
  sizeBytes: number;
  /** Bytes before the first weight: what was downloaded, unless the model is stored. */
  headerBytes: number;
  /** Bytes of tensors by storage type (`Q4_K`, `F32`), largest first. */
  tensorTypes: Record<string, number>;
  /** Without one, `chat.completions` cannot be used. */
  hasChatTemplate: boolean;
  /** Tokens; 0 where the file does not say. */
  trainedContextLength: number;
  /** The context length that `memory` is for; `null` if the model cannot run. */
  contextLength: number | null;
  /** Bytes needed without paging; `null` if the model cannot run. */
  memory: { weights: number; kv: number; scratch: number; total: number } | null;
  /** The backend that would run it. */
  backend: "webgpu" | "cpu" | null;
  /** Bytes that the model may use there: `maxGpuBytes`, or what this kind of device usually has. */
  budgetBytes: number | null;
  /**
   * True if `budgetBytes` is a guess. WebGPU reports neither the GPU's memory nor how much of it is in use, so twice
   * its largest buffer is assumed, which is often too little and can be too much. `maxGpuBytes` replaces the guess.
   */
  budgetIsGuess: boolean;
  /**
   * A file that `Chord.load` refuses because of its tokenizer, template or tensors is `unsupported`, with that code.
   */
  verdict: Verdict;
  /** What makes answers worse than they could be, in sentences to show; empty for nearly all models. */
  warnings: string[];
  /** Oddities of the file that change no answer. */
  notes: string[];
  /** Names of tensors that no answer to a text needs, such as a vision encoder's. They are not used. */
  ignoredTensors: string[];
}

/** Reads only a model's header, by range requests, or from the store if the model is stored. */
export async function inspect(source: ModelSource, options: InspectOptions = {}): Promise<Inspection> {
  needWorkers();
  const { signal } = options;
  throwIfAborted(signal);
  const base = baseUrl();
  const descriptor = resolveSource(source, base);
  const checked = checkOptions(options);
  const workerUrl = workerAddress(options.workerUrl, base);
  const wasmUrls = artifactUrls(options.wasmUrl, base);
  const client = new EngineClient(workerUrl, descriptor, checked.store, checked.download, true);
  const abort = () => client.end(abortError(signal));
  signal?.addEventListener("abort", abort, { once: true });
  try {
    const params = { wasmUrls, options: checked.engine, device: await deviceFacts(wasmUrls) };
    return toInspection(await client.call("inspect", params));
  } finally {
    signal?.removeEventListener("abort", abort);
    client.end(new ChordError("unloaded", "The model was only inspected."));
  }
}

async function deviceFacts(wasmUrls: WasmUrls): Promise<DeviceFacts> {
  const [webgpu, features] = await Promise.all([webgpuCapabilities(), detectFeatures()]);
  const { available, maxBufferBytes, maxBindingBytes, isSoftware } = webgpu;
  const gpu = { max_buffer_bytes: maxBufferBytes, max_binding_bytes: maxBindingBytes, is_software: isSoftware };
  return { ...(available ? { gpu } : {}), cpu_bytes: cpuBytes(features, Object.keys(wasmUrls) as ArtifactName[]) };
}

/** The engine's names → the API's. */
export function toInspection(found: EngineInspection): Inspection {
  const { model, memory, backend } = found;
  return {
    name: model.name,
    architecture: model.architecture,
    parameters: model.n_params,
    sizeBytes: model.file_bytes,
    headerBytes: found.header_bytes,
    tensorTypes: Object.fromEntries(model.types),
    hasChatTemplate: found.has_chat_template,
    trainedContextLength: model.n_ctx_train ?? 0,
    contextLength: found.n_ctx,
    memory: memory && { ...memory, total: memory.weights + memory.kv + memory.scratch },
    backend: backend === "gpu" ? "webgpu" : backend,
    budgetBytes: found.budget_bytes,
    budgetIsGuess: found.budget_is_guess,
    verdict: toVerdict(found.verdict),
    warnings: found.warnings,
    notes: found.notes,
    ignoredTensors: found.ignored_tensors,
  };
}

function toVerdict(verdict: EngineVerdict): Verdict {
  switch (verdict.kind) {
    case "fits":
      return { kind: "fits", text: "fits" };
    case "fits-with-context":
      return {
        kind: "fits-with-context",
        text: `fits with context ${verdict.n_ctx}`,
        contextLength: verdict.n_ctx,
      };
    case "pages":
      return {
        kind: "pages",
        text: "pages",
        residentLayers: verdict.resident_layers,
        pagedLayers: verdict.paged_layers,
        bytesPerToken: verdict.bytes_per_token,
      };
    case "unsupported":
      return { kind: "unsupported", text: `unsupported: ${verdict.why}`, code: verdict.code, why: verdict.why };
  }
}
