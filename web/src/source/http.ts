import { abortError, ChordError, throwIfAborted } from "../errors.js";
import { type Pieces, piecesOf } from "./pieces.js";
import type { RemoteBody, RemoteSource, Validators } from "./source.js";

/** A connection on which no byte comes for this long is given up. */
export const STALL_MS = 30_000;

/** Options of an {@link HttpSource}. */
export interface HttpOptions {
  signal?: AbortSignal;
  /** Milliseconds without a byte after which a connection is given up. */
  stallMs?: number | undefined;
  /** Access token of the host. */
  token?: string | undefined;
  /** Bytes of the file, if known beforehand: the server then need not report it. */
  size?: number | undefined;
  /** For tests. */
  fetch?: typeof fetch;
}

/** Advice about a server that does not report a file's length. */
const COMPRESSED = "Serve the file with a Content-Length and without Content-Encoding.";

/**
 * A file on a web server, read by range requests. If the server has no ranges, or wrong ones, the file is read from
 * the start.
 */
export class HttpSource implements RemoteSource {
  private readonly signal: AbortSignal | undefined;
  private readonly stallMs: number;
  private readonly fetch: typeof fetch;
  private readonly token: string | undefined;
  private knownSize: number | undefined;
  /** Requested ranges extend to the file's end: another origin hides Content-Range, and this reveals the length. */
  private openEnded = false;
  /** Ranges are no longer requested. */
  private broken = false;
  /** Requests without any answer, since the last answer. */
  private unanswered = 0;

  constructor(
    readonly url: string,
    options: HttpOptions = {},
  ) {
    this.signal = options.signal;
    this.stallMs = options.stallMs ?? STALL_MS;
    this.token = options.token;
    this.knownSize = options.size;
    this.fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  }

  async open(start: number, end: number): Promise<RemoteBody> {
    for (;;) {
      const body = await this.attempt(start, end);
      if (body) {
        this.knownSize = body.size;
        return body;
      }
    }
  }

  /** One request. `undefined`: the next one is to ask differently. */
  private async attempt(start: number, end: number): Promise<HttpBody | undefined> {
    throwIfAborted(this.signal);
    const connection = new AbortController();
    const drop = () => connection.abort();
    this.signal?.addEventListener("abort", drop, { once: true });
    try {
      const response = await stallGuard(this.request(start, end, connection.signal), this.stallMs, () =>
        this.stalled(),
      );
      this.unanswered = 0;
      const body = this.body(response, start, end, connection);
      if (!body) connection.abort();
      return body;
    } catch (error) {
      connection.abort();
      if (this.signal?.aborted) throw abortError(this.signal);
      if (error instanceof ChordError) throw error;
      this.unanswered++;
      throw this.error("network-failed", `${this.url} could not be fetched (${String(error)})`, {}, error);
    }
  }

  private request(start: number, end: number, signal: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = {};
    // Browsers report a compressed answer to a range request as a failure: without a range it may be readable.
    const unheard = this.knownSize === undefined && this.unanswered >= 2;
    if (!this.broken && !unheard) headers["Range"] = this.openEnded ? `bytes=${start}-` : `bytes=${start}-${end - 1}`;
    if (this.token !== undefined) headers["Authorization"] = `Bearer ${this.token}`;
    // The store is the cache: a second copy in the browser's HTTP cache would only waste space.
    return this.fetch(this.url, { headers, cache: "no-store", signal });
  }

  private body(response: Response, start: number, end: number, connection: AbortController): HttpBody | undefined {
    const { status } = response;
    if (status === 416 && start < (rangeLength(response) ?? this.knownSize ?? 0) && !this.broken) {
      this.broken = true;
      return undefined;
    }
    if (status !== 200 && status !== 206) throw this.refused(response);
    if (response.body === null) throw this.error("bad-response", `${this.url} answered without a body`);
    const range = status === 206 ? this.range(response, start, end) : this.whole(response);
    if (!range) return undefined;
    const validators = { etag: response.headers.get("etag"), lastModified: response.headers.get("last-modified") };
    return new HttpBody(this, piecesOf(response.body), connection, range, status === 206, validators);
  }

  /** The body of a 200: the whole file. */
  private whole(response: Response): Range {
    const size = contentLength(response) ?? this.knownSize;
    if (size === undefined) {
      if (/^text\/html/i.test(response.headers.get("content-type") ?? ""))
        throw this.error("bad-response", this.page());
      const compressed = response.headers.get("content-encoding");
      const why = compressed === null ? "there is no Content-Length" : `it is sent with Content-Encoding ${compressed}`;
      throw this.error("size-unknown", `The length of ${this.url} is not known: ${why}. ${COMPRESSED}`);
    }
    return { start: 0, end: size, size };
  }

  /** The body of a 206, if it is the requested range. Other origins may hide Content-Range. */
  private range(response: Response, start: number, end: number): Range | undefined {
    const length = contentLength(response);
    const header = response.headers.get("content-range");
    if (header === null) {
      if (this.knownSize !== undefined && length === Math.min(end, this.knownSize) - start) {
        return { start, end: start + length, size: this.knownSize };
      }
      if (this.openEnded && length !== undefined) return { start, end: start + length, size: start + length };
      if (this.openEnded) return this.distrust(response, start);
      this.openEnded = true;
      return undefined;
    }
    const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(header.trim());
    const [first, last] = [Number(match?.[1]), Number(match?.[2])];
    const size = match?.[3] === "*" ? this.knownSize : Number(match?.[3]);
    if (match && size === undefined && !this.openEnded) {
      this.openEnded = true;
      return undefined;
    }
    const range: Range = { start, end: last + 1, size: size ?? last + 1 };
    const fits = match && first === start && last >= first && range.end <= range.size;
    return fits ? range : this.distrust(response, start);
  }

