import { cache, type StoredSource } from "./cache.js";
import { artifactUrls, workerAddress } from "./addresses.js";
import { capabilities } from "./capabilities.js";
import { EngineClient } from "./engine-client.js";
import { needWorkers } from "./environment.js";
import type { CallName, EngineCalls, StoreReport } from "./protocol.js";
import { abortError, ChordError, throwIfAborted } from "./errors.js";
import { generate } from "./generation.js";
import { type ChordInfo, type LoadTimes, toChordInfo, toLoadTimes } from "./info.js";
import { inspect } from "./inspect.js";
import { checkChatRequest, checkCompletionRequest, checkMessages, isTokenIds, wallClock } from "./openai/request.js";
import { chatAnswer, textAnswer } from "./openai/response.js";
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatMessage,
  Completion,
  CompletionChunk,
  CompletionRequest,
  PromptProgress,
} from "./openai/types.js";
import { checkOptions, type ChordLoadOptions } from "./options.js";
import { TaskQueue } from "./queue.js";
import { baseUrl, resolveSource } from "./source/resolve.js";
import type { ModelSource } from "./source/source.js";
import type { ChordStream } from "./stream.js";

/** Second argument of every call. */
export interface CallOptions {
  signal?: AbortSignal;
}

/** Second argument of `create`. */
export interface GenerateOptions extends CallOptions {
  /**
   * Called after each part of the prompt, and once more before the first token, streamed or not. A long prompt is read
   * in parts of some hundred tokens. With `return_progress`, a stream carries the same as chunks.
   */
  onPromptProgress?: (progress: PromptProgress) => void;
}

/** How text becomes tokens. */
export interface TokenizeOptions extends CallOptions {
  /** Add the begin and end tokens that the model's file specifies. Default true. */
  addSpecial?: boolean;
  /** Turn names of control tokens in the text into these tokens. Default false. */
  parseSpecial?: boolean;
}

/**
 * A loaded model. Calls to one `Chord` are queued, never interleaved. After {@link unload}, a failure of the engine, or
 * the loss of an explicitly requested device, every call rejects with the reason.
 */
export class Chord {
  /** OpenAI's `chat.completions`. */
  readonly chat = {
    completions: {
      create: this.createChat.bind(this) as ChatCreate,
    },
  };
  /** OpenAI's `completions`. */
  readonly completions = {
    create: this.createCompletion.bind(this) as CompletionCreate,
  };
  /** For tests and bug reports. */
  readonly debug = {
    /** Logits of every position, `[tokens.length, vocabularySize]` row by row. Clears the KV cache first. */
    logits: async (tokens: ArrayLike<number>, options: CallOptions = {}): Promise<Float32Array> => {
      if (!isTokenIds(tokens))
        throw new ChordError("invalid-argument", "tokens must be token ids", { field: "tokens" });
      return this.call("logits", { tokens: Uint32Array.from(tokens) }, options.signal);
    },
    /**
     * Destroys the GPU device, for tests: under `backend: "auto"` the CPU takes over, otherwise every call rejects with
     * `device-lost`.
     */
    loseDevice: (): void => this.client.loseDevice(),
  };
  private readonly queue = new TaskQueue();
  private unloading: Promise<void> | undefined;

  private constructor(
    private readonly client: EngineClient,
    private readonly store: StoreReport,
    private readonly loadTimes: LoadTimes,
    private readonly modelName: string,
  ) {}

  /** Loads a model from a URL, a `File`, `Blob` or file handle, or a Hugging Face repository. */
  static async load(source: ModelSource, options: ChordLoadOptions = {}): Promise<Chord> {
    needWorkers();
    const { signal, onProgress, control } = options;
    throwIfAborted(signal);
    const began = performance.now();
    const checked = checkOptions(options);
    const base = baseUrl();
    const descriptor = resolveSource(source, base);
    const workerUrl = workerAddress(options.workerUrl, base);
    const wasmUrls = artifactUrls(options.wasmUrl, base);
    const remote = descriptor.kind === "url" || descriptor.kind === "hub";
    if (remote && checked.store !== "none" && checked.store !== "memory") askToPersist();

    const client = new EngineClient(workerUrl, descriptor, checked.store, checked.download);
    const abort = () => client.abandon(abortError(signal));
    signal?.addEventListener("abort", abort, { once: true });
    if (control?.paused) client.setPaused(true);
    const ignoreControl = control?.subscribe((paused) => client.setPaused(paused));
    try {
      const { engine, threads, softwareGpu, memory64 } = checked;
      const params = { wasmUrls, options: engine, threads, softwareGpu, memory64 };
      const { info, store, times } = await client.call("load", params, onProgress ? { onEvent: onProgress } : {});
      const load = toLoadTimes(performance.now() - began, info, times);
      return new Chord(client, store, load, info.model.name ?? info.model.architecture);
    } catch (error) {
      client.abandon(error as Error);
      if (remote) await forgetOther(source as StoredSource, error);
      throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
      ignoreControl?.();
    }
  }

