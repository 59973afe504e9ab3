import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { artifactUrls } from "../../web/src/addresses.ts";
import { ARTIFACTS } from "../../web/src/artifacts.ts";
import { sharedMemory } from "../../web/src/worker/shared-memory.ts";
import { artifacts, packageFile } from "./artifacts.mjs";
import { fromRoot } from "./paths.mjs";

const names = Object.keys(artifacts);

test.each(names.filter((name) => name !== "baseline"))("the worker makes the memory that %s is linked for", (name) => {
  let asked;
  sharedMemory(name, (pages) => (asked = pages));
  const { rustflags } = artifacts[name];
  const linked = (name) => Number(new RegExp(`--${name}=(\\d+)`).exec(rustflags.join(" "))[1]) / 65_536;
  expect(Number(asked.maximum)).toBe(linked("max-memory"));
  // A page more, which wasm-bindgen adds.
  expect(Number(asked.initial)).toBe(linked("initial-memory") + 1);
});

test("the SDK chooses among the artifacts that are built, under the names that the package exports", () => {
  expect([...ARTIFACTS].sort()).toEqual([...names].sort());
  const urls = artifactUrls(undefined, "https://page.example/");
  const { exports } = JSON.parse(readFileSync(fromRoot("web", "package.json"), "utf8"));
  for (const name of names) {
    const file = packageFile(name);
    expect(urls[name]).toMatch(new RegExp(`/${file}$`));
    expect(exports[`./${file}`]).toBe(`./dist/${file}`);
  }
});
