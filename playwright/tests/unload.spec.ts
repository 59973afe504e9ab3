/**
 * Memory comes back when a model is unloaded or a load is aborted. No garbage collection is forced.
 */

import { expect, test } from "@playwright/test";
import { type Cycle, CYCLES_LIMIT, describeCycles, runCycles } from "../support/cycles.ts";
import { openSdk } from "../support/page.ts";

const model = "/models/SmolLM2-135M-Instruct.Q4_1.gguf";
const threads = { backend: "cpu", threads: 2, contextLength: 256, store: "none" } as const;

/** A few cycles with a model of 98 MB show what thirty show: each left 114 MB behind. `large/` has all thirty. */
const cases: [name: string, count: number, ran: RegExp, cycle: Cycle][] = [
  ["an unload with threads", 5, /^cpu, threads, 2/, { url: model, options: threads, ending: "unloaded" }],
  [
    "an unload in the middle of an answer",
    3,
    /^cpu, threads, 2/,
    { url: model, options: threads, ending: "unloaded-busy" },
  ],
  ["an aborted load with threads", 5, /^AbortError$/, { url: model, options: threads, ending: "aborted" }],
];

for (const [name, count, ran, cycle] of cases) {
  test(`memory comes back after ${name}`, async ({ page, browser }, testInfo) => {
    await openSdk(page);
    const cycles = await runCycles(page, browser, count, cycle);
    console.log(describeCycles(cycles));
    testInfo.annotations.push({ type: "memory", description: describeCycles(cycles) });
    for (const found of cycles.ran) expect(found).toMatch(ran);
    expect(Math.max(...cycles.bytes) - cycles.bytes[0]!).toBeLessThanOrEqual(CYCLES_LIMIT);
  });
}
