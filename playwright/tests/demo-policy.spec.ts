/** What the demo may run and fetch, by its own Content Security Policy, while it is used. */

import { expect, test } from "@playwright/test";
import { chooseTinyChat } from "../support/chat-model.ts";

test("the page lives within its policy: scripts of its own and WebAssembly, nothing inline, nothing evaluated", async ({
  page,
}) => {
  await page.addInitScript(() => {
    const broken: string[] = [];
    Object.assign(globalThis, { broken });
    addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI }) =>
      broken.push(`${effectiveDirective} ${blockedURI}`),
    );
  });
  await page.goto("/");
  const policy = await page.locator('meta[http-equiv="Content-Security-Policy"]').getAttribute("content");
  expect(policy).toMatch(/(^|; )script-src 'self' 'wasm-unsafe-eval'(;|$)/);
  expect(policy).toMatch(/(^|; )style-src 'self'(;|$)/);

  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("spinbutton", { name: /Longest answer/ }).fill("8");
  await page.getByRole("button", { name: "Done" }).click();
  await chooseTinyChat(page);
  await page.getByRole("textbox", { name: "Message" }).fill("One");
  await page.keyboard.press("Enter");
  await expect(page.locator(".message").last()).toHaveAttribute("data-state", "done");
  await page.getByRole("button", { name: "Chats" }).click();
  await expect(page.getByRole("list", { name: "Kept conversations" }).getByRole("listitem")).toHaveCount(1);
  await page.keyboard.press("Escape");
  const broken = () => page.evaluate(() => (globalThis as unknown as { broken: string[] }).broken);
  expect(await broken()).toEqual([]);

  // It is enforced.
  await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "globalThis.ran = true";
    document.body.append(script);
  });
  // The browser reports a violation in a separate task, after it has refused the script.
  await expect.poll(broken).toEqual(["script-src-elem inline"]);
  expect(await page.evaluate(() => (globalThis as { ran?: boolean }).ran)).toBeUndefined();
});
