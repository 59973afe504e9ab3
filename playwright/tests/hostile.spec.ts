/** Files that others have tripped over, through the browser's range reader: refused, typed, and without harm. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@playwright/test";
import { hostCargo } from "../../scripts/steps/rust.mjs";
import { run } from "../../scripts/steps/shell.mjs";
import { openSdk } from "../support/page.ts";
import { hostile } from "../support/places.mjs";

interface HostileFile {
  file: string;
  code: string;
  /** The byte that the error points at. */
  offset: number;
  /** What the message must contain. */
  message: string[];
}

test.beforeAll(async () => {
  test.setTimeout(600_000);
  const { cargo, env } = await hostCargo();
  const args = ["run", "-p", "chord-testkit", "--bin", "hostile-files", "--", hostile];
  await run(cargo, args, { env, log: "hostile-files" });
});

test("every bad file is refused with its code, in an error that JSON can hold, and the next one can be read", async ({
  page,
}) => {
  test.setTimeout(300_000);
  const files = JSON.parse(readFileSync(join(hostile, "index.json"), "utf8")) as HostileFile[];
  expect(files.length).toBeGreaterThanOrEqual(45);
  await openSdk(page);
  for (const expected of files) {
    await test.step(expected.file, async () => {
      const refusal = await page.evaluate(async (file) => {
        try {
          const chord = await sdk.Chord.load(`/hostile/${file}`, { backend: "cpu", store: "none" });
          await chord.unload();
          return { json: `{"code":"accepted"}`, message: "", isChordError: false };
        } catch (error) {
          // As strings: a value that cannot leave the page would arrive as `undefined`, without an error.
          const { message, details } = error as InstanceType<typeof sdk.ChordError>;
          const json = JSON.stringify(error);
          return { json, details: JSON.stringify(details), message, isChordError: error instanceof sdk.ChordError };
        }
      }, expected.file);
      expect.soft(refusal, expected.file).toMatchObject({ isChordError: true });
      const { details, ...rest } = JSON.parse(refusal.json) as Record<string, unknown>;
      expect.soft(rest, expected.file).toEqual({ name: "ChordError", code: expected.code, message: refusal.message });
      expect.soft(details, expected.file).toEqual(JSON.parse(refusal.details ?? "{}"));
      const { offset = expected.offset } = details as { offset?: number };
      expect.soft(offset, expected.file).toBe(expected.offset);
      for (const part of expected.message) expect.soft(refusal.message, expected.file).toContain(part);
    });
  }
});

test("odd models are judged before the download as they are loaded", async ({ page }) => {
  test.setTimeout(300_000);
  const files = JSON.parse(readFileSync(join(hostile, "odd.json"), "utf8")) as { file: string; verdict: string }[];
  expect(files.length).toBeGreaterThanOrEqual(30);
  await openSdk(page);
  const found = await page.evaluate(
    async (names) => {
      const answers = [];
      for (const name of names) {
        const url = `/hostile/${name}`;
        const { verdict, warnings, notes, ignoredTensors } = await sdk.Chord.inspect(url, { backend: "cpu" });
        const judged = verdict.kind === "unsupported" ? verdict.code : verdict.kind;
        try {
          const chord = await sdk.Chord.load(url, { backend: "cpu", threads: 1, store: "none" });
          const info = await chord.info();
          await chord.unload();
          const same = JSON.stringify([info.warnings, info.notes]) === JSON.stringify([warnings, notes]);
          answers.push({ name, judged, loaded: "fits", same, warnings, notes, ignoredTensors });
        } catch (error) {
          const { code } = error as InstanceType<typeof sdk.ChordError>;
          answers.push({ name, judged, loaded: code, same: true, warnings, notes, ignoredTensors });
        }
      }
      return answers;
    },
    files.map(({ file }) => file),
  );
  for (const [at, { file, verdict }] of files.entries()) {
    expect.soft(found[at], file).toMatchObject({ judged: verdict, loaded: verdict, same: true });
  }
  const of = (name: string) => found.find((answer) => answer.name === `odd-${name}.gguf`)!;
  expect(of("plain")).toMatchObject({ warnings: [], notes: [], ignoredTensors: [] });
  expect(of("bpe-unsaid").warnings).toEqual([expect.stringContaining("tokenizer.ggml.pre")]);
  expect(of("trailing-bytes").notes).toEqual([expect.stringContaining("64 bytes")]);
  expect(of("input-scale").ignoredTensors).toEqual(["blk.0.attn_q.input_scale"]);
});

test("an error can be passed out of the page as it is, with numbers for offsets", async ({ page }) => {
  const files = JSON.parse(readFileSync(join(hostile, "index.json"), "utf8")) as HostileFile[];
  await openSdk(page);
  const errors = await page.evaluate(
    async (names) => {
      const refusals = names.map((name) =>
        sdk.Chord.inspect(`/hostile/${name}`).then(
          () => null,
          ({ code, details }: InstanceType<typeof sdk.ChordError>) => ({ code, details }),
        ),
      );
      return Promise.all(refusals);
    },
    files.slice(0, 12).map(({ file }) => file),
  );
  // An error that the page could not pass on would be `undefined` here.
  for (const error of errors) expect(error).toEqual({ code: expect.any(String), details: expect.any(Object) });
  expect(errors.some((error) => Object.values(error!.details).some(Number.isInteger))).toBe(true);
});

test("the page shows what makes answers worse than the model's", async ({ page }) => {
  await page.goto("/");
  await page.getByRole("radio", { name: "File" }).check();
  await page.locator("#file").setInputFiles(join(hostile, "odd-bpe-unsaid.gguf"));
  await page.getByRole("button", { name: "Load model" }).click();
  await expect(page.locator("#model-warnings")).toContainText("tokenizer.ggml.pre", { timeout: 120_000 });
});