  /** What this browser offers. */
  static capabilities = capabilities;

  /** Reads a model's header, and nothing else, and says whether this device can run the model. */
  static inspect = inspect;

  /** The models kept in the browser. */
  static cache = cache;

  /** Token ids of a text. */
  async tokenize(text: string, options: TokenizeOptions = {}): Promise<number[]> {
    const { addSpecial = true, parseSpecial = false, signal } = options;
    if (typeof text !== "string") throw new ChordError("invalid-argument", "text must be a string", { field: "text" });
    const asked = { add_special: addSpecial, parse_special: parseSpecial };
    return Array.from(await this.call("tokenize", { text, options: asked }, signal));
  }

  /** Number of tokens of a text, or of a conversation in the model's chat format, up to the start of the answer. */
  async countTokens(input: string | ChatMessage[], options: TokenizeOptions = {}): Promise<number> {
    if (typeof input === "string") return (await this.tokenize(input, options)).length;
    const messages = checkMessages(input);
    return (await this.call("tokenizeChat", { messages, now: wallClock(new Date()) }, options.signal)).length;
  }

  /** Backend and reason, adapter, memory, counters, facts of the model. */
  async info(): Promise<ChordInfo> {
    return toChordInfo(await this.call("info", null), this.store, this.loadTimes);
  }

  /** Stops all calls and frees all memory. Unanswered calls reject with `unloaded`. */
  unload(): Promise<void> {
    this.unloading ??= this.client.unload(unloaded());
    return this.unloading;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.unload();
  }

  private async createChat(request: ChatCompletionRequest, options: GenerateOptions = {}): Promise<unknown> {
    this.checkUsable();
    const checked = checkChatRequest(request);
    const answer = chatAnswer(checked.model ?? this.modelName, checked.includeUsage);
    return generate(this.client, this.queue, checked, answer, options.signal, options.onPromptProgress);
  }

  private async createCompletion(request: CompletionRequest, options: GenerateOptions = {}): Promise<unknown> {
    this.checkUsable();
    const checked = checkCompletionRequest(request);
    const answer = textAnswer(checked.model ?? this.modelName, checked.includeUsage);
    return generate(this.client, this.queue, checked, answer, options.signal, options.onPromptProgress);
  }

  private async call<K extends CallName>(
    call: K,
    params: EngineCalls[K]["params"],
    signal?: AbortSignal,
  ): Promise<EngineCalls[K]["result"]> {
    this.checkUsable();
    return this.queue.run(() => this.client.call(call, params, { signal }), signal);
  }

  private checkUsable(): void {
    if (this.client.failure) throw this.client.failure;
  }
}

/** `create` of `chat.completions`: with `stream: true` the promise holds the stream. */
export interface ChatCreate {
  (
    request: ChatCompletionRequest & { stream: true },
    options?: GenerateOptions,
  ): Promise<ChordStream<ChatCompletionChunk>>;
  (request: ChatCompletionRequest & { stream?: false | null }, options?: GenerateOptions): Promise<ChatCompletion>;
  (
    request: ChatCompletionRequest,
    options?: GenerateOptions,
  ): Promise<ChatCompletion | ChordStream<ChatCompletionChunk>>;
}

/** `create` of `completions`: with `stream: true` the promise holds the stream. */
export interface CompletionCreate {
  (request: CompletionRequest & { stream: true }, options?: GenerateOptions): Promise<ChordStream<CompletionChunk>>;
  (request: CompletionRequest & { stream?: false | null }, options?: GenerateOptions): Promise<Completion>;
  (request: CompletionRequest, options?: GenerateOptions): Promise<Completion | ChordStream<CompletionChunk>>;
}

/** Errors that every load of the same bytes would have. */
const NO_MODEL = new Set(["bad-magic", "truncated", "tensor-past-end"]);

/**
 * Deletes a stored file that is not a model, or not a complete one: the next load should see what the host has then,
 * and the file must not be listed as a model.
 */
async function forgetOther(source: StoredSource, error: unknown): Promise<void> {
  if (!(error instanceof ChordError) || !NO_MODEL.has(error.code)) return;
  // The load's own error is the one to report.
  await cache.delete(source).catch(() => undefined);
}

function unloaded(): ChordError {
  return new ChordError("unloaded", "The model was unloaded. Load it again.");
}

/** A model is large: asks the browser not to delete it by itself. The answer is in `Chord.capabilities()`. */
function askToPersist(): void {
  navigator.storage?.persist?.().catch(() => undefined);
}
