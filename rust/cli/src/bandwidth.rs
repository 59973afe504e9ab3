//! How fast a device reads memory, for figures that are a share of its bandwidth.

use chord_engine::LoadOptions;
use chord_engine::pool::{Pool, Worker, default_threads};

use crate::args::clock;

/// Measurements, the fastest of which counts: any disturbance makes one slower.
const PASSES: usize = 5;

/// Bytes per second that the device of this backend reads, where it can be measured.
pub(crate) async fn stream_bytes_per_s(backend: &str, options: &LoadOptions) -> Option<f64> {
    if backend == "cpu" { of_cpu(options) } else { of_gpu(options).await }
}

/// Reads more memory than caches hold, with as many threads as the executor has, each reading its part.
fn of_cpu(options: &LoadOptions) -> Option<f64> {
    const BYTES: usize = 256 << 20;
    let data = vec![1u64; BYTES / 8];
    let n_threads = options.threads.map_or_else(default_threads, |n| n as usize);
    let mut pool = Pool::spawn(n_threads).ok()?;
    let read = |worker: &Worker<'_>| {
        let part = data.len() / worker.n_threads;
        let folded = data[worker.index * part..][..part].chunks_exact(8).fold([0u64; 8], |mut sums, chunk| {
            sums.iter_mut().zip(chunk).for_each(|(sum, value)| *sum ^= value);
            sums
        });
        std::hint::black_box(folded);
        Ok(())
    };
    let mut pass = || {
        let started = clock();
        pool.run(&read).ok()?;
        Some(BYTES as f64 * 1000.0 / (clock() - started))
    };
    (0..PASSES).map(|_| pass()).try_fold(0.0, |best, rate| Some(f64::max(best, rate?)))
}

#[cfg(not(feature = "gpu"))]
async fn of_gpu(_: &LoadOptions) -> Option<f64> {
    None
}

/// Reads one buffer with every lane, again and again for a while; none if the device has no room for it.
#[cfg(feature = "gpu")]
async fn of_gpu(options: &LoadOptions) -> Option<f64> {
    use chord_gpu::shader::ShaderSet;
    use chord_gpu::{Access, Binding, Gpu, GpuOptions, Grid, KernelSource, MemoryKind, Resources};
    use chord_program::BatchShape;

    /// Vectors of 16 bytes that a workgroup reads.
    const SPAN: u32 = 4096;
    /// A submit well below the time after which systems reset a GPU.
    const SUBMIT_MS: f64 = 300.0;
    const ONE: BatchShape = BatchShape { n_tokens: 1, n_outputs: 0 };

    let request = GpuOptions { adapter_name: options.adapter.clone(), allow_software: true, ..GpuOptions::default() };
    let resources = Resources::new(&Gpu::request(request).await.ok()?, ShaderSet::default());
    let gpu = &resources.gpu;
    let wanted: u64 = if gpu.is_software() { 64 << 20 } else { 1 << 30 };
    let n_bytes = wanted.min(gpu.max_binding_bytes()) >> 20 << 20;
    let usage = wgpu::BufferUsages::STORAGE;
    let source = resources.buffer("stream", n_bytes, usage, MemoryKind::Scratch).ok()?;
    let unused = resources.buffer("unused", 1 << 12, usage, MemoryKind::Scratch).ok()?;
    let kernel = KernelSource::new("bench/stream_read.wgsl").constant("SPAN", SPAN);
    let bindings = [Binding::whole(Access::Read, &source), Binding::whole(Access::ReadWrite, &unused)];
    let groups = (n_bytes / 16 / u64::from(SPAN)) as u32;
    let dispatch = resources.dispatch(&kernel, &bindings, Grid::fixed(groups)).ok()?;
    let submit = |times: usize| {
        let started = clock();
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            for _ in 0..times {
                dispatch.encode(&mut pass, ONE);
            }
        }
        gpu.queue.submit([encoder.finish()]);
        gpu.device.poll(wgpu::PollType::wait_indefinitely()).ok()?;
        Some(clock() - started)
    };
    submit(1)?;
    resources.settle().await.ok()?;
    let times = ((SUBMIT_MS / submit(1)?) as usize).clamp(1, 2000);
    let pass = || Some(n_bytes as f64 * times as f64 * 1000.0 / submit(times)?);
    (0..PASSES).map(|_| pass()).try_fold(0.0, |best, rate| Some(f64::max(best, rate?)))
}
