/**
 * What the worker uses of the wasm module's bindings. wasm-bindgen writes its own declarations beside the bindings, and
 * these take precedence once they exist; this pattern allows checking the types without a build.
 */
declare module "*/chord_wasm.js" {
  import type {
    DeviceFacts,
    EncodeOptions,
    EngineInfo,
    GenerateEvent,
    GenerateRequest,
    GenerateResult,
    Inspection,
    LoadOptions,
    LoadProgress,
    Message,
  } from "../engine-types.js";

  export interface Host {
    /** Bytes of the model, valid until the next read. */
    read(offset: bigint, length: number): Promise<Uint8Array>;
    /** Resolves in a later task. */
    pause(): Promise<void>;
  }

  export class CancelToken {
    constructor();
    cancel(): void;
    free(): void;
  }

  /** The threads of the CPU, this one included. */
  export class ThreadPool {
    constructor(n_threads: number);
    /** What one more worker needs to join. A worker must then join with it. */
    invitation(): number;
    is_complete(): boolean;
    free(): void;
  }

  /** Serves a pool until it is dropped: blocks. */
  export function join_pool(invitation: number): void;

  export class WasmEngine {
    static load(
      host: Host,
      size: bigint,
      options: LoadOptions,
      on_progress: (progress: LoadProgress) => void,
      cancel: CancelToken,
      pool: ThreadPool,
    ): Promise<WasmEngine>;
    generate(
      request: GenerateRequest,
      on_event: (event: GenerateEvent) => void,
      cancel: CancelToken,
    ): Promise<GenerateResult>;
    tokenize(text: string, options: EncodeOptions): Uint32Array<ArrayBuffer>;
    tokenize_chat(messages: Message[], now: number): Uint32Array<ArrayBuffer>;
    logits(tokens: Uint32Array, cancel: CancelToken): Promise<Float32Array<ArrayBuffer>>;
    info(): EngineInfo;
    free(): void;
  }

  /** Reads the header and nothing else. */
  export function inspect(
    host: Host,
    size: bigint,
    options: LoadOptions,
    device: DeviceFacts,
    cancel: CancelToken,
  ): Promise<Inspection>;

  /** Sets the handler of panics. */
  export function on_panic(callback: (message: string) => void): void;

  /** Starts the module; one with shared memory can be given that memory. */
  export default function init(options: {
    module_or_path: WebAssembly.Module;
    memory?: WebAssembly.Memory;
  }): Promise<{ memory: WebAssembly.Memory }>;
}
