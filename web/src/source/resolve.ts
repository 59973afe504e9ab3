import { ChordError } from "../errors.js";
import { parseHubAddress } from "./hub-address.js";
import { hubUrl, isSha256, storedHubKey } from "./hugging-face.js";
import { importedKey } from "./imported.js";
import type { HubDescriptor, HuggingFaceSource, ModelSource, SourceDescriptor } from "./source.js";

/** Where repositories are. */
const HUB = "https://huggingface.co";

/** A caller's source → the I/O worker's. `base` resolves relative URLs. */
export function resolveSource(source: ModelSource, base: string): SourceDescriptor {
  if (source instanceof Blob) {
    if (source.size === 0) throw new ChordError("invalid-argument", "The file is empty", { field: "source" });
    return { kind: "blob", blob: source };
  }
  if (isFileHandle(source)) return { kind: "handle", handle: source };
  if (typeof source === "string") return { ...address(source, base), name: source };
  if (source instanceof URL) return address(source, base);
  if (typeof source === "object" && source !== null) {
    if ("repo" in source) return hub(source);
    if ("url" in source) {
      const { url, sha256 } = source;
      if (sha256 !== undefined && !isSha256(String(sha256).toLowerCase())) {
        throw refused("source.sha256", `A SHA-256 has 64 hexadecimal digits, not "${sha256}"`);
      }
      const hash = sha256 === undefined ? {} : { sha256: sha256.toLowerCase() };
      return { ...address(url, base), ...hash };
    }
  }
  throw refused(
    "source",
    "A model is given as a URL, a File, Blob or file handle, { url, sha256 }, or { repo, file } or { repo, quant } of a Hugging Face repository",
  );
}

/** The base of relative URLs: the page, or the worker that uses the package. */
export function baseUrl(): string {
  const base = globalThis.document?.baseURI ?? location.href;
  // A worker made from a Blob: nothing is beside it.
  return base.startsWith("blob:") ? new URL(base).origin : base;
}

/** The key under which a model is stored: its address without the fragment. */
export function storeKey(url: string): string {
  const key = new URL(url);
  key.hash = "";
  return key.href;
}

/**
 * The key under which a source is stored, or would be; `stored` are all stored models. A bare name is that of an
 * imported model: a file of the same name from a host is another one. `undefined` for files in place, and where only
 * the hub can tell which file is meant.
 */
export function sourceKey(source: SourceDescriptor, stored: { key: string }[]): string | undefined {
  switch (source.kind) {
    case "url": {
      const key = storeKey(source.url);
      if (source.name === undefined || stored.some((model) => model.key === key)) return key;
      const imported = importedKey(source.name);
      return stored.some((model) => model.key === imported) ? imported : key;
    }
    case "hub": {
      const keys = stored.map(({ key }) => key);
      const asked = source.file === undefined ? undefined : hubUrl(source, source.revision, source.file);
      return storedHubKey(source, keys) ?? asked;
    }
    default:
      return undefined;
  }
}

/** A file's address: for a Hugging Face page about a file, that of the file. A page about a repository is refused. */
function address(source: string | URL, base: string): SourceDescriptor & { kind: "url" } {
  const written = typeof source === "string" ? { written: source } : {};
  const page = parseHubAddress(String(source));
  if (page === undefined) return { kind: "url", url: absolute(source, base), ...written };
  const { repo, revision = "main", file, quant = "Q4_K_M" } = page;
  if (file === undefined) {
    throw refused(
      "source",
      `${String(source)} is a repository, not a file. Name a file of it: ` +
        `{ repo: "${repo}", file: "….gguf" }, or a quantization: { repo: "${repo}", quant: "${quant}" }`,
      { repo },
    );
  }
  // One address for one file, however it was copied, so that the stored model is found.
  return { kind: "url", url: hubUrl({ endpoint: HUB, repo }, revision, file), ...written };
}

function absolute(source: string | URL, base: string): string {
  let url: URL;
  try {
    url = new URL(source, base);
  } catch (cause) {
    throw new ChordError(
      "invalid-argument",
      `Not a URL: ${source}`,
      { field: "source", url: String(source) },
      { cause },
    );
  }
  if (!["http:", "https:", "blob:"].includes(url.protocol)) {
    throw new ChordError("invalid-argument", `Models are read over http and https, not ${url.protocol}`, {
      field: "source",
      url: url.href,
    });
  }
  return storeKey(url.href);
}

function hub(asked: HuggingFaceSource): HubDescriptor {
  const { repo, file, quant, revision = "main", token, endpoint = HUB } = asNamed(asked);
  if (typeof repo !== "string" || !/^[\w.-]+\/[\w.-]+$/.test(repo) || /(^|\/)\.\.?(\/|$)/.test(repo)) {
    throw refused("source.repo", `A repository is named owner/name, not "${repo}"`);
  }
  if (file === undefined && quant === undefined) {
    throw refused("source.file", `Which file of ${repo}? Name it by file, or by quant, such as "Q4_K_M".`);
  }
  if (file !== undefined && (typeof file !== "string" || file.split("/").some((part) => /^\.{0,2}$/.test(part)))) {
    throw refused("source.file", `Not a path of a file in a repository: "${file}"`);
  }
  if (quant !== undefined && (typeof quant !== "string" || !/^[\w.-]+$/.test(quant))) {
    throw refused("source.quant", `Not a quantization: "${quant}"; it is named as in "Q4_K_M"`);
  }
  if (typeof revision !== "string" || revision === "") throw refused("source.revision", "The revision is empty");
  if (token !== undefined && typeof token !== "string") throw refused("source.token", "A token is a string");
  const host = absolute(endpoint, HUB).replace(/\/+$/, "");
  return {
    ...{ kind: "hub", endpoint: host, repo, revision },
    ...(file === undefined ? { quant } : { file }),
    ...(token === undefined ? {} : { token }),
  } as HubDescriptor;
}

/** The source, with an address in `repo` or `file` replaced by its parts. */
function asNamed(source: HuggingFaceSource): HuggingFaceSource {
  const { repo, file, quant } = source;
  const page = typeof repo === "string" ? parseHubAddress(repo) : undefined;
  const filePage = typeof file === "string" ? parseHubAddress(file) : undefined;
  const isOther = filePage !== undefined && filePage.repo !== (page?.repo ?? repo);
  if (isOther) throw refused("source.file", `"${file}" is not a file of ${page?.repo ?? repo}`);
  if (filePage) return { ...page, ...filePage, ...source, repo: filePage.repo, file: filePage.file ?? "" };
  if (!page) return source;
  const named = file !== undefined || quant !== undefined;
  const { file: own, quant: ownQuant, ...place } = page;
  const ownFile = own !== undefined ? { file: own } : ownQuant !== undefined ? { quant: ownQuant } : {};
  return { ...place, ...(named ? {} : ownFile), ...source, repo: page.repo };
}

/** Checks the shape, because not every browser has the class. */
function isFileHandle(source: unknown): source is FileSystemFileHandle {
  const { kind, getFile } = (source ?? {}) as Partial<FileSystemFileHandle>;
  return kind === "file" && typeof getFile === "function";
}

function refused(field: string, message: string, details: Record<string, unknown> = {}): ChordError {
  return new ChordError("invalid-argument", message, { field, ...details });
}
