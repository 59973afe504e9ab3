/** Models whose layers do not all fit: the same text as with all layers resident. */

import { expect, test } from "@playwright/test";
import { readGolden, type TinyGolden } from "../support/goldens.ts";
import { openSdk } from "../support/page.ts";

test("with room for a third of its layers a model gives the same text, from the browser's own storage", async ({
  page,
}) => {
  const golden = readGolden<TinyGolden>("tiny/gemma3.Q4_K_M.json");
  await openSdk(page);
  const result = await page.evaluate(
    async (prompt) => {
      const run = async (maxGpuBytes?: number) => {
        const chord = await sdk.Chord.load("/golden/tiny/gemma3.Q4_K_M.gguf", {
          backend: "webgpu",
          contextLength: 128,
          selfTest: false,
          ...(maxGpuBytes === undefined ? {} : { maxGpuBytes }),
        });
        const before = await chord.info();
        const answer = await chord.completions.create({ prompt, temperature: 0, max_tokens: 8 });
        const again = await chord.completions.create({ prompt, temperature: 0, max_tokens: 4 });
        const after = await chord.info();
        await chord.unload();
        return { text: answer.choices[0]!.text, again: again.choices[0]!.text, usage: answer.usage, before, after };
      };
      const resident = await run();
      const refused = await sdk.Chord.load("/golden/tiny/gemma3.Q4_K_M.gguf", {
        backend: "webgpu",
        contextLength: 128,
        selfTest: false,
        maxGpuBytes: 1,
      }).then(
        () => undefined,
        (error: InstanceType<typeof sdk.ChordError>) => ({ code: error.code, needed: Number(error.details.needed) }),
      );
      const least = refused?.needed ?? 0;
      const max = Math.floor(least + (resident.before.memory.total - least) / 3);
      const paged = await run(max);
      await sdk.Chord.cache.delete("/golden/tiny/gemma3.Q4_K_M.gguf");
      return { resident, refused, max, paged };
    },
    golden.tokens.slice(0, 8),
  );
  const { resident, paged } = result;
  expect(result.refused?.code).toBe("out-of-memory");
  expect(resident.text.length).toBeGreaterThan(0);
  expect(paged.text).toBe(resident.text);
  expect(paged.again).toBe(resident.again);
  expect(resident.after.paging.pagedLayers).toBe(0);
  const { paging, memory, why } = paged.after;
  expect(paging.pagedLayers).toBeGreaterThan(paging.residentLayers);
  expect(paging.bytesRead).toBeGreaterThanOrEqual(10 * paging.bytesPerToken);
  expect(memory.total).toBeLessThanOrEqual(result.max);
  expect(why).toContain("paged");
  expect(paged.usage.extra.stall_per_output_token_s).toBeGreaterThanOrEqual(0);
  expect(paged.after.counters.bindGroupsCreated).toBe(paged.before.counters.bindGroupsCreated);
  expect(paged.after.counters.pipelinesCreated).toBe(paged.before.counters.pipelinesCreated);
});
