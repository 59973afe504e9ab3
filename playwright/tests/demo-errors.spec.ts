/** What a visitor reads when something goes wrong: what happened, and a next step that the page offers. */

import { readFileSync } from "node:fs";
import { expect, type Page, test } from "@playwright/test";
import { explain, isKnown } from "../../examples/chat/src/problem-texts.ts";
import { fromRoot } from "../../scripts/steps/paths.mjs";
import { tinyModel } from "../support/places.mjs";

const problem = (page: Page) => page.locator("#picker-problem");

async function enterAddress(page: Page, text: string): Promise<void> {
  await page.getByRole("radio", { name: "Address" }).check();
  await page.locator("#url").fill(text);
  await page.getByRole("button", { name: "Load model" }).click();
}

async function enterRepository(page: Page, repo: string, file: string): Promise<void> {
  await page.getByRole("radio", { name: "Hugging Face" }).check();
  await page.locator("#repo").fill(repo);
  await page.locator("#repo-file").fill(file);
  await page.getByRole("button", { name: "Load model" }).click();
}

async function chooseFile(page: Page, name: string, buffer: Buffer): Promise<void> {
  await page.getByRole("radio", { name: "File" }).check();
  await page.locator("#file").setInputFiles({ name, mimeType: "application/octet-stream", buffer });
  await page.getByRole("button", { name: "Load model" }).click();
}

/** Answers all of the page's requests to Hugging Face with 404; returns the list of requested paths. */
async function hub(page: Page): Promise<string[]> {
  const asked: string[] = [];
  const headers = { "access-control-allow-origin": "*", "access-control-allow-headers": "*" };
  await page.context().route("https://huggingface.co/**", (route) => {
    asked.push(decodeURIComponent(new URL(route.request().url()).pathname));
    return route.fulfill({ status: 404, headers, body: "no" });
  });
  return asked;
}

test("every code has a sentence of what happened and a step that this page offers", () => {
  const rows = readFileSync(fromRoot("docs", "errors.md"), "utf8")
    .split("\n## ")
    .filter((part) => !part.startsWith("The command"));
  const codes = rows.flatMap((part) => part.split("\n").filter((line) => line.startsWith("| `")));
  const all = codes.flatMap((line) => [...line.split("|")[1]!.matchAll(/`([a-z0-9-]+)`/g)].map(([, code]) => code!));
  expect(all.length).toBeGreaterThan(80);
  for (const code of all) {
    expect(isKnown(code), code).toBe(true);
    const { what, next } = explain({ code, message: "a message of the engine", details: {} });
    expect(what, code).toMatch(/^[A-Z].*[.!?]$/);
    expect(next, code).toMatch(/^[A-Z].*\.$/);
    expect(`${what} ${next}`, code).not.toMatch(/unload|undefined|NaN|maxGpuBytes|\bCSP\b/i);
  }
});

test("addresses are shown as they were written", async ({ page }) => {
  await page.goto("/");
  const origin = new URL(page.url()).origin;
  for (const path of ["models/größtes Modell.gguf", "models/a%20b.gguf", "模型/x.gguf?part=1"]) {
    await enterAddress(page, `${origin}/${path}`);
    // To the letter, its first one included.
    await expect.poll(() => problem(page).textContent()).toMatch(/404/);
    expect((await problem(page).textContent())?.startsWith(`${origin}/${path} answered 404`)).toBe(true);
    await expect(problem(page)).toContainText("Check the address");
    await expect(problem(page).locator("code")).toHaveText("http-status");
  }
});

test("a web page, another kind of file and a file that is not whole are told apart", async ({ page }) => {
  await page.goto("/");
  const origin = new URL(page.url()).origin;
  await enterAddress(page, `${origin}/pages/sdk.html`);
  await expect(problem(page)).toContainText("it is a web page");
  await expect(problem(page).locator("code")).toHaveText("bad-magic");
  // It is not kept, and not offered as a model.
  await enterAddress(page, `${origin}/pages/sdk.html`);
  await expect(problem(page)).toContainText("it is a web page");
  await page.reload();
  await expect(page.locator("#listed label")).toHaveCount(2);
  expect(await page.evaluate(() => document.querySelector("#listed")?.textContent)).not.toContain("sdk");

  await chooseFile(page, "login.gguf", Buffer.from("\n\n<!doctype html><title>Log in</title>"));
  await expect(problem(page)).toContainText("it is a web page");
  await chooseFile(page, "pointer.gguf", Buffer.from("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"));
  await expect(problem(page)).toContainText("Git LFS");
  await chooseFile(page, "picture.gguf", Buffer.from("\x89PNG\r\n\x1a\n and more", "latin1"));
  await expect(problem(page)).toContainText("it begins with `.PNG`");
  await expect(problem(page)).not.toContainText(/\[|0x|, 4e|89, /);

  const whole = readFileSync(tinyModel);
  for (const length of [3, 100, whole.length - 1000]) {
    await chooseFile(page, `cut-${length}.gguf`, whole.subarray(0, length));
    await expect(problem(page)).toContainText("The file is incomplete: it ends at", { timeout: 60_000 });
    await expect(problem(page)).toContainText("Download the file again");
  }
  await expect(page.getByRole("button", { name: "Load model" })).toBeEnabled();
});

test("a page about a file is read as the file, in either field", async ({ page }) => {
  const asked = await hub(page);
  await page.goto("/");
  const blob = "https://huggingface.co/owner/name/blob/main/sub/a%20b.gguf";
  await enterAddress(page, blob);
  await expect(problem(page)).toContainText(`${blob} answered 404`);
  expect(asked).toContain("/owner/name/resolve/main/sub/a b.gguf");
  expect(asked.filter((path) => path.includes("/blob/"))).toEqual([]);
  await page.reload();
  await enterRepository(page, blob, "");
  await expect(problem(page)).toContainText(`${blob} answered 404`);
  await enterRepository(page, "https://huggingface.co/owner/name/tree/main", "c.gguf");
  await expect(problem(page)).toContainText("answered 404");
  await expect(problem(page)).toContainText("owner/name");
  await expect(problem(page)).not.toContainText(/api\/models|resolve/);
});

test("a repository in the field for addresses moves to the field that asks for its file", async ({ page }) => {
  for (const text of [
    "owner/name",
    "https://huggingface.co/owner/name",
    "huggingface.co/owner/name/tree/main",
    "https://huggingface.co/owner/name/",
  ]) {
    await page.goto("/");
    await enterAddress(page, text);
    await expect(problem(page)).toContainText("Which file of owner/name?");
    await expect(page.getByRole("radio", { name: "Hugging Face" })).toBeChecked();
    await expect(page.locator("#repo")).toHaveValue(/owner\/name/);
    await expect(page.locator("#repo-file")).toBeFocused();
  }
});

test("a model that is in use is not removed, and the error names no button that the page lacks", async ({
  page,
  context,
}) => {
  await page.goto("/");
  await enterAddress(page, new URL("/golden/tiny/llama.Q4_0.gguf", page.url()).href);
  await expect(page.locator("#chat")).toBeVisible({ timeout: 120_000 });
  const other = await context.newPage();
  await other.goto("/");
  await other.getByRole("button", { name: /^Remove/ }).click();
  await other
    .getByRole("dialog", { name: /^Remove/ })
    .getByRole("button", { name: "Remove" })
    .click();
  await expect(problem(other)).toContainText("in another tab");
  await expect(problem(other)).toContainText("Choose another model there or close that tab");
  await expect(problem(other)).not.toContainText(/unload/i);
});
