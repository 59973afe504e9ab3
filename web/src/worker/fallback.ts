/** The fallback order of backends, and which failures lead to the next one. */

import type { Backend } from "../engine-types.js";
import type { ErrorRecord } from "../errors.js";
import type { AdapterFacts } from "./webgpu.js";

/** A backend that a model can run on. */
export type RunnableBackend = Exclude<Backend, "auto">;

/** The backends in fallback order, and why the first one comes first. */
export interface FallbackOrder {
  backends: RunnableBackend[];
  why: string[];
}

/**
 * The backends to try. `auto` passes over a GPU that is emulated in software, which is slower than the CPU, unless
 * `softwareGpu` is set.
 */
export function fallbackOrder(backend: Backend, adapter: AdapterFacts, softwareGpu: boolean): FallbackOrder {
  if (backend === "gpu") return { backends: ["gpu"], why: ["WebGPU was requested"] };
  if (backend === "cpu") return { backends: ["cpu"], why: ["the CPU was requested"] };
  if (adapter.absent !== undefined) return { backends: ["cpu"], why: [`no GPU: ${adapter.absent}`] };
  if (adapter.isSoftware && !softwareGpu) {
    const why = "no GPU: the browser offers only a software GPU, slower than the CPU itself";
    return { backends: ["cpu"], why: [why] };
  }
  return { backends: ["gpu", "cpu"], why: [] };
}

/** Failures of a device, which another backend may not have; those of the file, the source or the caller it would. */
const DEVICE_FAILURES = new Set(["no-backend", "device", "device-lost", "out-of-memory", "unsupported"]);

/** True for a failure that the next backend may not have. */
export function isReasonToStepDown({ code }: ErrorRecord): boolean {
  return DEVICE_FAILURES.has(code);
}
