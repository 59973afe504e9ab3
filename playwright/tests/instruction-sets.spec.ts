/** The CPU's two ways to multiply bytes with relaxed SIMD: the same results, and the faster one is measured. */

import { expect, type Page, test } from "@playwright/test";
import { openSdk } from "../support/page.ts";

const tiny = "/golden/tiny/llama.Q4_0.gguf";
const model = "/models/SmolLM2-135M-Instruct.Q4_1.gguf";

/** A hash of logits and what they ran on; `instructionSet` is the one that is asked for. */
function compute(page: Page, url: string, instructionSet?: string) {
  return page.evaluate(
    async ({ url, instructionSet }) => {
      const debug = instructionSet === undefined ? {} : { instructionSet };
      try {
        const chord = await sdk.Chord.load(url, {
          backend: "cpu",
          threads: 2,
          contextLength: 128,
          store: "memory",
          debug,
        });
        const ids = Array.from({ length: 48 }, (_, n) => 1 + ((n * 37) % 250));
        const logits = await chord.debug.logits(ids);
        const { features, why } = await chord.info();
        await chord.unload();
        const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", logits as BufferSource));
        const hash = [...digest].join(" ");
        return { hash, count: logits.length, finite: logits.every(Number.isFinite), features, why };
      } catch (error) {
        const { code, message, details } = error as InstanceType<typeof sdk.ChordError>;
        return { code, message, details };
      }
    },
    { url, instructionSet },
  );
}

test("the first load measures which is the faster one, and later ones remember it", async ({ page }) => {
  await openSdk(page);
  const measured = await compute(page, tiny);
  expect(measured.features).toEqual([expect.stringMatching(/^relaxed-(simd|dot)$/)]);
  const [isa] = measured.features as [string];
  expect(measured.why).toContain(`${isa} is the fastest here (relative speeds: relaxed-dot 1.00 with one token`);
  const remembered = await compute(page, tiny);
  expect(remembered.why).toContain(`${isa} was the fastest when it was measured here`);
  expect(remembered.features).toEqual([isa]);
});

for (const url of [tiny, model]) {
  test(`either can be asked for, and gives the same bits: ${url}`, async ({ page }) => {
    await openSdk(page);
    const simd = await compute(page, url, "relaxed-simd");
    const dot = await compute(page, url, "relaxed-dot");
    expect(simd).toMatchObject({
      features: ["relaxed-simd"],
      why: expect.stringContaining("relaxed-simd was requested"),
    });
    expect(dot).toMatchObject({ features: ["relaxed-dot"], why: expect.stringContaining("relaxed-dot was requested") });
    expect(dot).toMatchObject({ hash: simd.hash, count: simd.count, finite: true });
    expect(simd.count).toBeGreaterThan(1000);
  });
}

test("one that the artifact does not have is refused with the names of those that it has", async ({ page }) => {
  await openSdk(page);
  expect(await compute(page, tiny, "avx2")).toMatchObject({
    code: "invalid-argument",
    message: expect.stringContaining("relaxed-dot or relaxed-simd here, not avx2"),
    details: { field: "instruction_set" },
  });
});
