/** Where the package runs. Importing it works everywhere; what it does needs a browser. */

import { ChordError } from "./errors.js";

/** Where JavaScript runtimes outside of browsers name themselves. */
type Runtimes = { Deno?: { version?: { deno?: string } }; process?: { versions?: Record<string, string | undefined> } };

const ADVICE =
  "Importing the package works anywhere; call it in code that runs on a page (an effect or an event handler, where a " +
  "server renders the page first), or in a dedicated worker of a page.";

/**
 * Every call begins with this.
 *
 * @throws ChordError `needs-browser` outside of a browser, with its name in `details.runtime`
 */
export function needBrowser(): void {
  const { Deno, process } = globalThis as Runtimes;
  const { node, bun } = process?.versions ?? {};
  // Both imitate parts of a browser.
  const named = Deno ? `Deno ${Deno.version?.deno ?? ""}`.trim() : bun === undefined ? undefined : `Bun ${bun}`;
  if (named === undefined && typeof location === "object" && typeof navigator === "object") return;
  const runtime = named ?? (node === undefined ? "JavaScript without a page" : `Node.js ${node}`);
  throw new ChordError("needs-browser", `This needs a browser, and runs in ${runtime}. ${ADVICE}`, { runtime });
}

/**
 * Calls that start workers begin with this: service workers and shared workers cannot start any, nor can DOMs that only
 * imitate a browser.
 *
 * @throws ChordError `needs-browser`
 */
export function needWorkers(): void {
  needBrowser();
  if (typeof Worker === "function" && typeof WebAssembly === "object") return;
  const lacking = typeof Worker === "function" ? "WebAssembly" : "Worker";
  const scope = Object.prototype.toString.call(globalThis).slice("[object ".length, -1);
  throw new ChordError("needs-browser", `This needs ${lacking}, which ${scope} does not have. ${ADVICE}`, {
    lacking,
    scope,
  });
}
