import type { ChordLoadOptions } from "./options.js";
import type { WasmUrls } from "./protocol.js";

/**
 * Where each artifact is: beside this module, unless the options say otherwise. One address alone is the baseline's. Bundlers
 * know the form and copy the files.
 */
export function artifactUrls(given: ChordLoadOptions["wasmUrl"], base: string): WasmUrls {
  const absolute = (url: string | URL) => new URL(url, base).href;
  if (typeof given === "string" || given instanceof URL) return { baseline: absolute(given) };
  return {
    baseline: absolute(given?.baseline ?? new URL("./chord.wasm", import.meta.url)),
    threads: absolute(given?.threads ?? new URL("./chord-threads.wasm", import.meta.url)),
    memory64: absolute(given?.memory64 ?? new URL("./chord-memory64.wasm", import.meta.url)),
  };
}
