import { artifactUrls, workerAddress } from "./addresses.js";
import { type ArtifactName, cpuBytes, detectFeatures } from "./artifacts.js";
import { webgpuCapabilities } from "./capabilities.js";
import { EngineClient } from "./engine-client.js";
import type { DeviceFacts, EngineInspection, EngineVerdict } from "./engine-types.js";
import { needWorkers } from "./environment.js";
import { abortError, ChordError, throwIfAborted } from "./errors.js";
import { checkOptions, type ChordLoadOptions } from "./options.js";
import type { WasmUrls } from "./protocol.js";
import { baseUrl, resolveSource } from "./source/resolve.js";
import type { ModelSource } from "./source/source.js";

/** Options of `Chord.inspect`, as `Chord.load` has them. */
export type InspectOptions = Pick<
  ChordLoadOptions,
  "backend" | "contextLength" | "kv" | "maxGpuBytes" | "signal" | "workerUrl" | "wasmUrl"
>;

/** Whether this device can run a model as asked; `text` says it in words. */
export type Verdict =
  | { kind: "fits"; text: string }
  /** With a shorter context: the longest that fits, in steps of 256. */
  | { kind: "fits-with-context"; text: string; contextLength: number }
  /** With layers read from the store again for every token: load it with `maxGpuBytes: inspection.budgetBytes`. */
  | { kind: "pages"; text: string; residentLayers: number; pagedLayers: number; bytesPerToken: number }
  | { kind: "unsupported"; text: string; code: string; why: string };

/** What a model's header tells. Byte counts are exact as numbers up to 2^53. */
export interface Inspection {
  /** As the file says, where it does. */
  name: string | null;
  architecture: string;
  /** Number of weights. */
  parameters: number;
  sizeBytes: number;
  /** Bytes before the first weight. They came from the network, unless the model was stored. */
  headerBytes: number;
  /** Bytes of tensors by storage type (`Q4_K`, `F32`), largest first. */
  tensorTypes: Record<string, number>;
  /** Without one, `chat.completions` cannot be used. */
  hasChatTemplate: boolean;
  /** Tokens; 0 where the file does not say. */
  trainedContextLength: number;
  /** Tokens that `memory` is for; `null` where the model cannot be run. */
  contextLength: number | null;
  /** Bytes needed with everything held; `null` likewise. */
  memory: { weights: number; kv: number; scratch: number; total: number } | null;
  /** What would run it. */
  backend: "webgpu" | "cpu" | null;
  /** Bytes that the model may take there: `maxGpuBytes`, or what this kind of device usually has. */
  budgetBytes: number | null;
  /**
   * Nobody said how much there is. WebGPU does not tell how much memory a GPU has, nor how much of it is taken; twice
   * its largest buffer is assumed, which is often less than there is and can be more. `maxGpuBytes` says it better.
   */
  budgetIsGuess: boolean;
  /**
   * A file that `Chord.load` refuses for its tokenizer, its template or its tensors is `unsupported`, with that code.
   */
  verdict: Verdict;
  /** What makes answers worse than the model could give them, in sentences to show; empty for nearly all models. */
  warnings: string[];
  /** What is odd in the file and changes no answer. */
  notes: string[];
  /** Names of tensors that no answer to a text needs, such as a vision encoder's. They are not used. */
  ignoredTensors: string[];
}

/** Reads a model's header by ranges, and nothing else of it; a model that is stored is looked at in the store. */
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
    client.end(new ChordError("unloaded", "The model was only looked at."));
  }
}

async function deviceFacts(wasmUrls: WasmUrls): Promise<DeviceFacts> {
  const [webgpu, features] = await Promise.all([webgpuCapabilities(), detectFeatures()]);
  const { available, maxBufferBytes, maxBindingBytes, isSoftware } = webgpu;
  const gpu = { max_buffer_bytes: maxBufferBytes, max_binding_bytes: maxBindingBytes, is_software: isSoftware };
  return { ...(available ? { gpu } : {}), cpu_bytes: cpuBytes(features, Object.keys(wasmUrls) as ArtifactName[]) };
}

/** The engine's words → the API's. */
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
