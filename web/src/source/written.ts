/** Messages have addresses as the caller wrote them; `details.url` has the requested one. */

import type { SourceDescriptor } from "./source.js";

const ADDRESS = /https?:\/\/[^\s"'<>]+/g;

/** A message with the addresses of a source as its caller wrote them. Other addresses are shown without escapes. */
export function asWritten(message: string, source: SourceDescriptor): string {
  if (source.kind !== "url") return message.replace(ADDRESS, (url) => shown(url, source));
  // Only the rest is changed: an escape that the caller wrote stays.
  const pieces = message.split(source.url).map((piece) => piece.replace(ADDRESS, (url) => shown(url, source)));
  return pieces.join(source.written ?? readable(source.url));
}

function shown(url: string, source: SourceDescriptor): string {
  if (source.kind === "hub") {
    const path = new RegExp(`^/${source.repo.replace(/[.]/g, "\\.")}/resolve/[^/]+/(.+)$`).exec(
      url.startsWith(source.endpoint) ? url.slice(source.endpoint.length) : "",
    );
    return path ? `${readable(path[1]!)} of ${source.repo}` : readable(url);
  }
  if (source.kind !== "url" || source.written === undefined) return readable(url);
  // A part of a split model is beside the one that was named.
  const folder = folderOf(source.url);
  return url.startsWith(folder) ? folderOf(source.written) + readable(url.slice(folder.length)) : readable(url);
}

function folderOf(address: string): string {
  return address.slice(0, address.lastIndexOf("/") + 1);
}

/** An address with its escapes decoded, if all of them can be. */
function readable(address: string): string {
  try {
    return decodeURI(address);
  } catch {
    return address;
  }
}
