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

test("every bad file is refused with its code, and the reader goes on", async ({ page }) => {
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
          return { code: "accepted", message: "", isChordError: false };
        } catch (error) {
          const { code, message } = error as InstanceType<typeof sdk.ChordError>;
          return { code, message, isChordError: error instanceof sdk.ChordError };
        }
      }, expected.file);
      expect.soft(refusal, expected.file).toMatchObject({ code: expected.code, isChordError: true });
      for (const part of expected.message) expect.soft(refusal.message, expected.file).toContain(part);
    });
  }
});
