import { ChordError } from "../errors.js";
import type { RemoteBody, RemoteSource } from "./source.js";

const PREFIX = "imported:";

/** The key of a model that was imported under a name: it has no address. */
export function importedKey(name: string): string {
  return PREFIX + name;
}

/** The model stored under this key was imported. */
export function isImported(key: string): boolean {
  return key.startsWith(PREFIX);
}

/** Takes the place of a server for models that cannot be downloaded again. */
export class ImportedSource implements RemoteSource {
  readonly url: string;

  constructor(key: string) {
    this.url = key.slice(PREFIX.length);
  }

  open(): Promise<RemoteBody> {
    return Promise.reject(
      new ChordError("not-stored", `The stored model ${this.url} is damaged or not complete. Import it again.`, {
        name: this.url,
      }),
    );
  }
}
