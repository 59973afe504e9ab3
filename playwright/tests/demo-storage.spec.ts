/** The demo's sheet of stored models, and a load that is paused. */

import { expect, type Page, test } from "@playwright/test";
import { bytesSent, settled } from "../support/page.ts";

const slowPath = "/slow/SmolLM2-135M-Instruct.Q4_1.gguf";

async function openStorage(page: Page) {
  await page.getByRole("button", { name: "Storage" }).click();
  return page.getByRole("dialog", { name: "Storage" });
}

test("a load is paused and resumed, and what it stored is listed and deleted", async ({ page, request }) => {
  await page.goto("/");
  await page.getByRole("radio", { name: "The same, from a slow host" }).check();
  await page.getByRole("button", { name: "Load model" }).click();
  await expect(page.locator("#load-speed")).toContainText("MB/s");
  await expect(page.locator("#load-eta")).toContainText("s");
  await expect(page.locator("#load-from")).toHaveText("the network");

  // By keyboard, like everything else.
  await page.getByRole("button", { name: "Pause" }).focus();
  await page.keyboard.press("Enter");
  await expect(page.locator("#load-stage")).toHaveText("Paused");
  await expect(page.locator("#load-eta")).toHaveText("–");
  // Bytes that were on their way arrive; then nothing more.
  const sent = await settled(() => bytesSent(request, slowPath));
  const shown = await page.locator("#load-bytes").textContent();
  await page.waitForTimeout(700);
  expect(await bytesSent(request, slowPath)).toBe(sent);
  expect(await page.locator("#load-bytes").textContent()).toBe(shown);
  await expect(page.getByRole("button", { name: "Resume" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.locator("#load-stage")).toHaveText("Downloading");
  await expect.poll(() => bytesSent(request, slowPath)).toBeGreaterThan(sent);
  // One chunk at least is to be there: beyond 50 MB the three connections cannot all be in the middle of their first.
  await page.waitForFunction(() => Number.parseInt(document.querySelector("#load-bytes")?.textContent ?? "") > 55);
  await page.getByRole("button", { name: "Cancel" }).click();

  const dialog = await openStorage(page);
  const models = dialog.getByRole("list", { name: "Stored models" }).getByRole("listitem");
  await expect(models).toHaveCount(1);
  await expect(models.first()).toContainText("SmolLM2-135M-Instruct.Q4_1.gguf");
  await expect(models.first()).toContainText(/\d\d MB of 98 MB; the next load fetches the rest/);
  await expect(dialog.locator("#storage-usage")).toContainText(/^1 model, \d\d MB\. The browser estimates .* free\.$/);
  await expect(dialog.locator("#storage-persisted")).not.toBeEmpty();

  await models.getByRole("button", { name: /^Delete/ }).click();
  await expect(models).toHaveCount(1);
  await models.getByRole("button", { name: /^Really delete/ }).click();
  await expect(models).toHaveCount(0);
  await expect(dialog.locator("#storage-usage")).toContainText("No model is stored");
  // Only of models: the page's own files for offline use are elsewhere.
  const left = await page.evaluate(async () => {
    const { usage = 0, usageDetails = {} } = (await navigator.storage.estimate()) as StorageEstimate & {
      usageDetails?: Record<string, number>;
    };
    return usage - (usageDetails["caches"] ?? 0) - (usageDetails["serviceWorkerRegistrations"] ?? 0);
  });
  expect(left).toBeLessThan(1e6);
  await page.keyboard.press("Escape");
  await expect(page.locator("#listed")).not.toContainText("kept in this browser");
});
