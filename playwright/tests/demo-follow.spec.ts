/** Reading an answer while it is written: the demo follows its end until the reader scrolls, by real input. */

import { type CDPSession, expect, type Page, test } from "@playwright/test";
import { addDemoModule } from "../support/module.ts";

declare global {
  var follow: typeof import("../../examples/chat/src/follow.ts");
  var stopGrowing: () => void;
  var follows: boolean;
  var toEnd: () => void;
  /** Positions of the place, once a frame. */
  var tops: number[];
}

/** A place of 300 pixels whose content grows by a line fifty times a second, as the answer of a fast model does. */
async function openGrowing(page: Page, style = ""): Promise<void> {
  await page.goto("/pages/sdk.html");
  await addDemoModule(page, "follow.ts", "follow");
  await page.evaluate((style) => {
    const place = document.body.appendChild(document.createElement("div"));
    place.id = "place";
    place.tabIndex = 0;
    place.style.cssText = `position: fixed; inset: 0 auto auto 0; width: 400px; height: 300px; overflow-y: auto; ${style}`;
    const content = place.appendChild(document.createElement("div"));
    const grow = (lines: number) => {
      for (let line = 0; line < lines; line++) {
        const row = content.appendChild(document.createElement("p"));
        row.textContent = `Line ${content.childElementCount}`;
        row.style.cssText = "margin: 0; height: 20px";
      }
    };
    grow(60);
    const following = new globalThis.follow.Follow(place, content, (follows) => (globalThis.follows = follows));
    globalThis.toEnd = () => following.toEnd();
    globalThis.tops = [];
    const timer = setInterval(() => requestAnimationFrame(() => grow(1)), 20);
    globalThis.stopGrowing = () => clearInterval(timer);
    const note = () => {
      globalThis.tops.push(place.scrollTop);
      requestAnimationFrame(note);
    };
    note();
    following.toEnd();
  }, style);
  await page.mouse.move(200, 150);
}

const lines = (page: Page) => page.locator("#place p").count();
const grown = async (page: Page, by: number) => {
  const before = await lines(page);
  await expect.poll(() => lines(page)).toBeGreaterThanOrEqual(before + by);
};
const follows = (page: Page) => page.evaluate(() => globalThis.follows);
const place = (page: Page) =>
  page.evaluate(() => {
    const { scrollTop, scrollHeight, clientHeight } = document.querySelector("#place")!;
    return { top: scrollTop, left: scrollHeight - clientHeight - scrollTop };
  });

/** The place stays where the reader has put it, above the end, while lines come. */
async function expectLeft(page: Page): Promise<void> {
  await expect.poll(() => follows(page)).toBe(false);
  // A smooth scroll may still be running.
  await grown(page, 10);
  const { top } = await place(page);
  await grown(page, 10);
  const later = await place(page);
  expect(later.top).toBe(top);
  expect(later.left).toBeGreaterThan(150);
}

async function expectFollowed(page: Page): Promise<void> {
  await expect.poll(() => follows(page)).toBe(true);
  await grown(page, 5);
  await expect.poll(async () => (await place(page)).left).toBeLessThanOrEqual(1);
}

test("growing content is followed, and does not count as scrolling", async ({ page }) => {
  await openGrowing(page);
  await grown(page, 20);
  await expectFollowed(page);
});

test("small steps of a trackpad leave the end, from the first on", async ({ page }) => {
  await openGrowing(page);
  const session = await page.context().newCDPSession(page);
  for (let step = 0; step < 3; step++) await wheel(session, -3);
  await expectLeft(page);
});

test("a single step of one pixel is enough", async ({ page }) => {
  await openGrowing(page);
  await wheel(await page.context().newCDPSession(page), -1);
  await expectLeft(page);
});

test("forty small steps scroll up by their distance", async ({ page }) => {
  await openGrowing(page);
  const before = (await place(page)).top;
  const session = await page.context().newCDPSession(page);
  for (let step = 0; step < 40; step++) await wheel(session, -4);
  await expectLeft(page);
  // Content that came before the first step moved the end down.
  expect((await place(page)).top).toBeLessThan(before + 60);
  expect((await place(page)).left).toBeGreaterThan(160);
});

