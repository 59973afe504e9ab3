/** What a page pays for the package: the scripts, and the one artifact that its browser uses. */

import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect, test } from "@playwright/test";
import { fromRoot } from "../../scripts/steps/paths.mjs";

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
  expect(artifacts.map(({ name }) => name)).toEqual(
    expect.arrayContaining(["chord.wasm", "chord-threads.wasm", "chord-memory64.wasm"]),
  );
  for (const { name, bytes } of artifacts) expect(scriptBytes + bytes, name).toBeLessThanOrEqual(limit);
});
