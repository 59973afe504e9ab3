// @ts-check
// `npm run bench -- --page`: builds this page and the package, and serves them with the headers of cross-origin
// isolation.

import { networkInterfaces } from "node:os";
import { line, step, StepError } from "../../scripts/steps/console.mjs";
import { benchPageRoutes, buildBenchPage } from "../../scripts/steps/bench-page.mjs";
import { fetchModel } from "../../scripts/steps/model.mjs";
import { smollm2 } from "../../scripts/steps/models.mjs";
import { fromRoot } from "../../scripts/steps/paths.mjs";
import { buildWasm } from "../../scripts/steps/wasm.mjs";
import { buildPackage } from "../../scripts/steps/web.mjs";
import { chooseModel } from "../../scripts/server/demo.mjs";
import { listen, staticServer } from "../../scripts/server/static-server.mjs";

/** @import { Options } from "../options.mjs" */

/** Addresses that only this machine reaches. */
const LOCAL = ["localhost", "127.0.0.1", "::1"];

/** @param {Options} options */
export async function servePage({ model, ownModel, host, port }) {
  await step("engine", buildWasm);
  await step("package", buildPackage);
  await step("bench page", buildBenchPage);
  if (!ownModel) await step("model", () => fetchModel(smollm2));
  const { entry, routes } = chooseModel(ownModel ? model : undefined);
  const server = staticServer([
    { prefix: "/bench/cpu/models.json", json: () => ({ models: [{ ...entry, source: `../../${entry.source}` }] }) },
    ...benchPageRoutes(),
    ...routes,
    { prefix: "/package/", folder: fromRoot("web", "dist") },
  ]);
  await step("server", async () => {
    await listen(server, port, host).catch((error) => {
      throw new StepError(`the server cannot listen at ${host}:${port}: ${error.message}`, "choose --host and --port", {
        cause: error,
      });
    });
    return `${entry.title}, Ctrl+C ends it`;
  });
  const address = (/** @type {string} */ name) =>
    `http://${name.includes(":") ? `[${name}]` : name}:${port}/bench/cpu/`;
  line(`\n  On this machine: ${address(LOCAL.includes(host) ? host : "localhost")}`);
  if (LOCAL.includes(host)) {
    line("  For a phone on the same network: npm run bench -- --page --host 0.0.0.0");
    return;
  }
  for (const name of addresses(host))
    line(`  On the same network: ${address(name)} (one thread: the page is not https)`);
}

/**
 * The addresses at which other machines reach this one.
 *
 * @param {string} host
 */
function addresses(host) {
  if (host !== "0.0.0.0" && host !== "::") return [host];
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.filter(({ internal, family }) => !internal && family === "IPv4").map(({ address }) => address);
}
