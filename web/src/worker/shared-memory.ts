/** The memory of the `threads` artifact, made here because its maximum is a matter of what the browser grants. */

const PAGE_BYTES = 65_536;

/**
 * What the module needs to begin with: `--initial-memory` of `scripts/steps/artifacts.mjs`, and a page that wasm-bindgen
 * adds. With less the module is refused.
 */
const INITIAL_PAGES = (2 << 20) / PAGE_BYTES + 1;

/** Maxima to try. A shared memory reserves its maximum at once, and not every system has 4 GiB of addresses to spare. */
const MAXIMUM_PAGES = [65_536, 32_768, 16_384, 8_192, 4_096];

/** A shared memory with the largest maximum that the browser grants. */
export function sharedMemory(
  create: (pages: WebAssembly.MemoryDescriptor) => WebAssembly.Memory = (pages) => new WebAssembly.Memory(pages),
): WebAssembly.Memory {
  let refusal: unknown;
  for (const maximum of MAXIMUM_PAGES) {
    try {
      return create({ initial: INITIAL_PAGES, maximum, shared: true });
    } catch (error) {
      refusal = error;
    }
  }
  throw refusal;
}
