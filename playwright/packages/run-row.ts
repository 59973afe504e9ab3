/** Tries the package in one project: makes it, builds it, serves it, opens its page and waits for the tokens. */

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, type Page } from "@playwright/test";
import { run } from "../../scripts/steps/shell.mjs";
import { makeProject } from "./projects.ts";
import type { Row } from "./rows.ts";
import { serveFolder, startServer } from "./servers.ts";

const MADE = /^made 4 of 512$/;
/** Compiling on two cores, while a browser waits. */
const WAIT_MS = 180_000;
/** A development server may still reload a page that has thrown. */
const AFTER_ERROR_MS = 20_000;

export async function runRow(row: Row, page: Page): Promise<void> {
  const root = await makeProject(row.project);
  // Each row begins as a fresh clone does: what a development server keeps is part of what is tried.
  for (const kept of ["node_modules/.vite", ".cache", ".next"])
    rmSync(join(root, kept), { recursive: true, force: true });
  const env = { NODE_ENV: undefined, NEXT_TELEMETRY_DISABLED: "1", ...row.env };
  if (row.build) await run(process.execPath, row.build, { cwd: root, env, log: `build-${row.project.name}` });

  const cdn = row.cdn ? await serveFolder(root, { "Access-Control-Allow-Origin": "*" }) : undefined;
  if (cdn) {
    const file = join(root, row.page ?? "index.html");
    writeFileSync(file, readFileSync(file, "utf8").replace("CDN/", cdn.url.replace("localhost", "127.0.0.1")));
  }
  const served = row.server
    ? await startServer(root, row.server, row.env)
    : await serveFolder(join(root, row.folder ?? ""), row.headers);
  const problems: string[] = [];
  let failedAt = Infinity;
  const note = (problem: string) => {
    problems.push(problem);
    failedAt = Math.min(failedAt, Date.now());
  };
  const outcome = async () => {
    // A page that is being reloaded has none.
    const title = await page.title().catch(() => "waiting");
    const isOver = /^(made|failed)/.test(title) || Date.now() - failedAt > AFTER_ERROR_MS;
    return isOver ? `over: ${title}` : "waiting";
  };
  page.on("pageerror", (error) => note(error.message));
  page.on("console", (message) => {
    const isIcon = message.location().url.endsWith("/favicon.ico");
    if (message.type() === "error" && !isIcon) note(`${message.text()} ${message.location().url}`);
  });
  try {
    await page.goto(served.url + (row.page ?? ""));
    await expect.poll(outcome, { timeout: WAIT_MS }).not.toBe("waiting");
    expect(await page.title()).toMatch(row.title ?? MADE);
  } catch (error) {
    throw new Error(`${String(error)}\nthe page's title: ${await page.title()}\n${problems.join("\n")}`, {
      cause: error,
    });
  } finally {
    // A page that is still open would hold a server's connections.
    await page.goto("about:blank");
    await served.stop();
    await cdn?.stop();
  }
}
