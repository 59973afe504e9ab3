// npm run test:browsers [-- firefox|webkit …]: the package and the demo in browsers other than Chromium, on pages that
// are cross-origin isolated and on pages that are not. Installs these browsers if this is Debian.

import { join } from "node:path";
import { checks } from "./browsers/checks.mjs";
import { startHosts } from "./browsers/hosts.mjs";
import { main, StepError } from "./steps/console.mjs";
import { fetchModel } from "./steps/model.mjs";
import { smollm2 } from "./steps/models.mjs";
import { installNodeModules } from "./steps/node-modules.mjs";
import { scratch } from "./steps/paths.mjs";
import { buildWasm } from "./steps/wasm.mjs";
import { buildDemo, buildPackage } from "./steps/web.mjs";
import { Tally } from "./tests/tally.mjs";

// Loaded when the npm packages are there.
const browsers = {
  firefox: async () => (await import("./browsers/firefox.mjs")).openFirefox(),
  webkit: async (isolated) => (await import("./browsers/webkit.mjs")).openWebKit(isolated),
};

await main(async () => {
  const asked = process.argv.slice(2);
  const unknown = asked.find((name) => !(name in browsers));
  if (unknown) throw new StepError(`"${unknown}" is no browser`, `choose from: ${Object.keys(browsers).join(", ")}`);
  const tally = new Tally();
  const ready =
    (await tally.check("npm packages", installNodeModules)) &&
    (await tally.check("model SmolLM2", () => fetchModel(smollm2))) &&
    (await tally.check("engine", buildWasm)) &&
    (await tally.check("package", buildPackage)) &&
    (await tally.check("demo page", buildDemo));
  if (ready) {
    for (const name of asked.length ? asked : Object.keys(browsers)) {
      for (const isolated of [true, false]) await tryBrowser(tally, name, isolated);
    }
  }
  tally.summary();
  if (tally.failed > 0) process.exitCode = 1;
});

/** All checks in one browser, which keeps what it stored from one to the next. */
async function tryBrowser(tally, name, isolated) {
  const how = `${name}, ${isolated ? "isolated" : "not isolated"}`;
  let browser;
  const opened = await tally.check(`${how}: start`, async () => {
    browser = await browsers[name](isolated);
    return browser.name;
  });
  if (!opened) return checks.forEach(([what]) => tally.blocked(`${how}: ${what}`, `${how}: start`));
  const hosts = await startHosts();
  try {
    for (const [what, check] of checks) {
      await tally.check(`${how}: ${what}`, async () => {
        try {
          return await check({ browser, hosts, isolated });
        } catch (error) {
          const picture = join(scratch, `${name}-${isolated ? "isolated" : "plain"}.png`);
          const isShown = await browser.screenshot(picture).then(
            () => true,
            () => false,
          );
          const next = isShown ? `look at the page in ${picture}` : "run this again: the page could not be looked at";
          throw new StepError(error.message, next, { cause: error });
        }
      });
    }
  } finally {
    await browser.close();
    await hosts.models.leave();
    await hosts.close();
  }
}
