/** What a page pays for the package: the scripts, and the one artifact that its browser uses. */

import { readdirSync, readFileSync, statSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { type APIRequestContext, expect, test } from "@playwright/test";
import { artifacts as built, packageFile } from "../../scripts/steps/artifacts.mjs";
import { fromRoot } from "../../scripts/steps/paths.mjs";
import { openSdk } from "../support/page.ts";
import { tinyModel } from "../support/places.mjs";

const limit = 1_000_000;

test("the package's scripts and any one of its artifacts are at most 1 MB gzipped", () => {
  const dist = fromRoot("web", "dist");
  const sizes = readdirSync(dist)
    .filter((name) => /\.(js|wasm)$/.test(name))
    .map((name) => ({ name, bytes: gzipSync(readFileSync(`${dist}/${name}`), { level: 9 }).length }));
  const artifacts = sizes.filter(({ name }) => name.endsWith(".wasm"));
  const scripts = sizes.filter(({ name }) => name.endsWith(".js"));
  const scriptBytes = scripts.reduce((sum, { bytes }) => sum + bytes, 0);
  console.log(`gzipped: ${sizes.map(({ name, bytes }) => `${name} ${bytes}`).join(", ")}`);
  expect(artifacts.map(({ name }) => name).sort()).toEqual(Object.keys(built).map(packageFile).sort());
  for (const { name, bytes } of artifacts) expect(scriptBytes + bytes, name).toBeLessThanOrEqual(limit);
});

/** Bytes that the test server has handed out, by path. */
async function sent(request: APIRequestContext): Promise<Map<string, number>> {
  return new Map(Object.entries((await (await request.get("/transfers.json")).json()) as Record<string, number>));
}

/** What `action` made the page fetch: bytes by path. */
async function fetched(request: APIRequestContext, action: () => Promise<unknown>): Promise<Record<string, number>> {
  const before = await sent(request);
  await action();
  const after = [...(await sent(request))].map(([path, bytes]) => [path, bytes - (before.get(path) ?? 0)] as const);
  return Object.fromEntries(after.filter(([, bytes]) => bytes > 0));
}

const model = "/golden/tiny/llama.Q4_0.gguf";
const size = (path: string) => statSync(fromRoot("web", "dist", path)).size;

for (const backend of ["webgpu", "cpu"] as const) {
  test(`a page on ${backend} fetches the scripts, one artifact and the model, each of them once`, async ({
    page,
    request,
  }) => {
    const imported = await fetched(request, () => openSdk(page));
    const pages = Object.keys(imported).filter((path) => path.startsWith("/package/"));
    expect(pages).toEqual(["/package/index.js"]);
    expect(imported["/package/index.js"]).toBe(size("index.js"));

    const load = () =>
      page.evaluate(
        async ([url, backend]) => {
          const chord = await sdk.Chord.load(url, { backend });
          await chord.unload();
        },
        [model, backend] as const,
      );
    expect(await fetched(request, load)).toEqual({
      "/package/chord-worker.js": size("chord-worker.js"),
      "/package/chord-threads.wasm": size("chord-threads.wasm"),
      [model]: statSync(tinyModel).size,
    });
    // The second engine has its scripts from the browser's cache and its model from the store.
    expect(await fetched(request, load)).toEqual({});
  });
}
