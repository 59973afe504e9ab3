/** Synthetic models: a server makes their bytes as they are read. The native command reads the same bytes from disk. */

import { port } from "../support/places.mjs";

/** Beside the port of the pages. */
export const syntheticPort = port + 1;

/** Address of a model of at least `mebibytes` whose matrices are stored as `type`. */
export function syntheticUrl(mebibytes: number, type: "F16" | "Q4_0" | "Q8_0"): string {
  return `http://127.0.0.1:${syntheticPort}/${mebibytes}-${type}.gguf`;
}
