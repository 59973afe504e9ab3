/** The ladder of backends: what is tried in which order, and which failures lead one step down. */

import type { ErrorRecord } from "../errors.js";
import type { AdapterFacts } from "./webgpu.js";

/** What a model can run on. */
export type Rung = "gpu" | "cpu";

/** The way down, and what was decided before the first step. */
export interface Ladder {
  rungs: Rung[];
  why: string[];
}

/**
 * Where to begin, and what is left below. `auto` passes over a GPU that is computed in software, which the CPU is
 * faster than, unless `softwareGpu` says otherwise.
 */
export function ladder(backend: "auto" | Rung, adapter: AdapterFacts, softwareGpu: boolean): Ladder {
  if (backend === "gpu") return { rungs: ["gpu"], why: ["WebGPU was asked for"] };
  if (backend === "cpu") return { rungs: ["cpu"], why: ["the CPU was asked for"] };
  if (adapter.absent !== undefined) return { rungs: ["cpu"], why: [`no GPU: ${adapter.absent}`] };
  if (adapter.isSoftware && !softwareGpu) {
    const why = "no GPU: the browser offers only a software GPU, slower than the CPU itself";
    return { rungs: ["cpu"], why: [why] };
  }
  return { rungs: ["gpu", "cpu"], why: [] };
}

/** Failures of a device, which another backend may not have. Those of the file, the source or the caller it would. */
const DEVICE_FAILURES = new Set(["no-backend", "device", "device-lost", "out-of-memory", "unsupported"]);

/** True for a failure that the next rung may be spared. */
export function isReasonToStepDown({ code }: ErrorRecord): boolean {
  return DEVICE_FAILURES.has(code);
}
