import { ChordError } from "../errors.js";

/** Releases a lock. Locks are also released when their tab or worker ends. */
export type Release = () => void;

/** Tells other tabs that this one reads or writes the model, until released. */
export function holdInUse(key: string): Promise<Release> {
  if (!globalThis.navigator?.locks) return Promise.resolve(() => undefined);
  return new Promise((resolve, reject) => {
    const held = () => new Promise<void>((release) => resolve(release));
    navigator.locks.request(useLock(key), { mode: "shared" }, held).catch(reject);
  });
}

/** A worker's lock is released shortly after the worker has ended, so `delete` right after `unload()` waits for it. */
const PATIENCE = { looks: 20, everyMs: 50 };

/** Runs `work` while the model is not in use, or rejects with `model-in-use` within a second. */
export async function whileUnused<T>(key: string, work: () => Promise<T>): Promise<T> {
  if (!globalThis.navigator?.locks) return work();
  for (let look = 1; ; look++) {
    const done = await navigator.locks.request(useLock(key), { ifAvailable: true }, async (lock) => {
      return lock === null ? undefined : { result: await work() };
    });
    if (done) return done.result;
    if (look === PATIENCE.looks) break;
    await new Promise((later) => setTimeout(later, PATIENCE.everyMs));
  }
  const message = "The model is being loaded or used in a tab. Unload it there first.";
  throw new ChordError("model-in-use", message, { key });
}

function useLock(key: string): string {
  return `wasm-chord:use:${key}`;
}
