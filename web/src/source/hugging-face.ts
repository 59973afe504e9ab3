/** Finds a file in a Hugging Face repository, at one commit, with its size and its hash. */

import { ChordError } from "../errors.js";
import type { HubDescriptor } from "./source.js";
import { partCount, partUrls } from "./split.js";

/** Where a file of a repository is. */
export interface HubFile {
  /** Path in the repository. */
  path: string;
  /** Address at the commit that the revision was at. */
  url: string;
  /** The key that it is stored under: the address at the revision, so that a stored model is found offline. */
  key: string;
  /** Bytes, if the hub reports them. */
  size?: number;
  /** SHA-256 in hexadecimal, which the hub reports for files in its large file storage. */
  sha256?: string;
  /** The same for each part of a split model. */
  partHashes?: (string | undefined)[];
}

/** The hub API's answer about a repository at a revision. */
interface Listing {
  sha?: string;
  siblings?: { rfilename: string; size?: number; lfs?: { sha256?: string; size?: number } }[];
}

/** Files that accompany a model but are not models. */
const NO_MODEL = /(^|[^a-z0-9])(mmproj|imatrix)([^a-z0-9]|$)/i;

/** Address of a file at a revision or commit. */
export function hubUrl(
  { endpoint, repo }: Pick<HubDescriptor, "endpoint" | "repo">,
  revision: string,
  path: string,
): string {
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  return `${endpoint}/${repo}/resolve/${encodeURIComponent(revision)}/${encoded}`;
}

/** The key among `keys` of a stored file that matches a request; the hub then need not be asked. */
export function storedHubKey(source: HubDescriptor, keys: string[]): string | undefined {
  if (source.file !== undefined) {
    const key = hubUrl(source, source.revision, source.file);
    return keys.includes(key) ? key : undefined;
  }
  const prefix = hubUrl(source, source.revision, "");
  const paths = keys.flatMap((key) => (key.startsWith(prefix) ? [decodeURIComponent(key.slice(prefix.length))] : []));
  const path = pickQuant(paths, source.quant ?? "");
  return path === undefined ? undefined : hubUrl(source, source.revision, path);
}

/** The GGUF file of a quantization; of a split one, its first part. */
export function pickQuant(paths: string[], quant: string): string | undefined {
  const name = quant.replace(/[^\w]/g, "\\$&");
  const named = new RegExp(`(^|[^a-z0-9_])${name}([^a-z0-9_]|$)`, "i");
  const part = (path: string) => /-(\d{5})-of-\d{5}\.gguf$/i.exec(path)?.[1];
  return paths
    .filter((path) => /\.gguf$/i.test(path) && !NO_MODEL.test(path) && named.test(path))
    .filter((path) => part(path) === undefined || part(path) === "00001")
    .sort((a, b) => Number(part(a) !== undefined) - Number(part(b) !== undefined) || a.length - b.length)
    .at(0);
}

/** Asks the hub. A host that has the files but not the hub's API suffices when the file is named. */
export async function findHubFile(source: HubDescriptor, fetch = globalThis.fetch): Promise<HubFile> {
  const { endpoint, repo, revision, file, quant } = source;
  const url = `${endpoint}/api/models/${repo}/revision/${encodeURIComponent(revision)}?blobs=true`;
  let listing: Listing;
  try {
    listing = await ask(url, source, fetch);
  } catch (error) {
    if (file === undefined || !hasNoApi(error)) throw error;
    return fromHeaders(source, file, fetch);
  }
  const files = listing.siblings ?? [];
  const paths = files.map(({ rfilename }) => rfilename);
  const path = file ?? pickQuant(paths, quant ?? "");
  const found = files.find(({ rfilename }) => rfilename === path);
  if (path === undefined || !found) {
    const available = paths.filter((name) => /\.gguf$/i.test(name) && !NO_MODEL.test(name));
    const wanted = file ?? `GGUF file of quantization ${quant}`;
    throw new ChordError(
      "invalid-argument",
      `${repo} has no ${wanted} at ${revision}; it has ${available.join(", ") || "no GGUF file"}`,
      { field: file === undefined ? "source.quant" : "source.file", available },
    );
  }
  const size = found.lfs?.size ?? found.size;
  const hashOf = (path: string) => {
    const sha256 = files.find(({ rfilename }) => rfilename === path)?.lfs?.sha256?.toLowerCase();
    return sha256 !== undefined && isSha256(sha256) ? sha256 : undefined;
  };
  const sha256 = hashOf(path);
  return {
    ...{ path, key: hubUrl(source, revision, path), url: hubUrl(source, listing.sha ?? revision, path) },
    ...(size === undefined ? {} : { size }),
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(partCount(path) > 1 ? { partHashes: partUrls(path).map(hashOf) } : {}),
  };
}

export function isSha256(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

async function ask(url: string, source: HubDescriptor, fetch: typeof globalThis.fetch): Promise<Listing> {
  const response = await request(url, source, fetch);
  if (!response.ok) {
    const { status } = response;
    const { endpoint, repo, revision } = source;
    const hint = status === 401 || status === 403 ? " The repository asks for a token." : "";
    const missing = status === 404 ? ` Is there such a repository, and a revision ${revision} of it?` : "";
    const asked = `${endpoint} answered ${status} when asked for the files of ${repo}`;
    throw new ChordError("http-status", `${asked}.${hint}${missing}`, { status, url });
  }
  try {
    return (await response.json()) as Listing;
  } catch (cause) {
    throw new ChordError(
      "bad-response",
      `${source.endpoint} did not answer with the list of files of ${source.repo}`,
      { url },
      { cause },
    );
  }
}

/** The commit from the host's headers, if they are readable. */
async function fromHeaders(source: HubDescriptor, path: string, fetch: typeof globalThis.fetch): Promise<HubFile> {
  const key = hubUrl(source, source.revision, path);
  const { headers } = await request(key, source, fetch, "HEAD");
  const commit = headers.get("x-repo-commit");
  const sha256 = headers.get("x-linked-etag")?.replace(/"/g, "").toLowerCase();
  return {
    ...{ path, key, url: commit === null ? key : hubUrl(source, commit, path) },
    ...(sha256 !== undefined && isSha256(sha256) ? { sha256 } : {}),
  };
}

async function request(
  url: string,
  { endpoint, repo, token }: HubDescriptor,
  fetch: typeof globalThis.fetch,
  method = "GET",
): Promise<Response> {
  try {
    const headers: HeadersInit = token === undefined ? {} : { Authorization: `Bearer ${token}` };
    return await fetch(url, { method, headers, cache: "no-store", signal: AbortSignal.timeout(30_000) });
  } catch (cause) {
    throw new ChordError(
      "network-failed",
      `${endpoint} could not be reached for ${repo} (${String(cause)})`,
      { url },
      { cause },
    );
  }
}

/** The API is not there, or other origins may not read it; the files may still be there. */
function hasNoApi(error: unknown): boolean {
  if (!(error instanceof ChordError)) return false;
  const status = error.details["status"];
  return error.code === "network-failed" || error.code === "bad-response" || status === 404 || status === 405;
}
