/** Where the files beside this module are: `chord-worker.js` and the WebAssembly artifacts. */

import { type ArtifactName, ARTIFACTS } from "./artifacts.js";
import type { ChordLoadOptions } from "./options.js";
import type { WasmUrls } from "./protocol.js";

/** The worker's script: beside this module, unless the options say otherwise. */
export function workerAddress(given: string | URL | undefined, base: string): string {
  // Bundlers recognize this form, here and below: they copy the file and insert its new address.
  return new URL(given ?? packageAddress(new URL("./chord-worker.js", import.meta.url)), base).href;
}

/** The artifacts: beside this module, unless the options say otherwise. One address alone is the baseline's. */
export function artifactUrls(given: ChordLoadOptions["wasmUrl"], base: string): WasmUrls {
  const absolute = (url: string | URL) => new URL(url, base).href;
  if (typeof given === "string" || given instanceof URL) return { baseline: absolute(given) };
  const beside = (url: URL) => absolute(packageAddress(url));
  const urls: Record<ArtifactName, string> = {
    baseline: beside(new URL("./chord.wasm", import.meta.url)),
    threads: beside(new URL("./chord-threads.wasm", import.meta.url)),
    "threads-simd128": beside(new URL("./chord-threads-simd128.wasm", import.meta.url)),
    memory64: beside(new URL("./chord-memory64.wasm", import.meta.url)),
  };
  for (const name of ARTIFACTS) if (given?.[name]) urls[name] = absolute(given[name]);
  return urls;
}

/**
 * The address of a file in the package. Vite 5 to 7 bundle a dependency of a dependency into
 * `node_modules/.vite/deps/` but leave the files beside it in its package, which a flat `node_modules` has two folders
 * above. (They do not bundle this package as a direct dependency: see `development` in its package.json.)
 */
export function packageAddress(url: URL): URL {
  const address = url.href.replace(/\/node_modules\/\.vite\/[^/]+\/(chord[^/]*)$/, `/node_modules/${PACKAGE}/dist/$1`);
  return address === url.href ? url : new URL(address);
}

/** What to do about a file that is not at its address. `beside`: the worker's address as the bundler left it. */
export function missingFileAdvice(beside: URL = new URL("./chord-worker.js", import.meta.url)): string {
  if (/\/(\.vite\/[^/]+|deps)\/[^/]*$/.test(beside.pathname)) {
    return `Vite bundled the package without its files: add optimizeDeps: { exclude: ["${PACKAGE}"] } to vite.config.js.`;
  }
  return (
    `Is it served there, and does the page's CSP allow it? A bundler that does not copy it by itself needs ` +
    `${PACKAGE}/dist/chord* copied beside its output, or workerUrl and wasmUrl in the options.`
  );
}

const PACKAGE = "@querent-ai/wasm-chord";
