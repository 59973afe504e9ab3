/** The page of `npm run bench -- --page`: it measures everything, reports it, and says what cannot be measured. */

import { existsSync } from "node:fs";
import { expect, type Page, test } from "@playwright/test";
import { fromRoot } from "../../scripts/steps/paths.mjs";
import { tinyModel } from "../support/places.mjs";

test.beforeAll(() => {
  const made = fromRoot("target", "bench-page", "cpu", "about.json");
  if (!existsSync(made)) throw new Error("the page is not built: npm run build bench");
});

/** Opens the page; `quick` takes a few milliseconds for each figure. */
async function open(page: Page, folder = "bench"): Promise<void> {
  await page.goto(`/${folder}/cpu/?quick`);
  await expect(page.getByRole("button", { name: "Measure" })).toBeEnabled();
}

/** Puts code in front of a script of the page, for what a browser lacks. */
async function prepend(page: Page, script: string, prelude: string): Promise<void> {
  await page.route(`**/${script}`, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: `${prelude}\n${await response.text()}` });
  });
}

/** Runs all measurements that the page is set to, and returns the report. */
async function measure(page: Page): Promise<string> {
  await page.getByRole("button", { name: "Measure" }).click();
  await expect(page.locator("#report-section")).toBeVisible({ timeout: 120_000 });
  return page.getByLabel("Report").inputValue();
}

/** The cells below a title in the report, without the head of the table. */
function rowsOf(report: string, title: string): string[][] {
  const section = report.split("### ").find((section) => section.startsWith(title)) ?? "";
  const lines = section.split("\n").filter((line) => line.startsWith("|"));
  const rows = lines.map((line) => line.split(/(?<!\\)\|/).slice(1, -1));
  return rows.slice(2).map((cells) => cells.map((cell) => cell.trim()));
}

function expectFigures(cells: string[]): void {
  for (const cell of cells) {
    expect(cell).toMatch(/^\d+(\.\d+)?$/);
    expect(Number(cell)).toBeGreaterThan(0);
  }
}

test("every row of the report has its figures", async ({ page }) => {
  await open(page);
  await page.locator("#file").setInputFiles(tinyModel);
  await expect(page.locator("#own-title")).toHaveText("llama.Q4_0.gguf, 1 MB");
  await page.locator("#processor").fill("A processor | of this test");
  const report = await measure(page);

  const facts = new Map(rowsOf(report, "wasm-chord on the CPU").map(([name, value]) => [name, value]));
  expect(facts.get("Processor")).toBe("A processor \\| of this test");
  expect(facts.get("User agent")).toBe(await page.evaluate(() => navigator.userAgent));
  expect(facts.get("Cross-origin isolated")).toBe("yes");
  expect(facts.get("Engine")).toContain("threads");
  expect(facts.get("Version")).toMatch(/^\d+\.\d+\.\d+/);
  expect(Date.now() - Date.parse(facts.get("Date")!)).toBeLessThan(180_000);

  const threads = Number(/^threads, on (\d+) threads$/.exec(facts.get("Artifact")!)?.[1]);
  const counts = ["1", String(threads)];
  const ceilings = rowsOf(report, "Ceilings");
  expect(ceilings.map(([count]) => count)).toEqual(counts);
  for (const row of ceilings) expect(row).toHaveLength(4);
  for (const row of ceilings) expectFigures(row);

  const products = rowsOf(report, "Products of the engine");
  const sets = new Set(products.map(([set]) => set));
  expect(sets).toContain("relaxed-simd");
  for (const set of sets) {
    const types = products.filter(([of]) => of === set).map(([, type]) => type);
    expect(types).toEqual(["Q4_0", "Q4_1", "Q4_K", "Q6_K", "Q8_0"]);
  }
  for (const [, , ...rates] of products) {
    expect(rates).toHaveLength(4);
    expectFigures(rates);
  }

  const speeds = rowsOf(report, "Tokens per second: llama.Q4_0.gguf");
  expect(speeds.map(([count]) => count)).toEqual(counts);
  for (const row of speeds) expect(row).toHaveLength(4);
  for (const row of speeds) expectFigures(row);
});

