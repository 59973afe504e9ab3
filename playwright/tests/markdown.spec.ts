/** What a model writes cannot run, fetch or lead anywhere unexpected: the demo's own module on text made to try. */

import { expect, test } from "@playwright/test";
import { build } from "vite";
import { fromRoot } from "../../scripts/steps/paths.mjs";

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
  const entry = fromRoot("examples", "chat", "src", "markdown.ts");
  const built = await build({
    configFile: false,
    logLevel: "error",
    root: fromRoot("examples", "chat"),
    build: { write: false, lib: { entry, formats: ["iife"], name: "markdown" } },
  });
  const [result] = Array.isArray(built) ? built : [built];
  const code = result && "output" in result ? result.output[0].code : "";

  const requests: string[] = [];
  await page.goto("/pages/sdk.html");
  page.on("request", (request) => requests.push(request.url()));
  await page.addScriptTag({ content: `${code}; globalThis.markdown = markdown` });
  const seen = await page.evaluate((texts) => {
    const { renderMarkdown } = (
      globalThis as unknown as { markdown: typeof import("../../examples/chat/src/markdown.ts") }
    ).markdown;
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
