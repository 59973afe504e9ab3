/** What stays in the browser, what comes over the network, and what a cancelled load leaves behind. */

import { readFileSync } from "node:fs";
import { expect, test } from "@playwright/test";
import { ModelServer } from "../../web/src/testing/model-server.ts";
import { splitGguf } from "../../web/src/testing/split-gguf.ts";
import { bytesSent, openSdk, settled } from "../support/page.ts";
import { tinyModel } from "../support/places.mjs";

const path = "/models/SmolLM2-135M-Instruct.Q4_1.gguf";
const slowPath = "/slow/SmolLM2-135M-Instruct.Q4_1.gguf";
const bytes = 98_362_432;

test("a second load takes no byte of the model from the network", async ({ page, request }) => {
  const load = () =>
    page.evaluate(async (path) => {
      const began = performance.now();
      const stages = new Set<string>();
      let last = -1;
      let backwards = false;
      const chord = await sdk.Chord.load(path, {
        backend: "cpu",
        onProgress(report) {
          stages.add(report.stage);
          backwards ||= report.progress < last;
          last = report.progress;
        },
      });
      const milliseconds = performance.now() - began;
      const { store, load } = await chord.info();
      await chord.unload();
      return { stages: [...stages], last, backwards, store, load, milliseconds };
    }, path);

  await openSdk(page);
  const before = await bytesSent(request, path);
  const first = await load();
  expect(first.backwards).toBe(false);
  expect(first.last).toBe(1);
  expect(first.stages).toContain("download");
  expect(first.store).toMatchObject({ kind: "opfs", complete: true, networkBytes: bytes });
  const afterFirst = await bytesSent(request, path);
  expect(afterFirst - before).toBeGreaterThanOrEqual(bytes);

  await openSdk(page);
  const second = await load();
  expect(second.stages).not.toContain("download");
  expect(second.store).toMatchObject({ kind: "opfs", complete: true, networkBytes: 0 });
  expect(await bytesSent(request, path)).toBe(afterFirst);
  // The load's times: parts that follow each other, and two that run concurrently.
  const { total, storeRead, hash, ...parts } = second.load;
  expect(total).toBeLessThanOrEqual(second.milliseconds);
  expect(Object.values(parts).every((part) => part >= 0)).toBe(true);
  const sum = Object.values(parts).reduce((all, part) => all + part, 0);
  expect(sum).toBeGreaterThan(total / 2);
  // Clocks of workers are rounded.
  expect(sum).toBeLessThanOrEqual(total + 2);
  for (const part of [storeRead, hash, parts.start, parts.header, parts.upload]) expect(part).toBeGreaterThan(0);

  const cached = await page.evaluate(async (path) => {
    const had = await sdk.Chord.cache.has(path);
    const deleted = await sdk.Chord.cache.delete(path);
    return { had, deleted, has: await sdk.Chord.cache.has(path) };
  }, path);
  expect(cached).toEqual({ had: true, deleted: true, has: false });
});

test("a cancelled load ends at once, and the next one works", async ({ page, request }) => {
  await openSdk(page);
  // Other tests use the slow host as well.
  const before = await bytesSent(request, slowPath);
  const cancelled = await page.evaluate(async (path) => {
    const abort = new AbortController();
    let abortedAt = 0;
    try {
      await sdk.Chord.load(path, {
        backend: "cpu",
        store: "none",
        signal: abort.signal,
        onProgress({ stage, loaded }) {
          if (stage !== "download" || loaded === 0 || abort.signal.aborted) return;
          abortedAt = performance.now();
          abort.abort();
        },
      });
      return { name: "loaded", afterMs: 0 };
    } catch (error) {
      return { name: (error as Error).name, afterMs: performance.now() - abortedAt };
    }
  }, slowPath);
  expect(cancelled.name).toBe("AbortError");
  expect(cancelled.afterMs).toBeLessThan(1000);

  const sent = (await settled(() => bytesSent(request, slowPath))) - before;
  expect(sent).toBeGreaterThan(0);
  expect(sent).toBeLessThan(bytes);

  const answer = await page.evaluate(async (path) => {
    const chord = await sdk.Chord.load(path, { backend: "cpu", store: "none" });
    const tokens = await chord.countTokens("Hello");
    await chord.unload();
    return tokens;
  }, path);
  expect(answer).toBeGreaterThan(0);
});

test("an address that leads nowhere is an error with a code", async ({ page }) => {
  await openSdk(page);
  const code = await page.evaluate(() =>
    sdk.Chord.load("/models/missing.gguf", { store: "none" }).then(
      () => "loaded",
      (error: InstanceType<typeof sdk.ChordError>) => `${error.code} ${String(error.details.status)}`,
    ),
  );
  expect(code).toBe("http-status 404");
});

