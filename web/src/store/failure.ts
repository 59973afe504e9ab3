import { ChordError } from "../errors.js";

/** What a browser's storage threw, as an error with a code. */
export function storageError(what: string, cause: unknown): ChordError {
  if (cause instanceof ChordError) return cause;
  if (isQuotaExceeded(cause)) return new ChordError("storage-quota", "The browser's storage is full", {}, { cause });
  return new ChordError("storage-failed", `The browser's storage ${what} (${String(cause)})`, {}, { cause });
}

/** Runs `work`; what it throws becomes an error with a code. */
export async function guarded<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw storageError(what, cause);
  }
}

/** By name: newer browsers have a separate class for it, older ones a `DOMException`. */
export function isQuotaExceeded(cause: unknown): boolean {
  return cause instanceof Error && cause.name === "QuotaExceededError";
}
