/** What is around the chat: questions before something is lost, notices, dropped files, sizes for fingers. */

import { readFileSync } from "node:fs";
import { expect, type Locator, type Page, test } from "@playwright/test";
import { tinyModel } from "../support/places.mjs";

const tiny = "/golden/tiny/llama.Q4_0.gguf";
const chat = (page: Page) => page.locator("#chat");

async function loadTiny(page: Page): Promise<void> {
  await page.getByRole("radio", { name: "Address" }).check();
  await page.locator("#url").fill(new URL(tiny, page.url()).href);
  await page.getByRole("button", { name: "Load model" }).click();
  await expect(chat(page)).toBeVisible({ timeout: 120_000 });
}

async function drop(page: Page, name: string, bytes: Buffer): Promise<void> {
  await page.evaluate(
    async ({ name, bytes }) => {
      const data = Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([data], name));
      for (const type of ["dragenter", "dragover", "drop"]) {
        document.body.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
      }
    },
    { name, bytes: bytes.toString("base64") },
  );
}

test("removing a stored model asks first, and says what it costs", async ({ page }) => {
  await page.goto("/");
  await loadTiny(page);
  await page.reload();
  const row = page.locator("#listed label").filter({ hasText: "llama" });
  const remove = row.getByRole("button", { name: /^Remove/ });
  const dialog = page.getByRole("dialog", { name: /^Remove/ });

  // From the keyboard: the button that changes nothing has the focus, and Escape means no.
  await remove.focus();
  await page.keyboard.press("Enter");
  await expect(dialog).toContainText("downloaded again");
  await expect(dialog.getByRole("button", { name: "Cancel" })).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(dialog).toBeHidden();
  await expect(remove).toBeFocused();
  await remove.click();
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await expect(row).toBeVisible();
  // Nothing outside the dialog can be reached while it asks.
  await remove.click();
  for (let tabs = 0; tabs < 4; tabs++) {
    await page.keyboard.press("Tab");
    expect(await page.evaluate(() => document.activeElement?.closest("#settings, #picker, .bar"))).toBeNull();
  }
  await dialog.getByRole("button", { name: "Remove" }).click();
  await expect(row).toHaveCount(0);
  await expect(page.getByRole("button", { name: "Load model" })).toBeFocused();
  await page.reload();
  await expect(page.locator("#listed label")).toHaveCount(2);
});

test("a file dropped during a chat is offered, and nothing is lost where it is not wanted", async ({ page }) => {
  const file = readFileSync(tinyModel);
  await page.goto("/");
  await loadTiny(page);
  await page.getByRole("textbox", { name: "Message" }).fill("a draft");
  await drop(page, "second.gguf", file);
  const dialog = page.getByRole("dialog", { name: "Load second.gguf?" });
  await dialog.getByRole("button", { name: "Go on as it is" }).click();
  await expect(chat(page)).toBeVisible();
  await expect(page.getByRole("textbox", { name: "Message" })).toHaveValue("a draft");

  await drop(page, "picture.png", Buffer.from("\x89PNG"));
  const other = page.getByRole("dialog", { name: "picture.png is no model" });
  await expect(other.getByRole("button")).toHaveCount(1);
  await other.getByRole("button", { name: "Close" }).click();
  await expect(chat(page)).toBeVisible();

  await drop(page, "second.gguf", file);
  await dialog.getByRole("button", { name: "Load it" }).click();
  await expect(page.locator("#model-name")).toHaveText("second", { timeout: 120_000 });
  await expect(chat(page)).toBeVisible();
});

test("a file dropped during a load takes its place where it is wanted", async ({ page }) => {
  const file = readFileSync(tinyModel);
  await page.goto("/");
  await page.getByRole("radio", { name: "The same, from a slow host" }).check();
  await page.getByRole("button", { name: "Load model" }).click();
  await expect(page.locator("#load-speed")).toContainText("MB/s");
  await page.getByRole("button", { name: "Pause" }).click();
  await drop(page, "second.gguf", file);
  await page.getByRole("dialog", { name: "Load second.gguf?" }).getByRole("button", { name: "Load it" }).click();
  await expect(page.locator("#model-name")).toHaveText("second", { timeout: 120_000 });
});

test("no GPU is promised where there is none, and the notice of the CPU stays dismissed", async ({ page }) => {
  await page.goto("/");
  await expect(page.locator("#capability")).toContainText("CPU");
  expect(await page.locator(".start > :is(h1, .lede)").allInnerTexts()).not.toContainEqual(
    expect.stringMatching(/GPU/),
  );
  await loadTiny(page);
  const notice = page.locator("#notice");
  await expect(notice).toContainText("Running on the CPU");
  await notice.getByRole("button", { name: /Dismiss/ }).click();
  await expect(notice).toBeHidden();
  await expect(page.getByRole("textbox", { name: "Message" })).toBeFocused();
  await page.reload();
  await loadTiny(page);
  await expect(notice).toBeHidden();
});

test.describe("on a phone", () => {
  test.use({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });

  /** Controls that offer a finger less than 44 px. */
  const small = (within: Locator) =>
    within.evaluate((root) => {
      const controls = "button, a[href], input, textarea, select, summary, [role=button], [role=radio]";
      const found = [...root.querySelectorAll<HTMLElement>(controls)].filter((control) => {
        // The reader touches its label.
        const inLabel = control.matches("[type=radio], [type=checkbox], [type=file]");
        const target = (inLabel && control.closest("label")) || control;
        if (!target.checkVisibility({ visibilityProperty: true }) || control.closest(".message-text")) return false;
        const { width, height, bottom } = target.getBoundingClientRect();
        return bottom > 0 && (width < 43.5 || height < 43.5);
      });
      return found.map((control) => `${control.outerHTML.slice(0, 80)} ${control.getBoundingClientRect().height}`);
    });
  const overflow = (page: Page) => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

  test("every control is large enough for a finger", async ({ page }) => {
    await page.goto("/");
    const body = page.locator("body");
    for (const kind of ["Suggested", "Hugging Face", "Address", "File"]) {
      await page.getByRole("radio", { name: kind }).check();
      expect(await small(body)).toEqual([]);
      expect(await overflow(page)).toBeLessThanOrEqual(0);
    }
    await page.locator("#update").evaluate((update) => update.removeAttribute("hidden"));
    expect(await small(body)).toEqual([]);
    await page.locator("#update").evaluate((update) => update.setAttribute("hidden", ""));
    await page.getByRole("button", { name: "Settings" }).click();
    expect(await small(page.getByRole("dialog"))).toEqual([]);
    await page.getByRole("button", { name: "Done" }).click();

    await loadTiny(page);
    expect(await small(body)).toEqual([]);
    expect(await overflow(page)).toBeLessThanOrEqual(0);
    await page.getByRole("button", { name: /details$/ }).click();
    expect(await small(page.getByRole("dialog"))).toEqual([]);
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Storage" }).click();
    await expect(page.locator("#stored-models li")).toHaveCount(1);
    expect(await small(page.getByRole("dialog"))).toEqual([]);
    await page.keyboard.press("Escape");
    await page.reload();
    await page.getByRole("button", { name: /^Remove/ }).click();
    expect(await small(page.getByRole("dialog"))).toEqual([]);
    await page.keyboard.press("Escape");
    expect(await small(body)).toEqual([]);
    expect(await overflow(page)).toBeLessThanOrEqual(0);
  });
});
