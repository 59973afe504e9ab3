/** The memory of artifacts with threads, made here because its maximum depends on what the browser grants. */

import type { ArtifactName } from "../artifacts.js";
import { ChordError } from "../errors.js";

const PAGE_BYTES = 65_536;

/**
 * What a module needs to begin with: `--initial-memory` of `scripts/steps/artifacts.mjs`, and a page that wasm-bindgen
 * adds. With less the module is refused.
 */
const INITIAL_PAGES = (2 << 20) / PAGE_BYTES + 1;

/** Artifacts whose memory is shared. */
export type SharedArtifact = Exclude<ArtifactName, "baseline">;

const MAXIMA_OF_32_BITS = [4_096, 2_048, 1_024, 512, 256];

/**
 * Maxima to try, in MiB; the first is what the module is linked with. A shared memory reserves its maximum at once, and
 * not every system has that many addresses to spare. With less than 4 GiB the 64-bit engine would be of no use.
 */
const MAXIMA: Record<SharedArtifact, readonly number[]> = {
  threads: MAXIMA_OF_32_BITS,
  "threads-simd128": MAXIMA_OF_32_BITS,
  memory64: [16_384, 12_288, 8_192, 6_144, 4_096],
};

/** `WebAssembly.MemoryDescriptor` with addresses of 32 bits, or of 64, where page counts are `bigint`. */
export type SharedPages =
  | { initial: number; maximum: number; shared: true }
  | { initial: bigint; maximum: bigint; shared: true; address: "i64" };

/**
 * A shared memory with the largest maximum that the browser grants.
 *
 * @throws ChordError `out-of-memory` where it grants none of them
 */
export function sharedMemory(artifact: SharedArtifact, create = createMemory): WebAssembly.Memory {
  let refusal: unknown;
  for (const mebibytes of MAXIMA[artifact]) {
    const maximum = (mebibytes * 2 ** 20) / PAGE_BYTES;
    try {
      return create(
        artifact === "memory64"
          ? { initial: BigInt(INITIAL_PAGES), maximum: BigInt(maximum), shared: true, address: "i64" }
          : { initial: INITIAL_PAGES, maximum, shared: true },
      );
    } catch (error) {
      refusal = error;
    }
  }
  const least = MAXIMA[artifact].at(-1)!;
  throw new ChordError(
    "out-of-memory",
    `The browser grants the CPU no shared memory, not even one that may grow to ${least} MiB (${String(refusal)}). ` +
      "Close other tabs, or use a 64-bit browser.",
    { needed: least * 2 ** 20 },
  );
}

/** TypeScript's declarations know only addresses of 32 bits. */
function createMemory(pages: SharedPages): WebAssembly.Memory {
  return new WebAssembly.Memory(pages as WebAssembly.MemoryDescriptor);
}
