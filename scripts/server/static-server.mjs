// A small static server: cross-origin isolation headers, byte ranges, validators. It serves the demo and the browser
// tests; a deployed page needs none of it, any static host will do.

import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize, sep } from "node:path";
import { setTimeout } from "node:timers/promises";
import { sendFile } from "./byte-ranges.mjs";

const types = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".wasm": "application/wasm",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".txt": "text/plain; charset=utf-8",
  ".webmanifest": "application/manifest+json",
};

// SharedArrayBuffer (CPU threads) needs the first two; the third lets an isolated page elsewhere use these files.
const isolation = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "cross-origin",
};

/**
 * @typedef {object} Route
 * @property {string} prefix path that the route answers; ends in "/" for a folder
 * @property {string | string[]} [folder] folder on disk, or several: the first that has the file
 * @property {string} [file] one file on disk
 * @property {() => unknown} [json] makes the answer
 * @property {(name: string) => import("./byte-ranges.mjs").ServedFile | null} [made] makes the file of a name
 * @property {number} [bytesPerSecond] of all connections together, for tests of progress and cancelling
 * @property {boolean} [isolated] false leaves out the headers of cross-origin isolation, like a host that cannot set
 * them
 *
 * @param {Route[]} routes the first whose prefix matches answers
 * @param {object} [options]
 * @param {Record<string, string>} [options.headers] sent besides those of cross-origin isolation
 * @param {(path: string, bytes: number) => void} [options.onSent] sees the body bytes handed to each response
 */
export function staticServer(routes, options = {}) {
  const lines = new Map(routes.map((route) => [route, line(route.bytesPerSecond)]));
  const send = (response, headers) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  };
  return createServer((request, response) => {
    send(response, { "X-Content-Type-Options": "nosniff", ...options.headers });
    if (request.method !== "GET" && request.method !== "HEAD") return refuse(response, 405, "only GET and HEAD");

    const path = decodePath(request.url ?? "/");
    if (path === null) return refuse(response, 400, "bad path");
    const route = routes.find(({ prefix }) => (prefix.endsWith("/") ? path.startsWith(prefix) : path === prefix));
    if (route?.isolated !== false) send(response, isolation);
    if (!route) return refuse(response, 404, "nothing here");
    if (route.json) return sendJson(request, response, route.json());
    if (route.made) {
      const file = route.made(path.slice(route.prefix.length));
      return file ? sendFile(request, response, file) : refuse(response, 404, "nothing here");
    }

    const found = [route.folder ?? []].flat().map((folder) => fileIn(folder, path.slice(route.prefix.length)));
    const file = route.file ?? found.find((file) => file !== null);
    if (!file) return refuse(response, 404, "nothing here");
    sendFromDisk(request, response, file, lines.get(route), (bytes) => options.onSent?.(path, bytes));
  });
}

function decodePath(url) {
  try {
    const path = decodeURIComponent(new URL(url, "http://localhost").pathname);
    return path.includes("\0") ? null : path;
  } catch {
    return null;
  }
}

/** The file for a path below `folder`, or null; a path that climbs out of the folder has none. */
function fileIn(folder, path) {
  const base = normalize(folder + sep);
  const file = normalize(join(base, path));
  if (!file.startsWith(base)) return null;
  for (const candidate of [file, join(file, "index.html")]) {
    if (existsSync(candidate) && statSync(candidate).isFile()) return candidate;
  }
  return null;
}

function refuse(response, status, message) {
  response.writeHead(status, { "Content-Type": types[".txt"] });
  response.end(`${message}\n`);
}

function sendJson(request, response, value) {
  response.writeHead(200, { "Content-Type": types[".json"], "Cache-Control": "no-store" });
  response.end(request.method === "HEAD" ? undefined : JSON.stringify(value));
}

function sendFromDisk(request, response, path, pass, onSent) {
  const { size, mtimeMs } = statSync(path);
  response.setHeader("Content-Type", types[extname(path)] ?? "application/octet-stream");
  // The demo's bundler puts a content hash into the names under assets/.
  const hashed = /[\\/]assets[\\/].+-[\w-]{8}\.\w+$/.test(path);
  response.setHeader("Cache-Control", hashed ? "public, max-age=31536000, immutable" : "no-cache");
  sendFile(request, response, {
    size,
    etag: `"${size.toString(16)}-${Math.round(mtimeMs).toString(16)}"`,
    read: (start, end) => pieces(createReadStream(path, { start, end: end - 1, highWaterMark: 1 << 18 }), pass, onSent),
  });
}

async function* pieces(stream, pass, onSent) {
  for await (const piece of stream) {
    await pass(piece.length);
    onSent(piece.length);
    yield piece;
  }
}

/** Limits the rate to `bytesPerSecond`: the returned function resolves when its bytes may have passed. */
function line(bytesPerSecond) {
  let free = 0;
  return async (bytes) => {
    if (!bytesPerSecond) return;
    free = Math.max(free, Date.now()) + (bytes / bytesPerSecond) * 1000;
    await setTimeout(free - Date.now());
  };
}

/** Starts listening; resolves when the port is open, rejects with the system's error otherwise. */
export function listen(server, port, host) {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => resolve(server));
  });
}
