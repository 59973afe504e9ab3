// @ts-check
// One Chromium with one page that holds both engines; the page is cross-origin isolated, so that both may use threads.
// Also the server of that page, for other browsers.

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { chromium } from "@playwright/test";
import { StepError } from "../scripts/steps/console.mjs";
import { fromRoot, root } from "../scripts/steps/paths.mjs";
import { listen, staticServer } from "../scripts/server/static-server.mjs";
import { findChromium } from "../scripts/tests/adapters.mjs";

/** @import { PageFunctions } from "./page/side.js" */

const args = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"];
args.push("--disable-component-update", "--disable-sync");
// WebGPU on SwiftShader, for the load on the GPU path.
args.push("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan");

export const defaultPort = Number(process.env.CHORD_TEST_PORT ?? 5195);

/**
 * Serves the model, opens the page and hands it to `work`.
 *
 * @template T
 * @param {string} model path of the file
 * @param {(page: import("@playwright/test").Page, url: string) => Promise<T>} work the model's address comes second
 * @param {{ source?: string, port?: number }} [options] the source tree whose package and page are served, this one
 *   without it; and where: browsers that are open at the same time need different ports
 * @returns {Promise<{ result: T, browser: string }>}
 */
export async function inBrowser(model, work, { source = root, port = defaultPort } = {}) {
  const { origin, url, close } = await servePages(model, source, port);
  const executablePath = findChromium() ?? undefined;
  // A profile on the disk: a private window stores data in memory.
  const profile = mkdtempSync(join(tmpdir(), "chord-bench-"));
  const context = await chromium.launchPersistentContext(profile, {
    args,
    ...(executablePath ? { executablePath } : {}),
  });
  try {
    const page = await context.newPage();
    page.on("pageerror", (error) => console.error(`page: ${error.message}`));
    await page.goto(`${origin}/page/index.html`);
    await waitUntilReady(page);
    return { result: await work(page, url), browser: `Chromium ${context.browser()?.version()}` };
  } finally {
    await context.close();
    close();
    rmSync(profile, { recursive: true, force: true });
  }
}

/**
 * Serves a model, and the package and the page of a source tree.
 *
 * @param {string} model path of the file
 * @param {string} [source]
 * @param {number} [port]
 * @returns {Promise<{ origin: string, url: string, close: () => void }>} `url` is the model's address
 */
export async function servePages(model, source = root, port = defaultPort) {
  const packageFolder = join(source, "web", "dist");
  if (!existsSync(join(packageFolder, "index.js"))) {
    throw new StepError("the package is not built", "run: npm run build:web");
  }
  const url = `/${basename(model)}`;
  const routes = [
    { prefix: "/page/", folder: join(source, "bench", "page") },
    { prefix: "/package/", folder: packageFolder },
    { prefix: "/wllama/", folder: fromRoot("node_modules", "@wllama", "wllama") },
    { prefix: url, file: model },
  ];
  const server = await listen(staticServer(routes), port);
  return { origin: `http://localhost:${port}`, url, close: () => void server.close() };
}

/**
 * Waits for the page's scripts.
 *
 * @param {PageFunctions} page
 */
export async function waitUntilReady(page) {
  const isIsolated = await page.evaluate(async () => {
    for (const end = Date.now() + 30_000; document.title !== "ready";) {
      if (Date.now() > end) throw new Error("the page's scripts have not started");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return crossOriginIsolated;
  }, null);
  if (!isIsolated) throw new Error("the page is not cross-origin isolated");
}
