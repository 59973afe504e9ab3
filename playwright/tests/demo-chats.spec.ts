/** Conversations of the demo outlive the page, and two tabs do not lose each other's. */

import { expect, type Page, test } from "@playwright/test";
import { chooseTinyChat } from "../support/chat-model.ts";

async function openChat(page: Page): Promise<void> {
  await page.goto("/");
  await shortAnswers(page);
  await chooseTinyChat(page);
  await expect(page.locator("#chat")).toBeVisible();
}

/** Answers of a few tokens, so that a conversation has room for several. */
async function shortAnswers(page: Page, tokens = "6"): Promise<void> {
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("spinbutton", { name: /Longest answer/ }).fill(tokens);
  await page.getByRole("button", { name: "Done" }).click();
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByRole("textbox", { name: "Message" }).fill(text);
  await page.keyboard.press("Enter");
  await expect(page.locator(".message").nth(-2)).toContainText(text);
  await expect(page.locator(".message").last()).toHaveAttribute("data-state", "done");
}

const questions = (page: Page) => page.locator('.message[data-role="user"] .message-words');

async function openList(page: Page) {
  await page.getByRole("button", { name: "Chats" }).click();
  return page.getByRole("dialog", { name: "Chats" }).getByRole("list", { name: "Kept conversations" });
}

test("a conversation survives a reload and the choice of another model", async ({ page }) => {
  await openChat(page);
  await say(page, "First question");
  await say(page, "Second question");
  const answers = await page.locator('.message[data-role="assistant"] .message-text').allTextContents();

  await page.reload();
  await expect(page.locator("#resume")).toContainText("Continues “First question”");
  await chooseTinyChat(page);
  await expect(questions(page)).toHaveText(["First question", "Second question"]);
  await expect(page.locator('.message[data-role="assistant"] .message-text')).toHaveText(answers);
  await expect(page.getByRole("heading", { name: "First question" })).toBeAttached();
  // Its share of the context was counted again.
  await expect(page.locator("#context-text")).toHaveText(/^[1-9]\d* of 512 tokens$/);
  await say(page, "Third question");

  await page.getByRole("button", { name: /details$/ }).click();
  await page.getByRole("button", { name: "Choose another model" }).click();
  await expect(page.locator("#resume")).toContainText("First question");
  await chooseTinyChat(page);
  await expect(questions(page)).toHaveText(["First question", "Second question", "Third question"]);
});

test("an answer that is being written survives a reload to its last word", async ({ page }) => {
  await openChat(page);
  await shortAnswers(page, "450");
  // The page reloads itself in the middle of the answer, and notes how much of it was visible.
  await page.evaluate(() => {
    const place = document.querySelector("#messages")!;
    const watcher = new MutationObserver(() => {
      const text = place.querySelector(".message-text")?.textContent?.trim() ?? "";
      if (text.length < 120) return;
      watcher.disconnect();
      sessionStorage.setItem("seen", text);
      location.reload();
    });
    watcher.observe(place, { subtree: true, childList: true });
  });
  await page.getByRole("textbox", { name: "Message" }).fill("Go on");
  await page.keyboard.press("Enter");
  await expect(page.locator("#resume")).toContainText("Go on");
  const seen = await page.evaluate(() => sessionStorage.getItem("seen") ?? "");
  await chooseTinyChat(page);
  await expect(questions(page)).toHaveText(["Go on"]);
  const kept = ((await page.locator(".message-text").textContent()) ?? "").trim();
  // White space may differ, because the text has been rendered as Markdown.
  expect(kept.replace(/\s+/g, " ").startsWith(seen.replace(/\s+/g, " "))).toBe(true);
});

test("a question that was left before its answer came waits where it was written", async ({ page }) => {
  await openChat(page);
  await say(page, "Answered");
  // The question never reaches the engine.
  await page.evaluate(() => {
    const post = Worker.prototype.postMessage;
    Worker.prototype.postMessage = function (message: { call?: string }, ...rest: never[]) {
      if (message.call !== "generate") post.call(this, message, ...rest);
    };
  });
  await page.getByRole("textbox", { name: "Message" }).fill("Not answered");
  await page.keyboard.press("Enter");
  await expect(questions(page)).toHaveText(["Answered", "Not answered"]);
  await page.reload();
  await expect(page.locator("#resume")).toBeVisible();
  await chooseTinyChat(page);
  await expect(questions(page)).toHaveText(["Answered"]);
  await expect(page.getByRole("textbox", { name: "Message" })).toHaveValue("Not answered");
  await page.keyboard.press("Enter");
  await expect(questions(page)).toHaveText(["Answered", "Not answered"]);
});

