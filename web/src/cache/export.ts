import { ChordError } from "../errors.js";
import { holdInUse } from "../store/locks.js";
import type { ModelStore } from "../store/model-store.js";
import { isComplete, type Manifest, sha256, storedBytes } from "../store/store.js";

/**
 * The file as it was stored, chunk by chunk, each checked against its hash: the stream fails with `stored-damaged`
 * rather than deliver other bytes. The model is in use, and `store` open, until the stream ends.
 */
export async function exportModel(store: ModelStore, manifest: Manifest): Promise<ReadableStream<Uint8Array>> {
  if (!isComplete(manifest)) {
    const stored = storedBytes(manifest);
    const [expected, found] = [manifest.size, stored];
    throw new ChordError(
      "not-stored",
      `${found} of the ${expected} bytes of ${manifest.name} are stored. Load it once, then it can be exported.`,
      { name: manifest.name, expected, found },
    );
  }
  const release = await holdInUse(manifest.key);
  const end = () => {
    release();
    store.close();
  };
  let index = 0;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const bytes = await store.chunk(manifest, index);
          if (!bytes || (await sha256(bytes)) !== manifest.hashes[index]) throw damaged(manifest, index);
          controller.enqueue(bytes);
          index += 1;
          if (index < manifest.hashes.length) return;
          controller.close();
        } catch (error) {
          controller.error(error);
        }
        end();
      },
      cancel: end,
    },
    { highWaterMark: 1 },
  );
}

function damaged({ name }: Manifest, chunk: number): ChordError {
  return new ChordError(
    "stored-damaged",
    `Part ${chunk} of the stored ${name} is missing or altered. Load the model, which repairs it, or delete it.`,
    { name, chunk },
  );
}
