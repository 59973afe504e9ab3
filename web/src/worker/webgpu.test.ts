import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { adapterFacts, watchDevices } from "./webgpu.js";

/** As much of WebGPU as the module uses. */
class FakeAdapter {
  asked: GPUDeviceDescriptor | undefined;
  lose!: (info: { reason: string; message: string }) => void;
  readonly destroy = vi.fn(() => this.lose({ reason: "destroyed", message: "" }));
  readonly info = { description: "", vendor: "acme", architecture: "gen-7", device: "" };

  constructor(readonly features: Set<string>) {}

  requestDevice(descriptor?: GPUDeviceDescriptor): Promise<unknown> {
    this.asked = descriptor;
    const lost = new Promise((resolve) => {
      this.lose = resolve;
    });
    return Promise.resolve({ lost, destroy: this.destroy });
  }
}

const original = FakeAdapter.prototype.requestDevice;

beforeEach(() => vi.stubGlobal("GPUAdapter", FakeAdapter));
afterEach(() => {
  FakeAdapter.prototype.requestDevice = original;
  vi.unstubAllGlobals();
});

const tick = () => new Promise((resolve) => setTimeout(resolve, 0));

describe("features of a device", () => {
  test("subgroups are added to the requested features, where the adapter has them", async () => {
    watchDevices(vi.fn());
    const adapter = new FakeAdapter(new Set(["subgroups", "shader-f16"]));
    await adapter.requestDevice({ label: "chord", requiredFeatures: ["shader-f16"] });
    expect(adapter.asked).toEqual({ label: "chord", requiredFeatures: ["shader-f16", "subgroups"] });
  });

  test("nothing is added where it does not", async () => {
    watchDevices(vi.fn());
    const adapter = new FakeAdapter(new Set());
    await adapter.requestDevice();
    expect(adapter.asked).toEqual({ requiredFeatures: [] });
  });
});

describe("the loss of a device", () => {
  test("is reported with its reason", async () => {
    const onLost = vi.fn();
    watchDevices(onLost);
    const adapter = new FakeAdapter(new Set());
    await adapter.requestDevice();
    adapter.lose({ reason: "unknown", message: "the GPU process ended" });
    await tick();
    expect(onLost).toHaveBeenCalledWith("the GPU process ended");
  });

  test("is not reported when the engine destroys a device", async () => {
    const onLost = vi.fn();
    watchDevices(onLost);
    const adapter = new FakeAdapter(new Set());
    await adapter.requestDevice();
    adapter.destroy();
    await tick();
    expect(onLost).not.toHaveBeenCalled();
  });

  test("is reported when it was provoked", async () => {
    const onLost = vi.fn();
    const devices = watchDevices(onLost);
    const adapter = new FakeAdapter(new Set());
    await adapter.requestDevice();
    devices.lose();
    await tick();
    expect(adapter.destroy).toHaveBeenCalledTimes(1);
    expect(onLost).toHaveBeenCalledTimes(1);
  });
});

describe("facts of the adapter", () => {
  beforeEach(() => vi.stubGlobal("isSecureContext", true));
  const offer = (requestAdapter: () => Promise<unknown>) => vi.stubGlobal("navigator", { gpu: { requestAdapter } });

  test("name, subgroups, and whether it is computed in software", async () => {
    const adapter = new FakeAdapter(new Set(["subgroups"]));
    offer(() => Promise.resolve(adapter));
    expect(await adapterFacts()).toEqual({ name: "acme gen-7", isSoftware: false, subgroups: true });
    Object.assign(adapter.info, { isFallbackAdapter: true });
    expect(await adapterFacts()).toMatchObject({ isSoftware: true });
  });

  test.each([
    ["no adapter", "offers no WebGPU adapter", () => offer(() => Promise.resolve(null))],
    ["a refusal", "Error: no", () => offer(() => Promise.reject(new Error("no")))],
    ["no WebGPU", "has no WebGPU", () => vi.stubGlobal("navigator", {})],
    ["no secure context", "needs https", () => vi.stubGlobal("isSecureContext", false)],
  ])("where there is %s, the reason", async (_what, reason, stub) => {
    stub();
    expect(await adapterFacts()).toMatchObject({ name: "", absent: expect.stringContaining(reason) });
  });
});

test("without WebGPU there is nothing to watch", () => {
  vi.stubGlobal("GPUAdapter", undefined);
  expect(() => watchDevices(vi.fn()).lose()).not.toThrow();
});
