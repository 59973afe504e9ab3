import { type RemoteBody, type RemoteSource, sameFile } from "../source/source.js";
import type { ModelStore } from "../store/model-store.js";
import { hasHeader, isComplete, type Manifest, newManifest } from "../store/store.js";
import type { OpeningOptions } from "./options.js";
import { firstMissingByte, isExpected, Probe } from "./probe.js";
import { RETRY, retrying } from "./retry.js";
import type { Role } from "./tab-role.js";
import { ModelTabs, untilWriting } from "./tabs.js";
import { WholeHash } from "./whole-hash.js";

/** A file that was found in the store or on the network, and the role of this tab. */
export interface Opened {
  role: Role;
  manifest: Manifest;
  /** The store knows nothing of this manifest yet. */
  isNew?: boolean;
  /** The connection to other tabs, with the right to write where the role is `writer`. */
  tabs?: ModelTabs | undefined;
  /** The body by which the file was found on the network; the download continues it. */
  first?: RemoteBody;
  /** The hash to compare the file with, where one was announced and not compared before. */
  wholeHash?: WholeHash | undefined;
}

/** Finds a file in the store, else on the network, and decides which role this tab takes. */
export function openFile(key: string, source: RemoteSource, options: OpeningOptions): Promise<Opened> {
  return new Opening(key, source, options).open();
}

/** One call of {@link openFile}. */
class Opening {
  private wholeHash: WholeHash | undefined;

  constructor(
    private readonly key: string,
    private readonly source: RemoteSource,
    private readonly options: OpeningOptions,
  ) {}

  async open(): Promise<Opened> {
    const { key, source, options } = this;
    const { store, sha256, readOnly, locks } = options;
    if (sha256 !== undefined && !readOnly) {
      const whole = { url: source.url, start: 0, end: Infinity, before: new Uint8Array(0), sha256 };
      this.wholeHash = await WholeHash.create([whole]);
    }
    const stored = await store?.manifest(key);
    // With `readOnly` the header is enough: nothing is to be added to what is stored.
    const isEnough = stored && (isComplete(stored) || (readOnly && hasHeader(stored)));
    if (isEnough && isExpected(stored, options)) return this.opened("reader", stored);
    // Other tabs do not see what this one stores in memory.
    if (!store || readOnly || store.kind === "memory") return this.openRemote(stored);

    const tabs = new ModelTabs(key, locks);
    try {
      if (!(await tabs.tryWrite())) {
        const followed = await this.follow(store, tabs);
        if (followed) return followed;
      }
      // The last writer may have stored more meanwhile.
      return await this.openRemote(await store.manifest(key), tabs);
    } catch (error) {
      tabs.close();
      throw error;
    }
  }

  /** Waits until the writing tab has begun to store the file; `undefined` when this tab has become the writer. */
  private async follow(store: ModelStore, tabs: ModelTabs): Promise<Opened | undefined> {
    const manifest = await untilWriting(tabs, this.options.watch, async (id) => {
      const found = await store.manifest(this.key);
      return found?.id === id ? found : undefined;
    });
    return manifest && this.opened("follower", manifest, { tabs });
  }

  /** Asks the server for the file, and continues the stored part if it is of the same file. */
  private async openRemote(stored: Manifest | undefined, tabs?: ModelTabs): Promise<Opened> {
    const { key, source, options } = this;
    if (stored && isComplete(stored) && isExpected(stored, options)) {
      tabs?.endWriting();
      return this.opened("reader", stored, { tabs });
    }
    const { gate, retry = RETRY, watch, chunkBytes } = options;
    const probe = new Probe(source, stored?.chunkBytes ?? chunkBytes);
    const openAt = (start: number) => retrying(() => probe.open(start), gate, retry, watch);
    let first = await openAt(stored ? firstMissingByte(stored) : 0);
    // A source that puts a file together from parts knows the parts once it has opened them.
    const stretches = options.readOnly || this.wholeHash ? [] : ((await source.hashed?.()) ?? []);
    if (stretches.length > 0) this.wholeHash = await WholeHash.create(stretches);
    if (stored && stored.size === first.size && sameFile(stored, first) && isExpected(stored, options)) {
      return this.opened("writer", stored, { tabs, first });
    }
    if (first.position !== 0) {
      first.cancel();
      first = await openAt(0);
    }
    const { size, etag, lastModified } = first;
    const model = { key, size, etag, lastModified, ...(chunkBytes === undefined ? {} : { chunkBytes }) };
    return this.opened("writer", newManifest(model), { isNew: true, tabs, first });
  }

  private opened(role: Role, manifest: Manifest, rest: Partial<Opened> = {}): Opened {
    const wasCompared = manifest.fileHash === this.options.sha256;
    return { ...rest, role, manifest, wholeHash: wasCompared ? undefined : this.wholeHash };
  }
}
