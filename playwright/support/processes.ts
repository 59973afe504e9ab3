/** Memory of the browser's processes, as Linux counts it. */

import { readFileSync } from "node:fs";
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

function proportionalSetSize(pid: number): number {
  try {
    const match = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"));
    return match ? Number(match[1]) * 1024 : 0;
  } catch {
    return 0; // The process has ended meanwhile.
  }
}
