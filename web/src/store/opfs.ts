import { ChordError } from "../errors.js";
import { guarded } from "./failure.js";
import { chunkRange, type ChunkStore, type ModelBytes, type Piece } from "./store.js";

const FOLDER = "wasm-chord";
const READ = "could not be read";
const WRITE = "could not be written";

/** `FileSystemSyncAccessHandle`, which TypeScript declares only in projects of workers. */
interface SyncAccessHandle {
  read(target: ArrayBufferView, options: { at: number }): number;
  write(bytes: ArrayBufferView, options: { at: number }): number;
  truncate(size: number): void;
  flush(): void;
  getSize(): number;
  close(): void;
}

type SyncFileHandle = FileSystemFileHandle & {
  createSyncAccessHandle?(options?: { mode: "readwrite-unsafe" }): Promise<SyncAccessHandle>;
};

/**
 * Chunks in the origin private file system: one file for each model, a chunk is a range of it. Writing needs a worker,
 * because only workers have synchronous access to files. Reading and deleting work everywhere.
 */
export class OpfsStore implements ChunkStore {
  readonly kind = "opfs";
  /** Files open for synchronous access; `undefined` where that was refused. */
  private readonly files = new Map<string, Promise<SyncAccessHandle | undefined>>();

  private constructor(private readonly folder: FileSystemDirectoryHandle) {}

  static open(folder = FOLDER): Promise<OpfsStore> {
    return guarded("has no private file system", async () => {
      const root = await navigator.storage.getDirectory();
      return new OpfsStore(await root.getDirectoryHandle(folder, { create: true }));
    });
  }

  /** Why chunks cannot be written from here, if so. */
  static unwritable(): string | undefined {
    if (typeof globalThis.navigator?.storage?.getDirectory !== "function")
      return "this browser has no private file system";
    const prototype = globalThis.FileSystemFileHandle?.prototype as SyncFileHandle | undefined;
    if (prototype?.createSyncAccessHandle === undefined) return "there is no synchronous access to files here";
    return undefined;
  }

  prepare(model: ModelBytes): Promise<void> {
    return guarded(WRITE, async () => {
      await this.created(model.id);
    });
  }

  /**
   * How many of `needed` bytes could be stored, found by growing a file and without writing any. `estimate()` is no
   * help: Chromium reports 10 GiB above what is used, whatever is free.
   */
  room(needed: number): Promise<number> {
    const name = `room-${crypto.randomUUID()}`;
    return guarded(WRITE, async () => {
      const handle = await this.created(name);
      try {
        return growable(handle, needed);
      } finally {
        handle.truncate(0);
        await this.delete(name);
      }
    });
  }

  write(model: ModelBytes, index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    return guarded(WRITE, () => this.put(model.id, chunkRange(model.size, model.chunkBytes, index).start, bytes));
  }

  writePieces(model: ModelBytes, start: number, bytes: Uint8Array<ArrayBuffer>, [first]: Piece[]): Promise<void> {
    return guarded(WRITE, async () => {
      if (first) await this.put(model.id, chunkStart(model, first) + start, bytes);
    });
  }

  readPiece(model: ModelBytes, piece: Piece, target: Uint8Array<ArrayBuffer>): Promise<boolean> {
    return this.read(model, chunkStart(model, piece) + piece.start, target);
  }

  async chunk(
    model: ModelBytes,
    index: number,
    into?: Uint8Array<ArrayBuffer>,
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const { start, length } = chunkRange(model.size, model.chunkBytes, index);
    const target = into ?? new Uint8Array(length);
    return (await this.read(model, start, target)) ? target : undefined;
  }

  read(model: ModelBytes, offset: number, target: Uint8Array): Promise<boolean> {
    return guarded(READ, async () => {
      const handle = await this.handle(model.id);
      if (handle) {
        let filled = 0;
        while (filled < target.length) {
          const count = handle.read(target.subarray(filled), { at: offset + filled });
          // The end of the file, or an error that Chromium reports as an impossible length.
          if (count === 0 || count > target.length - filled) return false;
          filled += count;
        }
        return true;
      }
      const file = await this.file(model.id);
      if (!file || file.size < offset + target.length) return false;
      target.set(new Uint8Array(await file.slice(offset, offset + target.length).arrayBuffer()));
      return true;
    });
  }

  present(model: ModelBytes): Promise<Set<number>> {
    return guarded(READ, async () => {
      const size = await this.fileSize(model.id);
      const there = new Set<number>();
      for (let index = 0; ; index++) {
        const { start, length } = chunkRange(model.size, model.chunkBytes, index);
        if (length <= 0 || start + length > size) return there;
        there.add(index);
      }
    });
  }

