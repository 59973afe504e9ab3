import { ChordError, fromErrorRecord, throwIfAborted } from "../errors.js";
import type { ImportRequest, ImportResponse } from "../protocol.js";
import { withResolvers } from "../queue.js";
import { CHUNK_BYTES, type NewModel, type StoreChoice } from "../store/store.js";

/** Bytes of a model that the page has. */
export type ImportSource = Blob | ReadableStream<Uint8Array>;

/** How to store them. */
export interface ImportPlan {
  model: NewModel;
  store: Exclude<StoreChoice, "none" | "memory">;
  signal: AbortSignal | undefined;
  onProgress: ((progress: { loaded: number; total: number }) => void) | undefined;
}

/** A GGUF file begins like this. */
const MAGIC = "GGUF";

type Unnumbered<R> = R extends unknown ? Omit<R, "id"> : never;

/** Sends a model's bytes to an import worker, chunk by chunk. If that fails, what was stored is deleted. */
export async function importModel(source: ImportSource, plan: ImportPlan, port: MessagePort): Promise<void> {
  const { model, store, signal, onProgress } = plan;
  const ask = conversation(port);
  const { size, chunkBytes = CHUNK_BYTES } = model;
  const chunks = source instanceof Blob ? blobChunks(source, chunkBytes) : streamChunks(source, size, chunkBytes);
  let begun = false;
  try {
    let index = 0;
    let loaded = 0;
    for await (const bytes of chunks) {
      throwIfAborted(signal);
      if (index === 0) {
        checkMagic(bytes);
        begun = true;
        await ask({ type: "begin", model: { ...model, chunkBytes }, store });
      }
      loaded += bytes.length;
      await ask({ type: "chunk", index: index++, bytes }, [bytes.buffer]);
      onProgress?.({ loaded, total: size });
    }
    throwIfAborted(signal);
    await ask({ type: "end", keep: true });
  } catch (error) {
    if (begun) await ask({ type: "end", keep: false }).catch(() => undefined);
    throw error;
  } finally {
    port.close();
  }
}

function conversation(port: MessagePort) {
  const pending = new Map<number, { resolve: () => void; reject: (error: Error) => void }>();
  let nextId = 1;
  port.onmessage = ({ data: { id, error } }: MessageEvent<ImportResponse>) => {
    const call = pending.get(id);
    pending.delete(id);
    if (error) call?.reject(fromErrorRecord(error));
    else call?.resolve();
  };
  return (request: Unnumbered<ImportRequest>, transfer: Transferable[] = []): Promise<void> => {
    const id = nextId++;
    const { promise, resolve, reject } = withResolvers<void>();
    pending.set(id, { resolve, reject });
    port.postMessage({ ...request, id }, transfer);
    return promise;
  };
}

async function* blobChunks(blob: Blob, chunkBytes: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  for (let at = 0; at < blob.size; at += chunkBytes) {
    try {
      yield new Uint8Array(await blob.slice(at, at + chunkBytes).arrayBuffer());
    } catch (cause) {
      throw new ChordError("file-unreadable", `The file can no longer be read (${String(cause)})`, {}, { cause });
    }
  }
}

async function* streamChunks(
  stream: ReadableStream<Uint8Array>,
  size: number,
  chunkBytes: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const reader = stream.getReader();
  let chunk = new Uint8Array(Math.min(chunkBytes, size));
  let filled = 0;
  let taken = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      for (let at = 0; at < value.length;) {
        if (chunk.length === 0) {
          throw new ChordError("invalid-argument", `The stream has more than the ${size} bytes of \`size\``, {
            field: "size",
          });
        }
        const piece = value.subarray(at, at + chunk.length - filled);
        chunk.set(piece, filled);
        at += piece.length;
        filled += piece.length;
        if (filled < chunk.length) continue;
        taken += filled;
        yield chunk;
        chunk = new Uint8Array(Math.min(chunkBytes, size - taken));
        filled = 0;
      }
    }
    if (taken < size) {
      throw new ChordError("short-body", `The stream ended after ${taken + filled} of ${size} bytes`, {
        expected: size,
        found: taken + filled,
      });
    }
  } finally {
    // Also when the caller gives up in the middle.
    reader.cancel().catch(() => undefined);
  }
}

function checkMagic(bytes: Uint8Array): void {
  const found = String.fromCharCode(...bytes.subarray(0, MAGIC.length));
  if (found !== MAGIC) {
    throw new ChordError("bad-magic", `A GGUF file begins with "${MAGIC}", not ${JSON.stringify(found)}`, {
      expected: MAGIC,
      found,
    });
  }
}
