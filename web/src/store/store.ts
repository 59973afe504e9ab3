/**
 * Where models are kept between visits: chunks of bytes in one of several places ({@link ChunkStore}), and for each
 * model a record of what is there ({@link Manifest}), always in IndexedDB. `ModelStore` combines both.
 */

/** Bytes of one stored chunk (the last one of a model may be shorter). */
export const CHUNK_BYTES = 16 * 1024 * 1024;

/** Where chunks can be. `memory` lasts as long as its worker. */
export type StoreKind = "indexeddb" | "opfs" | "memory";

/** The caller's choice: `auto` uses the fastest store of this browser, `none` keeps nothing. */
export type StoreChoice = "auto" | StoreKind | "none";

/** What is stored of one model. */
export interface Manifest {
  /** Layout of this record. */
  version: 2;
  /** Address of the model without its fragment, or the name it was imported under. */
  key: string;
  /** The name to show: the file's, unless the model was given another. */
  name: string;
  /** Names the model's bytes in the chunk store; a new one each time the model is begun afresh. */
  id: string;
  /** Where the chunks are. */
  store: StoreKind;
  /** Bytes of the whole file. */
  size: number;
  /** Bytes of a chunk. */
  chunkBytes: number;
  /** Validators of the file these chunks belong to, where the page may read them. */
  etag: string | null;
  lastModified: string | null;
  /** SHA-256 of each stored chunk in hexadecimal; `null` where the chunk is not there yet. */
  hashes: (string | null)[];
  /** SHA-256 of the whole file in hexadecimal, once its bytes were compared with an announced hash; else `null`. */
  fileHash: string | null;
  /** Bytes from the file's start on that were read for its header; left out before it was read. */
  headerBytes?: number;
  /**
   * For each incomplete chunk that has pieces: how many of its first bytes are recorded. Computed when a manifest is
   * read; not stored.
   */
  partial?: Record<number, number>;
  /** Milliseconds since 1970. */
  createdAt: number;
  lastUsed: number;
}

/** The facts of a new model's manifest; {@link newManifest} adds the rest. */
export type NewModel = Pick<Manifest, "key" | "size"> &
  Partial<Pick<Manifest, "name" | "chunkBytes" | "etag" | "lastModified" | "fileHash">>;

/** What may change in a manifest besides its chunks. */
export type ManifestChanges = Partial<
  Pick<Manifest, "name" | "etag" | "lastModified" | "fileHash" | "headerBytes" | "lastUsed">
>;

/** Bytes of an incomplete chunk, `start` to `start + length` of the chunk, with their own hash. */
export interface Piece {
  index: number;
  start: number;
  length: number;
  /** SHA-256 in hexadecimal. */
  hash: string;
}

/** Pieces of a chunk are no longer than this. */
const PIECE_BYTES = 256 * 1024;
/** Nor shorter than this, because a record takes space too. */
const LEAST_PIECE_BYTES = 4096;

/** Bytes of a piece: an eighth of the chunk, within these limits. */
export function pieceBytes(chunkBytes: number): number {
  return Math.min(PIECE_BYTES, Math.max(LEAST_PIECE_BYTES, Math.ceil(chunkBytes / 8)));
}

/** What a chunk store needs to know of a model. */
export type ModelBytes = Pick<Manifest, "id" | "size" | "chunkBytes">;

/**
 * Keeps chunks and knows nothing of manifests. Errors are `storage-failed` and `storage-quota`.
 */