  /** Bytes of a model's file; 0 where there is none. */
  async fileSize(id: string): Promise<number> {
    const handle = await this.files.get(id);
    return handle ? handle.getSize() : ((await this.file(id))?.size ?? 0);
  }

  delete(id: string): Promise<void> {
    return guarded(WRITE, async () => {
      (await this.files.get(id))?.close();
      this.files.delete(id);
      try {
        await this.folder.removeEntry(id);
      } catch (error) {
        if (named(error, "NotFoundError")) return;
        if (!named(error, "NoModificationAllowedError")) throw error;
        throw new ChordError("model-in-use", "The model's file is open in another tab. Close that, then delete it.");
      }
    });
  }

  ids(): Promise<string[]> {
    return guarded(READ, async () => {
      const ids: string[] = [];
      for await (const id of this.folder.keys()) ids.push(id);
      return ids;
    });
  }

  close(): void {
    for (const opening of this.files.values()) void opening.then((handle) => handle?.close());
    this.files.clear();
  }

  /** Creates a file and opens it for writing; if that fails, the file is deleted again. */
  private async created(id: string): Promise<SyncAccessHandle> {
    try {
      return await this.writable(id);
    } catch (error) {
      await this.folder.removeEntry(id).catch(() => undefined);
      throw error;
    }
  }

  /**
   * Writes and flushes. A failed write is retried once on the reopened file: a worker that was just ended may
   * not have released it yet.
   */
  private async put(id: string, at: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    try {
      return put(await this.writable(id), at, bytes);
    } catch {
      await new Promise((later) => setTimeout(later, AGAIN_MS));
    }
    const opened = await this.files.get(id);
    this.files.delete(id);
    opened?.close();
    put(await this.writable(id), at, bytes);
  }

  private writable(id: string): Promise<SyncAccessHandle> {
    const before = this.files.get(id);
    const open = async () => (await before) ?? access(await this.folder.getFileHandle(id, { create: true }));
    const opening = open();
    // Later calls wait for this: where a file can be open only once, a second attempt at the same time would fail.
    this.files.set(
      id,
      opening.catch(() => undefined),
    );
    return opening;
  }

  /** Opens a file for reading, if it is there and may be opened. */
  private handle(id: string): Promise<SyncAccessHandle | undefined> {
    let opening = this.files.get(id);
    if (!opening) {
      opening = this.folder
        .getFileHandle(id)
        .then(access)
        .catch(() => undefined);
      this.files.set(id, opening);
    }
    return opening;
  }

  /** The file as it is now. It is never kept, because reading it fails once the file changes. */
  private async file(id: string): Promise<File | undefined> {
    try {
      return await (await this.folder.getFileHandle(id)).getFile();
    } catch (error) {
      if (named(error, "NotFoundError")) return undefined;
      throw error;
    }
  }
}

function chunkStart({ size, chunkBytes }: ModelBytes, { index }: Piece): number {
  return chunkRange(size, chunkBytes, index).start;
}

/** Time before a failed write is retried. */
const AGAIN_MS = 100;

function put(handle: SyncAccessHandle, at: number, bytes: Uint8Array<ArrayBuffer>): void {
  const before = handle.getSize();
  try {
    const written = handle.write(bytes, { at });
    if (written !== bytes.length) throw new DOMException(`wrote ${written} of ${bytes.length}`, "QuotaExceededError");
    handle.flush();
  } catch (error) {
    // A file that grew for bytes that did not arrive would only waste space.
    handle.truncate(before);
    throw error;
  }
}

/** The result of {@link growable} is exact to this many bytes. */
const ROOM_STEP_BYTES = 64 * 1024;

/** How far an empty file can grow, up to `needed`. Without room, Chromium leaves it unchanged and others throw. */
function growable(handle: SyncAccessHandle, needed: number): number {
  const grow = (size: number) => {
    try {
      handle.truncate(size);
    } catch {
      return false;
    }
    return handle.getSize() === size;
  };
  if (grow(needed)) return needed;
  let size = 0;
  for (let step = Math.floor(needed / 2); step >= ROOM_STEP_BYTES; step = Math.floor(step / 2)) {
    if (grow(size + step)) size += step;
  }
  return size;
}

/**
 * Shared where the browser can (Chromium): other tabs read a model while one writes it, each chunk only once it has
 * been recorded. Elsewhere the mode is ignored, the file is this tab's alone, and others read it as a `File`.
 */
function access(file: SyncFileHandle): Promise<SyncAccessHandle> {
  if (!file.createSyncAccessHandle) throw new ChordError("storage-failed", "There is no synchronous access to files");
  return file.createSyncAccessHandle({ mode: "readwrite-unsafe" });
}

function named(error: unknown, name: string): boolean {
  return error instanceof Error && error.name === name;
}
