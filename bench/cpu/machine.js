// @ts-check
// What the browser and the engine say about this machine.

import { Chord } from "@querent-ai/wasm-chord";
import { load, unload } from "../page/chord.js";
import { fetchFile } from "./files.js";

/**
 * @import { Capabilities } from "@querent-ai/wasm-chord"
 *
 * @typedef {object} Machine
 * @property {[name: string, value: string][]} facts
 * @property {Capabilities} capabilities
 * @property {number} threads that the engine uses by itself
 * @property {string} why this number of threads
 */

/**
 * Asks the browser, and has the engine run a tiny model: it chooses artifact, threads and instructions when it loads.
 *
 * @param {{ version: string }} about
 * @returns {Promise<Machine>}
 */
export async function examine({ version }) {
  const capabilities = await Chord.capabilities();
  const { wasm, threads, crossOriginIsolated: isolated } = capabilities;
  const lacking = !wasm.available ? "WebAssembly" : wasm.simd ? undefined : "WebAssembly SIMD";
  if (lacking) throw new Error(`This browser has no ${lacking}, without which the engine does not run. Update it`);

  // Without https, browsers have no hashes for the package to check a download with; it takes a file as it is.
  const tiny = new File([await (await fetchFile("tiny.gguf")).blob()], "tiny.gguf");
  const { info } = await load({ url: tiny, nCtx: 64 });
  await unload();
  const features = [
    ["SIMD", wasm.simd],
    ["relaxed SIMD", wasm.relaxedSimd],
    ["Memory64", wasm.memory64],
    ["threads", threads.available],
  ];
  return {
    capabilities,
    threads: info.threads,
    why: isolated ? info.why : `${info.why} (${whyNotIsolated()})`,
    facts: [
      ["Browser", await browser()],
      ["User agent", navigator.userAgent],
      ["Cores reported", String(threads.hardwareConcurrency)],
      ["Cross-origin isolated", isolated ? "yes" : `no: ${whyNotIsolated()}`],
      ["WebAssembly", features.map(([name, has]) => `${name} ${has ? "yes" : "no"}`).join(", ")],
      ["Artifact", `${info.artifact}, on ${threadsText(info.threads)}`],
      ["Engine", [info.adapter.name, ...info.features].join("; ")],
      ["Reasons", info.why],
      ["Version", version],
    ],
  };
}

/** @param {number} count */
export const threadsText = (count) => (count === 1 ? "one thread" : `${count} threads`);

/** Threads need isolation, and isolation needs more than the headers that this page is served with. */
function whyNotIsolated() {
  return isSecureContext
    ? "the server sends no headers for it (Cross-Origin-Opener-Policy, Cross-Origin-Embedder-Policy)"
    : "this address is neither https nor localhost";
}

/** Chromium names itself, the system and the kind of processor; others say all that they say in the user agent. */
async function browser() {
  const { userAgentData } = /** @type {{ userAgentData?: UserAgentData }} */ (/** @type {unknown} */ (navigator));
  if (!userAgentData) return "see the user agent";
  const wanted = ["fullVersionList", "platformVersion", "architecture", "bitness", "model"];
  const { fullVersionList, platform, platformVersion, architecture, bitness, model } =
    await userAgentData.getHighEntropyValues(wanted);
  // The list has an invented name, to keep sites from relying on it.
  const named = (fullVersionList ?? []).filter(({ brand }) => !/not.*brand/i.test(brand));
  const names = named.map(({ brand, version }) => `${brand} ${version}`).join(", ");
  const system = [platform, platformVersion, architecture, bitness && `${bitness} bits`, model]
    .filter(Boolean)
    .join(" ");
  return `${names}; ${system}`;
}

/**
 * @typedef {object} HighEntropyValues
 * @property {{ brand: string, version: string }[]} [fullVersionList]
 * @property {string} [platform]
 * @property {string} [platformVersion]
 * @property {string} [architecture]
 * @property {string} [bitness]
 * @property {string} [model]
 *
 * @typedef {{ getHighEntropyValues: (names: string[]) => Promise<HighEntropyValues> }} UserAgentData
 */
