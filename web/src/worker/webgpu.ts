/**
 * Two additions to WebGPU as wgpu uses it in a browser.
 *
 * wgpu 30 does not know the web's `subgroups` feature and never requests it, so a shader with `enable subgroups;` would
 * be refused. Shader text reaches the browser unchanged, so it is enough to request the feature on wgpu's behalf. And
 * wgpu reports a lost device only when it is called; the device's own promise reports it at once.
 */

import { adapterName, isSoftware, requestAdapter } from "../capabilities.js";
import { deviceKey } from "../self-tests.js";

/** Features that are requested if the adapter has them, besides those that wgpu requests. */
const ADDED_FEATURES: readonly GPUFeatureName[] = ["subgroups"];

/** The devices made since the call of {@link watchDevices}. */
export interface WatchedDevices {
  /** Destroys every device made so far, as a driver reset would. */
  lose(): void;
}

/** Wraps `GPUAdapter.requestDevice` of this worker. `onLost` is called for each loss that the engine did not cause. */
export function watchDevices(onLost: (reason: string) => void): WatchedDevices {
  const devices = new Set<GPUDevice>();
  let provoked = false;
  if (typeof GPUAdapter !== "undefined") {
    const requestDevice = GPUAdapter.prototype.requestDevice;
    GPUAdapter.prototype.requestDevice = async function (this: GPUAdapter, descriptor = {}) {
      const wanted = new Set(descriptor.requiredFeatures);
      for (const feature of ADDED_FEATURES) if (this.features.has(feature)) wanted.add(feature);
      const device = await requestDevice.call(this, { ...descriptor, requiredFeatures: [...wanted] });
      devices.add(device);
      void device.lost.then(({ reason, message }) => {
        devices.delete(device);
        if (reason !== "destroyed" || provoked) onLost(message || reason);
      });
      return device;
    };
  }
  return {
    lose() {
      provoked = true;
      devices.forEach((device) => device.destroy());
    },
  };
}

/** Facts about the adapter that wgpu will be given. */
export interface AdapterFacts {
  /** From {@link adapterName}. wgpu knows only the description, which most browsers leave empty. */
  name: string;
  /** It is emulated on the CPU. */
  isSoftware: boolean;
  subgroups: boolean;
  /** Why there is none, where there is none. */
  absent?: string;
  /** The key under which its passed self-tests are remembered. */
  key?: string;
}

/** Looks at the adapter, unless it is not `wanted`: some drivers take long to answer. */
export async function adapterFacts(wanted = true): Promise<AdapterFacts> {
  const adapter = wanted ? await requestAdapter() : "it is not wanted";
  if (typeof adapter === "string") return { name: "", isSoftware: false, subgroups: false, absent: adapter };
  const { info, features } = adapter;
  const key = await deviceKey(adapter);
  return {
    name: adapterName(info),
    isSoftware: isSoftware(adapter),
    subgroups: features.has("subgroups"),
    ...(key === undefined ? {} : { key }),
  };
}
