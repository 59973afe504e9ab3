/** What was entered as a repository or an address, in whichever of the two fields. */

import { type HuggingFaceSource, type ModelSource, parseHubAddress } from "@querent-ai/wasm-chord";

/** What an entry means: a model, or a repository whose file is still to be named. */
export type Entered = { title: string; source: ModelSource } | { repo: string; revision?: string };

const REPO = /^[\w.-]+\/[\w.-]+$/;
/** `owner/name:Q4_K_M`, as other programs take it. */
const REPO_WITH_QUANT = /^([\w.-]+\/[\w.-]+):([\w.-]+)$/;
const QUANT = /^[\w.-]*q\d[\w.-]*$|^(bf|f)(16|32)$|^mxfp4$/i;

/** Reads the repository's field and that of its file; either may hold an address. Throws what to correct. */
export function readRepository(repoText: string, fileText: string): Entered {
  const [repo, file] = [repoText.trim(), fileText.trim()];
  if (parseHubAddress(file)?.file !== undefined) return readAddress(file);
  const page = parseHubAddress(repo);
  if (page?.file !== undefined && file === "") return readAddress(repo);
  // An address of another host belongs in the other field, and means the same there.
  if (!page && /^https?:\/\//i.test(repo)) return readAddress(repo);
  const short = REPO_WITH_QUANT.exec(repo);
  const name = page?.repo ?? short?.[1] ?? repo;
  const quant = page?.quant ?? short?.[2];
  const revision = page?.revision === undefined ? {} : { revision: page.revision };
  if (!REPO.test(name)) throw new Error("Give the repository as owner/name, or as its address on Hugging Face.");
  if (/\.gguf$/i.test(file)) return hubModel({ repo: name, ...revision, file: file.replace(/^\/+/, "") });
  if (QUANT.test(file)) return hubModel({ repo: name, ...revision, quant: file });
  if (file !== "") throw new Error("The file's name ends in .gguf. A quantization such as Q4_K_M does as well.");
  return quant === undefined ? { repo: name, ...revision } : hubModel({ repo: name, ...revision, quant });
}

/** Reads the address's field, which may hold a repository. Throws what to correct. */
export function readAddress(text: string): Entered {
  const written = text.trim();
  const page = parseHubAddress(written);
  if (page) {
    const { repo, revision, file, quant } = page;
    if (file !== undefined) return { title: titleOf(file), source: written };
    return quant === undefined ? { repo, ...(revision ? { revision } : {}) } : hubModel({ repo, quant });
  }
  if (REPO_WITH_QUANT.test(written) || (REPO.test(written) && !/\.gguf$/i.test(written))) {
    return readRepository(written, "");
  }
  if (!/^https?:\/\//i.test(written) || !URL.canParse(written)) {
    throw new Error("Give the whole address of a .gguf file, starting with https://.");
  }
  // As it was written: that is how errors show it.
  return { title: titleOf(readable(new URL(written).pathname)), source: written };
}

/** A model's name from a path to it. */
export function titleOf(path: string): string {
  return path.replace(/^.*\//, "").replace(/\.gguf$/i, "") || path;
}

function hubModel(source: HuggingFaceSource): Entered {
  const { repo, file, quant = "" } = source;
  return { title: file === undefined ? `${titleOf(repo)}, ${quant}` : titleOf(file), source };
}

/** A path with its escapes decoded, if all of them are valid. */
function readable(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
