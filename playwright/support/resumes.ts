/** Downloads that are cut at a random byte and resume: by reloading the page, on the same page, and in a new tab. */

import { type Browser, expect, type Page } from "@playwright/test";
import type { StoreReport } from "../../web/src/protocol.ts";
import type { ModelServer } from "../../web/src/testing/model-server.ts";

const WAYS = ["reload", "same page", "new tab"] as const;
const STORES = ["opfs", "indexeddb"] as const;
/** A load that takes this long hangs: even slow machines load the small files sooner. */
const HANG_MS = 60_000;

/** A context without a profile stores data in memory: after this many bytes a new one is opened. */
const ROOM = 400e6;

/** The result of a load. */
export interface Outcome {
  code?: string | undefined;
  report?: StoreReport | undefined;
}

/** How files are loaded. */
export interface Loader {
  /** Opens the page from which {@link load} is called. */
  open(page: Page): Promise<void>;
  load(page: Page, url: string, store: (typeof STORES)[number]): Promise<Outcome>;
}

/** Cuts and resumes `times` downloads, alternating between the ways and the stores. */
export async function resumeAtRandomCuts(
  { browser, baseURL }: { browser: Browser; baseURL: string | undefined },
  server: ModelServer,
  { open, load }: Loader,
  times: number,
): Promise<void> {
  const size = server.bytes.length;
  const newContext = () => browser.newContext(baseURL === undefined ? {} : { baseURL });
  let context = await newContext();
  let page = await context.newPage();
  await open(page);
  for (let turn = 0; turn < times; turn++) {
    if (turn > 0 && turn % Math.max(1, Math.floor(ROOM / size)) === 0) {
      await context.close();
      context = await newContext();
      page = await context.newPage();
      await open(page);
    }
    const way = WAYS[turn % 3]!;
    const store = STORES[Math.floor(turn / 3) % 2]!;
    const cut = Math.floor(Math.random() * size);
    const url = `${server.origin}/resume-${turn}.gguf`;
    const what = `turn ${turn}: ${way}, ${store}, cut at ${cut} of ${size}`;

    server.behaviour = { cutAt: cut };
    const first = await orHang(load(page, url, store), `${what}, the load that is cut`);
    expect(first.code, what).toMatch(/^(short-body|network-failed)$/);
    server.behaviour = {};
    server.sent = 0;
    if (way === "reload") await open(page);
    if (way === "new tab") {
      const other = await context.newPage();
      await open(other);
      await page.close();
      page = other;
    }
    const second = await orHang(load(page, url, store), what);
    expect(second, `${what}: ${JSON.stringify(second.report?.error ?? second)}`).toMatchObject({
      report: { kind: store, complete: true },
    });
    expect(second.report!.networkBytes, what).toBeLessThanOrEqual(size);
  }
  await context.close();
}

async function orHang<T>(work: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const hang = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing for ${HANG_MS / 1000} s`)), HANG_MS);
  });
  try {
    return await Promise.race([work, hang]);
  } finally {
    clearTimeout(timer);
  }
}