test("the mouse wheel leaves the end", async ({ page }) => {
  await openGrowing(page);
  await page.mouse.wheel(0, -120);
  await expectLeft(page);
});

for (const key of ["ArrowUp", "PageUp", "Home", "Shift+Space"]) {
  test(`the key ${key} leaves the end, and End returns to it`, async ({ page }) => {
    await openGrowing(page);
    await page.locator("#place").focus();
    await page.keyboard.press(key);
    await expectLeft(page);
    await page.keyboard.press("End");
    await expectFollowed(page);
  });
}

test("a finger leaves the end", async ({ page }) => {
  await openGrowing(page);
  const session = await page.context().newCDPSession(page);
  const touch = (type: "touchStart" | "touchMove" | "touchEnd", y: number) =>
    session.send("Input.dispatchTouchEvent", { type, touchPoints: type === "touchEnd" ? [] : [{ x: 200, y }] });
  await touch("touchStart", 100);
  for (let y = 104; y <= 180; y += 4) await touch("touchMove", y);
  await touch("touchEnd", 0);
  await expectLeft(page);
});

test("the scroll bar, or anything else that moves the place, leaves the end", async ({ page }) => {
  await openGrowing(page);
  await page.evaluate(() => (document.querySelector("#place")!.scrollTop -= 5));
  await expectLeft(page);
});

test("smooth scrolling changes none of this", async ({ page }) => {
  await openGrowing(page, "scroll-behavior: smooth");
  await expectFollowed(page);
  await wheel(await page.context().newCDPSession(page), -30);
  await expectLeft(page);
  await page.evaluate(() => globalThis.toEnd());
  await expectFollowed(page);
});

test("going down to the end follows it again, going down part of the way does not", async ({ page }) => {
  await openGrowing(page);
  const session = await page.context().newCDPSession(page);
  await wheel(session, -400);
  await expectLeft(page);
  await wheel(session, 50);
  await expectLeft(page);
  await page.mouse.wheel(0, 100_000);
  await expectFollowed(page);
});

test("content or a place that becomes shorter or taller does not count as scrolling", async ({ page }) => {
  await openGrowing(page);
  await page.evaluate(() => {
    const content = document.querySelector("#place > div")!;
    for (let line = 0; line < 20; line++) content.lastElementChild!.remove();
  });
  await expectFollowed(page);
  for (const height of ["180px", "420px"]) {
    await page.evaluate((height) => (document.querySelector<HTMLElement>("#place")!.style.height = height), height);
    await expectFollowed(page);
  }
  // The browser moves the position, and more content comes before the page has seen it.
  await page.evaluate(() => {
    const place = document.querySelector<HTMLElement>("#place")!;
    place.style.height = "520px";
    if (place.scrollTop > 0) place.firstElementChild!.append(document.querySelector("#place p")!.cloneNode(true));
  });
  await expectFollowed(page);
  // Content above the end changes its height, as with a picture or a font that comes late.
  await page.evaluate(() => (document.querySelector<HTMLElement>("#place p")!.style.height = "200px"));
  await expectFollowed(page);
});

test("content that grows above the text being read does not move it", async ({ page }) => {
  await openGrowing(page);
  await page.mouse.wheel(0, -400);
  await expectLeft(page);
  const offset = () =>
    page.evaluate(() => {
      const box = document.querySelector("#place")!.getBoundingClientRect();
      const seen = document.elementFromPoint(box.left + 20, box.top + 150) as HTMLElement;
      return seen.textContent;
    });
  const before = await offset();
  await page.evaluate(() => (document.querySelector<HTMLElement>("#place p")!.style.height = "200px"));
  await grown(page, 3);
  expect(await offset()).toBe(before);
});

/** Real input, in pixels as a trackpad gives them. */
function wheel(session: CDPSession, deltaY: number) {
  return session.send("Input.dispatchMouseEvent", { type: "mouseWheel", x: 200, y: 150, deltaX: 0, deltaY });
}
