/** Fallback from the GPU to the CPU, also in the middle of a conversation. SwiftShader counts as real here. */

import { expect, type Page, test } from "@playwright/test";
import { bytesSent, openSdk, workerWith } from "../support/page.ts";

const model = "/models/SmolLM2-135M-Instruct.Q4_1.gguf";
const tiny = "/golden/tiny/llama.Q4_0.gguf";

test("an answer in progress continues on the CPU, without a gap and without the network", async ({ page, request }) => {
  test.setTimeout(300_000);
  await openSdk(page);
  await page.evaluate(async (model) => {
    const chord = await sdk.Chord.load(model, { softwareGpu: true, contextLength: 256, threads: 2 });
    Object.assign(globalThis, { chord });
  }, model);
  const before = await bytesSent(request, model);
  const result = await page.evaluate(async () => {
    const { chord } = globalThis as unknown as { chord: Awaited<ReturnType<typeof sdk.Chord.load>> };
    const first = await chord.info();
    const messages = [{ role: "user" as const, content: "What is the capital of France?" }];
    const asked = { messages, temperature: 0, max_tokens: 16, stream_options: { include_usage: true } };
    let [text, pieces, tokens] = ["", 0, 0];
    for await (const chunk of await chord.chat.completions.create({ ...asked, stream: true })) {
      text += chunk.choices[0]?.delta.content ?? "";
      tokens = chunk.usage?.completion_tokens ?? tokens;
      if (chunk.choices[0]?.delta.content && ++pieces === 3) chord.debug.loseDevice();
    }
    const second = await chord.info();
    const again = await chord.chat.completions.create({ messages, temperature: 0, max_tokens: 4 });
    await chord.unload();
    return { first, second, text, tokens, again: again.usage.completion_tokens };
  });
  expect(result.first).toMatchObject({ backend: "webgpu", artifact: "threads", threads: 1 });
  expect(result.first.why).toContain("counts as real");
  // Which word comes first is close; what follows it is not, on either device.
  expect(result.text).toBe("The capital of France is Paris.");
  expect(result.tokens).toBe(8);
  expect(result.second).toMatchObject({ backend: "cpu", artifact: "threads", threads: 2 });
  expect(result.second.why).toContain("the GPU was lost");
  expect(result.again).toBe(4);
  expect(await bytesSent(request, model)).toBe(before);
  await page.evaluate((model) => sdk.Chord.cache.delete(model), model);
  await expect.poll(() => page.workers().length).toBe(0);
});

/** Loses the device at some point of a visit with the tiny model, and returns the result. */
function lose(page: Page, when: "idle" | "waiting" | "logits") {
  return page.evaluate(
    async ({ tiny, when }) => {
      const load = (options: object) => sdk.Chord.load(tiny, { store: "none", contextLength: 512, ...options });
      const request = { prompt: Array.from({ length: 300 }, (_, i) => 1 + (i % 500)), temperature: 0, max_tokens: 1 };
      const chord = await load({ softwareGpu: true });
      const { backend } = await chord.info();
      let answer: Promise<unknown> | undefined;
      if (when === "waiting") answer = chord.completions.create(request);
      if (when === "logits") answer = chord.debug.logits(request.prompt);
      chord.debug.loseDevice();
      await (answer ?? chord.completions.create(request));
      const after = (await chord.info()).backend;
      const size = (await chord.debug.logits(request.prompt)).length;
      await chord.unload();
      return { backend, after, size };
    },
    { tiny, when },
  );
}

for (const when of ["idle", "waiting", "logits"] as const) {
  test(`a device lost while the engine is ${when} is no error under auto`, async ({ page }) => {
    await openSdk(page);
    expect(await lose(page, when)).toEqual({ backend: "webgpu", after: "cpu", size: 300 * 512 });
  });
}

test("a GPU that fails its self-test is passed over", async ({ page }) => {
  // Every buffer that is read back holds zeros: the GPU computes wrongly.
  const wrong = `{
    const { getMappedRange } = GPUBuffer.prototype;
    GPUBuffer.prototype.getMappedRange = function (...range) {
      const bytes = getMappedRange.apply(this, range);
      if (this.usage & GPUBufferUsage.MAP_READ) new Uint8Array(bytes).fill(0);
      return bytes;
    };
  }`;
  await openSdk(page);
  const workerUrl = await workerWith(page, wrong);
  const load = async ({ tiny, workerUrl }: { tiny: string; workerUrl: string }) => {
    const auto = await sdk.Chord.load(tiny, { store: "none", softwareGpu: true, workerUrl });
    const { backend, why } = await auto.info();
    await auto.unload();
    const forced = await sdk.Chord.load(tiny, { store: "none", backend: "webgpu", workerUrl }).then(
      () => "loaded",
      (error: InstanceType<typeof sdk.ChordError>) => error.code,
    );
    return { backend, why, forced };
  };
  const result = await page.evaluate(load, { tiny, workerUrl });
  expect(result).toMatchObject({ backend: "cpu", forced: "no-backend" });
  expect(result.why).toContain("not on the GPU");
});
