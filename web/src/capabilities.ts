import { simd } from "wasm-feature-detect";
import {
  type ArtifactName,
  ARTIFACTS,
  chooseArtifact,
  detectFeatures,
  runnableArtifacts,
  type WasmFeatures,
} from "./artifacts.js";
import { needBrowser } from "./environment.js";

/** What this browser offers. None of it is required: without WebGPU, models run on the CPU. */
export interface Capabilities {
  webgpu: {
    available: boolean;
    /** The browser's name for the adapter, if it gives one. */
    adapter: string | null;
    /** The GPU is emulated on the CPU, which is slower than the CPU backend. */
    isSoftware: boolean;
    features: string[];
    /** Largest buffer and largest binding, in bytes. */
    maxBufferBytes: number;
    maxBindingBytes: number;
    /** All limits of the adapter, by their names in WebGPU. */
    limits: Record<string, number>;
    /** Why WebGPU is not available. */
    why?: string;
  };
  wasm: {
    available: boolean;
    simd: boolean;
    relaxedSimd: boolean;
    memory64: boolean;
    /** The package's artifacts that this browser can run; the one that a load starts with comes first. */
    artifacts: ArtifactName[];
  };
  /** Memory can be shared between workers. */
  crossOriginIsolated: boolean;
  /** `available`: the CPU can use several threads (the page is cross-origin isolated and the browser supports them). */
  threads: { available: boolean; hardwareConcurrency: number };
  storage: {
    indexedDb: boolean;
    /** Bytes, if the browser reports them. */
    quota: number | null;
    usage: number | null;
    /** The browser will not delete stored data by itself. */
    persisted: boolean;
  };
}

/** Reports what the browser offers. */
export async function capabilities(): Promise<Capabilities> {
  needBrowser();
  const features = typeof WebAssembly === "object" ? await detectFeatures() : undefined;
  const [webgpu, wasm, storage] = await Promise.all([
    webgpuCapabilities(),
    wasmCapabilities(features),
    storageCapabilities(),
  ]);
  const hasThreads = features !== undefined && chooseArtifact(features, ARTIFACTS).oneThread === undefined;
  return {
    webgpu,
    wasm,
    crossOriginIsolated: globalThis.crossOriginIsolated ?? false,
    threads: { available: hasThreads, hardwareConcurrency: navigator.hardwareConcurrency },
    storage,
  };
}

async function wasmCapabilities(features: WasmFeatures | undefined): Promise<Capabilities["wasm"]> {
  if (!features) return { available: false, simd: false, relaxedSimd: false, memory64: false, artifacts: [] };
  const { relaxedSimd, memory64 } = features;
  return { available: true, simd: await simd(), relaxedSimd, memory64, artifacts: runnableArtifacts(features) };
}

/** What a browser says about an adapter, on one line. */
export function adapterName({ description, vendor, architecture, device }: GPUAdapterInfo): string {
  return description || [vendor, architecture, device].filter(Boolean).join(" ");
}

/** Whether an adapter runs on the CPU. Older browsers have this on the adapter itself instead of in its `info`. */
export function isSoftware(adapter: GPUAdapter): boolean {
  return adapter.info.isFallbackAdapter ?? (adapter as { isFallbackAdapter?: boolean }).isFallbackAdapter ?? false;
}

/** The adapter that models run on, or why there is none. */
export async function requestAdapter(): Promise<GPUAdapter | string> {
  if (!globalThis.isSecureContext) return "WebGPU needs https or localhost";
  if (!("gpu" in navigator) || !navigator.gpu) return "this browser has no WebGPU";
  try {
    const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
    if (!adapter) return "the browser offers no WebGPU adapter";
    // Chromium before 127 gives it only as a promise.
    return "info" in adapter ? adapter : "this browser's WebGPU is too old: its adapter has no `info`";
  } catch (error) {
    return String(error);
  }
}

/** What WebGPU offers here. */
export async function webgpuCapabilities(): Promise<Capabilities["webgpu"]> {
  const none = (why: string) => ({
    available: false,
    adapter: null,
    isSoftware: false,
    features: [],
    maxBufferBytes: 0,
    maxBindingBytes: 0,
    limits: {},
    why,
  });
  const adapter = await requestAdapter();
  if (typeof adapter === "string") return none(adapter);
  const { info, limits } = adapter;
  return {
    available: true,
    adapter: adapterName(info) || null,
    isSoftware: isSoftware(adapter),
    features: [...adapter.features].sort(),
    maxBufferBytes: limits.maxBufferSize,
    maxBindingBytes: limits.maxStorageBufferBindingSize,
    limits: limitsByName(limits),
  };
}

/** Limits are getters of the prototype: a spread would find none. */
function limitsByName(limits: GPUSupportedLimits): Record<string, number> {
  const named: Record<string, number> = {};
  for (const name in limits) {
    const value: unknown = limits[name as keyof GPUSupportedLimits];
    if (typeof value === "number") named[name] = value;
  }
  return named;
}

async function storageCapabilities(): Promise<Capabilities["storage"]> {
  const indexedDb = typeof indexedDB !== "undefined";
  const storage: StorageManager | undefined = navigator.storage;
  if (!storage?.estimate) return { indexedDb, quota: null, usage: null, persisted: false };
  const [{ quota = null, usage = null }, persisted] = await Promise.all([storage.estimate(), storage.persisted()]);
  return { indexedDb, quota, usage, persisted };
}
