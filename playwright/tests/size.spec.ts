/** What a page pays for the package. */

import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect, test } from "@playwright/test";
import { fromRoot } from "../../scripts/steps/paths.mjs";

const limit = 1_000_000;

test("the package's scripts and WebAssembly are at most 1 MB gzipped", () => {
  const dist = fromRoot("web", "dist");
  const files = readdirSync(dist).filter((name) => /\.(js|wasm)$/.test(name));
  const sizes = files.map((name) => ({ name, bytes: gzipSync(readFileSync(`${dist}/${name}`), { level: 9 }).length }));
  const total = sizes.reduce((sum, { bytes }) => sum + bytes, 0);
  console.log(`gzipped: ${sizes.map(({ name, bytes }) => `${name} ${bytes}`).join(", ")}; together ${total} bytes`);
  expect(files.some((name) => name.endsWith(".wasm"))).toBe(true);
  expect(total).toBeLessThanOrEqual(limit);
});
