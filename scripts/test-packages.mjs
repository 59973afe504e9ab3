// npm run test:packages [-- PATTERN]: the packed package in each bundler, framework and page that people use, and its
// types under several versions of TypeScript. PATTERN is a part of the rows' names, as a regular expression.

import { line, main } from "./steps/console.mjs";
import { installNodeModules } from "./steps/node-modules.mjs";
import { buildWasm } from "./steps/wasm.mjs";
import { buildPackage } from "./steps/web.mjs";
import { prepareAdapters } from "./tests/adapters.mjs";
import { playwright } from "./tests/browser.mjs";
import { Tally } from "./tests/tally.mjs";

await main(async () => {
  const pattern = process.argv[2];
  const tally = new Tally();
  let adapters;
  const ready =
    (await tally.check("npm packages", installNodeModules)) &&
    (await tally.check("browser", async () => {
      adapters = await prepareAdapters();
      return adapters.chromium;
    })) &&
    (await tally.check("engine", buildWasm)) &&
    (await tally.check("package", buildPackage));
  if (ready) {
    const args = ["--config", "packages/playwright.config.ts", ...(pattern ? ["--grep", pattern] : [])];
    await tally.check("Playwright, packages", () => playwright(adapters.chromium, args, tell));
  }
  tally.summary();
  if (tally.failed > 0) process.exitCode = 1;
});

/** A row of the table. */
function tell({ title, ok, milliseconds }) {
  const seconds = `${(milliseconds / 1000).toFixed(1)} s`.padStart(8);
  line(`${ok ? "ok  " : "FAIL"} ${seconds}    ${title}`);
}
