import { ChordError } from "../errors.js";

/** Ends a hold. Holds end with their tab or worker, too. */
export type Release = () => void;

/** Says to other tabs that this one reads or writes the model, until released. */
export function holdInUse(key: string): Promise<Release> {
  if (!globalThis.navigator?.locks) return Promise.resolve(() => undefined);
  return new Promise((resolve, reject) => {
    const held = () => new Promise<void>((release) => resolve(release));
    navigator.locks.request(useLock(key), { mode: "shared" }, held).catch(reject);
  });
}

/** Runs `work` while nobody uses the model, or rejects with `model-in-use` at once. */
export async function whileUnused<T>(key: string, work: () => Promise<T>): Promise<T> {
  if (!globalThis.navigator?.locks) return work();
  return navigator.locks.request(useLock(key), { ifAvailable: true }, (lock) => {
    if (lock === null) {
      throw new ChordError("model-in-use", "The model is being loaded or used in a tab. Unload it there first.", {
        key,
      });
    }
    return work();
  }) as Promise<T>;
}

function useLock(key: string): string {
  return `wasm-chord:use:${key}`;
}
