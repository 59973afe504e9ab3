/** Thirty loads on one page take the memory of one, on every backend and artifact. No garbage collection is forced. */

import { expect, test } from "@playwright/test";
import { type Cycle, CYCLES_LIMIT, describeCycles, runCycles } from "../support/cycles.ts";
import { openSdk } from "../support/page.ts";

const url = "/models/SmolLM2-135M-Instruct.Q4_1.gguf";
const count = 30;
const isolated = "/pages/sdk.html";
const plain = "/plain-pages/sdk.html";
const common = { contextLength: 512 } as const;
const cpu = { ...common, backend: "cpu", threads: 2 } as const;
const webgpu = { ...common, backend: "webgpu" } as const;
const baseline = { wasmUrl: "/package/chord.wasm" };
const wide = { debug: { memory64: true } };

const unloaded = (options: Cycle["options"]): Cycle => ({ url, options, ending: "unloaded" });
/** More tokens than any memory holds. */
const endless = { contextLength: 60_000_000 };

const cases: [name: string, page: string, ran: RegExp, cycle: Cycle][] = [
  ["the CPU, baseline", isolated, /^cpu, baseline, 1 /, unloaded({ ...cpu, ...baseline })],
  ["the CPU, one thread", isolated, /^cpu, threads, 1 /, unloaded({ ...cpu, threads: 1 })],
  ["the CPU, two threads", isolated, /^cpu, threads, 2 /, unloaded(cpu)],
  ["the CPU, not isolated", plain, /^cpu, threads, 1 /, unloaded(cpu)],
  ["the CPU, 64-bit engine", isolated, /^cpu, memory64, 2 /, unloaded({ ...cpu, ...wide })],
  ["the CPU, 64-bit engine, not isolated", plain, /^cpu, memory64, 1 /, unloaded({ ...cpu, ...wide })],
  ["WebGPU, baseline", isolated, /^webgpu, baseline, /, unloaded({ ...webgpu, ...baseline })],
  ["WebGPU", isolated, /^webgpu, threads, /, unloaded(webgpu)],
  ["the CPU, in IndexedDB", isolated, /^cpu, threads, 2 /, unloaded({ ...cpu, store: "indexeddb" })],
  ["the CPU, not stored", isolated, /^cpu, threads, 2 /, unloaded({ ...cpu, store: "none" })],
  ["the CPU, unloaded while it answers", isolated, /^cpu, threads, 2 /, { url, options: cpu, ending: "unloaded-busy" }],
  ["the CPU, aborted loads", isolated, /^AbortError$/, { url, options: cpu, ending: "aborted" }],
  ["WebGPU, aborted loads", isolated, /^AbortError$/, { url, options: webgpu, ending: "aborted" }],
  ["the CPU, failed loads", isolated, /^[a-z-]+$/, { url, options: { ...cpu, ...endless }, ending: "failed" }],
];

for (const [name, address, ran, cycle] of cases) {
  test(`thirty loads take the memory of one: ${name}`, async ({ page, browser }, testInfo) => {
    await openSdk(page, address);
    const cycles = await runCycles(page, browser, count, cycle);
    console.log(`${name}: ${describeCycles(cycles)}`);
    testInfo.annotations.push({ type: "memory", description: describeCycles(cycles) });
    for (const found of cycles.ran) expect(found).toMatch(ran);
    expect(Math.max(...cycles.bytes) - cycles.bytes[0]!).toBeLessThanOrEqual(CYCLES_LIMIT);
  });
}
