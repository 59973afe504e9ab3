/** A model larger than 32 bits can address runs on the CPU in the wasm64 engine, and computes what the native one does. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, type Page, test, type TestInfo } from "@playwright/test";
import { openSdk, workerWith } from "../support/page.ts";
import { syntheticUrl } from "./synthetic.ts";

/** Form of activations in products. */
type Activations = "q8" | "f32";

/** What `scripts/test-large.mjs` had the native command compute. */
interface Native {
  mebibytes: number;
  type: "Q8_0";
  tokens: number[];
  vocabulary: number;
  prompt: string;
  maxTokens: number;
  texts: Record<Activations, string>;
}

/** With exact activations both compute the same numbers, but for the order of sums. */
const nmseLimit = 1e-6;
/** Logits closer than this may change places: with exact activations, and with those of 8 bits. */
const margins = { f32: 0.02, q8: 0.1 };

function readNative(): Native & { logits: Record<Activations, Float32Array> } {
  const folder = process.env["CHORD_LARGE"];
  if (!folder) throw new Error("what the native command computes is missing: run `npm run test:large`");
  const native = JSON.parse(readFileSync(join(folder, "native.json"), "utf8")) as Native;
  const logits = (activations: Activations) => {
    const stored = readFileSync(join(folder, `logits.${activations}.f32`));
    const values = new Float32Array(stored.buffer.slice(stored.byteOffset, stored.byteOffset + stored.length));
    expect(values.length).toBe(native.tokens.length * native.vocabulary);
    return values;
  };
  return { ...native, logits: { q8: logits("q8"), f32: logits("f32") } };
}

/** The model's logits and text in the 64-bit engine; checked is what does not depend on the activations. */
async function computeIn(page: Page, native: Native, activations: Activations) {
  await openSdk(page);
  const found = await page.evaluate(
    async ({ url, tokens, prompt, maxTokens, activations }) => {
      const options = { backend: "cpu", contextLength: 64 } as const;
      const { verdict } = await sdk.Chord.inspect(url, options);
      const started = performance.now();
      const chord = await sdk.Chord.load(url, { ...options, store: "none", threads: 2, activations });
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
    { url: syntheticUrl(native.mebibytes, native.type), activations, ...native },
  );
  const { info, seconds } = found;
  expect(info.model.sizeBytes).toBeGreaterThan(2 ** 32);
  expect(info.wasmHeapBytes).toBeGreaterThan(2 ** 32);
  expect(info).toMatchObject({ backend: "cpu", artifact: "memory64", threads: 2 });
  expect(found.verdict).toBe("fits");
  const logits = Float32Array.from(found.logits);
  expect(logits.length).toBe(native.tokens.length * native.vocabulary);
  const [load, prefill, generation] = seconds.map((s) => s.toFixed(1));
  const figures =
    `${(info.model.sizeBytes / 2 ** 30).toFixed(2)} GiB: loaded in ${load} s, ${native.tokens.length} positions in ` +
    `${prefill} s, ${native.maxTokens} tokens in ${generation} s on ${info.threads} threads; ` +
    `heap ${(info.wasmHeapBytes / 2 ** 30).toFixed(2)} GiB; `;
  return { logits, text: found.text, figures };
}

function tell(testInfo: TestInfo, figures: string): void {
  testInfo.annotations.push({ type: "wasm64", description: figures });
  console.log(figures);
}

test("a model above 4 GiB computes in the 64-bit engine what it does natively", async ({ page }, testInfo) => {
  const native = readNative();
  const { logits, text, figures } = await computeIn(page, native, "f32");
  const worst = Math.max(...rowErrors(native.logits.f32, logits, native.vocabulary));
  tell(testInfo, `${figures}worst NMSE of a row ${worst.toExponential(1)}`);
  expect(worst).toBeLessThanOrEqual(nmseLimit);
  expectSameChoices(native.logits.f32, logits, native.vocabulary, margins.f32);
  expect(native.texts.f32.length).toBeGreaterThan(0);
  expect(text).toBe(native.texts.f32);
});

/**
 * Where 8 bits round differently by one code, that difference grows from layer to layer to the size of the rounding
 * itself. So what counts is the distance from the exact logits, which must be that of the native engine.
 */
test("with activations of 8 bits it is as exact there as natively", async ({ page }, testInfo) => {
  const native = readNative();
  const { logits, figures } = await computeIn(page, native, "q8");
  const exact = native.logits.f32;
  const [theirs, ours] = [native.logits.q8, logits].map((found) => mean(rowErrors(exact, found, native.vocabulary)));
  tell(testInfo, `${figures}mean NMSE ${ours!.toExponential(1)}, natively ${theirs!.toExponential(1)}`);
  expect(theirs).toBeGreaterThan(0);
  expect(ours).toBeLessThanOrEqual(1.5 * theirs!);
  expectSameChoices(native.logits.q8, logits, native.vocabulary, margins.q8);
});

test("a browser without what the 64-bit engine needs is told so, before a weight is read", async ({ page }) => {
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
    message: expect.stringMatching(/needs \d+ bytes .* room for 3758096384.* has no Atomics.waitAsync/),
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

/** The most likely token is the same, wherever the expected one leads by more than `margin`. */
function expectSameChoices(expected: Float32Array, found: Float32Array, columns: number, margin: number): void {
  let compared = 0;
  for (let at = 0; at < expected.length; at += columns) {
    const row = expected.subarray(at, at + columns);
    if (gap(row) <= margin) continue;
    expect(best(found.subarray(at, at + columns))).toBe(best(row));
    compared++;
  }
  expect(compared).toBeGreaterThan(0);
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function best(row: ArrayLike<number>): number {
  const values = Array.from(row);
  return values.indexOf(Math.max(...values));
}

function gap(row: Float32Array): number {
  const [first, second] = [...row].sort((a, b) => b - a);
  return first! - second!;
}
