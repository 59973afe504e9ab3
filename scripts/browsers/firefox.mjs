// Firefox, by WebDriver BiDi.

import puppeteer from "puppeteer-core";
import { prepareFirefox } from "./installed.mjs";

/** Longest that a function of a test may run in a page. */
const PATIENCE_MS = 600_000;

/** Starts Firefox with a fresh profile. See `webkit.mjs`: both have the same methods. */
export async function openFirefox() {
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath: await prepareFirefox(),
    headless: true,
    protocolTimeout: PATIENCE_MS,
  });
  const page = await browser.newPage();
  return {
    name: (await browser.version()).replace("/", " "),
    artifact: "threads",
    open: (url) => page.goto(url, { timeout: 60_000 }),
    run: (work, argument) => page.evaluate(work, argument),
    screenshot: (path) => page.screenshot({ path }),
    close: () => browser.close(),
  };
}
