/** Every shader variant through the compiler of this browser. The Rust tests check them with naga. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@playwright/test";
import { openSdk } from "../support/page.ts";
import { shaders } from "../support/places.mjs";

test("Chromium compiles every shader variant that its adapter can run", async ({ page }, testInfo) => {
  const files = existsSync(shaders) ? readdirSync(shaders).filter((name) => name.endsWith(".browser.wgsl")) : [];
  expect(files, `${shaders} is empty: run \`npm test -- rust\` first, it writes the variants there`).not.toHaveLength(
    0,
  );
  const sources = files.map((name) => ({ name, code: readFileSync(join(shaders, name), "utf8") }));
  await openSdk(page);
  const result = await page.evaluate(async (sources) => {
    const adapter = await navigator.gpu.requestAdapter();
    if (!adapter) throw new Error("no WebGPU adapter");
    const wanted = { subgroups: /^\s*enable subgroups/m, "shader-f16": /^\s*enable f16/m };
    const offered = Object.keys(wanted).filter((name) => adapter.features.has(name as GPUFeatureName));
    const device = await adapter.requestDevice({ requiredFeatures: offered as GPUFeatureName[] });
    const problems: string[] = [];
    let passedOver = 0;
    for (const { name, code } of sources) {
      const needs = Object.entries(wanted).filter(([, pattern]) => pattern.test(code));
      if (needs.some(([feature]) => !offered.includes(feature))) {
        passedOver += 1;
        continue;
      }
      const { messages } = await device.createShaderModule({ code }).getCompilationInfo();
      for (const { type, message, lineNum } of messages) {
        if (type === "error") problems.push(`${name}:${lineNum}: ${message}`);
      }
    }
    device.destroy();
    return { problems, passedOver };
  }, sources);
  const note = `${files.length - result.passedOver} of ${files.length} variants, ${result.passedOver} need features that this adapter lacks`;
  testInfo.annotations.push({ type: "shaders", description: note });
  console.log(note);
  expect(result.problems).toEqual([]);
  expect(result.passedOver).toBeLessThan(files.length);
});
