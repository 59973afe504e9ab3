import { workerAddress } from "./addresses.js";
import { exportModel } from "./cache/export.js";
import { importModel, type ImportSource } from "./cache/import.js";
import { needBrowser, needWorkers } from "./environment.js";
import { ChordError, throwIfAborted } from "./errors.js";
import { importedKey, isImported } from "./source/imported.js";
import { baseUrl, resolveSource, sourceKey } from "./source/resolve.js";
import type { HuggingFaceSource, UrlSource } from "./source/source.js";
import { whileUnused } from "./store/locks.js";
import { ModelStore } from "./store/model-store.js";
import { storageRoom } from "./store/quota.js";
import { isComplete, type Manifest, storedBytes, type StoreKind } from "./store/store.js";
import { startWorker, workerError } from "./worker-handle.js";

/** A model in the browser's storage. */
export interface CachedModel {
  /** The file's name, or the name given at its import. `Chord.load(name)` loads an imported model. */
  name: string;
  /** Where it came from; `null` if it was imported. */
  url: string | null;
  /** Bytes of the file. */
  size: number;
  /** Bytes of it that are stored. */
  stored: number;
  /** It loads without a network. */
  complete: boolean;
  /** The store that has its bytes. */
  store: StoreKind;
  /** SHA-256 of the whole file in hexadecimal, if known. */
  sha256: string | null;
  createdAt: Date;
  lastUsed: Date;
}

/**
 * How full the storage is, in bytes; `null` if the browser does not report it. `quota` and `free` are the browser's
 * estimates: Chromium reports 10 GiB above what is used, whatever is free. A load finds out whether a model really
 * fits.
 */
export interface CacheUsage {
  /** Bytes of all models. */
  models: number;
  /** Bytes of this origin in total. */
  used: number | null;
  quota: number | null;
  free: number | null;
  /** The browser will not delete stored data by itself. */
  persisted: boolean;
}

/** How to import a model. */
export interface ImportOptions {
  /** Bytes of the whole file. Required for a stream. */
  size?: number;
  /** Where to keep it. Default `auto`. */
  store?: "auto" | "opfs" | "indexeddb";
  /** Stops the import and deletes what it has stored. */
  signal?: AbortSignal;
  onProgress?: (progress: { loaded: number; total: number }) => void;
  /** Where `chord-worker.js` is, if not beside this module. */
  workerUrl?: string | URL;
}

/** How a model was loaded: its address, its repository and file, or the name of a stored model. */
export type StoredSource = string | URL | UrlSource | HuggingFaceSource;

