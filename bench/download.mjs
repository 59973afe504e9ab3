// @ts-check
// How fast a model comes from a server on this machine into the browser's storage, and from there to where an engine
// would receive it: `node bench/download.mjs [ROUNDS]`. The package's own I/O worker, as shipped, hashes included; the
// variants alternate. Needs the built package and the model SmolLM2.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "@playwright/test";
import { line, main } from "../scripts/steps/console.mjs";
import { smollm2 } from "../scripts/steps/models.mjs";
import { fromRoot, modelsFolder } from "../scripts/steps/paths.mjs";
import { findChromium } from "../scripts/tests/adapters.mjs";
import { median } from "./statistics.mjs";

const rounds = Number(process.argv[2] ?? 5);
const port = Number(process.env.CHORD_TEST_PORT ?? 5195);
const path = `/models/${smollm2.file}`;

/** @typedef {{ name: string, store: string, warm: boolean, hash: boolean, connections: number }} Variant */

/** @type {Variant[]} */
const variants = [
  { name: "download, nothing kept", store: "none", warm: false, hash: false, connections: 3 },
  { name: "download into OPFS", store: "opfs", warm: false, hash: false, connections: 3 },
  { name: "the same, one connection", store: "opfs", warm: false, hash: false, connections: 1 },
  { name: "the same, hash of the whole file", store: "opfs", warm: false, hash: true, connections: 3 },
  { name: "from OPFS", store: "opfs", warm: true, hash: false, connections: 3 },
  { name: "download into IndexedDB", store: "indexeddb", warm: false, hash: false, connections: 3 },
  { name: "from IndexedDB", store: "indexeddb", warm: true, hash: false, connections: 3 },
];

await main(async () => {
  const server = spawn(process.execPath, [fromRoot("playwright", "server.mjs")], {
    env: { ...process.env, CHORD_TEST_PORT: String(port) },
    stdio: "ignore",
  });
  const executablePath = findChromium() ?? undefined;
  // A profile on the disk: a private window stores data in memory.
  const profile = mkdtempSync(join(tmpdir(), "chord-download-"));
  const context = await chromium.launchPersistentContext(profile, {
    args: ["--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-component-update"],
    baseURL: `http://localhost:${port}`,
    ...(executablePath ? { executablePath } : {}),
  });
  try {
    const sha256 = createHash("sha256")
      .update(readFileSync(join(modelsFolder, smollm2.file)))
      .digest("hex");
    const page = await context.newPage();
    for (let tries = 0; tries < 50; tries++) {
      if (await page.goto("/pages/io.html").catch(() => null)) break;
      await new Promise((later) => setTimeout(later, 100));
    }
    /** @type {Map<string, number[]>} */
    const samples = new Map(variants.map(({ name }) => [name, []]));
    for (let round = 0; round <= rounds; round++) {
      for (const variant of variants) {
        const ms = await page.evaluate(measure, { ...variant, url: new URL(path, page.url()).href, sha256 });
        // The first round warms caches up.
        if (round > 0) samples.get(variant.name)?.push(ms);
      }
    }
    line(
      `${cpus()[0]?.model}, ${cpus().length} cores; ${context.browser()?.version()}; ${smollm2.file}, ${smollm2.bytes} bytes`,
    );
    for (const [name, times] of samples) {
      const middle = median(times);
      const range = `${Math.min(...times).toFixed(0)} to ${Math.max(...times).toFixed(0)}`;
      line(`${name}: ${middle.toFixed(0)} ms (${range}), ${(smollm2.bytes / middle / 1000).toFixed(0)} MB/s`);
    }
  } finally {
    await context.close();
    server.kill();
    rmSync(profile, { recursive: true, force: true });
  }
});

/**
 * In the page: milliseconds until every chunk was handed over and the store has all of it.
 * @param {Variant & { url: string, sha256: string }} variant
 */
async function measure({ store, warm, hash, connections, url, sha256 }) {
  if (!warm) {
    const deleting = indexedDB.deleteDatabase("wasm-chord");
    await new Promise((done) => (deleting.onsuccess = deleting.onerror = done));
    const root = await navigator.storage.getDirectory();
    await root.removeEntry("wasm-chord", { recursive: true }).catch(() => undefined);
  }
  const source = { kind: "url", url, ...(hash ? { sha256 } : {}) };
  const begun = performance.now();
  // @ts-expect-error the page has it
  const io = new IoWorker({ source, store, download: { connections } });
  const { size, chunkBytes } = await io.ask("open");
  const count = Math.ceil(Number(size) / chunkBytes);
  const asked = [];
  for (let index = 0; index < count; index++) {
    while (asked.length < Math.min(count, index + 3)) asked.push(io.ask("chunk", { index: asked.length }));
    const { bytes } = await asked[index];
    io.port.postMessage({ type: "recycle", buffer: bytes.buffer }, [bytes.buffer]);
  }
  await io.ask("finish");
  const ms = performance.now() - begun;
  io.kill();
  return ms;
}
