// Generated from the Rust types by `npm run generate`: what crosses the edge of the engine, as serde reads and
// writes it. The public API has OpenAI's shapes instead; `src/openai` translates.

/** Sizes and choices of a load. */
export type LoadOptions = Partial<{
  /** What to run on. */
  backend: Backend;
  /** Positions of the context. Default: the trained length, at most 4,096. */
  n_ctx: number | null;
  /** Storage type of the KV cache. */
  kv: KvCache;
  /** Sequences held at once. */
  n_seq_max: number;
  /**
   * Tokens of a prompt computed at a time. Larger is faster and uses more scratch memory; a cancellation takes effect
   * between two chunks. Default: 256 on a GPU, 128 on the CPU.
   */
  max_batch: number | null;
  /** Positions whose logits are brought back at a time by `Engine::logits`. */
  max_outputs: number;
  /**
   * Threads on the CPU, the engine's own included. Default: one for each core, less one where there are more than two.
   */
  threads: number | null;
  /** Form of activations on the CPU. */
  activations: Activations;
  /**
   * The CPU's instruction set, by its name, for comparisons. Default: the fastest one here, which is measured where
   * more than one may be.
   */
  instruction_set: string | null;
  /** Bytes of the window through which weights pass on their way to the device. */
  window_bytes: number;
  /** Only a GPU whose name contains this. */
  adapter: string | null;
  /** GPU features not to use: `subgroups`, `shader-f16`. */
  disable_features: Array<string>;
  /**
   * Most bytes to hold on the GPU. Where the model needs more, the embedding, the output and as many layers as fit stay
   * there; the other layers are read from the file again for every token and every chunk of a prompt. A limit too small
   * even for that makes `auto` take the CPU and `gpu` fail. Default: no limit, everything is held.
   */
  max_gpu_bytes: number | null;
  /** Lowers the largest binding of the GPU, so that large matrices are split. */
  max_binding_bytes: number | null;
  /** In a browser: the page makes `subgroups` available although wgpu does not ask for it. */
  web_subgroups: boolean;
  /** Lets executors fuse ops. */
  fusion: boolean;
  /** Compares the GPU with the CPU on a tiny program before it is trusted. */
  self_test: boolean;
  /**
   * Self-tests that this build is known to have passed on this device, by name: they are not repeated. On the CPU, the
   * measurement of the fastest instruction set, whose name tells its outcome.
   */
  passed_tests: Array<string>;
  /**
   * Drops the weights on arrival instead of writing them to a device, to measure the memory of the load itself, even
   * with models that no device holds. A model loaded this way cannot run.
   */
  discard_weights: boolean;
}>;

/** What the program should run on. */
export type Backend = "auto" | "gpu" | "cpu";

/** Storage type of keys and values. */
export type KvCache = "f32" | "f16";

/** Form of activations in the CPU's products with quantized matrices. */
export type Activations = "mixed" | "q8" | "q16" | "f32";

/** How far a load has come. */
export type LoadProgress = {
  /** What is being done. */
  stage: LoadStage;
  /** Bytes of this stage that are done; in `prepare` and `ready`, 0 or 1. */
  loaded: number;
  /** Bytes of this stage; in `prepare` and `ready`, 1. */
  total: number;
};

/** What a load is doing. */
export type LoadStage = "header" | "prepare" | "weights" | "ready";

/**
 * A `GenerateRequest` as it comes from outside. What is left out has its default, and so has a number that is null.
 */
export type GenerateRequest = Partial<{
  /** What to continue. */
  prompt: Prompt;
  /** How tokens are chosen. */
  sampling: Sampling;
  /** Most tokens to generate. */
  max_tokens: RawNumber;
  /** Strings that end the generation. */
  stop: Array<string>;
  /** Seed of the draws. */
  seed: RawNumber;
  /** Tokens of the answer that exist already. */
  answered: Array<number>;
  /** The sequence whose cache is used. */
  sequence: number;
  /** The user's local time for chat templates, in seconds since 1970-01-01 00:00. */
  now: number | null;
}>;

/** What to continue. */
export type Prompt =
  { messages: Array<Message> } | { text: string } | { text_with_special: string } | { tokens: Array<number> };

/** One message of a conversation. */
export type Message = {
  /** `system`, `user`, `assistant`, or another role that the template knows. */
  role: string;
  /** The text. */
  content: string;
  /** Who says it, where several speak in one role. Whether it is shown is up to the template. */
  name?: string;
};

