/** Vitest runs in Node, without a DOM, like a server that renders a page which uses the package. */

import { afterEach, describe, expect, test, vi } from "vitest";
import { Chord, ChordError, LoadControl, SDK_ERROR_CODES } from "./index.js";

afterEach(() => vi.unstubAllGlobals());

/** Every call of the package that is not made on a loaded model. */
const calls: Record<string, () => Promise<unknown>> = {
  load: () => Chord.load("model.gguf"),
  "load of a repository": () => Chord.load({ repo: "a/b", file: "c.gguf" }),
  "load with options that make no sense": () => Chord.load("model.gguf", { threads: -1 }),
  "load of a Blob": () => Chord.load(new Blob(["GGUF"])),
  inspect: () => Chord.inspect("model.gguf"),
  capabilities: () => Chord.capabilities(),
  "cache.list": () => Chord.cache.list(),
  "cache.has": () => Chord.cache.has("model.gguf"),
  "cache.delete": () => Chord.cache.delete("model.gguf"),
  "cache.usage": () => Chord.cache.usage(),
  "cache.persist": () => Chord.cache.persist(),
  "cache.evict": () => Chord.cache.evict({ bytes: 1 }),
  "cache.export": () => Chord.cache.export("model.gguf"),
  "cache.import": () => Chord.cache.import(new Blob(["GGUF"]), "model"),
};

test("every call is tried here", () => {
  const tried = Object.keys(calls);
  for (const name of Object.keys(Chord.cache)) expect(tried).toContain(`cache.${name}`);
  const own = Object.getOwnPropertyNames(Chord).filter((name) => typeof Reflect.get(Chord, name) === "function");
  for (const name of own) expect(tried).toContain(name);
});

describe.each([
  ["Node.js", {}, /^Node\.js \d+\./],
  ["Node.js that knows its navigator", { navigator: { userAgent: "Node.js/22" } }, /^Node\.js \d+\./],
  ["Deno", { Deno: { version: { deno: "2.5.0" } }, location: { href: "https://a/" }, navigator: {} }, /^Deno 2\.5\.0$/],
  ["Bun", { process: { versions: { node: "24.3.0", bun: "1.3.0" } }, navigator: {} }, /^Bun 1\.3\.0$/],
  ["some engine alone", { process: undefined }, /^JavaScript without a page$/],
])("in %s", (_name, globals, runtime) => {
  test.each(Object.entries(calls))("%s is rejected: a browser is needed", async (_call, run) => {
    for (const [name, value] of Object.entries(globals)) vi.stubGlobal(name, value);
    const error: unknown = await run().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ChordError);
    expect(error).toMatchObject({
      code: "needs-browser",
      message: expect.stringContaining("needs a browser"),
      details: { runtime: expect.stringMatching(runtime) },
    });
  });
});

describe("in a scope without workers", () => {
  test.each(["load", "inspect", "cache.import"])("%s is rejected with the name of what is missing", async (call) => {
    vi.stubGlobal("location", { href: "https://page/", origin: "https://page" });
    vi.stubGlobal("navigator", { hardwareConcurrency: 2 });
    await expect(calls[call]!()).rejects.toMatchObject({
      code: "needs-browser",
      message: expect.stringContaining("needs Worker"),
      details: { lacking: "Worker" },
    });
  });
});

test("what needs no browser works anywhere", () => {
  const control = new LoadControl();
  control.pause();
  expect(control.paused).toBe(true);
  expect(SDK_ERROR_CODES["needs-browser"]).toBeTruthy();
});