test("several conversations are kept, opened and deleted, by the keyboard too", async ({ page }) => {
  await openChat(page);
  await say(page, "About the sea");
  await page.getByRole("button", { name: "New chat" }).click();
  await expect(page.getByText("Ready when you are.")).toBeVisible();
  await expect(page.getByRole("textbox", { name: "Message" })).toBeFocused();
  await say(page, "About the moon");

  const list = await openList(page);
  const rows = list.getByRole("listitem");
  await expect(rows).toHaveCount(2);
  await expect(rows.first()).toContainText("About the moon");
  await expect(rows.first()).toContainText("2 messages");
  await expect(rows.first().locator("[aria-current]")).toContainText("About the moon");
  await rows
    .nth(1)
    .getByRole("button", { name: /^About the sea/ })
    .focus();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("dialog", { name: "Chats" })).toBeHidden();
  await expect(questions(page)).toHaveText(["About the sea"]);

  await openList(page);
  await list.getByRole("button", { name: "Delete About the moon" }).click();
  await expect(rows).toHaveCount(2);
  await list.getByRole("button", { name: "Really delete About the moon?" }).click();
  await expect(rows).toHaveCount(1);
  // The conversation on the page can be deleted too; an empty chat replaces it.
  await list.getByRole("button", { name: "Delete About the sea" }).click();
  await list.getByRole("button", { name: "Really delete About the sea?" }).click();
  await expect(rows).toHaveCount(0);
  await expect(page.getByText("No conversations yet.")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.locator(".message")).toHaveCount(0);
  await page.reload();
  await expect(page.locator("#resume")).toBeHidden();
});

test("two tabs with one conversation keep what either of them has written", async ({ page, context }) => {
  await openChat(page);
  await say(page, "Shared question");
  const other = await context.newPage();
  await openChat(other);
  const list = await openList(other);
  await list.getByRole("button", { name: /^Shared question/ }).click();
  await expect(questions(other)).toHaveText(["Shared question"]);

  await say(page, "From the first tab");
  await say(other, "From the second tab");
  await expect(other.locator("#forked")).toContainText("went on in another tab");
  await say(page, "Again from the first");

  await openList(other);
  const rows = list.getByRole("listitem");
  await expect(rows).toHaveCount(2);
  await expect(rows.filter({ hasText: "6 messages" })).toHaveCount(1);
  await expect(rows.filter({ hasText: "4 messages" })).toHaveCount(1);
  // Each tab reloads its own conversation.
  for (const [tab, last] of [
    [page, "Again from the first"],
    [other, "From the second tab"],
  ] as const) {
    await tab.reload();
    await chooseTinyChat(tab);
    await expect(questions(tab).last()).toHaveText(last);
  }
});

test("where the browser keeps nothing, the page says so, chats, and asks before it loses a conversation", async ({
  page,
}) => {
  // As Firefox answers where it keeps no data: the database of conversations cannot be opened.
  await page.addInitScript(() => {
    const open = IDBFactory.prototype.open;
    IDBFactory.prototype.open = function (name: string, version?: number) {
      if (name === "chord-chat") throw new DOMException("A mutation operation was attempted", "InvalidStateError");
      return open.call(this, name, version);
    };
  });
  await openChat(page);
  await say(page, "Will be lost");
  await expect(page.locator("#unkept")).toContainText("does not keep conversations here");
  await say(page, "Still here");

  await page.getByRole("button", { name: "New chat" }).click();
  const question = page.getByRole("dialog", { name: "Start a new chat?" });
  await question.getByRole("button", { name: "Stay here" }).click();
  await expect(questions(page)).toHaveText(["Will be lost", "Still here"]);
  // Another model continues it.
  await page.getByRole("button", { name: /details$/ }).click();
  await page.getByRole("button", { name: "Choose another model" }).click();
  await chooseTinyChat(page);
  await expect(questions(page)).toHaveText(["Will be lost", "Still here"]);
  await page.getByRole("button", { name: "New chat" }).click();
  await question.getByRole("button", { name: "New chat" }).click();
  await expect(page.locator(".message")).toHaveCount(0);
});
