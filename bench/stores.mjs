// @ts-check
// How fast this package's stores write and read in Chromium: `node bench/stores.mjs`. A profile on the disk, because
// a private window stores data in memory; sync to the disk is included as shipped. The stores alternate.

import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "@playwright/test";
import { rolldown } from "rolldown";
import { line, main } from "../scripts/steps/console.mjs";
import { fromRoot } from "../scripts/steps/paths.mjs";
import { findChromium } from "../scripts/tests/adapters.mjs";
import { figure, median, table } from "./statistics.mjs";

const MIB = 1024 * 1024;
const chunks = 16;
const rounds = Number(process.argv[2] ?? 5);
const port = Number(process.env.CHORD_TEST_PORT ?? 5195);

/** @typedef {{ write: number, read: number, readAndHash: number }} Rates */

await main(async () => {
  const script = await workerScript();
  const profile = mkdtempSync(join(tmpdir(), "chord-stores-"));
  const server = createServer((_request, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end("<!doctype html><title>stores</title>");
  });
  await new Promise((resolve) => server.listen(port, () => resolve(undefined)));
  const executablePath = findChromium() ?? undefined;
  const args = ["--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-component-update"];
  const context = await chromium.launchPersistentContext(profile, {
    args,
    ...(executablePath ? { executablePath } : {}),
  });
  try {
    const page = await context.newPage();
    await page.goto(`http://localhost:${port}/`);
    /**
     * @param {string} command
     * @param {object} args
     */
    const call = (command, args) =>
      page.evaluate(async ([script, command, args]) => {
        const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
        const worker = new Worker(url, { type: "module" });
        const answer = new Promise((resolve, reject) => {
          worker.onmessage = ({ data }) => (data.error ? reject(new Error(data.error.message)) : resolve(data.result));
        });
        worker.postMessage({ id: 1, command, args });
        return answer.finally(() => worker.terminate());
      }, /** @type {const} */ ([script, command, args]));
    const kinds = ["opfs", "indexeddb"];
    /** @type {Map<string, Rates[]>} */
    const samples = new Map(kinds.map((kind) => [kind, []]));
    for (let round = 0; round < rounds; round++) {
      for (const kind of round % 2 ? [...kinds].reverse() : kinds) {
        samples.get(kind)?.push(await call("measure", { kind, chunks, chunkBytes: 16 * MIB }));
      }
    }
    const probes = [];
    for (const needed of [100e6, 6 * 2 ** 30])
      probes.push({ needed, .../** @type {any} */ (await call("room", { needed })) });
    const browser = context.browser()?.version() ?? (await page.evaluate(() => navigator.userAgent));
    line(
      `Chromium ${browser}, ${cpus().length} × ${cpus()[0]?.model.trim()}, ${chunks} chunks of 16 MiB, median of ${rounds}\n`,
    );
    const rows = [...samples].map(([kind, all]) => [
      kind,
      ...["write", "read", "readAndHash"].map((what) =>
        figure(median(all.map((rates) => rates[/** @type {keyof Rates} */ (what)]))),
      ),
    ]);
    line(table(["MB/s", "write", "read", "read and SHA-256"], rows));
    for (const { needed, free, ms } of probes) line(`room for ${needed} bytes: ${free} found in ${figure(ms)} ms`);
    line(JSON.stringify(Object.fromEntries(samples)));
  } finally {
    await context.close();
    server.close();
    rmSync(profile, { recursive: true, force: true });
  }
});

/** The stores and a loop around them, built from the sources. */
async function workerScript() {
  const build = await rolldown({
    cwd: fromRoot("web"),
    input: "src/testing/store-worker.ts",
    platform: "browser",
    logLevel: "silent",
  });
  const { output } = await build.generate({ format: "esm" });
  await build.close();
  return output[0].code;
}
