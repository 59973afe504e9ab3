/** The demo without a network, and when its host has a new version of it. */

import { expect, type Page, test } from "@playwright/test";
import { Host } from "../support/host.ts";

let host: Host;
test.afterEach(() => host.end());

const chat = (page: Page) => page.locator("#chat");
const lastAnswer = (page: Page) => page.locator('.message[data-role="assistant"]').last();
const isIsolated = (page: Page) => page.evaluate(() => crossOriginIsolated).catch(() => false);
const versionOf = (page: Page) => page.locator('meta[name="version"]').getAttribute("content");

/** The page's requests. The browser itself checks for a new version once per visit, at a time of its choosing. */
const pageAsked = () => host.asked.filter((path) => path !== "service-worker.js");

/** Opens the page and waits until it is isolated and kept. */
async function open(page: Page): Promise<void> {
  await page.goto(host.page, { waitUntil: "commit" });
  await expect.poll(() => isIsolated(page)).toBe(true);
  await expect.poll(() => keptFiles(page)).toContainEqual(expect.stringMatching(/\.wasm$/));
}

/** Paths of all files of the page that this browser keeps. */
function keptFiles(page: Page): Promise<string[]> {
  return page
    .evaluate(async () => {
      const names = await caches.keys();
      const kept = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
      return kept.flat().map(({ url }) => new URL(url).pathname);
    })
    .catch(() => []);
}

async function load(page: Page, address: string): Promise<void> {
  await page.getByRole("radio", { name: "Address" }).check();
  await page.locator("#url").fill(address);
  await page.getByRole("button", { name: "Load model" }).click();
  await expect(chat(page)).toBeVisible({ timeout: 120_000 });
}

async function facts(page: Page): Promise<string> {
  await page.getByRole("button", { name: /details$/ }).click();
  const shown = page.locator("#about-facts");
  await expect(shown).toContainText("Why");
  const text = await shown.innerText();
  await page.keyboard.press("Escape");
  return text;
}

test("from a folder of a host without headers, the page loads and answers with no network, on threads", async ({
  page,
}) => {
  test.setTimeout(300_000);
  host = await Host.start({ folder: "/some/project/", isolated: false });
  await open(page);
  // Most visits need one engine. The reload that isolates the page may come in the middle of it.
  expect(new Set(host.asked.filter((path) => path.endsWith(".wasm"))).size).toBe(1);
  await expect(page.locator("#listed")).toContainText("SmolLM2");
  await page.getByRole("button", { name: "Load model" }).click();
  await expect(chat(page)).toBeVisible({ timeout: 120_000 });
  // The other engines are here, too, and nothing is fetched from here on.
  const asked = pageAsked();
  expect((await keptFiles(page)).filter((path) => path.endsWith(".wasm"))).toHaveLength(3);
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("slider", { name: /Temperature/ }).fill("0");
  await page.getByRole("slider", { name: /Repetition penalty/ }).fill("1");
  await page.getByRole("spinbutton", { name: /Longest answer/ }).fill("16");
  await page.getByRole("button", { name: "Done" }).click();
  expect(pageAsked()).toEqual(asked);

  await host.stop();
  await page.reload();
  expect(await isIsolated(page)).toBe(true);
  // The baseline and the 64-bit engine are also there, in case this browser has to use them.
  const engines = (await keptFiles(page)).filter((path) => path.endsWith(".wasm"));
  expect(
    await page.evaluate(
      async (paths) => (await Promise.all(paths.map((path) => fetch(path)))).map(({ ok }) => ok),
      engines,
    ),
  ).toEqual([true, true, true]);
  await expect(page.locator("#listed")).toContainText("kept in this browser");
  await page.getByRole("button", { name: "Load model" }).click();
  await expect(chat(page)).toBeVisible({ timeout: 120_000 });
  await page.getByRole("textbox", { name: "Message" }).fill("Name the capital of France.");
  await page.keyboard.press("Enter");
  await expect(lastAnswer(page)).toHaveAttribute("data-state", "done", { timeout: 120_000 });
  await expect(lastAnswer(page).locator(".message-text")).toHaveText("The capital of France is Paris.");
  const cores = await page.evaluate(() => navigator.hardwareConcurrency);
  if (cores > 1) expect(await facts(page)).toMatch(/the CPU runs everything on \d+ threads/);
});

