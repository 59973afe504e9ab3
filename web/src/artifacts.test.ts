import { describe, expect, test } from "vitest";
import {
  ARTIFACTS,
  chooseArtifact,
  cpuBytes,
  defaultThreads,
  runnableArtifacts,
  type WasmFeatures,
  wideArtifact,
} from "./artifacts.js";

const everything: WasmFeatures = {
  relaxedSimd: true,
  sharedMemory: true,
  waitAsync: true,
  memory64: true,
  crossOriginIsolated: true,
};

describe("the artifact", () => {
  test("has threads where the browser and the page allow them", () => {
    expect(chooseArtifact(everything, ARTIFACTS)).toEqual({ artifact: "threads" });
  });

  test("has relaxed SIMD on one thread where the page is not isolated", () => {
    const choice = chooseArtifact({ ...everything, crossOriginIsolated: false }, ARTIFACTS);
    expect(choice).toEqual({ artifact: "threads", oneThread: "the page is not cross-origin isolated" });
  });

  test("is the baseline where only that is offered", () => {
    const choice = chooseArtifact(everything, ["baseline"]);
    expect(choice).toEqual({ artifact: "baseline", oneThread: "wasmUrl names the baseline alone" });
  });

  test("has threads in an isolated page of a browser without relaxed SIMD", () => {
    const safari = { ...everything, relaxedSimd: false, memory64: false };
    expect(chooseArtifact(safari, ARTIFACTS)).toEqual({ artifact: "threads-simd128" });
    const choice = chooseArtifact({ ...safari, crossOriginIsolated: false }, ARTIFACTS);
    expect(choice).toEqual({ artifact: "baseline", oneThread: "the page is not cross-origin isolated" });
  });

  test.each([
    ["shared memory", { sharedMemory: false }],
    ["Atomics.waitAsync", { waitAsync: false }],
    ["Atomics.waitAsync", { relaxedSimd: false, waitAsync: false }],
    ["shared memory and no Atomics.waitAsync", { sharedMemory: false, waitAsync: false }],
  ])("is the baseline in a browser without %s", (what, lacking) => {
    const choice = chooseArtifact({ ...everything, ...lacking }, ARTIFACTS);
    expect(choice).toEqual({ artifact: "baseline", oneThread: `this browser has no ${what}` });
  });
});

describe("the artifacts that a browser may come to run", () => {
  test("begin with the one that a load begins with", () => {
    expect(runnableArtifacts(everything)).toEqual(["threads", "memory64", "baseline"]);
    expect(runnableArtifacts({ ...everything, memory64: false })).toEqual(["threads", "baseline"]);
    expect(runnableArtifacts({ ...everything, relaxedSimd: false })).toEqual(["threads-simd128", "baseline"]);
    expect(runnableArtifacts({ ...everything, waitAsync: false })).toEqual(["baseline"]);
  });
});

describe("the artifact of models that 32 bits cannot address", () => {
  test("has threads where the browser and the page allow them", () => {
    expect(wideArtifact(everything, ARTIFACTS)).toEqual({ artifact: "memory64" });
    expect(cpuBytes(everything, ARTIFACTS)).toBe(15.5 * 2 ** 30);
  });

  test("has one thread where the page is not isolated", () => {
    const plain = { ...everything, crossOriginIsolated: false };
    const choice = wideArtifact(plain, ARTIFACTS);
    expect(choice).toEqual({ artifact: "memory64", oneThread: "the page is not cross-origin isolated" });
    expect(cpuBytes(plain, ARTIFACTS)).toBe(15.5 * 2 ** 30);
  });

  test.each([
    ["Memory64", { memory64: false }],
    ["relaxed SIMD", { relaxedSimd: false }],
    ["shared memory", { sharedMemory: false }],
    ["Atomics.waitAsync", { waitAsync: false }],
    ["Memory64 and no relaxed SIMD", { memory64: false, relaxedSimd: false }],
  ])("does not run in a browser without %s", (what, lacking) => {
    const features = { ...everything, ...lacking };
    expect(wideArtifact(features, ARTIFACTS)).toEqual({ lacking: `this browser has no ${what}` });
    expect(cpuBytes(features, ARTIFACTS)).toBe(3.5 * 2 ** 30);
  });

  test("does not run where only another is offered", () => {
    expect(wideArtifact(everything, ["baseline"])).toEqual({ lacking: "wasmUrl names the baseline alone" });
    expect(cpuBytes(everything, ["baseline"])).toBe(3.5 * 2 ** 30);
  });
});

test.each([
  [0, 1],
  [1, 1],
  [2, 2],
  [3, 2],
  [16, 15],
  [128, 64],
])("with %i cores, %i threads compute", (cores, threads) => {
  expect(defaultThreads(cores)).toBe(threads);
});
