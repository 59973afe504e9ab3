/** The demo while a prompt is read, when the context is full, after Stop and after Regenerate. */

import { expect, type Page, test } from "@playwright/test";
import { chooseTinyChat } from "../support/chat-model.ts";

async function openChat(page: Page, longest: string): Promise<void> {
  await page.goto("/");
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("spinbutton", { name: /Longest answer/ }).fill(longest);
  await page.getByLabel("System prompt").fill("Be kind.");
  await page.getByRole("button", { name: "Done" }).click();
  await chooseTinyChat(page);
  await expect(page.locator("#chat")).toBeVisible();
}

async function send(page: Page, text: string): Promise<void> {
  await page.getByRole("textbox", { name: "Message" }).fill(text);
  await page.keyboard.press("Enter");
}

const last = (page: Page) => page.locator(".message").last();
const done = (page: Page) => expect(last(page)).toHaveAttribute("data-state", "done");
const used = async (page: Page) => Number.parseInt((await page.locator("#context-text").textContent()) ?? "");

test("a long prompt shows how far it has been read", async ({ page }) => {
  await openChat(page, "4");
  await page.evaluate(() => {
    const seen: { share: number; text: string; label: string | null }[] = [];
    Object.assign(globalThis, { seen });
    const look = () => {
      const bar = document.querySelector<HTMLProgressElement>(".reading:not([hidden]) progress");
      const text = bar?.parentElement?.textContent ?? "";
      if (bar && seen.at(-1)?.text !== text)
        seen.push({ share: bar.value, text, label: bar.getAttribute("aria-label") });
    };
    new MutationObserver(look).observe(document.querySelector("#messages")!, {
      subtree: true,
      childList: true,
      attributes: true,
      characterData: true,
    });
  });
  await send(page, "Words of a long prompt. ".repeat(12));
  await done(page);
  const seen = await page.evaluate(
    () => (globalThis as unknown as { seen: { share: number; text: string; label: string }[] }).seen,
  );
  expect(seen.length).toBeGreaterThanOrEqual(2);
  const shares = seen.map(({ share }) => share);
  expect(shares).toEqual([...shares].sort((a, b) => a - b));
  for (const { share, text, label } of seen) {
    expect(share).toBeGreaterThan(0);
    expect(share).toBeLessThan(1);
    expect(text).toMatch(/^Reading the prompt, \d+ % of \d+ tokens$/);
    expect(label).toBe("Reading the prompt");
  }
  await expect(page.locator(".reading:not([hidden])")).toHaveCount(0);
});

test("a full context is announced once, and the conversation continues without its oldest turns", async ({ page }) => {
  await openChat(page, "30");
  const full = page.locator("#context-full");
  let asked = 0;
  while (await full.isHidden()) {
    asked += 1;
    await send(page, `Question ${asked} of this long chat. `.repeat(3));
    await expect(page.locator("body")).not.toHaveAttribute("data-busy");
    expect(asked).toBeLessThan(12);
  }
  await expect(full).toContainText("The context is full");
  await expect(full).toContainText("512 tokens");
  await expect(page.locator("#chat-problem")).toBeHidden();
  await expect(page.locator(".cut")).toHaveCount(0);

  // The question that had no room waits where it was written, and is asked when there is some.
  const before = await page.locator('.message[data-role="user"]').count();
  const waits = (await page.getByRole("textbox", { name: "Message" }).inputValue()) !== "";
  await page.getByRole("button", { name: "Continue without the oldest" }).click();
  await expect(full).toBeHidden();
  if (!waits) await send(page, "And now?");
  await expect(page.locator('.message[data-role="user"]')).toHaveCount(before + 1);
  await done(page);
  await expect(page.locator(".cut")).toHaveText("The model no longer reads what is above this line.");
  expect(await used(page)).toBeLessThan(512);

  // From here on the user is not asked again, and the line moves.
  const above = () =>
    page.evaluate(() =>
      [...document.querySelector("#messages")!.children].findIndex(({ className }) => className === "cut"),
    );
  const first = await above();
  for (let more = 0; more < 4; more++) {
    await send(page, `More ${more} of this chat that goes on and on. `.repeat(3));
    await done(page);
    await expect(full).toBeHidden();
    await expect(page.locator("#chat-problem")).toBeHidden();
  }
  expect(await above()).toBeGreaterThan(first);
  // The line is kept with the conversation.
  const cut = await above();
  await page.reload();
  await chooseTinyChat(page);
  await expect(page.locator(".cut")).toHaveCount(1);
  expect(await above()).toBe(cut);
});

test("a message that has no room by itself is an error, and can be shortened", async ({ page }) => {
  await openChat(page, "8");
  await send(page, "A message that is far too long. ".repeat(40));
  await expect(page.locator("#chat-problem")).toContainText("512");
  await expect(page.locator("#context-full")).toBeHidden();
  await expect(page.getByRole("textbox", { name: "Message" })).toHaveValue(/far too long/);
  await send(page, "Short.");
  await done(page);
  await expect(page.locator("#chat-problem")).toBeHidden();
});

test("after Stop the meter has what was read and written", async ({ page }) => {
  await openChat(page, "450");
  expect(await used(page)).toBe(0);
  // Faster than a test could press the button.
  await page.evaluate(() => {
    const stop = document.querySelector<HTMLButtonElement>("#stop")!;
    const place = document.querySelector("#messages")!;
    new MutationObserver(() => {
      if (place.querySelector('[data-state="writing"]')) stop.click();
    }).observe(place, { subtree: true, attributes: true });
  });
  await send(page, "Go on for long");
  await done(page);
  await expect(last(page)).toContainText("Stopped");
  expect(await used(page)).toBeGreaterThan(30);
  expect(await used(page)).toBeLessThan(450);
  expect(await page.locator("#context-meter").evaluate((meter: HTMLMeterElement) => meter.value)).toBe(
    await used(page),
  );
});

test("after Regenerate the focus is on Stop, and then on the new answer's Regenerate", async ({ page }) => {
  await openChat(page, "300");
  await send(page, "Once");
  await done(page);
  await last(page).getByRole("button", { name: "Regenerate" }).focus();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("button", { name: "Stop" })).toBeFocused();
  await done(page);
  await expect(last(page).getByRole("button", { name: "Regenerate" })).toBeFocused();
  await expect(page.locator(".message")).toHaveCount(2);
});

test("each message runs in its own direction, and the chat has a heading", async ({ page }) => {
  await openChat(page, "4");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("New chat");
  await send(page, "שלום, מה שלומך?");
  await done(page);
  const words = page.locator(".message-words");
  await expect(words).toHaveAttribute("dir", "auto");
  expect(await words.evaluate((node) => getComputedStyle(node).direction)).toBe("rtl");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("שלום, מה שלומך?");
  await expect(page.getByRole("textbox", { name: "Message" })).toHaveAttribute("dir", "auto");
});