test("on a host with headers, the page is kept without a reload and loads with no network", async ({
  page,
  context,
}) => {
  host = await Host.start();
  let documents = 0;
  page.on("request", (request) => (documents += Number(request.isNavigationRequest())));
  await open(page);
  expect(documents).toBe(1);
  await load(page, `${host.page}golden/tiny/llama.Q4_0.gguf`);
  await host.stop();
  // A bookmark works, too.
  const later = await context.newPage();
  await later.goto(`${host.page}?from=bookmark`);
  expect(await isIsolated(later)).toBe(true);
  await page.reload();
  expect(await isIsolated(page)).toBe(true);
  await page.getByRole("radio", { name: /llama/ }).check();
  await page.getByRole("button", { name: "Load model" }).click();
  await expect(chat(page)).toBeVisible({ timeout: 120_000 });
  const cores = await page.evaluate(() => navigator.hardwareConcurrency);
  if (cores > 1) expect(await facts(page)).toMatch(/the CPU runs everything on \d+ threads/);
});

test("a new version waits for a reload, and a tab of the old one keeps its own engine", async ({ page, context }) => {
  test.setTimeout(300_000);
  host = await Host.start();
  await open(page);
  await load(page, `${host.page}golden/tiny/llama.Q4_0.gguf`);
  const first = await versionOf(page);
  const firstFiles = await keptFiles(page);
  host.replaceBuild();

  const other = await context.newPage();
  await other.goto(host.page);
  expect(await versionOf(other)).toBe(first);
  const notice = other.getByRole("region", { name: "New version" });
  await expect(notice).toContainText("A new version is ready", { timeout: 60_000 });
  await notice.getByRole("button", { name: "Reload" }).click();
  await expect.poll(() => versionOf(other).catch(() => first)).not.toBe(first);
  await expect(other.getByRole("button", { name: "Load model" })).toBeVisible();
  await expect(notice).toBeHidden();

  // Both continue without the host, each with its own worker and engine.
  await host.stop();
  expect(await versionOf(page)).toBe(first);
  await expect(page.getByRole("region", { name: "New version" })).toBeVisible();
  for (const [tab, isOld] of [
    [page, true],
    [other, false],
  ] as const) {
    const used: string[] = [];
    tab.on("response", (response) => used.push(new URL(response.url()).pathname));
    if (isOld) {
      await tab.getByRole("button", { name: /details$/ }).click();
      await tab.getByRole("button", { name: "Choose another model" }).click();
    }
    await tab.getByRole("radio", { name: "Suggested" }).check();
    await tab.getByRole("radio", { name: /llama/ }).check();
    await tab.getByRole("button", { name: "Load model" }).click();
    await expect(chat(tab)).toBeVisible({ timeout: 120_000 });
    const engine = used.filter((path) => /chord-(worker|threads)/.test(path));
    expect(engine.length).toBeGreaterThanOrEqual(2);
    for (const path of engine) expect(firstFiles.includes(path), path).toBe(isOld);
  }

  // When the last tab of the old version is gone, so are its files.
  await page.close();
  await other.reload();
  await expect
    .poll(async () => (await keptFiles(other)).filter((path) => firstFiles.includes(path) && /\.js$/.test(path)))
    .toEqual([]);
});

test.describe("a browser that keeps no pages", () => {
  test.use({ serviceWorkers: "block" });
  test("is announced, and the page works", async ({ page }) => {
    host = await Host.start();
    await page.goto(host.page);
    await expect(page.locator("#offline")).toContainText("opening it needs a connection");
    await expect(page.getByRole("button", { name: "Load model" })).toBeEnabled();
  });
});
