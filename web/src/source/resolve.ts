import { ChordError } from "../errors.js";
import type { HuggingFaceSource, ModelSource, SourceDescriptor } from "./source.js";

/** A source as a caller names it → as the I/O worker takes it. `base` resolves relative URLs. */
export function resolveSource(source: ModelSource, base: string): SourceDescriptor {
  if (source instanceof Blob) {
    if (source.size === 0) throw new ChordError("invalid-argument", "The file is empty", { field: "source" });
    return { kind: "blob", blob: source };
  }
  if (typeof source === "string" || source instanceof URL) return { kind: "url", url: absolute(source, base) };
  if (typeof source === "object" && source !== null && "repo" in source) {
    return { kind: "url", url: huggingFaceUrl(source) };
  }
  throw new ChordError(
    "invalid-argument",
    "A model is given as a URL, a File or Blob, or { repo, file } of a Hugging Face repository",
    { field: "source" },
  );
}

/** What relative URLs are relative to: the page, or the worker that uses the package. */
export function baseUrl(): string {
  return globalThis.document?.baseURI ?? location.href;
}

/** The key under which a model is stored: its address without the fragment. */
export function storeKey(url: string): string {
  const key = new URL(url);
  key.hash = "";
  return key.href;
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

function huggingFaceUrl({ repo, file, revision = "main" }: HuggingFaceSource): string {
  const fail = (field: string, message: string) => new ChordError("invalid-argument", message, { field });
  if (typeof repo !== "string" || !/^[\w.-]+\/[\w.-]+$/.test(repo)) {
    throw fail("source.repo", `A repository is named owner/name, not "${repo}"`);
  }
  if (typeof file !== "string" || file === "" || file.split("/").some((part) => part === ".." || part === "")) {
    throw fail("source.file", `Not a path of a file in a repository: "${file}"`);
  }
  if (typeof revision !== "string" || revision === "") throw fail("source.revision", "The revision is empty");
  const path = file.split("/").map(encodeURIComponent).join("/");
  return `https://huggingface.co/${repo}/resolve/${encodeURIComponent(revision)}/${path}`;
}
