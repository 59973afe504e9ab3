import { abortError, ChordError, throwIfAborted } from "../errors.js";
import type { RemoteBody, RemoteSource } from "./source.js";

/** A connection on which no byte comes for this long is given up. */
const STALL_MS = 30_000;

/** What an {@link HttpSource} may be told. */
export interface HttpOptions {
  signal?: AbortSignal;
  /** Milliseconds without a byte after which a connection is given up. */
  stallMs?: number;
  /** For tests. */
  fetch?: typeof fetch;
}

/**
 * A file on a web server, read by open-ended range requests: one request carries the whole download, and a jump starts
 * another. A server that knows no ranges is read from the start.
 */
export class HttpSource implements RemoteSource {
  private readonly signal: AbortSignal | undefined;
  private readonly stallMs: number;
  private readonly fetch: typeof fetch;

  constructor(
    readonly url: string,
    options: HttpOptions = {},
  ) {
    this.signal = options.signal;
    this.stallMs = options.stallMs ?? STALL_MS;
    this.fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  }

  async open(start: number): Promise<RemoteBody> {
    throwIfAborted(this.signal);
    const connection = new AbortController();
    const drop = () => connection.abort();
    this.signal?.addEventListener("abort", drop, { once: true });
    try {
      const response = await stallGuard(this.request(start, connection.signal), this.stallMs, () => this.stalled());
      return this.body(response, start, connection);
    } catch (error) {
      connection.abort();
      if (this.signal?.aborted) throw abortError(this.signal);
      if (error instanceof ChordError) throw error;
      throw this.error("network-failed", `${this.url} could not be fetched (${String(error)})`, {}, error);
    }
  }

  private request(start: number, signal: AbortSignal): Promise<Response> {
    // The store is the cache: a second copy in the browser's HTTP cache would only take space from it.
    return this.fetch(this.url, { headers: { Range: `bytes=${start}-` }, cache: "no-store", signal });
  }

  private body(response: Response, wanted: number, connection: AbortController): RemoteBody {
    const { status } = response;
    if (status !== 200 && status !== 206) {
      throw this.error("http-status", `${this.url} answered ${status} ${response.statusText}`.trimEnd(), { status });
    }
    if (response.body === null) throw this.error("bad-response", `${this.url} answered without a body`);
    const ranged = status === 206;
    const size = ranged ? this.rangeSize(response, wanted) : contentLength(response);
    if (size === undefined) {
      throw this.error("size-unknown", `${this.url} does not say its length (no Content-Length, no Content-Range)`);
    }
    const validator = response.headers.get("etag") ?? response.headers.get("last-modified");
    const reader = response.body.getReader();
    return new HttpBody(this, reader, connection, ranged ? wanted : 0, size, ranged, validator);
  }

  /** Length of the whole file after a 206. Other origins may hide Content-Range; an open-ended range ends with the file. */
  private rangeSize(response: Response, wanted: number): number | undefined {
    const length = contentLength(response);
    const header = response.headers.get("content-range");
    if (header === null) return length === undefined ? undefined : wanted + length;
    const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(header.trim());
    const first = Number(match?.[1]);
    const last = Number(match?.[2]);
    const size = match?.[3] === "*" ? last + 1 : Number(match?.[3]);
    const fits = first === wanted && last + 1 === size && (length === undefined || length === size - first);
    if (!match || !fits) {
      throw this.error("bad-response", `${this.url}: asked for bytes ${wanted} to the end, got "${header}"`, {
        wanted,
        contentRange: header,
        contentLength: length,
      });
    }
    return size;
  }

  /** One read of a body, with the errors of this source. */
  async read(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Uint8Array | undefined> {
    try {
      const { done, value } = await stallGuard(reader.read(), this.stallMs, () => this.stalled());
      return done ? undefined : value;
    } catch (error) {
      if (this.signal?.aborted) throw abortError(this.signal);
      if (error instanceof ChordError) throw error;
      throw this.error(
        "short-body",
        `The connection to ${this.url} broke (${String(error)}). Load again to go on.`,
        {},
        error,
      );
    }
  }

  error(code: string, message: string, details: Record<string, unknown> = {}, cause?: unknown): ChordError {
    return new ChordError(code, message, { url: this.url, ...details }, cause === undefined ? undefined : { cause });
  }

  private stalled(): ChordError {
    const seconds = this.stallMs / 1000;
    return this.error("network-stalled", `No byte of ${this.url} came for ${seconds} s. Load again to go on.`, {
      seconds,
    });
  }
}

class HttpBody implements RemoteBody {
  /** A piece of which a part has been used. */
  private rest: Uint8Array = new Uint8Array(0);

  constructor(
    private readonly source: HttpSource,
    private readonly reader: ReadableStreamDefaultReader<Uint8Array>,
    private readonly connection: AbortController,
    public position: number,
    readonly size: number,
    readonly ranged: boolean,
    readonly validator: string | null,
  ) {}

  async fill(target: Uint8Array, onBytes?: (count: number) => void): Promise<void> {
    let filled = 0;
    while (filled < target.length) {
      if (this.rest.length === 0) {
        const piece = await this.source.read(this.reader);
        if (piece === undefined) {
          throw this.source.error(
            "short-body",
            `${this.source.url} ended at byte ${this.position}, ${this.size} were announced. Load again to go on.`,
            { expected: this.size, found: this.position },
          );
        }
        this.rest = piece;
        continue;
      }
      const piece = this.rest.subarray(0, target.length - filled);
      target.set(piece, filled);
      this.rest = this.rest.subarray(piece.length);
      filled += piece.length;
      this.position += piece.length;
      onBytes?.(piece.length);
    }
    if (this.position === this.size) await this.expectEnd();
  }

  /** A body that goes on after its announced end is another file than announced. */
  private async expectEnd(): Promise<void> {
    const more = this.rest.length > 0 ? this.rest : await this.source.read(this.reader);
    this.cancel();
    if (more !== undefined && more.length > 0) {
      throw this.source.error("bad-response", `${this.source.url} is longer than the ${this.size} bytes announced`, {
        expected: this.size,
      });
    }
  }

  cancel(): void {
    this.connection.abort();
  }
}

function contentLength(response: Response): number | undefined {
  // Of a compressed body the header gives the compressed length.
  const encoding = response.headers.get("content-encoding");
  if (encoding !== null && encoding !== "identity") return undefined;
  const header = response.headers.get("content-length");
  return header !== null && /^\d+$/.test(header) ? Number(header) : undefined;
}

async function stallGuard<T>(work: Promise<T>, ms: number, error: () => Error): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stalled = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(error()), ms);
  });
  try {
    return await Promise.race([work, stalled]);
  } finally {
    clearTimeout(timer);
  }
}
