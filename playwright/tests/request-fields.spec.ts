/** The numbers of a request, from the SDK through the worker to the engine. */

import { expect, test } from "@playwright/test";
import { openSdk } from "../support/page.ts";

test("top_p of 0 takes the most likely token, and values out of range are refused by name", async ({ page }) => {
  await openSdk(page);
  const { greedy, drawn, refused } = await page.evaluate(async () => {
    const chord = await sdk.Chord.load("/models/SmolLM2-135M-Instruct.Q4_1.gguf", {
      backend: "cpu",
      store: "none",
      contextLength: 256,
    });
    const answer = async (fields: object) => {
      const completion = await chord.completions.create({ prompt: "Once upon a time", max_tokens: 6, ...fields });
      return completion.choices[0]!.text;
    };
    const greedy = await answer({ temperature: 0 });
    const drawn = [];
    for (const seed of [1, 2, 3]) drawn.push(await answer({ temperature: 2, top_p: 0, top_k: 0, min_p: 0, seed }));
    const refused = [];
    for (const fields of [{ top_p: -0.5 }, { temperature: 101 }, { repeat_penalty: 0 }, { seed: 0.5 }]) {
      const error = await answer(fields).then(
        () => undefined,
        ({ code, details }: { code: string; details: { field: string } }) => [code, details.field],
      );
      refused.push(error);
    }
    await chord.unload();
    return { greedy, drawn, refused };
  });
  expect(greedy).not.toBe("");
  expect(drawn).toEqual([greedy, greedy, greedy]);
  const fields = ["top_p", "temperature", "repeat_penalty", "seed"];
  expect(refused).toEqual(fields.map((field) => ["invalid-argument", field]));
});
