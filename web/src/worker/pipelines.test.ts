import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { compilePipelinesTogether } from "./pipelines.js";

class FakeError {
  constructor(readonly message: string) {}
}

let device: GPUDevice;
let pass: GPUComputePassEncoder;
/** What was asked of the browser. */
let asked: string[];
let compiles: { resolve(pipeline: object): void; reject(error: Error): void }[];

beforeEach(() => {
  asked = [];
  compiles = [];
  class FakeDevice {
    private scopes = 0;
    createComputePipeline({ label }: { label: string }) {
      asked.push(`now ${label}`);
      return { label: `${label}, made at once` };
    }
    createComputePipelineAsync({ label }: { label: string }) {
      asked.push(`later ${label}`);
      return new Promise((resolve, reject) => compiles.push({ resolve, reject }));
    }
    pushErrorScope() {
      this.scopes++;
    }
    popErrorScope() {
      if (this.scopes-- === 0) throw new Error("no scope is open");
      return Promise.resolve(null);
    }
  }
  class FakePass {
    setPipeline({ label }: { label: string }) {
      asked.push(`set ${label}`);
    }
  }
  vi.stubGlobal("GPUDevice", FakeDevice);
  vi.stubGlobal("GPUComputePassEncoder", FakePass);
  vi.stubGlobal("GPUValidationError", FakeError);
  compilePipelinesTogether();
  device = new FakeDevice() as unknown as GPUDevice;
  pass = new FakePass() as unknown as GPUComputePassEncoder;
});
afterEach(() => vi.unstubAllGlobals());

/** Makes a pipeline in an error scope of its own, as the engine does. */
function make(label: string) {
  device.pushErrorScope("validation");
  const pipeline = device.createComputePipeline({ label } as GPUComputePipelineDescriptor);
  return { pipeline, scope: device.popErrorScope() };
}

test("pipelines are compiled at once, each scope ends with its own", async () => {
  const [first, second] = [make("a"), make("b")];
  expect(asked).toEqual(["later a", "later b"]);
  let ended = "";
  const scopes = [first.scope.then(() => (ended += "a")), second.scope.then(() => (ended += "b"))];
  compiles[1]!.resolve({ label: "B" });
  await scopes[1];
  expect(ended).toBe("b");
  compiles[0]!.resolve({ label: "A" });
  await scopes[0];
  pass.setPipeline(first.pipeline);
  pass.setPipeline(second.pipeline);
  expect(asked.slice(2)).toEqual(["set A", "set B"]);
});

test("one that is refused is the error of its scope, and of no other", async () => {
  device.pushErrorScope("validation");
  const inner = make("bad");
  const outer = device.popErrorScope();
  compiles[0]!.reject(new Error("no such entry point"));
  expect(await inner.scope).toEqual(new FakeError("no such entry point"));
  expect(await outer).toBeNull();
});

test("one that nobody waited for is made when it is needed", () => {
  const { pipeline } = make("a");
  pass.setPipeline(pipeline);
  pass.setPipeline(pipeline);
  expect(asked).toEqual(["later a", "now a", "set a, made at once", "set a, made at once"]);
});

test("outside of a scope, and for pipelines of others, nothing changes", () => {
  const pipeline = device.createComputePipeline({ label: "a" } as GPUComputePipelineDescriptor);
  pass.setPipeline(pipeline);
  expect(asked).toEqual(["now a", "set a, made at once"]);
});
