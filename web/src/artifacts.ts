/** The WebAssembly artifacts of one source, and which of them a browser takes. */

import { memory64, relaxedSimd } from "wasm-feature-detect";

/** All of them; `scripts/steps/artifacts.mjs` says how each is built. */
export const ARTIFACTS = ["baseline", "threads", "memory64"] as const;

/**
 * `baseline` runs everywhere, on one thread. `threads` has relaxed SIMD and a memory that workers can share; without
 * cross-origin isolation it still has the SIMD. `memory64` is for models that the CPU has no room for in 32 bits; it has
 * neither threads nor a GPU.
 */
export type ArtifactName = (typeof ARTIFACTS)[number];

/** What of WebAssembly the choice depends on. */
export interface WasmFeatures {
  relaxedSimd: boolean;
  /** A shared memory can be made; posting it to a worker needs cross-origin isolation besides. */
  sharedMemory: boolean;
  /** What wakes a task of the `threads` artifact. */
  waitAsync: boolean;
  memory64: boolean;
  crossOriginIsolated: boolean;
}

/** Looks at this browser. */
export async function detectFeatures(): Promise<WasmFeatures> {
  const [relaxed, wide] = await Promise.all([relaxedSimd(), memory64()]);
  return {
    relaxedSimd: relaxed,
    sharedMemory: hasSharedMemory(),
    waitAsync: typeof Atomics === "object" && "waitAsync" in Atomics,
    memory64: wide,
    crossOriginIsolated: globalThis.crossOriginIsolated === true,
  };
}

/** The artifact to fetch, and why the CPU will have one thread with it, where it will. */
export interface ArtifactChoice {
  artifact: ArtifactName;
  oneThread?: string;
}

/** The best of those offered that the browser can run. */
export function chooseArtifact(features: WasmFeatures, offered: readonly ArtifactName[]): ArtifactChoice {
  if (!offered.includes("threads")) return { artifact: "baseline", oneThread: "wasmUrl names the baseline alone" };
  const missing = [
    [features.relaxedSimd, "relaxed SIMD"],
    [features.sharedMemory, "shared memory"],
    [features.waitAsync, "Atomics.waitAsync"],
  ].flatMap(([has, name]) => (has ? [] : [name]));
  if (missing.length > 0) {
    return { artifact: "baseline", oneThread: `this browser has no ${missing.join(" and no ")}` };
  }
  if (!features.crossOriginIsolated) {
    return { artifact: "threads", oneThread: "the page is not cross-origin isolated" };
  }
  return { artifact: "threads" };
}

/** The artifact for a model that needs more than 32 bits can address, where the browser runs it. */
export function wideArtifact(features: WasmFeatures, offered: readonly ArtifactName[]): ArtifactChoice | undefined {
  if (!features.memory64 || !offered.includes("memory64")) return undefined;
  return { artifact: "memory64", oneThread: "the model needs 64-bit addresses" };
}

/** Most threads of a pool: `MOST_THREADS` of `rust/cpu/src/pool`. */
export const MOST_THREADS = 64;

/** Threads where nobody says: the cores, less one for the page where there are more than two. */
export function defaultThreads(cores: number): number {
  return cores > 2 ? Math.min(cores - 1, MOST_THREADS) : Math.max(cores, 1);
}

/** An engine that does not know `shared` makes an ordinary memory of it. */
function hasSharedMemory(): boolean {
  try {
    return !(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer instanceof ArrayBuffer);
  } catch {
    return false;
  }
}