test("Copy takes the report as it is shown", async ({ page, context }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await open(page);
  await measure(page);
  // Many will see only now that the name is missing.
  await page.locator("#processor").fill("Named afterwards");
  await page.getByRole("button", { name: "Copy" }).click();
  await expect(page.locator("#copied")).toHaveText("Copied.");
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  expect(copied).toBe(await page.getByLabel("Report").inputValue());
  expect(copied).toMatch(/\| Processor +\| Named afterwards +\|/);
  expect(copied).toContain("Not measured: no model was chosen.");
});

test("without relaxed SIMD the row of its products is left out", async ({ page }) => {
  // The check of the browser's features compiles one such instruction.
  const lacking = `{
    const { validate } = WebAssembly;
    WebAssembly.validate = (bytes) => !new Uint8Array(bytes).join().includes("253,128,2") && validate(bytes);
  }`;
  await page.addInitScript(lacking);
  await prepend(page, "chord-worker.js", lacking);
  await open(page);
  await expect(page.locator("#facts")).toContainText("relaxed SIMD no");
  const report = await measure(page);
  expect(report).toContain("Products of 8 bits are left out: this browser has no relaxed SIMD.");
  for (const row of rowsOf(report, "Ceilings")) {
    expect(row).toHaveLength(3);
    expectFigures(row);
  }
  expect(rowsOf(report, "Products of the engine").map(([set]) => set)).toEqual(Array(5).fill("simd128"));
});

test("a page that is not isolated says why it has one thread, and measures with it", async ({ page }) => {
  await open(page, "plain-bench");
  await expect(page.locator("#notice")).toContainText("one thread here");
  await page.locator("#file").setInputFiles(tinyModel);
  await expect(page.locator("#own-title")).toBeVisible();
  const report = await measure(page);
  expect(rowsOf(report, "Ceilings").map(([count]) => count)).toEqual(["1"]);
  expect(rowsOf(report, "Tokens per second").map(([count]) => count)).toEqual(["1"]);
});

test("bad files are refused when they are chosen, and a failing part leaves the others", async ({ page }) => {
  await open(page);
  const page404 = { name: "page.gguf", mimeType: "", buffer: Buffer.from("<!doctype html><title>404</title>") };
  await page.locator("#file").setInputFiles(page404);
  await expect(page.locator("#file-problem")).toContainText("(bad-magic)");

  await page.route("**/kernels-*.wasm", (route) => route.fulfill({ status: 404, body: "" }));
  const report = await measure(page);
  expect(rowsOf(report, "Products of the engine")).toEqual([]);
  expect(report).toContain("The server has no kernels-relaxed.wasm");
  expect(rowsOf(report, "Ceilings")).not.toEqual([]);
});

test("memory that the browser refuses is named as the reason", async ({ page }) => {
  const refusing = `{
    const { instantiate } = WebAssembly;
    WebAssembly.instantiate = async (module) => {
      const { instance } = await instantiate(module);
      return { instance: { exports: { ...instance.exports, fill: () => -1 } } };
    };
  }`;
  await prepend(page, "ceilings-worker.js", refusing);
  await open(page);
  const report = await measure(page);
  expect(rowsOf(report, "Ceilings")).toEqual([]);
  expect(report).toContain("The browser has not enough memory for this");
  expect(rowsOf(report, "Products of the engine")).not.toEqual([]);
});

test("a browser without SIMD is told so, and measures nothing", async ({ page }) => {
  await page.addInitScript(`WebAssembly.validate = (bytes) => !new Uint8Array(bytes).includes(253);`);
  await page.goto("/bench/cpu/?quick");
  await expect(page.locator("#problem")).toContainText("This browser has no WebAssembly SIMD");
  await expect(page.getByRole("button", { name: "Measure" })).toBeDisabled();
});
