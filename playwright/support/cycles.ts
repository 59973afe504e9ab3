/**
 * Loads and unloads of a model on one page, with the browser's memory after each: whether it is freed, and soon.
 */

import type { Browser, Page } from "@playwright/test";
import type { ChordLoadOptions } from "@querent-ai/wasm-chord";
import { browserMemory } from "./processes.ts";

const mebibyte = 1024 * 1024;

/** The most by which memory after a later cycle may exceed memory after the first. */
export const CYCLES_LIMIT = 64 * mebibyte;

/**
 * How a load ends: it answers and is unloaded; it is unloaded while it answers; it fails after the start of the engine
 * and its threads, because the context does not fit into memory; it is aborted when half of the weights have come.
 */
export type Ending = "unloaded" | "unloaded-busy" | "failed" | "aborted";

/** What is loaded, how, and how it ends. `options` are plain data. */
export interface Cycle {
  url: string;
  options: ChordLoadOptions;
  ending: Ending;
}

/** What the loads after the first ran on, and the browser's memory after each, including the first, in bytes. */
export interface Cycles {
  ran: string[];
  bytes: number[];
}

/**
 * Runs `count` cycles. The first always ends with an unload, so that what other endings leave behind can be compared
 * with it. `page` has `sdk`. No garbage collection is forced.
 */
export async function runCycles(page: Page, browser: Browser, count: number, cycle: Cycle): Promise<Cycles> {
  const first: Cycle = { ...cycle, options: { ...cycle.options, contextLength: 256 }, ending: "unloaded" };
  await page.evaluate(runCycle, first);
  const ran: string[] = [];
  const bytes = [await settledMemory(browser)];
  for (let turn = 1; turn < count; turn++) {
    ran.push(await page.evaluate(runCycle, cycle));
    bytes.push(await settledMemory(browser));
  }
  return { ran, bytes };
}

/** In words, for the log. */
export function describeCycles({ ran, bytes }: Cycles): string {
  const mebibytes = bytes.map((value) => (value / mebibyte).toFixed(0));
  const most = Math.max(...bytes) - bytes[0]!;
  return `${bytes.length} × ${ran[0]}: PSS ${mebibytes.join(" ")} MiB, at most ${(most / mebibyte).toFixed(0)} above the first`;
}

/** One cycle, in the page. Returns what it ran on, or the error's code or name. */
async function runCycle({ url, options, ending }: Cycle): Promise<string> {
  const abort = new AbortController();
  const onProgress: ChordLoadOptions["onProgress"] = ({ loaded, total }) => {
    if (ending === "aborted" && loaded > total / 2) abort.abort();
  };
  try {
    const chord = await sdk.Chord.load(url, { ...options, onProgress, signal: abort.signal });
    const { backend, artifact, threads } = await chord.info();
    const request = { prompt: [1, 2, 3], temperature: 0 };
    if (ending === "unloaded-busy") {
      const stream = await chord.completions.create({ ...request, max_tokens: 400, stream: true });
      const reading = (async () => {
        for await (const _ of stream) void chord.unload();
      })();
      await reading.catch(() => undefined);
    } else {
      await chord.completions.create({ ...request, max_tokens: 2 });
    }
    await chord.unload();
    return `${backend}, ${artifact}, ${threads} threads`;
  } catch (error) {
    const { code, name } = error as { code?: string; name: string };
    return typeof code === "string" ? code : name;
  }
}

/** The browser's memory once workers and the GPU process have ended what they were told to. */
async function settledMemory(browser: Browser): Promise<number> {
  let last = await browserMemory(browser);
  for (let tries = 0; tries < 10; tries++) {
    await new Promise((later) => setTimeout(later, 200));
    const now = await browserMemory(browser);
    if (Math.abs(now - last) < mebibyte) return now;
    last = now;
  }
  return last;
}
