/** Markdown that grows, as an answer does: the same page in the end, and little work on the way. */

import { expect, type Page, test } from "@playwright/test";
import { addDemoModule } from "../support/module.ts";

declare global {
  var whole: typeof import("../../examples/chat/src/markdown.ts");
  var streamed: typeof import("../../examples/chat/src/markdown-stream.ts");
}

const samples = [
  // The beginning of a line may change its meaning when the line continues.
  "foo\n***bold***\n\nbar\n#not a heading\n\n# heading\n#\n\n***\nrule",
  "- a\n- b\n\n-\n--\n---\nafter\n\n- c\n***d***",
  "line\n```x`y`\n\n```js\ncode\n\n\nmore\n```\nafter ``` not\n~~~\nopen to the end",
  "| a | b |\n|---|:-:|\n| 1 | 2 |\n| 3 | 4\nno table\n\nx\n| a | b |\n|---|---|\n| c | d |\n\ntext",
  "Title\n===\nText\nSub\n---\n1. one\n\n   two\n2. three\n   - deep\n\n     loose\n3. four\n\nend",
  "> quote\nlazy\n> - list\n\n> another\n\n    code\n\n    more\ntext",
  "- [ ] a\n- [x] b\n\n\n\n1) x\n2) y\n3. z",
  "See [the page][p] and [p].\n\nMore text.\n\n[p]: https://example.com/a 'T'\n[q]: https://example.com/b\n\nLater [q].",
  "<div>\nraw <b>html</b>\n\n</div>\n<script>\nlet a;\n\nlet b;\n</script>\ntext",
  "The lines:\n\\[\na &= b \\\\\n- c &= d\n\\]\nand $$\n# x\n$$\n\n\\(a_1\\) *b* \\[ open\nto the end",
  "a\r\nb\r\n\r\n- c\r\n- d\r\n\r\nend",
  "\n\n   \nlate start\n\n\n\n",
  "1. a\n```\nx\n```\n2. b\n\n   ```\n   y\n\n   z\n   ```\n3. c",
];

async function openModules(page: Page): Promise<void> {
  await page.goto("/pages/sdk.html");
  await addDemoModule(page, "markdown.ts", "whole");
  await addDemoModule(page, "markdown-stream.ts", "streamed");
}

test("text that comes in pieces looks at every moment as if it had come at once", async ({ page }) => {
  await openModules(page);
  const differences = await page.evaluate((samples) => {
    const html = (place: Element) => place.innerHTML.replace(/>\s+</g, "><").trim();
    const atOnce = (text: string) => {
      const place = document.createElement("div");
      place.append(whole.renderMarkdown(text));
      return html(place);
    };
    const differences: { text: string; expected: string; seen: string }[] = [];
    for (const sample of samples) {
      for (const step of [1, 2, 3, 7]) {
        const place = document.createElement("div");
        const stream = new streamed.MarkdownStream(place);
        for (let end = step; end < sample.length + step; end += step) {
          const text = sample.slice(0, end);
          stream.update(text, end >= sample.length);
          // A link may be named before its address is there.
          if (sample.includes("]: ") && end < sample.length) continue;
          const [expected, seen] = [atOnce(text), html(place)];
          if (seen !== expected) differences.push({ text, expected, seen });
        }
      }
    }
    return differences.slice(0, 5);
  }, samples);
  expect(differences).toEqual([]);
});

test("a different text starts afresh", async ({ page }) => {
  await openModules(page);
  const shown = await page.evaluate(() => {
    const place = document.createElement("div");
    const stream = new streamed.MarkdownStream(place);
    stream.update("# One\n\ntwo\n\nthree\n");
    stream.update("- four");
    return place.textContent?.trim();
  });
  expect(shown).toBe("four");
});

const answers = {
  paragraphs: "Some **words** of an answer, with a [link](https://example.com) and `code`.\n\n".repeat(700),
  list: "1. An item of a list that never ends, with *emphasis* and `code`.\n".repeat(800),
  table: `| name | value |\n|---|---:|\n${"| a cell with **words** | 12345 |\n".repeat(1600)}`,
  code: `\`\`\`js\n${"const answer = compute(question, { depth: 42 }); // and so on\n".repeat(840)}`,
};

for (const [kind, answer] of Object.entries(answers)) {
  test(`of an answer of 51 kB only the last part is read and rendered again: ${kind}`, async ({ page }, info) => {
    expect(answer.length).toBeGreaterThan(51_000);
    await openModules(page);
    const { read, most, added, first, longest } = await page.evaluate(async (answer) => {
      const place = document.body.appendChild(document.createElement("div"));
      const stream = new streamed.MarkdownStream(place);
      let added = 0;
      const watcher = new MutationObserver((records) => {
        for (const { addedNodes } of records) for (const node of addedNodes) added += node.textContent?.length ?? 0;
      });
      watcher.observe(place, { childList: true, subtree: true });
      let [most, first, longest] = [0, 0, 0];
      for (let end = 400; end < answer.length + 400; end += 400) {
        const [before, began] = [stream.read, performance.now()];
        stream.update(answer.slice(0, end));
        place.getBoundingClientRect();
        const took = performance.now() - began;
        // The first update starts the libraries.
        if (end === 400) first = took;
        else longest = Math.max(longest, took);
        most = Math.max(most, stream.read - before);
        await new Promise((next) => setTimeout(next));
      }
      return { read: stream.read, most, added, first, longest };
    }, answer);
    const [start, later] = [first, longest].map((took) => `${took.toFixed(1)} ms`);
    const figures = `updates with their layout: the first ${start}, the longest of the others ${later}`;
    info.annotations.push({ type: "figure", description: figures });
    if (kind === "paragraphs") {
      expect(most).toBeLessThan(1_000);
      expect(read).toBeLessThan(answer.length * 2);
    }
    // An item, a row or a line is put on the page while it is written, and never again.
    expect(added).toBeLessThan(answer.length * 2);
  });
}
