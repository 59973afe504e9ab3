/** What this browser offers. Nothing of it is needed: without WebGPU models run on the CPU. */
export interface Capabilities {
  webgpu: {
    available: boolean;
    /** As the browser names it, where it does. */
    adapter: string | null;
    /** The GPU is computed on the CPU: slower than the CPU itself. */
    isSoftware: boolean;
    features: string[];
    /** Largest buffer and largest binding, in bytes. */
    maxBufferBytes: number;
    maxBindingBytes: number;
    /** Why there is none. */
    why?: string;
  };
  wasm: { available: boolean; simd: boolean; memory64: boolean };
  /** Memory can be shared between workers. */
  crossOriginIsolated: boolean;
  storage: {
    indexedDb: boolean;
    /** Bytes, where the browser tells. */
    quota: number | null;
    usage: number | null;
    /** The browser will not delete what is stored by itself. */
    persisted: boolean;
  };
}

/** A module with one function that uses a 128-bit vector. */
const SIMD_MODULE = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
];
/** A module with a memory of 64-bit addresses. */
const MEMORY64_MODULE = [0, 97, 115, 109, 1, 0, 0, 0, 5, 3, 1, 4, 1];

/** Looks at the browser. */
export async function capabilities(): Promise<Capabilities> {
  const [webgpu, storage] = await Promise.all([webgpuCapabilities(), storageCapabilities()]);
  const available = typeof WebAssembly === "object";
  const validate = (bytes: number[]) => available && WebAssembly.validate(new Uint8Array(bytes));
  return {
    webgpu,
    wasm: { available, simd: validate(SIMD_MODULE), memory64: validate(MEMORY64_MODULE) },
    crossOriginIsolated: globalThis.crossOriginIsolated ?? false,
    storage,
  };
}

/** What a browser tells of an adapter, on one line; browsers tell more or less of it. */
export function adapterName({ description, vendor, architecture, device }: GPUAdapterInfo): string {
  return description || [vendor, architecture, device].filter(Boolean).join(" ");
}

async function webgpuCapabilities(): Promise<Capabilities["webgpu"]> {
  const none = (why: string) => ({
    available: false,
    adapter: null,
    isSoftware: false,
    features: [],
    maxBufferBytes: 0,
    maxBindingBytes: 0,
    why,
  });
  if (!globalThis.isSecureContext) return none("WebGPU needs https or localhost");
  if (!("gpu" in navigator) || !navigator.gpu) return none("this browser has no WebGPU");
  let adapter: GPUAdapter | null;
  try {
    adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  } catch (error) {
    return none(String(error));
  }
  if (!adapter) return none("the browser offers no WebGPU adapter");
  const { info, limits } = adapter;
  return {
    available: true,
    adapter: adapterName(info) || null,
    isSoftware: info.isFallbackAdapter ?? false,
    features: [...adapter.features].sort(),
    maxBufferBytes: limits.maxBufferSize,
    maxBindingBytes: limits.maxStorageBufferBindingSize,
  };
}

async function storageCapabilities(): Promise<Capabilities["storage"]> {
  const indexedDb = typeof indexedDB !== "undefined";
  const storage: StorageManager | undefined = navigator.storage;
  if (!storage?.estimate) return { indexedDb, quota: null, usage: null, persisted: false };
  const [{ quota = null, usage = null }, persisted] = await Promise.all([storage.estimate(), storage.persisted()]);
  return { indexedDb, quota, usage, persisted };
}
