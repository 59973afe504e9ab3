import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { fromRoot } from "../steps/paths.mjs";
import { checkVersion, edits, setAddresses, workspaceVersion } from "./version.mjs";

const read = (file) => readFileSync(fromRoot(file), "utf8");
const current = workspaceVersion(read("Cargo.toml"));

describe("a version", () => {
  test("may be the one that the package has, before that is released", () => {
    expect(() => checkVersion("0.1.0", { current: "0.1.0", released: null })).not.toThrow();
    expect(() => checkVersion("0.1.0", { current: "0.1.0", released: "0.1.0" })).toThrow("not newer");
  });

  test("must be newer by its numbers, not by its letters", () => {
    expect(() => checkVersion("0.10.0", { current: "0.9.0", released: "0.9.0" })).not.toThrow();
    expect(() => checkVersion("0.2.0", { current: "0.2.0-rc.1", released: "0.2.0-rc.1" })).not.toThrow();
    expect(() => checkVersion("0.2.0-rc.2", { current: "0.2.0", released: "0.2.0" })).toThrow("not newer");
    expect(() => checkVersion("0.1.9", { current: "0.2.0", released: null })).toThrow("older");
  });

  test.each(["", "1", "1.2", "v1.2.3", "01.2.3", "1.2.3 ", "next"])('"%s" is none', (text) => {
    expect(() => checkVersion(text, { current: "0.1.0", released: null })).toThrow("is no version");
  });
});

describe("the files of this repository", () => {
  test.each(Object.keys(edits))("%s takes a version and gives it back", (file) => {
    const text = read(file);
    const edited = edits[file](text, current, "98.7.6");
    expect(edited).toContain("98.7.6");
    expect(edits[file](edited, "98.7.6", current)).toBe(text);
  });

  test("every crate of the workspace has the new version in Cargo.lock, and no other", () => {
    const blocks = edits["Cargo.lock"](read("Cargo.lock"), current, "98.7.6").split("[[package]]");
    const crates = blocks.filter((block) => block.includes("98.7.6")).map((block) => /name = "([^"]+)"/.exec(block)[1]);
    expect(crates).toContain("chord-gguf");
    expect(crates.every((name) => name.startsWith("chord-"))).toBe(true);
    expect(crates).toHaveLength(blocks.filter((block) => /name = "chord-/.test(block)).length);
  });

  test("one version is in all of them", () => {
    expect(JSON.parse(read("web/package.json")).version).toBe(current);
    expect(JSON.parse(read("package-lock.json")).packages.web.version).toBe(current);
  });
});

test("addresses of the package at a version follow, other versions stay", () => {
  const text = "https://cdn.example/@querent-ai/wasm-chord@0.1.0/dist/index.js and wasm-chord@0.0.9, lib@0.1.0";
  expect(setAddresses(text, "0.1.0", "0.2.0")).toBe(
    "https://cdn.example/@querent-ai/wasm-chord@0.2.0/dist/index.js and wasm-chord@0.0.9, lib@0.1.0",
  );
});
