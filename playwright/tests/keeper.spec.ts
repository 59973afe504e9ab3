/**
 * When the demo saves its conversations, with a store that is slow and may fail: its own module on a separate page.
 */

import { expect, type Page, test } from "@playwright/test";
import { addDemoModule } from "../support/module.ts";

declare global {
  var keeper: typeof import("../../examples/chat/src/keeper.ts");
  var conversations: typeof import("../../examples/chat/src/conversations.ts");
}

async function openModules(page: Page): Promise<void> {
  await page.goto("/pages/sdk.html");
  await addDemoModule(page, "keeper.ts", "keeper");
  await addDemoModule(page, "conversations.ts", "conversations");
}

test("each whole sentence is written while the next one comes, one write at a time", async ({ page }) => {
  await openModules(page);
  const { written, most, missing } = await page.evaluate(async () => {
    const conversation = conversations.newConversation("m");
    conversation.turns.push({ role: "user", text: "Go on" }, { role: "assistant", text: "" });
    const written: string[] = [];
    let [under, most] = [0, 0];
    const store = {
      async write({ turns }: typeof conversation) {
        most = Math.max(most, ++under);
        const { text } = turns.at(-1)!;
        await new Promise((later) => setTimeout(later, 5));
        written.push(text);
        under -= 1;
      },
    };
    const kept = new keeper.Keeper(store as never, { onKept() {}, onForked() {}, onChanged() {} });
    await kept.take(conversation);
    const missing: string[] = [];
    const sentences = ["One sentence. ", "Another one! ", "Is it?\n", "これは文です。", "- an item\n", "「終わり。」"];
    for (const sentence of sentences.flatMap((text) => [text, text])) {
      for (const letter of sentence) {
        conversation.turns.at(-1)!.text += letter;
        kept.grew();
        await new Promise((later) => setTimeout(later));
      }
      const whole = conversation.turns.at(-1)!.text;
      await new Promise((later) => setTimeout(later, 40));
      if (!written.some((text) => text.startsWith(whole.trimEnd()))) missing.push(whole);
    }
    return { written, most, missing };
  });
  expect(missing).toEqual([]);
  expect(most).toBe(1);
  // A sentence is one write, or two where it began more than a second ago.
  expect(written.length).toBeLessThan(40);
});

test("what a store refused is written with the next change, whole", async ({ page }) => {
  await openModules(page);
  const { told, written } = await page.evaluate(async () => {
    const conversation = conversations.newConversation("m");
    const told: string[] = [];
    const written: [number, number][] = [];
    let fails = true;
    const store = {
      async write({ turns }: typeof conversation, from: number) {
        if (fails) throw new DOMException("no room", "QuotaExceededError");
        written.push([from, turns.length]);
      },
    };
    const onKept = (failure: unknown) => told.push(failure instanceof Error ? failure.name : "kept");
    const kept = new keeper.Keeper(store as never, { onKept, onForked() {}, onChanged() {} });
    await kept.take(conversation);
    conversation.turns.push({ role: "user", text: "One" });
    kept.changed(0);
    await kept.flush();
    fails = false;
    conversation.turns.push({ role: "assistant", text: "Two" });
    kept.changed(1);
    await kept.flush();
    return { told, written };
  });
  expect(told.at(0)).toBe("QuotaExceededError");
  expect(told.at(-1)).toBe("kept");
  expect(written).toEqual([[0, 2]]);
});

test("writes of one page follow each other, those of another page are not overwritten", async ({ page }) => {
  await openModules(page);
  const result = await page.evaluate(async () => {
    const [here, there] = [new conversations.ConversationStore(), new conversations.ConversationStore()];
    const mine = conversations.newConversation("m");
    mine.turns.push({ role: "user", text: "a" });
    // Two writes at once, as when a page is left during one.
    const first = here.write(mine, 0);
    mine.turns.push({ role: "assistant", text: "b" });
    await Promise.all([first, here.write(mine, 0)]);
    const theirs = (await there.read(mine.id))!;
    theirs.turns.push({ role: "user", text: "theirs" });
    await there.write(theirs, 2);
    mine.turns.push({ role: "user", text: "mine" });
    const refused = await here.write(mine, 2).catch((error: Error) => (error as { by?: string }).by);
    const kept = (await here.read(mine.id))!.turns.map(({ text }) => text);
    await here.delete(mine.id);
    const gone = await there.write(theirs, 0).catch((error: Error) => (error as { by?: string }).by);
    return { refused, kept, gone, left: (await here.list()).length };
  });
  expect(result).toEqual({ refused: "another version", kept: ["a", "b", "theirs"], gone: "deletion", left: 0 });
});
