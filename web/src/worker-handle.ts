import { missingFileAdvice } from "./addresses.js";
import { ChordError } from "./errors.js";

/**
 * Starts a module worker. A script of another origin (a CDN) cannot be a worker itself: a tiny local module imports it.
 */
export function startWorker(url: string, name: string): Worker {
  const options: WorkerOptions = { type: "module", name };
  try {
    if (new URL(url).origin === location.origin || url.startsWith("blob:")) return new Worker(url, options);
    // Never revoked: not every browser fetches the script before `new Worker` returns, and it is one line.
    const local = URL.createObjectURL(new Blob([`import ${JSON.stringify(url)};`], { type: "text/javascript" }));
    return new Worker(local, options);
  } catch (cause) {
    throw new ChordError(
      "worker-failed",
      `The worker ${url} could not be started (${String(cause)})`,
      { url },
      { cause },
    );
  }
}

/** The error of a worker that ended by itself or never began. */
export function workerError(event: ErrorEvent, url: string): ChordError {
  // A script that was not found, or that the page's policy forbids, has no message.
  const message = event.message || `its script could not be loaded. ${missingFileAdvice()}`;
  return new ChordError("worker-failed", `The worker ${url} failed: ${message}`, { url });
}
