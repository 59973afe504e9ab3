/** A worker that stores a model that the page has: only workers can write files synchronously. */

import { ChordError, toErrorRecord } from "../errors.js";
import type { ImportRequest, ImportResponse } from "../protocol.js";
import { ModelStore } from "../store/model-store.js";
import { type Manifest, newManifest, sha256 } from "../store/store.js";

/** Answers the page until the page ends this worker. */
export function runImport(page: MessagePort): void {
  let store: ModelStore | undefined;
  let manifest: Manifest | undefined;

  async function answer(request: ImportRequest): Promise<void> {
    switch (request.type) {
      case "begin": {
        store = await ModelStore.open(request.store);
        manifest = newManifest(request.model);
        return store.begin(manifest);
      }
      case "chunk": {
        if (!store || !manifest) throw new ChordError("internal", "a chunk before the beginning");
        return store.putChunk(manifest, request.index, request.bytes, await sha256(request.bytes));
      }
      case "end": {
        if (!request.keep && manifest) await store?.delete(manifest.key);
        return store?.close();
      }
    }
  }

  page.onmessage = ({ data }: MessageEvent<ImportRequest>) => {
    const { id } = data;
    const post = (message: ImportResponse) => page.postMessage(message);
    answer(data).then(
      () => post({ id }),
      (error: unknown) => post({ id, error: toErrorRecord(error) }),
    );
  };
}