/** Each field of `Sampling`: what was given for it, or what it is. */
export type Sampling = Partial<{
  /** Divides the logits before the draw; 0 takes the most likely token. */
  temperature: RawNumber;
  /** Keeps the most likely tokens that together reach this probability: 1 keeps all, 0 only the most likely one. */
  top_p: RawNumber;
  /** Keeps this many of the most likely tokens; 0 keeps all. */
  top_k: RawNumber;
  /** Drops tokens less likely than this share of the most likely one; 0 drops none. */
  min_p: RawNumber;
  /** Divides positive and multiplies negative logits of tokens seen lately; 1 changes nothing. */
  repeat_penalty: RawNumber;
  /** How many of the latest tokens (prompt included) the penalty looks at; 0 for none. */
  repeat_last_n: RawNumber;
}>;

/** What was given where a number belongs. */
export type RawNumber = number | null;

/** What happens during a generation, in order. */
export type GenerateEvent = { prompt: PromptProgress } | { token: number } | { text: string };

/** How far the prompt has been read. */
export type PromptProgress = {
  /** Tokens of the prompt. */
  total: number;
  /** Of these, held by the cache already. */
  cached: number;
  /** Of these, done so far, cached ones included. */
  processed: number;
  /** Milliseconds since the prefill began. */
  time_ms: number;
};

/** How a generation ended. Its text went out through the events. */
export type GenerateResult = {
  /** Why it ended. */
  finish_reason: FinishReason;
  /** Tokens in and out. */
  usage: Usage;
  /** How long it took. */
  timings: Timings;
  /** The seed that was used. */
  seed: number;
};

/** Why a generation ended. */
export type FinishReason = "stop" | "length" | "cancelled";

/** Tokens in and out. */
export type Usage = {
  /** Tokens of the prompt. */
  prompt_tokens: number;
  /** Tokens of the prompt that the cache held already. */
  cached_tokens: number;
  /** Tokens generated, including those answered before and an end-of-generation token. */
  completion_tokens: number;
};

/** Durations in milliseconds, rates in tokens per second (0 where nothing was done). */
export type Timings = {
  /** From the call to the first token: tokenizing, prefill and the first choice. */
  time_to_first_token_ms: number;
  /** Prefill of the tokens that were not cached, the first choice included. */
  prefill_ms: number;
  /** Tokens prefilled per second. */
  prefill_tokens_per_s: number;
  /** From the first token to the last. */
  decode_ms: number;
  /** Tokens decoded per second, the first one not counted. */
  decode_tokens_per_s: number;
  /** The whole call. */
  total_ms: number;
  /** Of `prefill_ms`, the time in which the device waited for layers that are paged. */
  prefill_stall_ms: number;
  /** Likewise of `decode_ms`, for each token after the first. */
  stall_ms_per_token: number;
};

/** How `Tokenizer::encode` treats special tokens. */
export type EncodeOptions = {
  /** Add the tokens that the file wants at the beginning (BOS) and the end (EOS). */
  add_special: boolean;
  /**
   * Read the texts of control tokens as these tokens. Never set this for text that a user wrote. User-defined tokens
   * are matched in any case.
   */
  parse_special: boolean;
};

/** What is loaded and what runs it. */
export type EngineInfo = {
  /** The backend that runs it. */
  backend: "gpu" | "cpu";
  /** Why this backend runs it: each fallback with its reason, in the order in which backends were tried. */
  why: Array<string>;
  /** Adapter or processor, as the system names it. */
  device: string;
  /** True for a software GPU, which computes on the CPU. */
  is_software: boolean;
  /** Optional features in use. */
  features: Array<string>;
  /** Bytes held. */
  memory: MemoryInfo;
  /** Layers that are not held. */
  paging: PagingInfo;
  /** Counts so far. */
  counters: CounterInfo;
  /** Name of the self-test that the device has passed, now or before. It lists everything that the test depends on. */
  self_test: string | null;
  /** What the load took. */
  load: LoadTimes;
  /** Positions of the context. */
  n_ctx: number;
  /** Vocabulary size. */
  n_vocab: number;
  /** Tokens of a prompt chunk. */
  max_batch: number;
  /** Sequences that can be held. */
  n_seq_max: number;
  /** Storage type of the KV cache. */
  kv: KvCache;
  /** True if messages can be given. */
  has_chat_template: boolean;
  /** What the file says about itself. */
  model: ModelInfo;
  /** What makes answers worse than the model could give them, in sentences to show. */
  warnings: Array<string>;
  /** Oddities of the file that change no answer. */
  notes: Array<string>;
};

/** Bytes held by the executor. */
export type MemoryInfo = {
  /** Weights and tables. */
  weights: number;
  /** KV cache. */
  kv: number;
  /** Everything else. */
  scratch: number;
};

