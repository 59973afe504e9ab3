/** The demo as a visitor uses it. Under "Best" a software GPU ranks below the CPU, so that these run on the CPU. */

import { expect, type Page, test } from "@playwright/test";
import { bytesSent } from "../support/page.ts";

const modelPath = "/models/SmolLM2-135M-Instruct.Q4_1.gguf";
const slowPath = "/slow/SmolLM2-135M-Instruct.Q4_1.gguf";
const slowTitle = "The same, from a slow host";

async function loadModel(page: Page, title: string): Promise<void> {
  await page.getByRole("radio", { name: title }).check();
  await page.getByRole("button", { name: "Load model" }).click();
}

/** Waits for the chat, and fails at once with the page's own words where the load fails. */
async function expectChat(page: Page): Promise<void> {
  const problem = page.locator("#picker-problem:not([hidden])");
  await expect(page.locator("#chat").or(problem)).toBeVisible({ timeout: 120_000 });
  expect(await problem.allTextContents()).toEqual([]);
}

async function greedy(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("slider", { name: /Temperature/ }).fill("0");
  await page.getByRole("slider", { name: /Repetition penalty/ }).fill("1");
  await page.getByRole("button", { name: "Done" }).click();
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByRole("textbox", { name: "Message" }).fill(text);
  await page.keyboard.press("Enter");
}

/** While an answer is written: small steps of the wheel leave its end, and the button leads back to it. */
async function readWhileItGrows(page: Page): Promise<void> {
  const place = () =>
    page.locator("#transcript").evaluate(({ scrollTop, scrollHeight, clientHeight }) => ({
      top: scrollTop,
      left: scrollHeight - clientHeight - scrollTop,
      height: scrollHeight,
    }));
  await page.setViewportSize({ width: 600, height: 400 });
  const jump = page.getByRole("button", { name: "Jump to the end" });
  await expect.poll(async () => (await place()).top, { timeout: 120_000 }).toBeGreaterThan(40);
  await expect(jump).toBeHidden();
  const box = (await page.locator("#transcript").boundingBox())!;
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  for (let step = 0; step < 3; step++) await page.mouse.wheel(0, -4);
  await expect(jump).toBeVisible();
  // The steps may scroll smoothly.
  await page.waitForTimeout(300);
  const { top, height } = await place();
  await expect.poll(async () => (await place()).height, { timeout: 120_000 }).toBeGreaterThan(height + 20);
  expect((await place()).top).toBe(top);
  await expect(lastAnswer(page)).toHaveAttribute("data-state", "writing");
  await jump.focus();
  await page.keyboard.press("Enter");
  await expect(jump).toBeHidden();
  await expect(page.locator("#transcript")).toBeFocused();
  await expect.poll(async () => (await place()).left).toBeLessThanOrEqual(1);
  await page.setViewportSize({ width: 1280, height: 800 });
}

const lastAnswer = (page: Page) => page.locator('.message[data-role="assistant"]').last();

test("load, chat, stop, continue, and reload without the network", async ({ page, request, context }) => {
  test.setTimeout(300_000);
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(message.text());
  });

  await page.goto("/");
  await greedy(page);
  await loadModel(page, slowTitle);
  await expect(page.locator("#loading")).toBeVisible();
  await expect(page.locator("#load-bytes")).toContainText("of 98 MB");
  await expectChat(page);
  await expect(page.locator("#model-backend")).toHaveText("CPU");
  await expect(page.locator("#notice")).toContainText("Running on the CPU");

  // From here on the page needs no network.
  await context.setOffline(true);
  const requests: string[] = [];
  page.on("request", (sent) => requests.push(sent.url()));

  await say(page, "Name the capital of France.");
  await expect(lastAnswer(page)).toHaveAttribute("data-state", "done", { timeout: 120_000 });
  await expect(lastAnswer(page).locator(".message-text")).toHaveText("The capital of France is Paris.");
  await expect(lastAnswer(page).locator(".message-stats")).toContainText("to the first token");
  await expect(lastAnswer(page).locator(".message-stats")).toContainText("tok/s");

  await say(page, "Write a long story about the sea.");
  await expect(lastAnswer(page)).toHaveAttribute("data-state", "writing", { timeout: 120_000 });
  await expect(lastAnswer(page).locator(".message-text")).not.toBeEmpty();
  await readWhileItGrows(page);
  await page.getByRole("button", { name: "Stop" }).click();
  await expect(lastAnswer(page)).toHaveAttribute("data-state", "done", { timeout: 5_000 });
  await expect(lastAnswer(page).locator(".message-stats")).toContainText("Stopped");

  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("spinbutton", { name: /Longest answer/ }).fill("8");
  await page.getByRole("button", { name: "Done" }).click();
  await say(page, "Thank you.");
  await expect(lastAnswer(page)).toHaveAttribute("data-state", "done", { timeout: 120_000 });
  await expect(lastAnswer(page).locator(".message-stats")).toContainText(/[1-9]\d* reused/);
  await expect(page.locator("#context-text")).toHaveText(/^[1-9]\d* of [\d,]+ tokens$/);
  expect(requests).toEqual([]);

  await context.setOffline(false);
  const sent = await bytesSent(request, slowPath);
  await page.reload();
  await expect(page.locator("#listed")).toContainText("kept in this browser");
  await loadModel(page, slowTitle);
  await expectChat(page);
  await page.getByRole("button", { name: /details$/ }).click();
  await expect(page.locator("#about-facts")).toContainText("Nothing from the network");
  expect(await bytesSent(request, slowPath)).toBe(sent);
  expect(problems).toEqual([]);
});

