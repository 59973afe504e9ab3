/**
 * Another addition to WebGPU as wgpu uses it in a browser: pipelines are compiled beside each other.
 *
 * wgpu makes pipelines by `createComputePipeline`, which browsers compile one after the other. Here it starts
 * `createComputePipelineAsync`, which they compile on several threads, and gives a stand-in that `setPipeline` knows. The
 * error scope in which a pipeline was made ends when that is compiled, and has its error, if any: whoever waits for the
 * scope, as the engine does at each load, has waited for the pipeline.
 */

/** What a stand-in stands for. */
interface Made {
  device: GPUDevice;
  descriptor: GPUComputePipelineDescriptor;
  pipeline: GPUComputePipeline | undefined;
}

type Compiling = Promise<GPUError | null>;

/** Wraps the classes of this worker; where there is no WebGPU there is nothing to do. */
export function compilePipelinesTogether(): void {
  if (typeof GPUDevice === "undefined" || typeof GPUComputePassEncoder === "undefined") return;
  const device = GPUDevice.prototype;
  const pass = GPUComputePassEncoder.prototype;
  const { createComputePipeline, createComputePipelineAsync, pushErrorScope, popErrorScope } = device;
  const { setPipeline } = pass;
  const made = new WeakMap<object, Made>();
  /** What is compiled in each open error scope of a device. */
  const scopes = new WeakMap<GPUDevice, Compiling[][]>();
  const scopesOf = (device: GPUDevice) => {
    const open = scopes.get(device) ?? [];
    scopes.set(device, open);
    return open;
  };

  device.pushErrorScope = function (this: GPUDevice, filter) {
    scopesOf(this).push([]);
    return pushErrorScope.call(this, filter);
  };
  device.createComputePipeline = function (this: GPUDevice, descriptor) {
    const scope = scopesOf(this).at(-1);
    // Without a scope nobody would wait for it.
    if (!scope) return createComputePipeline.call(this, descriptor);
    const standIn = {} as GPUComputePipeline;
    const entry: Made = { device: this, descriptor, pipeline: undefined };
    made.set(standIn, entry);
    const compiled = createComputePipelineAsync.call(this, descriptor).then(
      (pipeline) => {
        entry.pipeline = pipeline;
        return null;
      },
      (error: unknown) => new GPUValidationError(error instanceof Error ? error.message : String(error)),
    );
    scope.push(compiled);
    return standIn;
  };
  device.popErrorScope = function (this: GPUDevice) {
    const compiling = scopesOf(this).pop() ?? [];
    const ended = popErrorScope.call(this);
    if (compiling.length === 0) return ended;
    return Promise.all([ended, ...compiling]).then((errors) => errors.find((error) => error !== null) ?? null);
  };
  pass.setPipeline = function (this: GPUComputePassEncoder, pipeline) {
    const entry = made.get(pipeline);
    if (!entry) return setPipeline.call(this, pipeline);
    // Whoever did not wait gets it now.
    entry.pipeline ??= createComputePipeline.call(entry.device, entry.descriptor);
    return setPipeline.call(this, entry.pipeline);
  };
}
