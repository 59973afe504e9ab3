/** 300 downloads that are cut at a random byte and resume: none of them hangs. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, type Page, test } from "@playwright/test";
import { smollm2 } from "../../scripts/steps/models.mjs";
import { ModelServer } from "../../web/src/testing/model-server.ts";
import { randomBytes } from "../../web/src/testing/random-bytes.ts";
import { loadUrl, MiB, openIo, sha256 } from "../support/downloads.ts";
import { openSdk } from "../support/page.ts";
import { models } from "../support/places.mjs";
import { resumeAtRandomCuts } from "../support/resumes.ts";

test("270 downloads of six chunks, cut at random bytes, continue and end", async ({ browser, baseURL }) => {
  test.setTimeout(40 * 60_000);
  const server = await ModelServer.start(randomBytes(5.5 * MiB, 43));
  const right = sha256(server.bytes);
  const download = { chunkBytes: MiB, attempts: 2, retryMs: 5, stallMs: 20_000 };
  try {
    const load = async (page: Page, url: string, store: "opfs" | "indexeddb") => {
      const loaded = await loadUrl(page, url, { store, download });
      if (loaded.code === undefined) expect(loaded.sha256).toBe(right);
      return loaded;
    };
    await resumeAtRandomCuts({ browser, baseURL }, server, { open: openIo, load }, 270);
  } finally {
    await server.stop();
  }
});

test("30 downloads of the 98 MB of SmolLM2, cut at random bytes, continue and load", async ({ browser, baseURL }) => {
  test.setTimeout(40 * 60_000);
  const server = await ModelServer.start(readFileSync(join(models, smollm2.file)));
  try {
    const load = (page: Page, url: string, store: "opfs" | "indexeddb") =>
      page.evaluate(
        async ({ url, store }) => {
          const download = { attempts: 2, retryMs: 50 };
          try {
            const options = { backend: "cpu", contextLength: 64, store, download } as const;
            const chord = await sdk.Chord.load(url, options);
            const { store: report } = await chord.info();
            await chord.unload();
            await sdk.Chord.cache.delete(url);
            return { report };
          } catch (error) {
            return { code: (error as { code?: string }).code ?? String(error) };
          }
        },
        { url, store },
      );
    await resumeAtRandomCuts({ browser, baseURL }, server, { open: openSdk, load }, 30);
  } finally {
    await server.stop();
  }
});