/** The models kept in the browser. */
export const cache = {
  /** All models, complete or partial, most recently used first. */
  async list(): Promise<CachedModel[]> {
    needBrowser();
    const manifests = await withStore((store) => store.list());
    return manifests.sort((a, b) => b.lastUsed - a.lastUsed).map(cachedModel);
  },

  /** Whether the complete model is stored. */
  async has(source: StoredSource): Promise<boolean> {
    needBrowser();
    const manifest = await withStore(async (store) => find(store, source));
    return manifest !== undefined && isComplete(manifest);
  },

  /** Deletes a complete or partial model. False if nothing was stored; `model-in-use` while a tab loads or uses it. */
  async delete(source: StoredSource): Promise<boolean> {
    needBrowser();
    return withStore(async (store) => {
      const manifest = await find(store, source);
      return manifest !== undefined && whileUnused(manifest.key, () => store.delete(manifest.key));
    });
  },

  async usage(): Promise<CacheUsage> {
    needBrowser();
    const [manifests, room, persisted] = await Promise.all([
      withStore((store) => store.list()),
      storageRoom(),
      navigator.storage?.persisted?.() ?? Promise.resolve(false),
    ]);
    const models = manifests.reduce((bytes, manifest) => bytes + storedBytes(manifest), 0);
    return { models, ...room, persisted };
  },

  /** Asks the browser not to delete stored data by itself. True if it agrees; some browsers ask the user. */
  async persist(): Promise<boolean> {
    needBrowser();
    return (await navigator.storage?.persist?.().catch(() => false)) ?? false;
  },

  /**
   * Makes room for `bytes`: deletes models, least recently used first, until that many bytes are free. Models in use
   * stay. If the browser does not report what is free, it deletes that many bytes. Returns the deleted models.
   */
  async evict({ bytes }: { bytes: number }): Promise<CachedModel[]> {
    needBrowser();
    if (!(bytes > 0)) throw invalid("bytes", `bytes must be a number above 0, not ${bytes}`);
    return withStore(async (store) => {
      const { free } = await storageRoom();
      let needed = bytes - (free ?? 0);
      const deleted: CachedModel[] = [];
      for (const manifest of (await store.list()).sort((a, b) => a.lastUsed - b.lastUsed)) {
        if (needed <= 0) break;
        try {
          await whileUnused(manifest.key, () => store.delete(manifest.key));
        } catch (error) {
          if (error instanceof ChordError && error.code === "model-in-use") continue;
          throw error;
        }
        needed -= storedBytes(manifest);
        deleted.push(cachedModel(manifest));
      }
      return deleted;
    });
  },

  /**
   * The GGUF file of a stored model, checked while it is read. `new Response(stream).blob()` makes it a Blob,
   * `stream.pipeTo(await handle.createWritable())` a file.
   */
  async export(source: StoredSource): Promise<ReadableStream<Uint8Array>> {
    needBrowser();
    const store = await ModelStore.open();
    try {
      const manifest = await find(store, source);
      if (!manifest) throw new ChordError("not-stored", `There is no stored model ${nameOf(source)}`, {});
      return await exportModel(store, manifest);
    } catch (error) {
      store.close();
      throw error;
    }
  },

  /**
   * Stores a GGUF file under a name that `Chord.load` accepts, replacing an earlier model of that name. A stream needs
   * `size`.
   */
  async import(source: ImportSource, name: string, options: ImportOptions = {}): Promise<CachedModel> {
    needWorkers();
    const { store = "auto", signal, onProgress } = options;
    throwIfAborted(signal);
    const size = source instanceof Blob ? source.size : options.size;
    if (typeof name !== "string" || name.trim() === "" || /^[a-z][a-z0-9+.-]*:/i.test(name)) {
      throw invalid("name", `A stored model has a name that is not an address, such as "my-model", not "${name}"`);
    }
    if (size === undefined || !Number.isSafeInteger(size) || size < 1) {
      throw invalid("size", `The file must have a size of at least 1 byte, known beforehand, not ${size}`);
    }
    const model = { key: importedKey(name), name, size };
    await whileUnused(model.key, () => {
      const worker = importWorker(options.workerUrl);
      const imported = importModel(source, { model, store, signal, onProgress }, worker.port);
      return Promise.race([imported, worker.failed]).finally(worker.end);
    });
    const manifest = await withStore((each) => each.manifest(model.key));
    if (!manifest) throw new ChordError("storage-failed", `The browser deleted ${name} while it was imported`);
    return cachedModel(manifest);
  },
};

function cachedModel(manifest: Manifest): CachedModel {
  const { key, name, size, store, fileHash } = manifest;
  return {
    name,
    url: isImported(key) ? null : key,
    size,
    stored: storedBytes(manifest),
    complete: isComplete(manifest),
    store,
    sha256: fileHash,
    createdAt: new Date(manifest.createdAt),
    lastUsed: new Date(manifest.lastUsed),
  };
}

/** A stored model by its address, its repository or its name. */
async function find(store: ModelStore, source: StoredSource): Promise<Manifest | undefined> {
  const stored = await store.list();
  const key = sourceKey(resolveSource(source, baseUrl()), stored);
  return stored.find((manifest) => manifest.key === key);
}

/** A source's name for messages, without its token. */
function nameOf(source: StoredSource): string {
  if (typeof source === "string") return source;
  if (source instanceof URL) return source.href;
  if ("url" in source) return String(source.url);
  return `${source.repo}/${source.file ?? source.quant}`;
}

function importWorker(url: string | URL | undefined) {
  const workerUrl = workerAddress(url, baseUrl());
  const worker = startWorker(workerUrl, "chord-import");
  const { port1, port2 } = new MessageChannel();
  const failed = new Promise<never>((_, reject) => {
    worker.onerror = (event) => {
      event.preventDefault();
      reject(workerError(event, workerUrl));
    };
  });
  worker.postMessage({ role: "import", page: port2 }, [port2]);
  return { port: port1, failed, end: () => worker.terminate() };
}

function invalid(field: string, message: string): ChordError {
  return new ChordError("invalid-argument", message, { field });
}

async function withStore<T>(work: (store: ModelStore) => Promise<T>): Promise<T> {
  const store = await ModelStore.open();
  try {
    return await work(store);
  } finally {
    store.close();
  }
}
