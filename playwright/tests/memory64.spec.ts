/** The 64-bit engine on models that do not need it: its threads and vectors compute what the 32-bit ones do. */

import { expect, type Page, test } from "@playwright/test";
import { openSdk, workerWith } from "../support/page.ts";

const model = "/models/SmolLM2-135M-Instruct.Q4_1.gguf";
const tiny = "/golden/tiny/llama.Q4_0.gguf";

/** Logits of a tiny model, a greedy answer of SmolLM2, and what they ran on. */
function compute(page: Page, memory64: boolean, threads: number) {
  return page.evaluate(
    async ({ model, tiny, memory64, threads }) => {
      const options = { backend: "cpu", contextLength: 256, threads, debug: { memory64 } } as const;
      const small = await sdk.Chord.load(tiny, { ...options, store: "none" });
      const logits = Array.from(await small.debug.logits([1, 17, 300, 41, 5, 260, 99, 2]));
      await small.unload();
      const chord = await sdk.Chord.load(model, { ...options, store: "memory" });
      const messages = [{ role: "user" as const, content: "Name three colours." }];
      const { choices } = await chord.chat.completions.create({ messages, temperature: 0, max_tokens: 24 });
      const { artifact, threads: used, why } = await chord.info();
      await chord.unload();
      return { logits, text: choices[0]!.message.content, artifact, used, why };
    },
    { model, tiny, memory64, threads },
  );
}

test("it computes on threads, and gives the 32-bit engine's results", async ({ page }) => {
  await openSdk(page);
  const narrow = await compute(page, false, 2);
  const wide = await compute(page, true, 2);
  expect(narrow).toMatchObject({ artifact: "threads", used: 2 });
  expect(wide).toMatchObject({ artifact: "memory64", used: 2, why: expect.stringContaining("on 2 threads") });
  expect(wide.logits).toEqual(narrow.logits);
  expect(wide.text).toBe(narrow.text);
  expect(wide.text.length).toBeGreaterThan(10);
});

test("on a page that is not isolated it computes the same on one thread, and says why", async ({ page }) => {
  await openSdk(page, "/plain-pages/sdk.html");
  const plain = await compute(page, true, 4);
  expect(plain).toMatchObject({
    artifact: "memory64",
    used: 1,
    why: expect.stringContaining("not cross-origin isolated"),
  });
  await openSdk(page);
  const wide = await compute(page, true, 3);
  expect(wide).toMatchObject({ artifact: "memory64", used: 3 });
  expect(plain.logits).toEqual(wide.logits);
  expect(plain.text).toBe(wide.text);
});

/** Runs a few tokens of a tiny model in workers that begin with `prelude`. */
async function runWith(page: Page, prelude: string) {
  await openSdk(page);
  const found = { tiny, workerUrl: await workerWith(page, prelude) };
  return page.evaluate(async ({ tiny, workerUrl }) => {
    try {
      const options = { backend: "cpu", store: "none", threads: 2, workerUrl } as const;
      const chord = await sdk.Chord.load(tiny, { ...options, debug: { memory64: true } });
      await chord.completions.create({ prompt: [1, 2, 3], max_tokens: 4 });
      const { artifact, threads } = await chord.info();
      await chord.unload();
      return { artifact, threads };
    } catch (error) {
      const { code, message } = error as { code: string; message: string };
      return { code, message };
    }
  }, found);
}

test("a browser that lacks something gets an error that names it", async ({ page }) => {
  const found = await runWith(page, "delete Atomics.waitAsync;");
  expect(found).toEqual({
    code: "needs-memory64",
    message: expect.stringContaining("this browser has no Atomics.waitAsync"),
  });
});

/** A browser that grants shared memories with 64-bit addresses of at most `pages` pages. */
const granting = (pages: number) => `
  WebAssembly.Memory = class extends WebAssembly.Memory {
    constructor(pages) {
      if (pages.address === "i64" && pages.maximum > ${pages}n) throw new RangeError("too many addresses");
      super(pages);
    }
  };`;

test("a browser that grants fewer addresses is asked for fewer", async ({ page }) => {
  expect(await runWith(page, granting(98_304))).toEqual({ artifact: "memory64", threads: 2 });
});

test("a browser that grants none of 4 GiB is an error with the browser's reason", async ({ page }) => {
  const found = await runWith(page, granting(65_535));
  expect(found).toEqual({ code: "out-of-memory", message: expect.stringContaining("too many addresses") });
});
