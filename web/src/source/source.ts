/** Where a model's bytes come from. */

/** A model as a caller names it. */
export type ModelSource = string | URL | Blob | HuggingFaceSource;

/** A file of a Hugging Face repository. */
export interface HuggingFaceSource {
  /** `owner/name`. */
  repo: string;
  /** Path of the file in the repository. */
  file: string;
  /** Branch, tag or commit; `main` where left out. */
  revision?: string;
}

/** A model as the I/O worker takes it. */
export type SourceDescriptor = { kind: "url"; url: string } | { kind: "blob"; blob: Blob };

/** Random access to one model's bytes. Reads do not overlap in time. */
export interface ModelFile {
  /** Bytes of the whole file. */
  readonly size: number;
  /** Fills `target` with the bytes from `offset` on. */
  readInto(offset: number, target: Uint8Array): Promise<void>;
}

/** A remote file that can be read from a given byte on. */
export interface RemoteSource {
  /** Starts a body at byte `start`, or at 0 where the server knows no ranges. */
  open(start: number): Promise<RemoteBody>;
}

/** The bytes of a remote file from `position` to its end, in order. */
export interface RemoteBody {
  /** Bytes of the whole file. */
  readonly size: number;
  /** The server honours ranges, so that another body can start anywhere. */
  readonly ranged: boolean;
  /** ETag or Last-Modified, where the page may see them: another value means another file. */
  readonly validator: string | null;
  /** The next byte that {@link fill} brings. */
  readonly position: number;
  /** Fills `target` with the next bytes; `onBytes` hears of each piece as it comes. */
  fill(target: Uint8Array, onBytes?: (count: number) => void): Promise<void>;
  /** Drops the connection. */
  cancel(): void;
}
