/** Errors of the SDK: one class, one list of codes. */

/**
 * The SDK's own codes, with the meaning of each and what helps. The engine adds its own (a bad file, an unsupported
 * model, a device that refuses): {@link ChordErrorCode}.
 */
export const SDK_ERROR_CODES = {
  "invalid-argument": "An option or a request field has a value that makes no sense; `details.field` names it.",
  "unsupported-field": "A request field that is not supported; `details.field` names it. Leave it out.",
  "network-failed": "The request could not be made: offline, blocked by CORS, or no such host.",
  "network-stalled": "No byte arrived for `details.seconds` seconds. What has arrived is kept; load again.",
  "load-stalled": "Nothing arrived for `details.seconds` seconds, and nothing was in progress. Load again to continue.",
  "http-status": "The server answered with the status in `details.status`.",
  "bad-response": "The server's answer does not fit the request: another range or another length than it announced.",
  "short-body": "The connection ended early. What has arrived is kept; load again.",
  "size-unknown": "The server does not say how long the file is, so it cannot be read in parts.",
  "source-changed": "The file changed on the server while it was being read. Load again.",
  "bad-split": "A part of a split model is missing, or belongs to another model.",
  "hash-mismatch": "The file's SHA-256 is not the announced one. Nothing of it is kept; load again.",
  "file-unreadable": "The browser can no longer read the file: it was moved, changed or deleted. Choose it again.",
  "storage-failed": "The browser's storage failed.",
  "storage-quota": "The browser's storage is full; `details` has the bytes needed and free.",
  "not-stored": "The model is not stored, or only partly.",
  "stored-damaged": "A stored chunk is missing or altered. Load the model, which repairs it, or delete it.",
  "model-in-use": "A tab uses the stored model, so it cannot be deleted. Unload it there first.",
  "needs-browser": "The call was made outside of a browser, or where workers cannot start. Call it on a page.",
  "worker-failed": "A worker could not be started, or ended by itself. Check `workerUrl` and the page's CSP.",
  "wasm-failed": "The WebAssembly module could not be fetched or compiled. Check `wasmUrl` and the page's CSP.",
  "device-lost": "The GPU device is gone (driver reset, GPU process ended, memory pressure). Load again.",
  unloaded: "The model was unloaded.",
  internal: "A bug in the engine; the message says where. The model must be loaded again.",
} as const;

/** Codes given by the SDK. */
export type SdkErrorCode = keyof typeof SDK_ERROR_CODES;

/** A code of the SDK, or one of the engine's (kebab-case; `docs/errors.md` lists them). */
export type ChordErrorCode = SdkErrorCode | (string & {});

/** An error as plain data: what crosses a worker boundary, and what `JSON.stringify` keeps of it. */
export interface ErrorRecord {
  code: ChordErrorCode;
  message: string;
  details?: Record<string, unknown>;
}

/** Every error of this package except an abort, which is a `DOMException` named `AbortError`. */
export class ChordError extends Error {
  override readonly name = "ChordError";
  /** Stable and machine-readable. */
  readonly code: ChordErrorCode;
  /**
   * The message's numbers and names, for programs: plain data for `JSON.stringify`. Byte counts and offsets are
   * numbers, or decimal strings from 2^53 on, where a number would not be exact.
   */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ChordErrorCode,
    message: string,
    details: Record<string, unknown> = {},
    options?: { cause?: unknown },
  ) {
    super(message, options);
    this.code = code;
    this.details = withoutBigints(details);
  }

  /** What `JSON.stringify` writes; an `Error` by itself would be `{}`. */
  toJSON(): ErrorRecord & { name: "ChordError" } {
    const { name, code, message, details } = this;
    return { name, code, message, details };
  }
}

/** True for the rejection of an aborted call. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}

/** The rejection of an aborted call: always named `AbortError`, with the signal's reason as its cause. */
export function abortError(signal?: AbortSignal): Error {
  const reason: unknown = signal?.reason;
  if (isAbort(reason)) return reason as Error;
  const error = new DOMException("The operation was aborted", "AbortError");
  if (reason !== undefined) Object.defineProperty(error, "cause", { value: reason });
  return error;
}

/** Throws when the signal has been aborted. */
export function throwIfAborted(signal?: AbortSignal): void {
  if (signal?.aborted) throw abortError(signal);
}

/** Anything thrown, in the form that crosses a worker boundary. */
export function toErrorRecord(error: unknown): ErrorRecord {
  if (isErrorRecord(error)) {
    const { code, message, details } = error;
    return details === undefined ? { code, message } : { code, message, details: withoutBigints(details) };
  }
  if (error instanceof Error) {
    return { code: isAbort(error) ? "aborted" : "internal", message: `${error.name}: ${error.message}` };
  }
  return { code: "internal", message: String(error) };
}

/** The error that a record describes: the inverse of {@link toErrorRecord}. */
export function fromErrorRecord(record: ErrorRecord): Error {
  if (record.code === "aborted") return abortError();
  return new ChordError(record.code, record.message, record.details ?? {});
}

function isErrorRecord(value: unknown): value is ErrorRecord {
  if (typeof value !== "object" || value === null) return false;
  const record = value as Partial<ErrorRecord>;
  return typeof record.code === "string" && typeof record.message === "string";
}

/** JSON has no `bigint`, the type of the engine's 64-bit integers. */
function withoutBigints<T>(value: T): T;
function withoutBigints(value: unknown): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (Array.isArray(value)) return value.map((item: unknown) => withoutBigints(item));
  if (Object.prototype.toString.call(value) !== "[object Object]") return value;
  return Object.fromEntries(
    Object.entries(value as object).map(([key, inner]) => [key, withoutBigints<unknown>(inner)]),
  );
}
