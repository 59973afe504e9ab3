import { baseUrl, resolveSource, storeKey } from "./source/resolve.js";
import type { HuggingFaceSource } from "./source/source.js";
import { whileUnused } from "./store/locks.js";
import { ModelStore } from "./store/model-store.js";
import { isComplete, storedBytes } from "./store/store.js";

/** A model in the browser's storage. */
export interface CachedModel {
  url: string;
  /** Bytes of the file. */
  size: number;
  /** Bytes of it that are stored. */
  stored: number;
  /** It loads without a network. */
  complete: boolean;
  createdAt: Date;
}

/** How full the storage is, in bytes. */
export interface CacheUsage {
  /** Of all models. */
  models: number;
  /** Of this origin, everything included; `null` where the browser does not tell. */
  used: number | null;
  quota: number | null;
}

type StoredSource = string | URL | HuggingFaceSource;

/** The models kept in the browser. */
export const cache = {
  /** Every model, also those that are there in part. */
  async list(): Promise<CachedModel[]> {
    const manifests = await withStore((store) => store.list());
    return manifests.map((manifest) => ({
      url: manifest.key,
      size: manifest.size,
      stored: storedBytes(manifest),
      complete: isComplete(manifest),
      createdAt: new Date(manifest.createdAt),
    }));
  },

  /** The whole model is there. */
  async has(source: StoredSource): Promise<boolean> {
    const manifest = await withStore((store) => store.manifest(keyOf(source)));
    return manifest !== undefined && isComplete(manifest);
  },

  /** Deletes a model, or what is there of it. False when nothing was. */
  async delete(source: StoredSource): Promise<boolean> {
    const key = keyOf(source);
    return whileUnused(key, () => withStore((store) => store.delete(key)));
  },

  async usage(): Promise<CacheUsage> {
    const [manifests, estimate] = await Promise.all([
      withStore((store) => store.list()),
      navigator.storage?.estimate?.() ?? Promise.resolve<StorageEstimate>({}),
    ]);
    const models = manifests.reduce((bytes, manifest) => bytes + storedBytes(manifest), 0);
    return { models, used: estimate.usage ?? null, quota: estimate.quota ?? null };
  },
};

function keyOf(source: StoredSource): string {
  const descriptor = resolveSource(source, baseUrl());
  return descriptor.kind === "url" ? storeKey(descriptor.url) : "";
}

async function withStore<T>(work: (store: ModelStore) => Promise<T>): Promise<T> {
  const store = await ModelStore.open();
  try {
    return await work(store);
  } finally {
    store.close();
  }
}
