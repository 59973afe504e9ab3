/** The package as others get it: packed, installed, bundled by Vite; and from another origin by a plain script tag. */

import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, type Page, test } from "@playwright/test";
import { npm } from "../../scripts/steps/node-modules.mjs";
import { fromRoot } from "../../scripts/steps/paths.mjs";
import { elsewhere, packed, port } from "../support/places.mjs";

const tiny = "/golden/tiny/llama.Q4_0.gguf";

const viteProject = {
  "package.json": JSON.stringify({ private: true, type: "module" }),
  "vite.config.js": `export default { base: "./" };`,
  "index.html": `<!doctype html><title>waiting</title><script type="module" src="./main.js"></script>`,
  "main.js": `
    import { Chord } from "@querent-ai/wasm-chord";
    const chord = await Chord.load("/golden/tiny/llama.Q4_0.gguf", { backend: "cpu", store: "none" });
    const answer = await chord.completions.create({ prompt: [1, 369, 169], temperature: 0, max_tokens: 4 });
    document.title = "made " + answer.usage.completion_tokens + " of " + (await chord.info()).model.vocabularySize;
    await chord.unload();
  `,
};

test("packed and installed, it builds and runs in a Vite project", async ({ page }) => {
  test.setTimeout(300_000);
  const folder = mkdtempSync(join(tmpdir(), "chord-packed-"));
  try {
    await npm(["pack", "--workspace", "web", "--pack-destination", folder], { log: "npm-pack" });
    const { version } = JSON.parse(readFileSync(fromRoot("web", "package.json"), "utf8")) as { version: string };
    const tarball = join(folder, `querent-ai-wasm-chord-${version}.tgz`);
    const project = join(folder, "project");
    mkdirSync(project);
    for (const [name, text] of Object.entries(viteProject)) writeFileSync(join(project, name), text);
    await npm(["install", "--no-audit", "--no-fund", tarball], { cwd: project, log: "npm-install-packed" });
    const { build } = await import("vite");
    await build({ root: project, configFile: join(project, "vite.config.js"), logLevel: "error" });
    rmSync(packed, { recursive: true, force: true });
    cpSync(join(project, "dist"), packed, { recursive: true });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(error.message));
  await page.goto("/packed/");
  await expect(page, problems.join("; ")).toHaveTitle("made 4 of 512");
});

const ask = (page: Page) => page.getByRole("button", { name: "Ask" });

test("the minimal page loads and streams, as npm start serves it", async ({ page }) => {
  await page.goto("/examples/minimal/");
  await expect(ask(page)).toBeEnabled({ timeout: 120_000 });
  await ask(page).click();
  await expect(page.locator("output")).toHaveText("The capital of France is Paris.", { timeout: 120_000 });
});

test("the minimal page loads with the package on another origin, by a change of one line", async ({ page }) => {
  const html = readFileSync(fromRoot("examples", "minimal", "index.html"), "utf8");
  expect(html.split("\n").length).toBeLessThanOrEqual(40);
  const moved = html.replace('"../../web/dist/index.js"', `"http://127.0.0.1:${port}/package/index.js"`);
  expect(moved).not.toBe(html);
  // The model's address is read from the page's own, which is not the package's: a small one serves here.
  writeFileSync(join(elsewhere, "index.html"), moved.replace(/const model = .*;/, `const model = "${tiny}";`));
  await page.goto("/elsewhere/");
  await expect(ask(page)).toBeEnabled({ timeout: 120_000 });
});

test("the minimal page says why a model does not load", async ({ page }) => {
  const html = readFileSync(fromRoot("examples", "minimal", "index.html"), "utf8");
  writeFileSync(join(elsewhere, "missing.html"), html.replace(/const model = .*;/, 'const model = "/models/no.gguf";'));
  await page.goto("/elsewhere/missing.html");
  await expect(page.locator("output")).toContainText("404", { timeout: 120_000 });
  await expect(ask(page)).toBeDisabled();
});
