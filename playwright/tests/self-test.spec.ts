/** The comparison of the GPU with the CPU, which is made once for each adapter, browser and build. */

import { expect, test } from "@playwright/test";
import { openSdk } from "../support/page.ts";

const tiny = "/golden/tiny/llama.Q4_0.gguf";

test("a self-test that was passed is not repeated, until the device is lost", async ({ page }) => {
  await openSdk(page);
  /** Milliseconds that the self-test took; then the device goes, if it is to. */
  const load = (options: object = {}, lose = false) =>
    page.evaluate(
      async ([tiny, options, lose]) => {
        const chord = await sdk.Chord.load(tiny, { backend: "webgpu", store: "none", contextLength: 128, ...options });
        const { selfTest } = (await chord.info()).load;
        if (lose) {
          chord.debug.loseDevice();
          await chord.tokenize("a").catch(() => undefined);
          await new Promise((later) => setTimeout(later, 500));
        }
        await chord.unload();
        return selfTest;
      },
      [tiny, options, lose] as const,
    );
  const first = await load();
  expect(first).toBeGreaterThan(20);
  expect(await load()).toBeLessThan(first / 10);
  // Another precision of the cache is another test.
  expect(await load({ kv: "f32" })).toBeGreaterThan(20);
  expect(await load({}, true)).toBeLessThan(first / 10);
  expect(await load()).toBeGreaterThan(20);
});
