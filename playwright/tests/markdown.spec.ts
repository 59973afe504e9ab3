/**
 * What a model writes cannot run, fetch or lead anywhere unexpected, and everything that Markdown can express is shown:
 * the demo's own modules on texts made for this.
 */

import { expect, type Page, test } from "@playwright/test";
import { addDemoModule } from "../support/module.ts";

declare global {
  var markdown: typeof import("../../examples/chat/src/markdown.ts");
}

const hostile = [
  "<script>globalThis.ran = true</script>",
  "<img src=x onerror='globalThis.ran = true'>",
  "<svg onload='globalThis.ran = true'></svg>",
  "<iframe src='https://example.com'></iframe><style>body { display: none }</style>",
  "![pixel](https://example.com/pixel.png) ![x](data:image/svg+xml,<svg/onload=1>)",
  "[a](javascript:globalThis.ran=true) [b](data:text/html,x) [c](vbscript:x) [d](  JaVaScRiPt:x)",
  "[e](file:///etc/passwd) [f](blob:x) [g](//example.com)",
  "<a href='javascript:globalThis.ran=true' onclick='globalThis.ran=true'>h</a>",
  "[kept](https://example.com) [kept too](mailto:a@example.com)",
];

test("markdown of a model has no raw HTML, no pictures and only harmless links", async ({ page }) => {
  const requests: string[] = [];
  await page.goto("/pages/sdk.html");
  page.on("request", (request) => requests.push(request.url()));
  await addDemoModule(page, "markdown.ts", "markdown");
  const seen = await page.evaluate((texts) => {
    const { renderMarkdown } = globalThis.markdown;
    const place = document.body.appendChild(document.createElement("div"));
    for (const text of texts) place.append(renderMarkdown(text));
    return {
      tags: [...new Set([...place.querySelectorAll("*")].map((node) => node.localName))],
      links: [...place.querySelectorAll("a")].map((link) => ({ href: link.getAttribute("href"), rel: link.rel })),
      handlers: [...place.querySelectorAll("*")].some((node) =>
        [...node.attributes].some(({ name }) => name.startsWith("on")),
      ),
      text: place.textContent,
    };
  }, hostile);
  await page.waitForTimeout(300);

  expect(seen.tags.sort()).toEqual(["a", "p"]);
  expect(seen.handlers).toBe(false);
  const reachable = seen.links.filter(({ href }) => href !== null);
  expect(reachable.map(({ href }) => href)).toEqual(["https://example.com", "mailto:a@example.com"]);
  for (const { rel } of reachable) expect(rel).toContain("noopener");
  expect(seen.text).toContain("<script>globalThis.ran = true</script>");
  expect(await page.evaluate(() => (globalThis as { ran?: boolean }).ran)).toBeUndefined();
  expect(requests).toEqual([]);
});

/** Everything of GitHub's Markdown, as models write it. */
const gfm = `# One
## Two
###### Six

Setext
===

A paragraph with **bold**, *emphasis*, ***both***, ~~struck~~, \`code\`, a
break, https://example.com/a_b?c=d&e=f, www.example.com, me@example.com,
[a link](https://example.com "its title"), <https://example.com/auto>, [a reference][ref], \\*stars\\* &amp; &copy;.

1. first

\`\`\`js
const answer = 42;
\`\`\`

2. second
3. third
   1. inner
      - deeper
   2. inner

7) seven
8) eight

- [x] done
- [ ] to do
  - [X] nested
- plain

* loose

* items

> a quote
> - with a list
>
> > and a quote

| left | centre | right | none |
| :--- | :----: | ----: | ---- |
| 1 | 2 | 3 | 4 |
| **b** | \`c\` | [d](https://example.com) | e |

---

    indented code

~~~c++
fenced <code> & more
~~~

[ref]: https://example.com/ref 'A title'
`;

async function openMarkdown(page: Page): Promise<void> {
  await page.goto("/pages/sdk.html");
  await addDemoModule(page, "markdown.ts", "markdown");
}