/** Layers that are read from the file again and again, because the device does not hold all of them. */
export type PagingInfo = {
  /** Layers held on the device. */
  resident_layers: number;
  /** Layers not held there. */
  paged_layers: number;
  /** Bytes read for every token decoded, and for every chunk of a prompt. */
  bytes_per_token: number;
  /** Bytes of each of the two slots that paged layers share. */
  slot_bytes: number;
  /** Bytes read since the load. */
  bytes_read: number;
  /** Milliseconds since the load in which the device had nothing to do because a layer was not there. */
  stall_ms: number;
};

/** Counts since the load; see `chord_program::Counters`. */
export type CounterInfo = {
  /** Device buffers created. */
  buffers_created: number;
  /** Bind groups created. */
  bind_groups_created: number;
  /** Pipelines created. */
  pipelines_created: number;
  /** Submits. */
  submits: number;
  /** Dispatches. */
  dispatches: number;
  /** Tokens decoded on the device. */
  tokens: number;
  /** Decode submits made only after a read-back had been awaited. */
  readbacks_before_submit: number;
};

/**
 * Milliseconds of the engine's parts of a load, one after the other. Work of the source, which reads and checks
 * meanwhile, counts only as far as the engine waits for it.
 */
export type LoadTimes = {
  /** Reading and checking the header, waiting for its bytes included. */
  header_ms: number;
  /** Building the tokenizer and the chat template. */
  text_ms: number;
  /** Opening the device, or gathering the CPU's threads. */
  device_ms: number;
  /**
   * Comparing the GPU with the CPU: the GPU's kernels are those of the model and are compiled here. On the CPU,
   * measuring its instruction sets.
   */
  self_test_ms: number;
  /** Compiling the remaining kernels and making room for the weights. */
  compile_ms: number;
  /** Waiting for the bytes of the weights. */
  read_ms: number;
  /** Bringing the weights to their place, up to the arrival of the last one. */
  upload_ms: number;
};

/** What the file says about itself. */
export type ModelInfo = {
  /** `general.architecture`. */
  architecture: string;
  /** `general.name`, if it is there. */
  name: string | null;
  /** Number of weights of all tensors. */
  n_params: number;
  /** Bytes of the file. */
  file_bytes: number;
  /** Bytes of all tensors. */
  tensor_bytes: number;
  /** Trained context length, if the file has it. */
  n_ctx_train: number | null;
  /** Bytes of each storage type among the tensors, largest first. */
  types: Array<[string, number]>;
};

/** What a device reports about itself. */
export type DeviceFacts = Partial<{
  /** Its GPU, if it has one. */
  gpu: GpuFacts | null;
  /** Most bytes that a model may take on the CPU; no limit if absent. */
  cpu_bytes: number | null;
}>;

/** Limits of a GPU, in bytes. */
export type GpuFacts = {
  /** Largest buffer. */
  max_buffer_bytes: number;
  /** Largest range of a buffer that a kernel can see. */
  max_binding_bytes: number;
  /** True for a software GPU, which computes on the CPU. */
  is_software: boolean;
};

/** The facts of a file's header. */
export type Inspection = {
  /** What the file says about itself. */
  model: ModelInfo;
  /** Bytes before the first tensor. */
  header_bytes: number;
  /** True if messages can be given. */
  has_chat_template: boolean;
  /** Context that the figures are for; absent for a model that cannot be lowered. */
  n_ctx: number | null;
  /** Bytes needed for that context with all layers held; absent likewise. */
  memory: MemoryInfo | null;
  /** The backend that would run it. */
  backend: "gpu" | "cpu" | null;
  /** Bytes it may take there, if there is a limit. */
  budget_bytes: number | null;
  /** True if the limit is an estimate: see `GpuFacts::likely_bytes`. */
  budget_is_guess: boolean;
  /** Whether the device can run it. */
  verdict: Verdict;
  /** What makes answers worse than the model could give them, in sentences to show. */
  warnings: Array<string>;
  /** Oddities of the file that change no answer. */
  notes: Array<string>;
  /** Names of the tensors that no answer to a text needs, in the order of the file. */
  ignored_tensors: Array<string>;
};

/** Whether a device can run a model with the given options. */
export type Verdict =
  | { kind: "fits" }
  | {
      kind: "fits-with-context";
      /** The longest that fits, in steps of 256. */
      n_ctx: number;
    }
  | {
      kind: "pages";
      /** Layers held. */
      resident_layers: number;
      /** Layers read again and again. */
      paged_layers: number;
      /** Bytes read for every token. */
      bytes_per_token: number;
    }
  | {
      kind: "unsupported";
      /** The error's code. */
      code: string;
      /** What is missing. */
      why: string;
    };