export interface ChunkStore {
  readonly kind: StoreKind;
  /** Makes sure that chunks of this new model can be written, or rejects. */
  prepare(model: ModelBytes): Promise<void>;
  /** Stores a chunk. When this resolves the bytes are on the disk; when it rejects nothing of them is left. */
  write(model: ModelBytes, index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /**
   * A whole chunk, or `undefined` when it is missing or not of its length. It is read into `into` (whose length must be
   * the chunk's) where the store can do so without a copy, otherwise into a new buffer. The caller must check the bytes
   * against their hash.
   */
  chunk(model: ModelBytes, index: number, into?: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /**
   * Stores bytes of an incomplete chunk, from byte `start` of the chunk on: the pieces, in order.
   * `memory` keeps none.
   */
  writePieces(model: ModelBytes, start: number, bytes: Uint8Array<ArrayBuffer>, pieces: Piece[]): Promise<void>;
  /** Fills `target` with the bytes of a piece. False when they are not there. */
  readPiece(model: ModelBytes, piece: Piece, target: Uint8Array<ArrayBuffer>): Promise<boolean>;
  /**
   * Fills `target` with the bytes from `offset` of the file on, possibly from several chunks. False when not all of
   * them are there.
   */
  read(model: ModelBytes, offset: number, target: Uint8Array): Promise<boolean>;
  /** Indices of the chunks that are there in full length. Reads no bytes. */
  present(model: ModelBytes): Promise<Set<number>>;
  /** Deletes every chunk of a model. */
  delete(id: string): Promise<void>;
  /** The ids of all models that have chunks. */
  ids(): Promise<string[]>;
  /** Closes files and connections. */
  close(): void;
}

/** Keeps manifests. */
export interface ManifestStore {
  get(key: string): Promise<Manifest | undefined>;
  list(): Promise<Manifest[]>;
  /** Writes a model's manifest in place of an older one. */
  put(manifest: Manifest): Promise<void>;
  /** Records a chunk's hash (`null`: it is not there). False when this `id` is no longer the model of `key`. */
  record(key: string, id: string, index: number, hash: string | null): Promise<boolean>;
  /** Records pieces of incomplete chunks; their bytes are stored already. */
  recordPieces(id: string, pieces: Piece[]): Promise<void>;
  /** The recorded pieces of a model. */
  pieces(id: string): Promise<Piece[]>;
  /** Deletes pieces, and what IndexedDB has of their bytes: of a chunk, or of the whole model. */
  deletePieces(id: string, index?: number): Promise<void>;
  /** Changes a manifest. False when there is none. */
  update(key: string, changes: ManifestChanges): Promise<boolean>;
  delete(key: string): Promise<void>;
  close(): void;
}

/** The manifest of a model that has nothing stored yet. */
export function newManifest(model: NewModel): Manifest {
  const { key, size, chunkBytes = CHUNK_BYTES, name = nameOf(key) } = model;
  const { etag = null, lastModified = null, fileHash = null } = model;
  const hashes = new Array<null>(chunkCount(size, chunkBytes)).fill(null);
  const now = Date.now();
  return {
    ...{ version: 2, key, name, id: crypto.randomUUID(), store: "memory", size, chunkBytes },
    ...{ etag, lastModified, hashes, fileHash, createdAt: now, lastUsed: now },
  };
}

/** The last part of an address's path, as people read it. */
export function nameOf(key: string): string {
  try {
    return decodeURIComponent(new URL(key).pathname.replace(/^.*\//, "")) || key;
  } catch {
    return key;
  }
}

/** Number of chunks of a file. */
export function chunkCount(size: number, chunkBytes: number): number {
  return Math.ceil(size / chunkBytes);
}

/** First byte and length of a chunk. */
export function chunkRange(size: number, chunkBytes: number, index: number): { start: number; length: number } {
  const start = index * chunkBytes;
  return { start, length: Math.min(chunkBytes, size - start) };
}

/** Every chunk is stored. */
export function isComplete(manifest: Manifest): boolean {
  return manifest.hashes.every((hash) => hash !== null);
}

/** The header is stored, so reading it needs no network. */
export function hasHeader({ hashes, chunkBytes, headerBytes }: Manifest): boolean {
  if (headerBytes === undefined) return false;
  return hashes.slice(0, chunkCount(headerBytes, chunkBytes)).every((hash) => hash !== null);
}

/** Bytes stored, including those of incomplete chunks. */
export function storedBytes({ size, chunkBytes, hashes, partial = {} }: Manifest): number {
  return hashes.reduce(
    (bytes, hash, index) =>
      bytes + (hash === null ? (partial[index] ?? 0) : chunkRange(size, chunkBytes, index).length),
    0,
  );
}

/** How many bytes of each chunk are recorded, from its start on and without a gap. */
export function recordedParts(pieces: Piece[]): Record<number, number> {
  const parts: Record<number, number> = {};
  for (const { index, start, length } of [...pieces].sort((a, b) => a.start - b.start)) {
    if (start === (parts[index] ?? 0)) parts[index] = start + length;
  }
  return parts;
}

/** Most digests at a time: Chromium copies the bytes that it hashes. */
const DIGESTS = 2;
/** Up to this length bytes are hashed at once, because their copies are small. */
const SMALL_BYTES = 1024 * 1024;
let digests = 0;
const waiting: (() => void)[] = [];

/** SHA-256 in hexadecimal. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  if (bytes.length <= SMALL_BYTES) return digest(bytes);
  while (digests >= DIGESTS) await new Promise<void>((go) => waiting.push(go));
  digests++;
  try {
    return await digest(bytes);
  } finally {
    digests--;
    waiting.shift()?.();
  }
}

async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", bytes);
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