test("whatever Markdown makes of an answer is on the page: numbers, alignment, boxes, titles, languages", async ({
  page,
}) => {
  await openMarkdown(page);
  const seen = await page.evaluate((text) => {
    const { renderMarkdown } = globalThis.markdown;
    const place = document.body.appendChild(document.createElement("div"));
    place.append(renderMarkdown(text));
    const all = (selector: string) => [...place.querySelectorAll<HTMLElement>(selector)];
    return {
      starts: all("ol").map((list) => (list as HTMLOListElement).start),
      align: all("table tr").map((row) => [...row.children].map((cell) => cell.getAttribute("align"))),
      boxes: all("input").map((box) => {
        const { type, checked, disabled } = box as HTMLInputElement;
        return { type, checked, disabled, label: box.getAttribute("aria-label") };
      }),
      languages: all("pre > code").map((code) => code.className),
      titles: all("a[title]").map((link) => link.title),
      directions: [...place.children].map((block) => (block as HTMLElement).dir),
    };
  }, gfm);
  expect(seen.starts).toEqual([1, 2, 1, 7]);
  const row = ["left", "center", "right", null];
  expect(seen.align).toEqual([row, row, row]);
  const box = (checked: boolean) => ({ type: "checkbox", checked, disabled: true, label: checked ? "Done" : "To do" });
  expect(seen.boxes).toEqual([box(true), box(false), box(true)]);
  expect(seen.languages).toEqual(["language-js", "", "language-c++"]);
  expect(seen.titles).toEqual(["its title", "A title"]);
  expect(new Set(seen.directions)).toEqual(new Set(["auto", "ltr"]));
});

test("the sanitizer removes from Markdown only what is not allowed", async ({ page }) => {
  await openMarkdown(page);
  const { raw, shown } = await page.evaluate((text) => {
    const { renderMarkdown, toHtml } = globalThis.markdown;
    const place = document.createElement("div");
    place.append(renderMarkdown(text));
    // Attributes that the page adds.
    for (const node of place.querySelectorAll("*"))
      for (const name of ["dir", "target", "rel", "aria-label"]) node.removeAttribute(name);
    const parsed = new DOMParser().parseFromString(toHtml(text), "text/html").body;
    const list = (root: Element) =>
      [...root.querySelectorAll("*")].map((node) => {
        const attributes = [...node.attributes].map(({ name, value }) => `${name}=${value}`).sort();
        return `${node.localName} ${attributes.join(" ")} ${node.childElementCount ? "" : node.textContent}`;
      });
    return { raw: list(parsed), shown: list(place) };
  }, gfm);
  expect(raw.length).toBeGreaterThan(70);
  expect(shown).toEqual(raw);
});

const formulas = [
  String.raw`The sum \(a^2 + b^2\) is \(c^2\), and \(x_1 * x_2 * x_3\) too.`,
  String.raw`Before \[ \sum_{i=1}^n i = \frac{n(n+1)}{2} \] behind.`,
  "The lines:\n\\[\na_1 &= b_1 \\\\\n- c_2 &= d_2\n\\]\nand on.",
  String.raw`- in a list \(f(x) = \{ x \mid x > 0 \}\)`,
  String.raw`**bold \(a*b\) and \(c*d\)**, *then \(e_f\)*`,
  "$$\n\\begin{aligned}\n# &= 1 \\\\\n+ b &= 2\n\\end{aligned}\n$$",
  String.raw`In dollars $x_1^2 * y_1^2$ and $\alpha$.`,
  String.raw`Not finished \(a^2 + (b`,
  "\\[\na_1 = \\frac{1}{2}\n+ b",
];

test("formulas are shown as they were written", async ({ page }) => {
  await openMarkdown(page);
  const shown = await page.evaluate(
    (texts) =>
      texts.map((text) => {
        const place = document.createElement("div");
        place.append(globalThis.markdown.renderMarkdown(text));
        return {
          text: place.textContent,
          bold: place.querySelectorAll("strong").length,
          ems: place.querySelectorAll("em").length,
        };
      }),
    formulas,
  );
  const plain = (text: string) => text.replace(/^- /, "").replace(/\s+/g, " ").trim();
  const marked = 4;
  for (const [index, text] of formulas.entries()) {
    if (index !== marked) expect(plain(shown[index]!.text)).toBe(plain(text));
    expect([shown[index]!.bold, shown[index]!.ems]).toEqual(index === marked ? [1, 1] : [0, 0]);
  }
  expect(plain(shown[marked]!.text)).toBe(String.raw`bold \(a*b\) and \(c*d\), then \(e_f\)`);
});

test("what only looks like a formula is Markdown as ever", async ({ page }) => {
  await openMarkdown(page);
  const shown = await page.evaluate(
    (texts) =>
      texts.map((text) => {
        const place = document.createElement("div");
        place.append(globalThis.markdown.renderMarkdown(text));
        return place.innerHTML.replace(/ (dir|target|rel)="[^"]*"/g, "").trim();
      }),
    [
      String.raw`\[not a link](/x) and \(an aside), \* \_ \\`,
      "It costs $5 to *go* and $10 to stay.",
      "`\\(a\\)` and `$x_1$`",
      "```\n\\[ x \\]\n```",
    ],
  );
  expect(shown).toEqual([
    "<p>[not a link](/x) and (an aside), * _ \\</p>",
    "<p>It costs $5 to <em>go</em> and $10 to stay.</p>",
    "<p><code>\\(a\\)</code> and <code>$x_1$</code></p>",
    "<pre><code>\\[ x \\]\n</code></pre>",
  ]);
});
