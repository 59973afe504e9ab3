// @ts-check
// One Chromium with one page that holds both engines; the page is cross-origin isolated, so that both may use threads.

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { chromium } from "@playwright/test";
import { StepError } from "../scripts/steps/console.mjs";
import { fromRoot, root } from "../scripts/steps/paths.mjs";
import { listen, staticServer } from "../scripts/server/static-server.mjs";
import { findChromium } from "../scripts/tests/adapters.mjs";

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
  const packageFolder = join(source, "web", "dist");
  if (!existsSync(join(packageFolder, "index.js"))) {
    throw new StepError("the package is not built", "run: npm run build:web");
  }
  const routes = [
    { prefix: "/page/", folder: join(source, "bench", "page") },
    { prefix: "/package/", folder: packageFolder },
    { prefix: "/wllama/", folder: fromRoot("node_modules", "@wllama", "wllama") },
    { prefix: `/${basename(model)}`, file: model },
  ];
  const server = await listen(staticServer(routes), port);
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
    await page.goto(`http://localhost:${port}/page/index.html`);
    await page.waitForFunction(() => document.title === "ready");
    if (!(await page.evaluate(() => crossOriginIsolated))) throw new Error("the page is not cross-origin isolated");
    return { result: await work(page, `/${basename(model)}`), browser: `Chromium ${context.browser()?.version()}` };
  } finally {
    await context.close();
    server.close();
    rmSync(profile, { recursive: true, force: true });
  }
}
