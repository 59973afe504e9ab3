import { free } from "../download/buffers.js";

/** Most bytes of a piece, where we can choose. */
const PIECE_BYTES = 512 * 1024;

/** The bytes of a response, piece by piece. */
export interface Pieces {
  /** The next piece, valid until the following call; `undefined` at the end. */
  next(): Promise<Uint8Array | undefined>;
}

/**
 * Reads a body without leaving garbage for each piece: browsers collect it much later, and for gigabytes of pieces it
 * amounts to hundreds of megabytes by then.
 */
export function piecesOf(body: ReadableStream<Uint8Array>): Pieces {
  try {
    return new FilledPieces(body.getReader({ mode: "byob" }));
  } catch {
    return new GivenPieces(body.getReader()); // Safari's bodies allocate their own memory.
  }
}

/** The same for a Blob. */
export function piecesOfBlob(blob: Blob): Pieces {
  return new BlobPieces(blob);
}

/** Pieces that are read into one buffer again and again. */
class FilledPieces implements Pieces {
  private buffer = new ArrayBuffer(PIECE_BYTES);

  constructor(private readonly reader: ReadableStreamBYOBReader) {}

  async next(): Promise<Uint8Array | undefined> {
    const { done, value } = await this.reader.read(new Uint8Array(this.buffer));
    // The same memory, transferred to a new `ArrayBuffer`.
    if (value) this.buffer = value.buffer;
    return done ? undefined : value;
  }
}

/** Pieces that the browser allocates, each freed when the next one is requested. */
class GivenPieces implements Pieces {
  private last: Uint8Array | undefined;

  constructor(private readonly reader: ReadableStreamDefaultReader<Uint8Array>) {}

  async next(): Promise<Uint8Array | undefined> {
    const { last } = this;
    // The piece is its whole buffer, so it has no other user.
    if (last && last.length === last.buffer.byteLength) free(last.buffer as ArrayBuffer);
    const { done, value } = await this.reader.read();
    this.last = value;
    return done ? undefined : value;
  }
}

/** How long a Blob's stream may take to answer. */
const ANSWER_MS = 2000;

/**
 * A Blob's bytes, read into one buffer again and again. In Chromium 148 a Blob's stream sometimes never answers (once
 * in some 300 to 2,000 Blobs of 64 KiB). The end, which is known, is therefore not read from the stream, and bytes that
 * do not come are read as slices.
 */
class BlobPieces implements Pieces {
  private at = 0;
  private pieces: Pieces | undefined;

  constructor(private readonly blob: Blob) {
    this.pieces = piecesOf(new Response(blob).body!);
  }

  async next(): Promise<Uint8Array | undefined> {
    if (this.at >= this.blob.size) return undefined;
    const piece = (await this.fromStream()) ?? (await this.slice());
    this.at += piece.length;
    return piece;
  }

  private async fromStream(): Promise<Uint8Array | undefined> {
    if (!this.pieces) return undefined;
    let timer;
    const late = new Promise<undefined>((resolve) => (timer = setTimeout(resolve, ANSWER_MS)));
    const piece = await Promise.race([this.pieces.next(), late]);
    clearTimeout(timer);
    if (!piece) this.pieces = undefined;
    return piece;
  }

  private async slice(): Promise<Uint8Array> {
    return new Uint8Array(await this.blob.slice(this.at, this.at + PIECE_BYTES).arrayBuffer());
  }
}