  /** A range that was not requested: the next attempt is made without ranges. */
  private distrust(response: Response, wanted: number): undefined {
    if (this.broken) {
      const contentRange = response.headers.get("content-range");
      throw this.error(
        "bad-response",
        `${this.url}: the whole file was requested, the server sent the range "${contentRange}"`,
        {
          wanted,
          contentRange,
        },
      );
    }
    this.broken = true;
    return undefined;
  }

  private refused(response: Response): ChordError {
    const { status, statusText } = response;
    const details: Record<string, unknown> = { status };
    const seconds = retryAfter(response.headers.get("retry-after"));
    if (seconds !== undefined) details["retryAfterMs"] = seconds * 1000;
    return this.error("http-status", `${this.url} answered ${status} ${statusText}`.trimEnd(), details);
  }

  /** The next piece of a body, with the errors of this source. */
  async next(pieces: Pieces): Promise<Uint8Array | undefined> {
    try {
      return await stallGuard(pieces.next(), this.stallMs, () => this.stalled());
    } catch (error) {
      if (this.signal?.aborted) throw abortError(this.signal);
      if (error instanceof ChordError) throw error;
      const message = `The connection to ${this.url} broke (${String(error)}). Load again to continue.`;
      throw this.error("short-body", message, {}, error);
    }
  }

  error(code: string, message: string, details: Record<string, unknown> = {}, cause?: unknown): ChordError {
    return new ChordError(code, message, { url: this.url, ...details }, cause === undefined ? undefined : { cause });
  }

  /** Web pages are often sent without a length, and that alone would not explain the mistake to the caller. */
  private page(): string {
    return (
      `${this.url} answered with a web page, not with a file. ` +
      "It may be the page about the file, or one to log in: give the address of the file itself."
    );
  }

  private stalled(): ChordError {
    const seconds = this.stallMs / 1000;
    return this.error("network-stalled", `No byte of ${this.url} arrived for ${seconds} s. Load again to continue.`, {
      seconds,
    });
  }
}

interface Range {
  start: number;
  end: number;
  size: number;
}

class HttpBody implements RemoteBody {
  readonly etag: string | null;
  readonly lastModified: string | null;
  readonly size: number;
  readonly end: number;
  position: number;
  /** The unused part of the last piece. */
  private rest: Uint8Array = new Uint8Array(0);

  constructor(
    private readonly source: HttpSource,
    private readonly pieces: Pieces,
    private readonly connection: AbortController,
    { start, end, size }: Range,
    readonly ranged: boolean,
    { etag, lastModified }: Validators,
  ) {
    [this.etag, this.lastModified] = [etag, lastModified];
    [this.position, this.end, this.size] = [start, end, size];
  }

  async read(target: Uint8Array): Promise<number> {
    while (this.rest.length === 0) {
      const piece = await this.source.next(this.pieces);
      if (piece === undefined) {
        throw this.source.error(
          "short-body",
          `${this.source.url} ended at byte ${this.position} of the announced ${this.end}. Load again to continue.`,
          { expected: this.end, found: this.position },
        );
      }
      this.rest = piece;
    }
    const piece = this.rest.subarray(0, Math.min(target.length, this.end - this.position));
    // A released piece has no length.
    const { length } = piece;
    target.set(piece);
    this.rest = this.rest.subarray(length);
    this.position += length;
    if (this.position === this.end) await this.expectEnd();
    return length;
  }

  /** A body longer than announced is not the announced file; most likely it is compressed. */
  private async expectEnd(): Promise<void> {
    const more = this.rest.length > 0 ? this.rest : await this.source.next(this.pieces);
    this.cancel();
    if (more !== undefined && more.length > 0) {
      const message = `${this.source.url} is longer than the announced ${this.end} bytes. ${COMPRESSED}`;
      throw this.source.error("bad-response", message, { expected: this.end });
    }
  }

  cancel(): void {
    this.connection.abort();
  }
}

/** Length of the whole file, from the response to an unsatisfiable range. */
function rangeLength(response: Response): number | undefined {
  const match = /^bytes \*\/(\d+)$/.exec(response.headers.get("content-range")?.trim() ?? "");
  return match ? Number(match[1]) : undefined;
}

function contentLength(response: Response): number | undefined {
  // Of a compressed body the header gives the compressed length.
  const encoding = response.headers.get("content-encoding");
  if (encoding !== null && encoding !== "identity") return undefined;
  const header = response.headers.get("content-length");
  return header !== null && /^\d+$/.test(header) ? Number(header) : undefined;
}

/** Seconds that a server asks to wait: a number, or a date. */
function retryAfter(header: string | null): number | undefined {
  if (header === null) return undefined;
  if (/^\d+$/.test(header.trim())) return Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, (date - Date.now()) / 1000);
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
