import { describe, expect, test } from "vitest";
import { isReasonToStepDown, fallbackOrder } from "./fallback.js";
import type { AdapterFacts } from "./webgpu.js";

const real: AdapterFacts = { name: "acme gen-7", isSoftware: false, subgroups: true };
const software: AdapterFacts = { ...real, isSoftware: true };
const none: AdapterFacts = { name: "", isSoftware: false, subgroups: false, absent: "this browser has no WebGPU" };

describe("auto", () => {
  test("begins with a real GPU and falls back to the CPU", () => {
    expect(fallbackOrder("auto", real, false)).toEqual({ backends: ["gpu", "cpu"], why: [] });
  });

  test("passes over a software GPU, and says so", () => {
    const { backends, why } = fallbackOrder("auto", software, false);
    expect(backends).toEqual(["cpu"]);
    expect(why.join()).toContain("a software GPU");
  });

  test("takes a software GPU that counts as real", () => {
    expect(fallbackOrder("auto", software, true).backends).toEqual(["gpu", "cpu"]);
  });

  test("goes to the CPU where there is no adapter, with the browser's reason", () => {
    expect(fallbackOrder("auto", none, true)).toEqual({
      backends: ["cpu"],
      why: ["no GPU: this browser has no WebGPU"],
    });
  });
});

test.each(["gpu", "cpu"] as const)("%s, if requested, is the only backend, whatever the adapter", (backend) => {
  for (const adapter of [real, software, none])
    expect(fallbackOrder(backend, adapter, false).backends).toEqual([backend]);
});

test.each([
  ["no-backend", true],
  ["device-lost", true],
  ["out-of-memory", true],
  ["bad-magic", false],
  ["http-status", false],
  ["cancelled", false],
  ["internal", false],
])("%s: another backend is tried: %s", (code, expected) => {
  expect(isReasonToStepDown({ code, message: "" })).toBe(expected);
});
