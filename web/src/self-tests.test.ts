import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { deviceKey, forgetTests, passedTests, rememberTest } from "./self-tests.js";

const day = 24 * 60 * 60 * 1000;
beforeEach(() => {
  globalThis.indexedDB = new IDBFactory();
});
afterEach(() => vi.unstubAllGlobals());

test("a test that a device passed is remembered for a week, and for no other device", async () => {
  await rememberTest("a", "first", 0);
  await rememberTest("a", "second", 3 * day);
  await rememberTest("b", "first", 3 * day);
  expect(await passedTests("a", 6 * day)).toEqual(["first", "second"]);
  expect(await passedTests("a", 8 * day)).toEqual(["second"]);
  expect(await passedTests("b", 8 * day)).toEqual(["first"]);
  // The expired test was deleted.
  expect(await passedTests("a", 3 * day)).toEqual(["second"]);
  expect(await passedTests("a", -5 * day)).toEqual([]);
});

test("passed tests are forgotten after a failure", async () => {
  await rememberTest("a", "first");
  await forgetTests();
  expect(await passedTests("a")).toEqual([]);
  await rememberTest("a", "second");
  expect(await passedTests("a")).toEqual(["second"]);
});

test("without storage nothing is remembered, and nothing fails", async () => {
  vi.stubGlobal("indexedDB", undefined);
  await rememberTest("a", "first");
  await forgetTests();
  expect(await passedTests("a")).toEqual([]);
});

test("the device key differs by build, browser, adapter and set of features", async () => {
  const adapter = (vendor: string, features: string[]) =>
    ({
      info: { vendor, architecture: "x", device: "", description: "" },
      features: new Set(features),
    }) as unknown as GPUAdapter;
  vi.stubGlobal("navigator", { userAgent: "one" });
  const key = await deviceKey(adapter("acme", ["b", "a"]), "1");
  expect(await deviceKey(adapter("acme", ["a", "b"]), "1")).toBe(key);
  const others = [
    await deviceKey(adapter("acme", ["a", "b"]), "2"),
    await deviceKey(adapter("other", ["a", "b"]), "1"),
    await deviceKey(adapter("acme", ["a"]), "1"),
  ];
  vi.stubGlobal("navigator", { userAgent: "two" });
  others.push(await deviceKey(adapter("acme", ["a", "b"]), "1"));
  const userAgentData = { getHighEntropyValues: () => Promise.resolve({ platformVersion: "7" }) };
  vi.stubGlobal("navigator", { userAgent: "one", userAgentData });
  others.push(await deviceKey(adapter("acme", ["a", "b"]), "1"));
  expect(new Set([key, ...others]).size).toBe(others.length + 1);
  // Sources that were not built cannot be told from other versions of them.
  expect(await deviceKey(adapter("acme", []))).toBeUndefined();
});
