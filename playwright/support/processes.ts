/** Memory of the browser's processes, as Linux counts it. */

import { readdirSync, readFileSync } from "node:fs";
import type { Browser } from "@playwright/test";

/** Peak proportional set size in bytes, by kind of process. */
export type PeakMemory = Record<string, number>;

/** Samples every renderer and the GPU process until `stop` is called. */
export async function watchMemory(browser: Browser): Promise<{ stop(): Promise<PeakMemory> }> {
  const session = await browser.newBrowserCDPSession();
  const peak: PeakMemory = {};
  let running = true;
  const sampling = (async () => {
    while (running) {
      const { processInfo } = await session.send("SystemInfo.getProcessInfo");
      for (const { type, id } of processInfo) peak[type] = Math.max(peak[type] ?? 0, proportionalSetSize(id));
      await new Promise((wake) => setTimeout(wake, 100));
    }
  })();
  return {
    async stop() {
      running = false;
      await sampling;
      await session.detach();
      return peak;
    },
  };
}

function proportionalSetSize(pid: number, parts = ["Pss"]): number {
  let rollup: string;
  try {
    rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  } catch {
    return 0; // The process has ended meanwhile.
  }
  const kilobytes = parts.map((part) => Number(new RegExp(`^${part}:\\s+(\\d+) kB`, "m").exec(rollup)?.[1] ?? 0));
  return kilobytes.reduce((sum, value) => sum + value, 0) * 1024;
}

/**
 * Proportional set size in bytes of all processes of a browser together, without file-backed pages: those are shared
 * with any other Chromium on the machine, and their PSS changes by a hundred megabytes when one starts or ends.
 */
export async function browserMemory(browser: Browser): Promise<number> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  await session.detach();
  const root = processInfo.find(({ type }) => type === "browser")?.id;
  if (root === undefined) throw new Error("the browser does not name its own process");
  return processTree(root).reduce((sum, pid) => sum + proportionalSetSize(pid, ["Pss_Anon", "Pss_Shmem"]), 0);
}

/** A process and all that it started. */
function processTree(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const parent = parentOf(Number(name));
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const tree = [root];
  for (const pid of tree) tree.push(...(children.get(pid) ?? []));
  return tree;
}

function parentOf(pid: number): number {
  try {
    return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
  } catch {
    return 0; // The process has ended meanwhile.
  }
}
