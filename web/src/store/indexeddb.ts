import { piecesOfBlob } from "../source/pieces.js";
import { blobsOf, type ChunkKey, type Database, keysUnder, RELAXED, STRICT } from "./database.js";
import { guarded, isQuotaExceeded } from "./failure.js";
import { chunkRange, type ChunkStore, type ModelBytes, type Piece } from "./store.js";

const READ = "could not be read";
const WRITE = "could not be written";

/** Chunks as Blobs in IndexedDB, or as bytes where a browser stores no Blobs. */
export class IndexedDbStore implements ChunkStore {
  readonly kind = "indexeddb";
  /** False once the browser has refused a Blob, as WebKit does in private windows. */
  private blobs = true;

  constructor(private readonly db: Database) {}

  prepare(): Promise<void> {
    return Promise.resolve();
  }

  write(model: ModelBytes, index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    return guarded(WRITE, async () => {
      const [blobKey, bytesKey]: ChunkKey[] = [
        [model.id, index],
        [model.id, "bytes", index],
      ];
      if (this.blobs) {
        try {
          return await this.put(blobKey!, new Blob([bytes]), bytesKey!);
        } catch (error) {
          if (isQuotaExceeded(error)) throw error;
          await this.put(bytesKey!, alone(bytes), blobKey!);
          this.blobs = false;
          return;
        }
      }
      await this.put(bytesKey!, alone(bytes), blobKey!);
    });
  }

  writePieces(model: ModelBytes, from: number, bytes: Uint8Array<ArrayBuffer>, pieces: Piece[]): Promise<void> {
    return guarded(WRITE, async () => {
      const tx = this.db.transaction("chunks", "readwrite", RELAXED);
      const puts = pieces.map(({ index, start, length }) => {
        const piece = bytes.slice(start - from, start - from + length) as unknown as Blob;
        return tx.store.put(piece, [model.id, "piece", index, start]);
      });
      await Promise.all([...puts, tx.done]);
    });
  }

  readPiece(model: ModelBytes, piece: Piece, target: Uint8Array<ArrayBuffer>): Promise<boolean> {
    return guarded(READ, async () => {
      const found: unknown = await this.db.get("chunks", [model.id, "piece", piece.index, piece.start]);
      if (!(found instanceof Uint8Array) || found.length !== target.length) return false;
      target.set(found);
      return true;
    });
  }

  async chunk(
    model: ModelBytes,
    index: number,
    into?: Uint8Array<ArrayBuffer>,
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const found = await this.whole(model, index);
    if (!(found instanceof Blob)) return found;
    const target = into ?? new Uint8Array(found.size);
    return (await this.fill(target, found)) ? target : undefined;
  }

  async read(model: ModelBytes, offset: number, target: Uint8Array): Promise<boolean> {
    let filled = 0;
    while (filled < target.length) {
      const at = offset + filled;
      const index = Math.floor(at / model.chunkBytes);
      const found = await this.whole(model, index);
      const start = at - index * model.chunkBytes;
      const end = start + target.length - filled;
      const part = found instanceof Blob ? found.slice(start, end) : found?.subarray(start, end);
      const length = part instanceof Blob ? part.size : (part?.length ?? 0);
      if (!part || length === 0) return false;
      const place = target.subarray(filled, filled + length);
      if (!(part instanceof Blob)) place.set(part);
      else if (!(await this.fill(place, part))) return false;
      filled += length;
    }
    return true;
  }

  async present(model: ModelBytes): Promise<Set<number>> {
    return guarded(READ, async () => {
      const { store, done } = this.db.transaction("chunks");
      // Blobs come without their bytes. Bytes are there as a whole or not at all: their keys suffice.
      const [keys, blobs, asBytes] = await Promise.all([
        store.getAllKeys(blobsOf(model.id)),
        store.getAll(blobsOf(model.id)),
        store.getAllKeys(keysUnder(model.id, "bytes")),
        done,
      ]);
      const isWhole = (index: number, at: number) => blobs[at]?.size === lengthOf(model, index);
      const present = new Set(keys.map(([, index]) => index as number).filter(isWhole));
      for (const key of asBytes) present.add(key[2] as number);
      return present;
    });
  }

  delete(id: string): Promise<void> {
    return guarded(WRITE, async () => {
      const tx = this.db.transaction("chunks", "readwrite", STRICT);
      await Promise.all([tx.store.delete(keysUnder(id)), tx.done]);
    });
  }

  ids(): Promise<string[]> {
    return guarded(READ, async () => {
      const keys = await this.db.getAllKeys("chunks");
      return [...new Set(keys.map(([id]) => id))];
    });
  }

  close(): void {
    this.db.close();
  }

  /** Puts a value under `key`, and deletes its other form (Blob or bytes). */
  private async put(key: ChunkKey, value: Blob | Uint8Array<ArrayBuffer>, other: ChunkKey): Promise<void> {
    const tx = this.db.transaction("chunks", "readwrite", STRICT);
    await Promise.all([tx.store.put(value as Blob, key), tx.store.delete(other), tx.done]);
  }

  private async whole(model: ModelBytes, index: number): Promise<Blob | Uint8Array<ArrayBuffer> | undefined> {
    const length = lengthOf(model, index);
    const read = (key: ChunkKey) => guarded(READ, () => this.db.get("chunks", key));
    const blob = await read([model.id, index]);
    if (blob) return blob.size === length ? blob : undefined;
    const bytes = (await read([model.id, "bytes", index])) as unknown as Uint8Array<ArrayBuffer> | undefined;
    return bytes?.length === length ? bytes : undefined;
  }

  /**
   * Fills `target` with a Blob's bytes, piece by piece: buffers from `arrayBuffer()` stay in memory until the browser
   * collects garbage, which may be a gigabyte later. False where the browser has lost the Blob's file but kept the
   * record, which is the same as a missing chunk.
   */
  private async fill(target: Uint8Array, blob: Blob): Promise<boolean> {
    try {
      const pieces = piecesOfBlob(blob);
      let filled = 0;
      for (let piece = await pieces.next(); piece; piece = await pieces.next()) {
        target.set(piece, filled);
        filled += piece.length;
      }
      return filled === target.length;
    } catch {
      return false;
    }
  }
}

function lengthOf({ size, chunkBytes }: ModelBytes, index: number): number {
  return chunkRange(size, chunkBytes, index).length;
}

/** A view's own bytes: storing a view would store the whole buffer behind it. */
function alone(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return bytes.length === bytes.buffer.byteLength ? bytes : bytes.slice();
}
