/** The WebAssembly artifacts of one source, and which of them a browser uses. */

import { memory64, relaxedSimd } from "wasm-feature-detect";
import { MOST_THREADS, ROOM_OF_32_BITS } from "./engine-limits.js";

/**
 * `baseline` runs everywhere, on one thread. `threads` has relaxed SIMD and a memory that workers can share; without
 * cross-origin isolation it still has the SIMD. `threads-simd128` has such a memory too, for browsers without relaxed
 * SIMD. `memory64` is `threads` with 64-bit addresses, for models that are too large for 32 bits on the CPU; it cannot
 * use the GPU.
 */
export type ArtifactName = "baseline" | "threads" | "threads-simd128" | "memory64";

/** All of them; `scripts/steps/artifacts.mjs` says how each is built. */
export const ARTIFACTS: readonly ArtifactName[] = ["baseline", "threads", "threads-simd128", "memory64"];

/** The features of browser and page that the choice depends on. */
export interface WasmFeatures {
  relaxedSimd: boolean;
  /**
   * A shared memory can be made; posting it to a worker also needs cross-origin isolation. False in isolated pages that
   * cannot post it all the same.
   */
  sharedMemory: boolean;
  /** `Atomics.waitAsync`, which wakes tasks in artifacts with threads. */
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

/** The artifact to fetch and, if the CPU will have only one thread with it, the reason. */
export interface ArtifactChoice {
  artifact: ArtifactName;
  oneThread?: string;
}

/** The best offered artifact that the browser can run. */
export function chooseArtifact(features: WasmFeatures, offered: readonly ArtifactName[]): ArtifactChoice {
  const lacking = offered.includes("threads") ? lackingForThreads(features) : "wasmUrl names the baseline alone";
  if (lacking !== undefined) return { artifact: "baseline", oneThread: lacking };
  if (features.relaxedSimd) return withThreads("threads", features);
  const choice = withThreads("threads-simd128", features);
  // On one thread the baseline computes the same, and its memory reserves no addresses.
  return choice.oneThread === undefined ? choice : { ...choice, artifact: "baseline" };
}

/** The artifact for a model that 32 bits cannot address, or why none can run here. */
export function wideArtifact(
  features: WasmFeatures,
  offered: readonly ArtifactName[],
): ArtifactChoice | { lacking: string } {
  const lacking = offered.includes("memory64")
    ? lackingForThreads(features, [
        [features.memory64, "Memory64"],
        [features.relaxedSimd, "relaxed SIMD"],
      ])
    : "wasmUrl names the baseline alone";
  return lacking === undefined ? withThreads("memory64", features) : { lacking };
}

/** The artifacts that this browser may need, in order: for any model, for a large one, without shared memory. */
export function runnableArtifacts(features: WasmFeatures): ArtifactName[] {
  const { artifact } = chooseArtifact(features, ARTIFACTS);
  const wide: ArtifactName[] = "lacking" in wideArtifact(features, ARTIFACTS) ? [] : ["memory64"];
  return [...new Set<ArtifactName>([artifact, ...wide, "baseline"])];
}

/** Bytes that a model can have on the CPU, besides the engine itself. Browsers hide how much memory the machine has. */
export function cpuBytes(features: WasmFeatures, offered: readonly ArtifactName[]): number {
  return "lacking" in wideArtifact(features, offered) ? ROOM_OF_32_BITS : 15.5 * 2 ** 30;
}

/** What all artifacts with threads need, or one of them besides, and this browser lacks, in words. */
function lackingForThreads(
  { sharedMemory, waitAsync }: WasmFeatures,
  others: [boolean, string][] = [],
): string | undefined {
  const needs: [boolean, string][] = [...others, [sharedMemory, "shared memory"], [waitAsync, "Atomics.waitAsync"]];
  const missing = needs.filter(([has]) => !has).map(([, name]) => name);
  return missing.length > 0 ? `this browser has no ${missing.join(" and no ")}` : undefined;
}

function withThreads(artifact: ArtifactName, { crossOriginIsolated }: WasmFeatures): ArtifactChoice {
  return crossOriginIsolated ? { artifact } : { artifact, oneThread: "the page is not cross-origin isolated" };
}

/** The default number of threads: the cores, minus one for the page if there are more than two. */
export function defaultThreads(cores: number): number {
  return cores > 2 ? Math.min(cores - 1, MOST_THREADS) : Math.max(cores, 1);
}

/** A JavaScript engine that does not know `shared` ignores it and makes an ordinary memory. */
function hasSharedMemory(): boolean {
  // WebKitGTK 2.50 makes such a memory, but has no SharedArrayBuffer and posts none, even where the page is isolated.
  if (globalThis.crossOriginIsolated === true && typeof SharedArrayBuffer === "undefined") return false;
  try {
    return !(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer instanceof ArrayBuffer);
  } catch {
    return false;
  }
}
