/** Addresses of Hugging Face as people copy them: of a file, of the page about it, of a repository. */

/** What an address of Hugging Face names. */
export interface HubAddress {
  /** `owner/name`. */
  repo: string;
  /** Branch, tag or commit, where the address has one. */
  revision?: string;
  /** Path of a file in the repository. Without one the address is that of the repository, or of a folder in it. */
  file?: string;
  /** A quantization behind a colon, as in `hf.co/owner/name:Q4_K_M`. */
  quant?: string;
}

const HOSTS = new Set(["huggingface.co", "www.huggingface.co", "hf.co"]);

/** First parts of paths that are not owners of models. */
const NO_OWNER = new Set(["api", "blog", "collections", "datasets", "docs", "join", "learn", "login", "models"]);
for (const name of ["organizations", "papers", "pricing", "settings", "spaces", "tasks"]) NO_OWNER.add(name);

/**
 * Reads an address of Hugging Face, with or without `https://`: `/owner/name`, and below it `/tree/…`, `/blob/…`,
 * `/raw/…` and `/resolve/…`. `undefined` for any other text.
 */
export function parseHubAddress(text: string): HubAddress | undefined {
  const written = text.trim();
  const address = /^[a-z][a-z0-9+.-]*:\/\//i.test(written) ? written : `https://${written}`;
  if (!URL.canParse(address)) return undefined;
  const { protocol, hostname, pathname } = new URL(address);
  if (!/^https?:$/.test(protocol) || !HOSTS.has(hostname)) return undefined;
  const [owner = "", named = "", kind, revision, ...path] = pathname.slice(1).split("/").map(decoded);
  const [name = "", quant] = named.split(":");
  if (!isName(owner) || !isName(name) || NO_OWNER.has(owner)) return undefined;
  const repo = `${owner}/${name}`;
  if (kind === undefined || !revision || !["tree", "blob", "raw", "resolve"].includes(kind)) {
    return quant ? { repo, quant } : { repo };
  }
  const file = path.join("/");
  return kind === "tree" || file === "" ? { repo, revision } : { repo, revision, file };
}

function isName(part: string): boolean {
  return /^[\w.-]+$/.test(part) && !/^\.{1,2}$/.test(part);
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