test("the list says whether a model fits, before it is downloaded", async ({ page, request }) => {
  const sent = await bytesSent(request, modelPath);
  await page.goto("/");
  const row = page.locator("#listed label").first();
  await expect(row).toContainText("fits this device");
  expect((await bytesSent(request, modelPath)) - sent).toBeLessThan(10e6);
  // With a context that is too long for any device, the model fits with a shorter one.
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("spinbutton", { name: /Context/ }).fill("8000000");
  await page.getByRole("button", { name: "Done" }).click();
  await expect(row).toContainText("fits with a context of");
  await page.getByRole("radio", { name: slowTitle }).check();
  await expect(page.locator("#listed label").nth(1)).toContainText("fits with a context of");
});

test("a load can be cancelled and another one made", async ({ page }) => {
  await page.goto("/");
  await loadModel(page, slowTitle);
  await expect(page.locator("#load-speed")).toContainText("MB/s");
  await page.getByRole("button", { name: "Cancel" }).click();
  await expect(page.getByRole("button", { name: "Load model" })).toBeVisible();
  await expect(page.locator("#picker-problem")).toBeHidden();
});

test("an error is a sentence with its code, and the page stays usable", async ({ page }) => {
  await page.goto("/");
  await page.getByRole("radio", { name: "Address" }).check();
  await page.getByRole("button", { name: "Load model" }).click();
  await expect(page.getByRole("alert").first()).toContainText("Give the whole address");
  await page.getByLabel("Address of a .gguf file").fill(new URL("/package/index.js", page.url()).href);
  await page.getByRole("button", { name: "Load model" }).click();
  const problem = page.locator("#picker-problem");
  await expect(problem).toBeVisible();
  await expect(problem.locator("code")).toHaveText(/^[a-z0-9-]+$/);
  await expect(page.getByRole("button", { name: "Load model" })).toBeEnabled();
});

test("a file can be opened from the disk, and the page answers on WebGPU when told to", async ({ page, request }) => {
  const tiny = await request.get("/golden/tiny/llama.Q4_0.gguf");
  await page.goto("/");
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("radio", { name: "GPU" }).check();
  await page.getByRole("button", { name: "Done" }).click();
  await page.getByRole("radio", { name: "File" }).check();
  await page
    .locator("#file")
    .setInputFiles({ name: "tiny.gguf", mimeType: "application/octet-stream", buffer: await tiny.body() });
  await page.getByRole("button", { name: "Load model" }).click();
  await expectChat(page);
  await expect(page.locator("#model-backend")).toHaveText("GPU");
  await expect(page.locator("#backend-line")).toContainText("WebGPU on");
});

test("the page fits a phone, and works from the keyboard", async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await page.goto("/");
  const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(await overflow()).toBeLessThanOrEqual(0);
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to the content" })).toBeFocused();
  await page.getByRole("button", { name: "Settings" }).focus();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("dialog")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toBeHidden();
  await expect(page.getByRole("button", { name: "Settings" })).toBeFocused();
  expect(await overflow()).toBeLessThanOrEqual(0);
});
