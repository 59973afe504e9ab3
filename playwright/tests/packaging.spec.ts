/**
 * The package as others get it: packed, installed and built by the most common tools (`npm run test:packages` has the
 * others); its declarations; and from another origin by a plain script tag.
 */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, type Page, test } from "@playwright/test";
import { fromRoot } from "../../scripts/steps/paths.mjs";
import { rows } from "../packages/rows.ts";
import { runRow } from "../packages/run-row.ts";
import { compileConsumer, typeScriptVersions } from "../packages/types.ts";
import { elsewhere, port } from "../support/places.mjs";

const tiny = "/golden/tiny/llama.Q4_0.gguf";

for (const row of rows.filter(({ quick }) => quick)) {
  test(`packed and installed: ${row.name}`, async ({ page }) => {
    test.setTimeout(600_000);
    await runRow(row, page);
  });
}

test("packed and installed: types, the oldest TypeScript and our own", async () => {
  test.setTimeout(600_000);
  await compileConsumer(typeScriptVersions[0]);
  await compileConsumer();
});

test("the declaration is one file of public names, and the module exports exactly those", async () => {
  const text = readFileSync(fromRoot("web", "dist", "index.d.ts"), "utf8");
  expect(
    readdirSync(fromRoot("web", "dist"), { recursive: true }).filter((name) => /\.d\.ts$/.test(String(name))),
  ).toEqual(["index.d.ts"]);
  expect(text).toContain('/// <reference lib="esnext.disposable" />');
  expect(text).not.toMatch(/^\s*import |@internal|\bGPU[A-Z]|EngineClient|Worker(Start|Request)/m);
  expect(text.match(/^\s*private .*/gm)).toEqual(["    private constructor();"]);
  const values = [...text.matchAll(/^export declare (?:class|const|function|enum) (\w+)/gm)].map(([, name]) => name!);
  const module: object = await import(pathToFileURL(fromRoot("web", "dist", "index.js")).href);
  expect(values.sort()).toEqual(Object.keys(module).sort());
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
  // The model's address is relative to the page, not to the package; a small model suffices here.
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
