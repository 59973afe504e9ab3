/** The wasm artifacts of this worker: fetched, compiled and started when they are needed, once each. */

import * as baseline from "../../wasm/baseline/chord_wasm.js";
import * as memory64 from "../../wasm/memory64/chord_wasm.js";
import * as threads from "../../wasm/threads/chord_wasm.js";
import type { ArtifactName } from "../artifacts.js";
import { ChordError, toErrorRecord } from "../errors.js";
import type { WasmUrls } from "../protocol.js";
import { sharedMemory } from "./shared-memory.js";

/** The bindings of any artifact: wasm-bindgen wrote them from the same exports. */
export type Bindings = typeof baseline;

/**
 * The bindings of each artifact. Each of these modules holds one instance. Those of both 32-bit artifacts with threads
 * are the same file, as `build.mjs` checks, and no browser runs both.
 */
const bindings: Record<ArtifactName, Bindings> = {
  baseline,
  threads: threads as unknown as Bindings,
  "threads-simd128": threads as unknown as Bindings,
  memory64: memory64 as unknown as Bindings,
};

/** An artifact that runs. */
export interface StartedModule {
  artifact: ArtifactName;
  bindings: Bindings;
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
}

/** The artifacts, at their addresses. */
export class Modules {
  private readonly started = new Map<ArtifactName, Promise<StartedModule>>();

  /** `onPanic` is called for every panic, with its place; the module must not be used afterwards. */
  constructor(
    private readonly urls: WasmUrls,
    private readonly onPanic: (message: string) => void,
  ) {}

  /** Artifacts with an address. */
  get offered(): ArtifactName[] {
    return Object.keys(this.urls) as ArtifactName[];
  }

  /** Starts an artifact, or returns the running one; the baseline if the browser grants one of 32 bits no memory. */
  start(artifact: ArtifactName): Promise<StartedModule> {
    const known = this.started.get(artifact);
    if (known) return known;
    const starting = this.startAnew(artifact).catch((error: unknown) => {
      const isRefused = toErrorRecord(error).code === "out-of-memory";
      if (isRefused && artifact !== "baseline" && artifact !== "memory64") return this.start("baseline");
      throw error;
    });
    this.started.set(artifact, starting);
    return starting;
  }

  private async startAnew(artifact: ArtifactName): Promise<StartedModule> {
    const wasmUrl = this.urls[artifact];
    if (wasmUrl === undefined) throw new ChordError("internal", `the artifact ${artifact} was not offered`);
    try {
      const module = await compile(await fetch(wasmUrl));
      const memory = artifact === "baseline" ? undefined : sharedMemory(artifact);
      const started = await instantiate(artifact, module, memory);
      started.bindings.on_panic(this.onPanic);
      return started;
    } catch (cause) {
      if (cause instanceof ChordError) throw cause;
      throw new ChordError("wasm-failed", `The engine ${wasmUrl} could not be loaded (${String(cause)})`, { wasmUrl });
    }
  }
}

/** Starts a compiled artifact in this worker, on the memory `shared` if it is given. */
export async function instantiate(
  artifact: ArtifactName,
  module: WebAssembly.Module,
  shared?: WebAssembly.Memory,
): Promise<StartedModule> {
  const glue = bindings[artifact];
  const { memory } = await glue.default({ module_or_path: module, ...(shared ? { memory: shared } : {}) });
  return { artifact, bindings: glue, module, memory };
}

/** Compiles a response. With the right media type, which not every host sends, it is compiled while it arrives. */
async function compile(response: Response): Promise<WebAssembly.Module> {
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`.trimEnd());
  const isPage = /^text\/html\b/i.test(response.headers.get("Content-Type") ?? "");
  if (isPage) throw new Error("the server answers with a web page: the file is not there");
  const isWasm = /^application\/wasm$/i.test(response.headers.get("Content-Type") ?? "");
  if (isWasm && "compileStreaming" in WebAssembly) return WebAssembly.compileStreaming(response);
  return WebAssembly.compile(await response.arrayBuffer());
}
