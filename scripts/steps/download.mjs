// A file over HTTP, continued where an earlier attempt stopped.

import { createWriteStream, existsSync, renameSync, rmSync, statSync } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { megabytes, progress, StepError } from "./console.mjs";

const attempts = 5;
const stallMs = 30_000;

/**
 * Downloads `url` to `path` by way of `path.part`. A cut transfer is continued with a Range request, here and in the
 * next run; a server that answers 200 instead of 206 starts the file again. The caller checks the contents.
 *
 * @param {string} url
 * @param {string} path
 * @param {number} [expectedBytes]
 */
export async function download(url, path, expectedBytes) {
  const part = `${path}.part`;
  for (let attempt = 1; ; attempt += 1) {
    try {
      await continueDownload(url, part, expectedBytes);
      renameSync(part, path);
      return;
    } catch (error) {
      if (error instanceof StepError) throw error;
      if (attempt === attempts) {
        throw new StepError(
          `${url}: ${error.cause?.message ?? error.message}`,
          "run this again when the network is back: it continues where it stopped",
        );
      }
      await new Promise((wake) => setTimeout(wake, 1000 * attempt));
    }
  }
}

async function continueDownload(url, part, expectedBytes) {
  let start = existsSync(part) ? statSync(part).size : 0;
  if (expectedBytes !== undefined && start === expectedBytes) return;
  if (expectedBytes !== undefined && start > expectedBytes) {
    rmSync(part);
    start = 0;
  }
  const abort = new AbortController();
  let watchdog = setTimeout(() => abort.abort(new Error("no bytes for 30 s")), stallMs);
  try {
    const response = await fetch(url, { headers: start ? { Range: `bytes=${start}-` } : {}, signal: abort.signal });
    if (response.status === 416) {
      rmSync(part, { force: true });
      throw new Error("the server has no bytes past those already here; starting again");
    }
    if (response.status >= 400 && response.status < 500) {
      throw new StepError(`${url} answered ${response.status} ${response.statusText}`, "check the address");
    }
    if (!response.ok || !response.body) throw new Error(`the server answered ${response.status}`);
    if (response.status === 200) start = 0;

    const total = expectedBytes ?? start + Number(response.headers.get("content-length") ?? Number.NaN);
    const began = performance.now();
    let received = 0;
    const counted = Readable.fromWeb(response.body).map((chunk) => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => abort.abort(new Error("no bytes for 30 s")), stallMs);
      received += chunk.length;
      const speed = received / ((performance.now() - began) / 1000);
      const share = Number.isFinite(total) ? ` of ${megabytes(total)}` : "";
      progress(`${megabytes(start + received)}${share}, ${megabytes(speed)}/s`);
      return chunk;
    });
    await pipeline(counted, createWriteStream(part, { flags: start ? "a" : "w" }), { signal: abort.signal });
    if (Number.isFinite(total) && start + received !== total) {
      throw new Error(`the transfer ended at ${start + received} of ${total} bytes`);
    }
  } finally {
    clearTimeout(watchdog);
  }
}
