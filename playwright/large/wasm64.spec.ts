/** A model too large for 32-bit addresses runs on the CPU in the wasm64 engine, with the native engine's results. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@playwright/test";
import { openSdk, workerWith } from "../support/page.ts";
import { syntheticUrl } from "./synthetic.ts";

/** What `scripts/test-large.mjs` had the native command compute, with the same options. */
interface Native {
  mebibytes: number;
  type: "Q8_0";
  tokens: number[];
  vocabulary: number;
  prompt: string;
  maxTokens: number;
  text: string;
}

/** As for any comparison with activations of 16 bits: both round the same numbers in another order. */
const nmseLimit = 1e-6;
/** Logits closer than this may change places. */
const margin = 0.02;

test("a model above 4 GiB computes in the 64-bit engine what it does natively", async ({ page }, testInfo) => {
  const folder = process.env["CHORD_LARGE"];
  if (!folder) throw new Error("what the native command computes is missing: run `npm run test:large`");
  const native = JSON.parse(readFileSync(join(folder, "native.json"), "utf8")) as Native;
  const stored = readFileSync(join(folder, "logits.f32"));
  const expected = new Float32Array(stored.buffer.slice(stored.byteOffset, stored.byteOffset + stored.length));
  expect(expected.length).toBe(native.tokens.length * native.vocabulary);

  await openSdk(page);
  const found = await page.evaluate(
    async ({ url, tokens, prompt, maxTokens }) => {
      const options = { backend: "cpu", contextLength: 64 } as const;
      const { verdict } = await sdk.Chord.inspect(url, options);
      const started = performance.now();
      const chord = await sdk.Chord.load(url, { ...options, store: "none", threads: 2 });
      const loaded = performance.now();
      const logits = await chord.debug.logits(tokens);
      const computed = performance.now();
      const answer = await chord.completions.create({ prompt, max_tokens: maxTokens, temperature: 0 });
      const generated = performance.now();
      const info = await chord.info();
      await chord.unload();
      const seconds = [loaded - started, computed - loaded, generated - computed].map((ms) => ms / 1000);
      return { logits: Array.from(logits), text: answer.choices[0]?.text, info, verdict: verdict.text, seconds };
    },
    { url: syntheticUrl(native.mebibytes, native.type), ...native },
  );

  const { info, seconds } = found;
  const logits = Float32Array.from(found.logits);
  expect(logits.length).toBe(expected.length);
  const worst = Math.max(...rowErrors(expected, logits, native.vocabulary));
  const [load, prefill, generation] = seconds.map((s) => s.toFixed(1));
  const figures =
    `${(info.model.sizeBytes / 2 ** 30).toFixed(2)} GiB: loaded in ${load} s, ${native.tokens.length} positions in ` +
    `${prefill} s, ${native.maxTokens} tokens in ${generation} s on ${info.threads} threads; ` +
    `heap ${(info.wasmHeapBytes / 2 ** 30).toFixed(2)} GiB; worst NMSE of a row ${worst.toExponential(1)}`;
  testInfo.annotations.push({ type: "wasm64", description: figures });
  console.log(figures);
  expect(info.model.sizeBytes).toBeGreaterThan(2 ** 32);
  expect(info.wasmHeapBytes).toBeGreaterThan(2 ** 32);
  expect(info).toMatchObject({ backend: "cpu", artifact: "memory64", threads: 2 });
  expect(found.verdict).toBe("fits");
  expect(worst).toBeLessThanOrEqual(nmseLimit);
  for (let at = 0; at < expected.length; at += native.vocabulary) {
    const row = expected.subarray(at, at + native.vocabulary);
    if (gap(row) > margin) expect(best(logits.subarray(at, at + native.vocabulary))).toBe(best(row));
  }
  expect(native.text.length).toBeGreaterThan(0);
  expect(found.text).toBe(native.text);
});

test("a browser without what the 64-bit engine needs gets an error that says so, before a weight is read", async ({
  page,
}) => {
  await openSdk(page);
  const workerUrl = await workerWith(page, "delete Atomics.waitAsync;");
  const refused = await page.evaluate(
    async ({ url, workerUrl }) => {
      const loading = sdk.Chord.load(url, { backend: "cpu", store: "none", contextLength: 64, workerUrl });
      return loading.then(
        () => "it loaded",
        (error: { code: string; message: string; details: { needed?: bigint } }) => ({
          code: error.code,
          message: error.message,
          isLarge: Number(error.details.needed) > 2 ** 32,
        }),
      );
    },
    { url: syntheticUrl(4608, "Q8_0"), workerUrl },
  );
  expect(refused).toEqual({
    code: "needs-memory64",
    message: expect.stringMatching(/needs \d+ bytes .* can use 3758096384.* has no Atomics.waitAsync/),
    isLarge: true,
  });
});

/** Mean squared error over the variance, for each row. */
function rowErrors(expected: Float32Array, found: Float32Array, columns: number): number[] {
  const errors = [];
  for (let at = 0; at < expected.length; at += columns) {
    const [a, b] = [expected, found].map((all) => centred(all.subarray(at, at + columns))) as [number[], number[]];
    const error = a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0);
    errors.push(error / a.reduce((sum, value) => sum + value ** 2, 0));
  }
  return errors;
}

function centred(row: Float32Array): number[] {
  const mean = row.reduce((sum, value) => sum + value, 0) / row.length;
  return Array.from(row, (value) => value - mean);
}

function best(row: ArrayLike<number>): number {
  const values = Array.from(row);
  return values.indexOf(Math.max(...values));
}

function gap(row: Float32Array): number {
  const [first, second] = [...row].sort((a, b) => b - a);
  return first! - second!;
}
