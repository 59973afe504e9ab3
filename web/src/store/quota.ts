import { ChordError } from "../errors.js";

/** How full the origin's storage is, in bytes; `null` if the browser does not report it. */
export interface StorageRoom {
  used: number | null;
  quota: number | null;
  free: number | null;
}

/** Asks the browser. */
export async function storageRoom(): Promise<StorageRoom> {
  try {
    const { usage: used = null, quota = null } = (await globalThis.navigator?.storage?.estimate?.()) ?? {};
    const free = used === null || quota === null ? null : Math.max(0, quota - used);
    return { used, quota, free };
  } catch {
    return { used: null, quota: null, free: null };
  }
}

/** The error of a full storage. `free`: bytes as reported by the browser; `null` if it does not report them. */
export function quotaError(needed: number, free: number | null, cause?: unknown): ChordError {
  const found = free === null ? "and the browser has no more" : `and ${free} are free`;
  return new ChordError(
    "storage-quota",
    `${needed} bytes of the browser's storage are needed, ${found}. Delete a stored model, or free disk space.`,
    { needed, free },
    { cause },
  );
}
