/** Weights go to the GPU and are never in the engine's own memory as a whole. */

import { expect, test } from "@playwright/test";
import { openSdk } from "../support/page.ts";
import { fullTier } from "../support/places.mjs";
import { watchMemory } from "../support/processes.ts";

const heapLimit = 64 * 1024 * 1024;
const models = ["SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf"];

for (const model of models) {
  test(`${model} leaves the WebAssembly heap below 64 MiB`, async ({ page, browser }, testInfo) => {
    test.setTimeout(300_000);
    await openSdk(page);
    const watch = await watchMemory(browser);
    const info = await page.evaluate(
      async ({ model, contextLength }) => {
        const chord = await sdk.Chord.load(`/models/${model}`, { backend: "webgpu", store: "none", contextLength });
        const info = await chord.info();
        await chord.unload();
        return info;
      },
      { model, contextLength: fullTier ? 1024 : 256 },
    );
    const peak = await watch.stop();
    const megabytes = Object.entries(peak).map(([type, bytes]) => `${type} ${(bytes / 1e6).toFixed(0)} MB`);
    const figures = `wasm heap ${(info.wasmHeapBytes / 1e6).toFixed(1)} MB; peak PSS: ${megabytes.join(", ")}`;
    testInfo.annotations.push({ type: "memory", description: figures });
    console.log(`${model}: ${figures}`);
    expect(info.wasmHeapBytes).toBeLessThanOrEqual(heapLimit);
    expect(info.memory.weights).toBeLessThanOrEqual(info.model.sizeBytes * 1.05);
    expect(peak.renderer).toBeGreaterThan(0);
  });
}
