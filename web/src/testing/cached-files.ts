/** What tests of downloads share. */

import type { CachedFile } from "../download/cached-file.js";

/** Fills `target` from byte `offset` of the file on, as the engine does. */
export async function readInto(file: CachedFile, offset: number, target: Uint8Array): Promise<void> {
  for (let filled = 0; filled < target.length;) {
    const at = offset + filled;
    const index = Math.floor(at / file.chunkBytes);
    const chunk = await file.chunk(index);
    const piece = chunk.subarray(at - index * file.chunkBytes).subarray(0, target.length - filled);
    target.set(piece, filled);
    filled += piece.length;
    file.recycle(chunk.buffer);
  }
}

/** Web Locks, as far as they are used: Node 20 has none. */
export function fakeLocks(): LockManager {
  let tail: Promise<unknown> | undefined;
  const request = async (
    _name: string,
    { ifAvailable, signal }: LockOptions,
    work: (lock: Lock | null) => Promise<unknown>,
  ): Promise<unknown> => {
    if (tail && ifAvailable) return work(null);
    while (tail) await tail;
    signal?.throwIfAborted();
    tail = Promise.resolve(work({} as Lock)).finally(() => (tail = undefined));
    return tail;
  };
  return { request } as unknown as LockManager;
}

export async function read(file: CachedFile, offset: number, length: number): Promise<Uint8Array> {
  const target = new Uint8Array(length);
  await readInto(file, offset, target);
  return target;
}

/** Reads the file in windows that cross chunks. */
export async function readAll(file: CachedFile): Promise<Uint8Array> {
  const all = new Uint8Array(file.size);
  for (let at = 0; at < file.size; at += 2_700) await readInto(file, at, all.subarray(at, at + 2_700));
  return all;
}
