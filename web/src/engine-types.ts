/**
 * The engine's own shapes, as serde writes and reads them: `rust/engine/src/{options,request,sampler,info}.rs`, field
 * by field. The public API has OpenAI's shapes instead; `src/openai` translates.
 */

/** `LoadOptions`. A field left out has the engine's default. */
export interface LoadOptions {
  backend: "auto" | "gpu" | "cpu";
  n_ctx?: number;
  kv: "f16" | "f32";
  /** On the CPU. */
  activations: "mixed" | "q16" | "q8" | "f32";
  /** Where all weights do not fit, layers are paged. */
  max_gpu_bytes?: number;
  /** The worker makes `subgroups` available although wgpu does not ask for it: see `worker/webgpu.ts`. */
  web_subgroups?: boolean;
  /** GPU features not to use: `subgroups`, `shader-f16`. */
  disable_features?: string[];
  self_test?: boolean;
  /** Self-tests that need not be repeated, by name. */
  passed_tests?: string[];
  /** Drop the weights where a device would take them. */
  discard_weights?: boolean;
}

/** `LoadProgress`. */
export interface EngineLoadProgress {
  stage: "header" | "prepare" | "weights" | "ready";
  loaded: number;
  total: number;
}

/** A chat message, as chat templates see it. */
export interface Message {
  role: string;
  content: string;
  name?: string;
}

/** What to continue. */
export type Prompt = { messages: Message[] } | { text: string } | { tokens: number[] };

/** `Sampling`. A field left out has the engine's default. */
export interface Sampling {
  temperature?: number;
  top_k?: number;
  top_p?: number;
  min_p?: number;
  repeat_penalty?: number;
  repeat_last_n?: number;
}

/** `GenerateRequest`. */
export interface GenerateRequest {
  prompt: Prompt;
  sampling: Sampling;
  /** Without a limit the generation goes on to an end token or to the end of the context. */
  max_tokens?: number;
  stop: string[];
  seed?: number;
  /** Tokens of the answer that are there already: the generation goes on after them. */
  answered?: number[];
  /** What chat templates show as the time: seconds since 1970-01-01 00:00 by the clock on the user's wall. */
  now?: number;
}

/** `Event`: text that has become certain (whole characters, nothing of a stop string), or progress of the prompt. */
export type GenerateEvent = { text: string } | { prompt: PromptProgress };

/** The same as the worker hears it: a token that was chosen, too. */
export type WorkerGenerateEvent = GenerateEvent | { token: number };

/** `PromptProgress`. */
export interface PromptProgress {
  total: number;
  /** Tokens that the KV cache held before. */
  cached: number;
  /** Tokens done by now, cached ones included. */
  processed: number;
  time_ms: number;
}

/** `GenerateResult`. */
export interface GenerateResult {
  finish_reason: "stop" | "length" | "cancelled";
  usage: { prompt_tokens: number; cached_tokens: number; completion_tokens: number };
  timings: {
    time_to_first_token_ms: number;
    prefill_ms: number;
    prefill_tokens_per_s: number;
    decode_ms: number;
    decode_tokens_per_s: number;
    total_ms: number;
    /** Of the times above, how long the device waited for layers that are paged. */
    prefill_stall_ms: number;
    stall_ms_per_token: number;
  };
  seed: number;
}

/** `EncodeOptions`. */
export interface TokenizeOptions {
  /** Adds the begin and end tokens that the file asks for. */
  add_special: boolean;
  /** Names of control tokens in the text become these tokens. */
  parse_special: boolean;
}

/** `EngineInfo`. Byte counts are exact as numbers up to 2^53. */
export interface EngineInfo {
  backend: "gpu" | "cpu";
  /** Each step of the ladder that was taken, with its reason. */
  why: string[];
  /** Adapter or processor, as the system names it. */
  device: string;
  is_software: boolean;
  features: string[];
  memory: { weights: number; kv: number; scratch: number };
  paging: {
    resident_layers: number;
    paged_layers: number;
    bytes_per_token: number;
    slot_bytes: number;
    bytes_read: number;
    stall_ms: number;
  };
  counters: {
    buffers_created: number;
    bind_groups_created: number;
    pipelines_created: number;
    submits: number;
    dispatches: number;
    tokens: number;
    readbacks_before_submit: number;
  };
  /** The self-test that the device has passed, now or before. */
  self_test: string | null;
  load: {
    header_ms: number;
    text_ms: number;
    device_ms: number;
    self_test_ms: number;
    compile_ms: number;
    read_ms: number;
    upload_ms: number;
  };
  n_ctx: number;
  n_vocab: number;
  max_batch: number;
  n_seq_max: number;
  kv: "f16" | "f32";
  has_chat_template: boolean;
  model: {
    architecture: string;
    name: string | null;
    n_params: number;
    file_bytes: number;
    tensor_bytes: number;
    n_ctx_train: number | null;
    /** Bytes of each storage type, largest first. */
    types: [string, number][];
  };
  warnings: string[];
  notes: string[];
}

/** `DeviceFacts`. */
export interface DeviceFacts {
  gpu?: { max_buffer_bytes: number; max_binding_bytes: number; is_software: boolean };
  cpu_bytes?: number;
}

/** `Verdict`. */
export type EngineVerdict =
  | { kind: "fits" }
  | { kind: "fits-with-context"; n_ctx: number }
  | { kind: "pages"; resident_layers: number; paged_layers: number; bytes_per_token: number }
  | { kind: "unsupported"; code: string; why: string };

/** `Inspection`. */
export interface EngineInspection {
  model: EngineInfo["model"];
  header_bytes: number;
  has_chat_template: boolean;
  /** What the figures are for; `null` for a model that cannot be lowered. */
  n_ctx: number | null;
  memory: EngineInfo["memory"] | null;
  backend: "gpu" | "cpu" | null;
  budget_bytes: number | null;
  budget_is_guess: boolean;
  verdict: EngineVerdict;
  warnings: string[];
  notes: string[];
  ignored_tensors: string[];
}
