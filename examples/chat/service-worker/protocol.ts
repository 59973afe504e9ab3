/** The messages between the page and its service worker, and the names that both use. */

import type { ArtifactName } from "@querent-ai/wasm-chord";

/** What the page asks; each is answered once, on the port that comes with it. */
export type Ask =
  /** Which version are you? Answered with its name. */
  | { type: "version" }
  /** Take over from the previous version, even if that still has tabs. */
  | { type: "activate" }
  /** Fetch these artifacts unless they are here, in this order. Answered with true when all are here. */
  | { type: "keep"; artifacts: ArtifactName[] }
  /** Give up what `keep` has not fetched yet. */
  | { type: "rest" };

/** All files of one build of the page, as the build lists them. */
export interface Shell {
  /** Hash of their content. */
  version: string;
  /** Relative to the page: what every visitor needs. The page itself is the empty path. */
  files: string[];
  /** One or two of them are needed, and which depends on the browser. */
  artifacts: Record<ArtifactName, string>;
}

/**
 * Name of the cache of a version, and of the lock that each of its tabs holds. Caches belong to the origin, which
 * several pages may share: the scope distinguishes them.
 */
export function versionName(scope: string, version: string): string {
  return `${versionPrefix(scope)}${version}`;
}

/** The prefix of the names of all versions of a page. */
export function versionPrefix(scope: string): string {
  return `wasm-chord ${new URL(scope).pathname} `;
}
