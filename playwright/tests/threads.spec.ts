/** The CPU's threads: where a page has them, that they change only the speed, and that they end. */

import { expect, type Page, test } from "@playwright/test";
import { bytesSent, openSdk, workerWith } from "../support/page.ts";

const model = "/models/SmolLM2-135M-Instruct.Q4_1.gguf";
const tiny = "/golden/tiny/llama.Q4_0.gguf";

/** What SmolLM2 answers with `threads` threads, and what it ran on. */
function answer(page: Page, threads: number) {
  return page.evaluate(
    async ({ model, threads }) => {
      const chord = await sdk.Chord.load(model, { backend: "cpu", store: "memory", contextLength: 256, threads });
      const messages = [{ role: "user" as const, content: "Name three colours." }];
      const { choices } = await chord.chat.completions.create({ messages, temperature: 0, max_tokens: 24 });
      const { why, artifact, threads: used } = await chord.info();
      await chord.unload();
      return { text: choices[0]!.message.content, why, artifact, used };
    },
    { model, threads },
  );
}

test("an isolated page computes on threads, with the same text as on one thread", async ({ page, request }) => {
  const artifactBytes = () =>
    Promise.all(["chord.wasm", "chord-threads.wasm"].map((name) => bytesSent(request, `/package/${name}`)));
  await openSdk(page);
  const before = await artifactBytes();
  const two = await answer(page, 2);
  const after = await artifactBytes();
  expect(two).toMatchObject({ artifact: "threads", used: 2, why: expect.stringContaining("on 2 threads") });
  expect(after[0], "no byte of the baseline").toBe(before[0]);
  expect(after[1], "the one with threads").toBeGreaterThan(before[1]!);

  const one = await answer(page, 1);
  expect(one).toMatchObject({ used: 1, why: expect.stringContaining("one thread") });
  expect(two.text).toBe(one.text);
  expect(one.text.length).toBeGreaterThan(10);
});

test("a page that is not isolated computes on one thread, and says why", async ({ page }) => {
  await openSdk(page, "/plain-pages/sdk.html");
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(false);
  const plain = await answer(page, 4);
  expect(plain).toMatchObject({
    artifact: "threads",
    used: 1,
    why: expect.stringContaining("not cross-origin isolated"),
  });
  await openSdk(page);
  expect(plain.text).toBe((await answer(page, 2)).text);
});

test("one address of WebAssembly is the baseline's", async ({ page }) => {
  await openSdk(page);
  const info = await page.evaluate(async (tiny) => {
    const chord = await sdk.Chord.load(tiny, { backend: "cpu", store: "none", wasmUrl: "/package/chord.wasm" });
    const info = await chord.info();
    await chord.completions.create({ prompt: [1, 2, 3], max_tokens: 2 });
    await chord.unload();
    return info;
  }, tiny);
  expect(info).toMatchObject({ artifact: "baseline", threads: 1 });
});

test("workers that cannot start cost the threads and not the load", async ({ page }) => {
  await openSdk(page);
  // Only the pool's workers have this name.
  const refusing = `if (self.name.startsWith("chord-cpu")) throw new Error("no more workers");`;
  const workerUrl = await workerWith(page, refusing);
  const info = await page.evaluate(
    async ({ tiny, workerUrl }) => {
      const chord = await sdk.Chord.load(tiny, { backend: "cpu", store: "none", threads: 3, workerUrl });
      const info = await chord.info();
      await chord.completions.create({ prompt: [1, 2, 3], max_tokens: 2 });
      await chord.unload();
      return info;
    },
    { tiny, workerUrl },
  );
  expect(info).toMatchObject({ threads: 1, why: expect.stringContaining("no more workers") });
});

