/** The comparison of the GPU with the CPU, which is made once for each adapter, browser and build. */

import { expect, test } from "@playwright/test";
import { openSdk } from "../support/page.ts";

const tiny = "/golden/tiny/llama.Q4_0.gguf";

test("a self-test that was passed is not repeated, until the device is lost", async ({ page }) => {
  await openSdk(page);
  /** How many self-tests are remembered as passed. */
  const passed = () =>
    page.evaluate(async () => {
      const request = indexedDB.open("wasm-chord-self-tests");
      await new Promise((done) => (request.onsuccess = done));
      const count = request.result.transaction("passed").objectStore("passed").count();
      await new Promise((done) => (count.onsuccess = done));
      request.result.close();
      return count.result;
    });
  /** Milliseconds that the self-test took. With `lose`, the device is lost afterwards. */
  const load = (options: object = {}, lose = false) =>
    page.evaluate(
      async ([tiny, options, lose]) => {
        const chord = await sdk.Chord.load(tiny, { backend: "webgpu", store: "none", contextLength: 128, ...options });
        const { selfTest } = (await chord.info()).load;
        if (lose) {
          chord.debug.loseDevice();
          await chord.tokenize("a").catch(() => undefined);
          return selfTest;
        }
        await chord.unload();
        return selfTest;
      },
      [tiny, options, lose] as const,
    );
  const first = await load();
  await expect.poll(passed).toBe(1);
  expect(await load()).toBeLessThan(first / 2);
  expect(await passed()).toBe(1);
  // Another precision of the cache is another test.
  await load({ kv: "f32" });
  await expect.poll(passed).toBe(2);
  expect(await load({}, true)).toBeLessThan(first / 2);
  await expect.poll(passed).toBe(0);
  await load();
  await expect.poll(passed).toBe(1);
});
