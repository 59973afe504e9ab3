/** What can break under a loaded model, and what the page gets: one typed error, within two seconds. */

import { readFileSync } from "node:fs";
import { expect, test } from "@playwright/test";
import { fromRoot } from "../../scripts/steps/paths.mjs";
import { type TinyGolden, readGolden } from "../support/goldens.ts";
import { openSdk } from "../support/page.ts";

const path = "/golden/tiny/llama.Q4_0.gguf";

test("a device lost while decoding rejects with device-lost, and a new load gives the same tokens", async ({
  page,
}) => {
  const prompt = readGolden<TinyGolden>("tiny/llama.Q4_0.json").tokens.slice(0, 8);
  await openSdk(page);
  const result = await page.evaluate(
    async ({ path, prompt }) => {
      const load = () => sdk.Chord.load(path, { backend: "webgpu", store: "none", selfTest: false });
      const request = { prompt, temperature: 0, max_tokens: 12 };
      const chord = await load();
      const before = (await chord.completions.create(request)).choices[0]!.text;
      const codeOf = (error: unknown) => (error as InstanceType<typeof sdk.ChordError>).code;
      let lostAt = 0;
      let decoding = "finished";
      try {
        let chunks = 0;
        for await (const _ of await chord.completions.create({ ...request, max_tokens: 200, stream: true })) {
          if (++chunks !== 3) continue;
          lostAt = performance.now();
          chord.debug.loseDevice();
        }
      } catch (error) {
        decoding = codeOf(error);
      }
      const afterMs = performance.now() - lostAt;
      const later = await chord.tokenize("x").then(() => "answered", codeOf);
      const again = await load();
      const after = (await again.completions.create(request)).choices[0]!.text;
      await again.unload();
      return { decoding, afterMs, later, before, after };
    },
    { path, prompt },
  );
  expect(result.decoding).toBe("device-lost");
  expect(result.afterMs).toBeLessThan(2000);
  expect(result.later).toBe("device-lost");
  expect(result.after).toBe(result.before);
});

test("an engine that traps rejects with internal, and so does everything after it", async ({ page }) => {
  // The engine reads the clock: a clock that throws ends the WebAssembly module as a trap would.
  const worker = readFileSync(fromRoot("web", "dist", "chord-worker.js"), "utf8");
  const breakable = `{
    const now = performance.now.bind(performance);
    let broken = false;
    new BroadcastChannel("clock").onmessage = () => { broken = true; };
    performance.now = () => { if (broken) throw new Error("the clock is broken"); return now(); };
  }`;
  await page.route("**/package/chord-worker.js", (route) =>
    route.fulfill({
      body: breakable + worker,
      contentType: "text/javascript",
      headers: { "Cross-Origin-Embedder-Policy": "require-corp" },
    }),
  );
  await openSdk(page);
  const codes = await page.evaluate(async (path) => {
    const chord = await sdk.Chord.load(path, { backend: "cpu", store: "none" });
    new BroadcastChannel("clock").postMessage("break");
    const codeOf = (error: InstanceType<typeof sdk.ChordError>) => error.code;
    // Until the message has reached the worker.
    let first = "answered";
    while (first === "answered") {
      first = await chord.completions.create({ prompt: [1, 2], max_tokens: 1 }).then(() => "answered", codeOf);
    }
    const second = await chord.tokenize("x").then(() => "answered", codeOf);
    await chord.unload();
    return [first, second];
  }, path);
  expect(codes).toEqual(["internal", "internal"]);
});

test("workers and modules that are not there are errors with a code", async ({ page }) => {
  await openSdk(page);
  const codes = await page.evaluate(async (path) => {
    const codeOf = (options: object) =>
      sdk.Chord.load(path, { backend: "cpu", store: "none", ...options }).then(
        () => "loaded",
        (error: InstanceType<typeof sdk.ChordError>) => error.code,
      );
    return [await codeOf({ workerUrl: "/missing.js" }), await codeOf({ wasmUrl: "/missing.wasm" })];
  }, path);
  expect(codes).toEqual(["worker-failed", "wasm-failed"]);
});

test("after unload every call rejects, including those in progress", async ({ page }) => {
  await openSdk(page);
  const codes = await page.evaluate(async (path) => {
    const chord = await sdk.Chord.load(path, { backend: "cpu", store: "none" });
    const calls = [
      chord.completions.create({ prompt: [1, 2], temperature: 0, max_tokens: 400 }),
      chord.tokenize("waiting"),
    ].map((call) =>
      call.then(
        () => "answered",
        (error: InstanceType<typeof sdk.ChordError>) => error.code,
      ),
    );
    await chord.unload();
    calls.push(
      chord.tokenize("late").then(
        () => "answered",
        (error: InstanceType<typeof sdk.ChordError>) => error.code,
      ),
    );
    return Promise.all(calls);
  }, path);
  expect(codes).toEqual(["unloaded", "unloaded", "unloaded"]);
});

test("an aborted generation rejects with AbortError, and the next one is not disturbed", async ({ page }) => {
  await openSdk(page);
  // A model that would generate for half a minute.
  const result = await page.evaluate(async (path) => {
    const chord = await sdk.Chord.load(path, { backend: "cpu", store: "none" });
    const request = { prompt: [1, 2, 3], temperature: 0, max_tokens: 6 };
    const alone = (await chord.completions.create(request)).choices[0]!.text;
    const abort = new AbortController();
    const long = chord.completions.create({ ...request, max_tokens: 2000 }, { signal: abort.signal });
    const next = chord.completions.create(request);
    setTimeout(() => abort.abort(), 100);
    const name = await long.then(
      () => "answered",
      (error: Error) => error.name,
    );
    const after = (await next).choices[0]!.text;
    await chord.unload();
    return { name, alone, after };
  }, "/models/SmolLM2-135M-Instruct.Q4_1.gguf");
  expect(result.name).toBe("AbortError");
  expect(result.after).toBe(result.alone);
});