test("a browser whose ports take no shared memory has threads too", async ({ page }) => {
  await openSdk(page);
  const refusing = `{
    const { postMessage } = MessagePort.prototype;
    MessagePort.prototype.postMessage = function (message, transfer) {
      if (message?.memory) throw new DOMException("The object can not be cloned.", "DataCloneError");
      return postMessage.call(this, message, transfer);
    };
  }`;
  const workerUrl = await workerWith(page, refusing);
  const info = await page.evaluate(
    async ({ tiny, workerUrl }) => {
      const chord = await sdk.Chord.load(tiny, { backend: "cpu", store: "none", threads: 3, workerUrl });
      const info = await chord.info();
      await chord.completions.create({ prompt: [1, 2, 3], max_tokens: 2 });
      await chord.unload();
      return info;
    },
    { tiny, workerUrl },
  );
  expect(info).toMatchObject({ threads: 3, why: expect.stringContaining("on 3 threads") });
});

test("a browser that grants no shared memory costs the threads and not the load", async ({ page }) => {
  await openSdk(page);
  // The check of the browser's features requests one page.
  const refusing = `{
    const { Memory } = WebAssembly;
    WebAssembly.Memory = function (pages) {
      if (pages.shared && pages.maximum > 1) throw new RangeError("no addresses to spare");
      return new Memory(pages);
    };
  }`;
  const workerUrl = await workerWith(page, refusing);
  const info = await page.evaluate(
    async ({ tiny, workerUrl }) => {
      const chord = await sdk.Chord.load(tiny, { backend: "cpu", store: "none", threads: 2, workerUrl });
      const info = await chord.info();
      await chord.completions.create({ prompt: [1, 2, 3], max_tokens: 2 });
      await chord.unload();
      return info;
    },
    { tiny, workerUrl },
  );
  expect(info).toMatchObject({ artifact: "baseline", threads: 1, why: expect.stringContaining("no shared memory") });
});

test("a stop takes effect in the middle of a prompt", async ({ page }) => {
  await openSdk(page);
  const stopped = await page.evaluate(async (model) => {
    const chord = await sdk.Chord.load(model, { backend: "cpu", store: "memory", contextLength: 4096, threads: 2 });
    const prompt = Array.from({ length: 4000 }, (_, i) => 1000 + ((i * 7) % 2000));
    const timed = async (tokens: number[]) => {
      const from = performance.now();
      await chord.completions.create({ prompt: tokens, temperature: 0, max_tokens: 1 });
      return performance.now() - from;
    };
    const eighthMs = await timed(prompt.slice(-500));
    const abort = new AbortController();
    const long = chord.completions.create({ prompt, temperature: 0, max_tokens: 1 }, { signal: abort.signal });
    const settled = long.then(
      () => "answered",
      (error: Error) => error.name,
    );
    await new Promise((resolve) => setTimeout(resolve, 400));
    abort.abort();
    const name = await settled;
    // The engine is free again when it answers the next call.
    const afterMs = await timed(prompt.slice(0, 4));
    await chord.unload();
    return { name, afterMs, eighthMs };
  }, model);
  expect(stopped.name).toBe("AbortError");
  // A chunk of the prompt may be running; the whole prompt takes more than eight times as long.
  expect(stopped.afterMs).toBeLessThan(3 * stopped.eighthMs);
});

test("no worker is left after unloading, whatever they did", async ({ page }) => {
  await openSdk(page);
  for (const busy of [false, true]) {
    await page.evaluate(
      async ({ tiny, busy }) => {
        const chord = await sdk.Chord.load(tiny, { backend: "cpu", store: "none", threads: 3 });
        if (busy) void chord.completions.create({ prompt: [1, 2], max_tokens: 400 }).catch(() => undefined);
        Object.assign(globalThis, { chord });
      },
      { tiny, busy },
    );
    // The engine worker, the I/O worker, and two of the pool.
    await expect.poll(() => page.workers().length).toBe(4);
    await page.evaluate(() =>
      (globalThis as unknown as { chord: Awaited<ReturnType<typeof sdk.Chord.load>> }).chord.unload(),
    );
    await expect.poll(() => page.workers().length).toBe(0);
  }
});
