// Files over HTTP by byte ranges (RFC 9110, section 14). Every server of the repository answers through this file.

import { pipeline } from "node:stream/promises";

/**
 * Which bytes of a file a request asks for. Several ranges at once, any range of an empty file, and a range that ends
 * before it begins are answered with the whole file, as the standard says.
 *
 * @param {string | undefined} header value of `Range`
 * @param {number} size bytes of the file
 * @returns {{ start: number, end: number } | "unsatisfiable" | null} bytes `start..end`; null for the whole file
 */
export function parseRange(header, size) {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header ?? "") ?? ["", "", ""];
  if (size === 0 || (first === "" && last === "")) return null;
  if (first !== "" && last !== "" && Number(last) < Number(first)) return null;
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size : Math.min(Number(last) + 1, size);
  return start >= end ? "unsatisfiable" : { start, end };
}

/**
 * @typedef {object} ServedFile
 * @property {number} size bytes
 * @property {string} etag with its quotes
 * @property {(start: number, end: number) => AsyncIterable<Uint8Array>} read bytes `start..end`
 *
 * Answers a GET or HEAD request for a file. Headers that the response has already are kept.
 *
 * @param {import("node:http").IncomingMessage} request
 * @param {import("node:http").ServerResponse} response
 * @param {ServedFile} file
 */
export function sendFile(request, response, { size, etag, read }) {
  response.setHeader("Accept-Ranges", "bytes");
  response.setHeader("ETag", etag);
  if (request.headers["if-none-match"] === etag) return void response.writeHead(304).end();

  const range = parseRange(request.headers.range, size);
  if (range === "unsatisfiable") return void response.writeHead(416, { "Content-Range": `bytes */${size}` }).end();
  const { start, end } = range ?? { start: 0, end: size };
  response.setHeader("Content-Length", end - start);
  if (range) response.setHeader("Content-Range", `bytes ${start}-${end - 1}/${size}`);
  response.writeHead(range ? 206 : 200);
  if (request.method === "HEAD" || size === 0) return void response.end();
  pipeline(read(start, end), response).catch(() => response.destroy()); // The visitor has gone, or the file has.
}