test("a file from the disk is used in place", async ({ page }) => {
  await openSdk(page);
  const store = await page.evaluate(async () => {
    const blob = await (await fetch("/golden/tiny/llama.Q4_0.gguf")).blob();
    const chord = await sdk.Chord.load(new File([blob], "tiny.gguf"), { backend: "cpu" });
    const info = await chord.info();
    await chord.unload();
    return info.store;
  });
  expect(store).toMatchObject({ kind: "file", networkBytes: 0 });
});

test("a file is imported under a name, loaded by it, exported as it was, and not deleted while in use", async ({
  page,
}) => {
  await openSdk(page);
  const seen = await page.evaluate(async () => {
    const { cache, load } = sdk.Chord;
    const sha256 = async (bytes: Blob) =>
      String(new Uint8Array(await crypto.subtle.digest("SHA-256", await bytes.arrayBuffer())));
    const codeOf = (failing: Promise<unknown>) =>
      failing.then(
        () => "none",
        (error: InstanceType<typeof sdk.ChordError>) => error.code,
      );
    const file = await (await fetch("/golden/tiny/llama.Q4_0.gguf")).blob();
    const imported = await cache.import(file, "my-model");
    const chord = await load("my-model", { backend: "cpu" });
    const { store } = await chord.info();
    const deletedInUse = await codeOf(cache.delete("my-model"));
    await chord.unload();
    const exported = await new Response(await cache.export("my-model")).blob();
    const same = (await sha256(exported)) === (await sha256(file));
    const deleted = await cache.delete("my-model");
    const after = await codeOf(load("my-model", { backend: "cpu" }));
    return { imported, store, deletedInUse, same, deleted, after, left: await cache.list() };
  });
  expect(seen.imported).toMatchObject({ name: "my-model", url: null, complete: true, store: "opfs" });
  expect(seen.store).toEqual({ kind: "opfs", complete: true, networkBytes: 0 });
  expect(seen).toMatchObject({
    deletedInUse: "model-in-use",
    same: true,
    deleted: true,
    after: "http-status",
    left: [],
  });
});

test("a split model gives the same text as the whole one, and is stored as one file", async ({ page }) => {
  const whole = readFileSync(tinyModel);
  const server = await ModelServer.start(whole);
  splitGguf(whole, 3).forEach((part, no) => server.files.set(`/tiny-0000${no + 1}-of-00003.gguf`, part));
  await openSdk(page);
  const answers = await page.evaluate(
    async (addresses) => {
      const answers = [];
      for (const address of addresses) {
        const chord = await sdk.Chord.load(address, { backend: "cpu" });
        const request = { prompt: [1, 260, 285, 300], temperature: 0, max_tokens: 16 };
        const { text } = (await chord.completions.create(request)).choices[0]!;
        answers.push({ text, complete: (await chord.info()).store.complete });
        await chord.unload();
      }
      return answers;
    },
    [server.url, `${server.origin}/tiny-00001-of-00003.gguf`],
  );
  expect(answers[0]!.text).not.toBe("");
  expect(answers[1]).toEqual(answers[0]);
  expect(answers[1]!.complete).toBe(true);
  await server.stop();
});

test("a model that is larger than the quota loads, is not kept, and says what it needs and what is free", async ({
  page,
}) => {
  await openSdk(page);
  const session = await page.context().newCDPSession(page);
  const { origin } = new URL(page.url());
  const quotaSize = 10_000_000;
  await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize });
  const seen = await page.evaluate(async (path) => {
    const chord = await sdk.Chord.load(path, { backend: "cpu" });
    const { store } = await chord.info();
    await chord.unload();
    const big = new Blob(["GGUF", new Uint8Array(20_000_000)]);
    const importing = await sdk.Chord.cache.import(big, "too-big").catch((error: unknown) => error);
    const { code, details } = importing as InstanceType<typeof sdk.ChordError>;
    const { usage = 0 } = await navigator.storage.estimate();
    return { store, imported: { code, details }, list: await sdk.Chord.cache.list(), usage };
  }, path);
  expect(seen.store).toMatchObject({ complete: false, error: { code: "storage-quota", details: { needed: bytes } } });
  expect(seen.imported).toMatchObject({ code: "storage-quota", details: { needed: 20_000_004 } });
  for (const { free } of [seen.store.error?.details, seen.imported.details] as { free: number }[]) {
    expect(free).toBeGreaterThan(0.9 * quotaSize);
    expect(free).toBeLessThanOrEqual(quotaSize);
  }
  expect(seen.list).toEqual([]);
  // The database's own overhead.
  expect(seen.usage).toBeLessThan(100_000);
});
