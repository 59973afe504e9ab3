//! What a device can do, and how much of it the product kernels achieve, as one JSON object on stdout.
//!
//! ```text
//! kernel_rates [--adapter NAME] [--shapes ROWSxCOLS,…] [--types Q4_K,…] [--tokens 1,128,…]
//!              [--all-variants] [--without subgroups] [--device-only] [--seconds S]
//! ```
//!
//! The device: read bandwidth, multiply-add rate from registers and from memory, the cost of dispatches, and a round
//! trip with a read-back. The kernels: for each shape, type and number of tokens, time, GMAC/s and GB/s of weights.
//! Weights are random; there are so many copies of a matrix that no cache holds them. Without `--shapes`, those of an
//! 8B Llama. Rates are of wall time over one submit of about `--seconds` (0.3), the best of three.

use std::time::Instant;

use chord_gguf::GgmlType;
use chord_gpu::ops::OpContext;
use chord_gpu::ops::matmul::{MatMul, Subgroups, Variant, fixed_subgroup_width, matmul_with, variants};
use chord_gpu::shader::ShaderSet;
use chord_gpu::weights::{DeviceWeight, types};
use chord_gpu::{
    Access, Activation, Allocation, Binding, Dispatch, Gpu, GpuOptions, Grid, KernelSource, MemoryKind, Resources,
};
use chord_program::{BatchShape, ExecError, Rows, Weight};
use serde_json::{Value, json};

/// Rows and columns of the matrices of an 8B Llama: Q and O, K and V, gate and up, down, output.
const LLAMA_8B: &str = "4096x4096,1024x4096,14336x4096,4096x14336,128256x4096";

struct Arguments {
    gpu: GpuOptions,
    shapes: Vec<(u32, u32)>,
    types: Vec<GgmlType>,
    tokens: Vec<u32>,
    all_variants: bool,
    device_only: bool,
    seconds: f64,
}

/// All types that have kernels, but for the two that models are rarely stored in.
fn default_types() -> String {
    let names = types().filter(|ty| !matches!(ty, GgmlType::F32 | GgmlType::BF16)).map(|ty| ty.name());
    names.collect::<Vec<_>>().join(",")
}

fn arguments() -> Result<Arguments, String> {
    let mut gpu = GpuOptions { allow_software: true, ..GpuOptions::default() };
    let (mut shapes, mut types, mut tokens) = (LLAMA_8B.to_owned(), default_types(), "1,4,128".to_owned());
    let (mut all_variants, mut device_only, mut seconds) = (false, false, 0.3);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--adapter" => gpu.adapter_name = Some(value()?),
            "--shapes" => shapes = value()?,
            "--types" => types = value()?,
            "--tokens" => tokens = value()?,
            "--without" => gpu.disable_features.push(value()?),
            "--seconds" => seconds = value()?.parse().map_err(|e| format!("--seconds: {e}"))?,
            "--all-variants" => all_variants = true,
            "--device-only" => device_only = true,
            _ => return Err(format!("unknown argument {word}")),
        }
    }
    let number = |text: &str| text.parse::<u32>().map_err(|e| format!("{text:?}: {e}"));
    let shape = |text: &str| {
        let (rows, cols) = text.split_once('x').ok_or(format!("{text:?} is not ROWSxCOLS"))?;
        Ok::<_, String>((number(rows)?, number(cols)?))
    };
    Ok(Arguments {
        gpu,
        shapes: shapes.split(',').map(shape).collect::<Result<_, _>>()?,
        types: types.split(',').map(|t| t.parse().map_err(|e| format!("{e}"))).collect::<Result<_, _>>()?,
        tokens: tokens.split(',').map(number).collect::<Result<_, _>>()?,
        all_variants,
        device_only,
        seconds,
    })
}

struct Bench {
    resources: Resources,
    seconds: f64,
}

impl Bench {
    fn buffer(&self, what: &str, bytes: u64) -> Result<Allocation, ExecError> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        self.resources.buffer(what, bytes, usage, MemoryKind::Scratch)
    }

    /// Submits `n` dispatches, `dispatches` in turn, and waits. Returns the seconds.
    fn submit(&self, dispatches: &[Dispatch], n: usize, shape: BatchShape) -> f64 {
        let gpu = &self.resources.gpu;
        let start = Instant::now();
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            for dispatch in dispatches.iter().cycle().take(n) {
                dispatch.encode(&mut pass, shape);
            }
        }
        gpu.queue.submit([encoder.finish()]);
        gpu.device.poll(wgpu::PollType::wait_indefinitely()).expect("the device answers");
        start.elapsed().as_secs_f64()
    }

    /// Seconds of one dispatch: the best of three measurements.
    fn time(&self, dispatches: &[Dispatch], shape: BatchShape) -> Result<f64, ExecError> {
        let warm_up = self.submit(dispatches, dispatches.len(), shape);
        pollster::block_on(self.resources.settle())?;
        let guess = self.submit(dispatches, dispatches.len(), shape).min(warm_up) / dispatches.len() as f64;
        // One submit stays well below the time after which systems reset a GPU.
        let n = ((self.seconds / guess) as usize).clamp(dispatches.len(), 2000);
        Ok((0..3).map(|_| self.submit(dispatches, n, shape) / n as f64).fold(f64::MAX, f64::min))
    }

    fn plain(
        &self,
        source: &KernelSource,
        buffers: &[(Access, &Allocation)],
        groups: u32,
    ) -> Result<Dispatch, ExecError> {
        let bindings: Vec<_> = buffers.iter().map(|(access, buffer)| Binding::whole(*access, buffer)).collect();
        self.resources.dispatch(source, &bindings, Grid::fixed(groups))
    }
}

const ONE: BatchShape = BatchShape { n_tokens: 1, n_outputs: 0 };

/// The device itself.
fn device_rates(bench: &Bench) -> Result<Value, ExecError> {
    let gpu = &bench.resources.gpu;
    let stream_bytes = if gpu.is_software() { 64 << 20 } else { 1 << 30 }.min(gpu.max_binding_bytes()) >> 20 << 20;
    let source = bench.buffer("stream", stream_bytes)?;
    let cells = bench.buffer("cells", 1 << 20)?;
    let span = 4096u32;
    let kernel = KernelSource::new("bench/stream_read.wgsl").constant("SPAN", span);
    let groups = (stream_bytes / 16 / u64::from(span)) as u32;
    let stream = bench.plain(&kernel, &[(Access::Read, &source), (Access::ReadWrite, &cells)], groups)?;
    let stream = stream_bytes as f64 / bench.time(&[stream], ONE)?;

    let (steps, groups) = if gpu.is_software() { (1024u32, 64u32) } else { (4096, 8192) };
    let kernel = KernelSource::new("bench/mac_registers.wgsl").constant("STEPS", steps);
    let mac = bench.plain(&kernel, &[(Access::ReadWrite, &cells)], groups)?;
    let mac_registers = f64::from(steps) * 16.0 * 64.0 * f64::from(groups) / bench.time(&[mac], ONE)?;

    // One dimension of workgroups, a row or 64 rows each.
    let cols = 4096u32;
    let rows = ((stream_bytes / 4 / u64::from(cols)) as u32).min(65_535) / 64 * 64;
    let out = bench.buffer("products", u64::from(rows) * 64 * 4)?;
    let mut mac_memory = Vec::new();
    for row_per_lane in [false, true] {
        let kernel = KernelSource::new("bench/mac_memory.wgsl").constant("K", cols).flag("ROW_PER_LANE", row_per_lane);
        let buffers = [(Access::Read, &source), (Access::ReadWrite, &cells), (Access::ReadWrite, &out)];
        let groups = if row_per_lane { rows / 64 } else { rows };
        let mac = bench.plain(&kernel, &buffers, groups)?;
        mac_memory.push(f64::from(rows) * f64::from(cols) / bench.time(&[mac], ONE)?);
    }

    let empty = bench.plain(&KernelSource::new("bench/empty.wgsl"), &[(Access::ReadWrite, &cells)], 1)?;
    let submit_us = |n: usize| {
        let mut times: Vec<f64> = (0..15).map(|_| bench.submit(std::slice::from_ref(&empty), n, ONE) * 1e6).collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    bench.submit(std::slice::from_ref(&empty), 1, ONE);
    let dispatches: Vec<Value> =
        [1, 50, 200, 400].into_iter().map(|n| json!({ "dispatches": n, "submit_us": round(submit_us(n)) })).collect();
    Ok(json!({
        "stream_read_gb_s": round(stream / 1e9),
        "mac_registers_gmac_s": round(mac_registers / 1e9),
        "mac_memory_lanes_share_rows_gmac_s": round(mac_memory[0] / 1e9),
        "mac_memory_row_per_lane_gmac_s": round(mac_memory[1] / 1e9),
        "empty": dispatches,
        "empty_dispatch_us": round((submit_us(400) - submit_us(50)) / 350.0),
        "read_back_us": round(read_back_us(bench, &empty, &cells)),
    }))
}

/// Median time from a submit to its four bytes on the host.
fn read_back_us(bench: &Bench, dispatch: &Dispatch, cells: &Allocation) -> f64 {
    let gpu = &bench.resources.gpu;
    let staging = gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 4,
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    });
    let mut times: Vec<f64> = (0..50)
        .map(|_| {
            let start = Instant::now();
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            dispatch.encode(&mut encoder.begin_compute_pass(&Default::default()), ONE);
            encoder.copy_buffer_to_buffer(cells, 0, &staging, 0, 4);
            gpu.queue.submit([encoder.finish()]);
            staging.map_async(wgpu::MapMode::Read, .., |result| result.expect("a mapping"));
            gpu.device.poll(wgpu::PollType::wait_indefinitely()).expect("the device answers");
            drop(staging.get_mapped_range(..));
            staging.unmap();
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Rows of random values within ±0.05, stored as `ty`.
fn random_rows(ty: GgmlType, cols: u32, rows: u32) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bits = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    };
    let n = cols as usize * rows as usize;
    let values: Vec<f32> = (0..n).map(|_| ((bits() >> 8) as f32 / (1u64 << 23) as f32 - 1.0) * 0.05).collect();
    chord_gguf::quantize(ty, &values).expect("whole blocks of a type with an encoder")
}

/// So many copies of a matrix that no cache holds them.
fn weights(bench: &Bench, ty: GgmlType, rows: u32, cols: u32) -> Result<Vec<DeviceWeight>, ExecError> {
    let gpu = &bench.resources.gpu;
    let weight = Weight { name: format!("{ty} [{rows}, {cols}]"), ty, cols, rows, experts: 1 };
    let room: u64 = if gpu.is_software() { 48 << 20 } else { 512 << 20 };
    let copies = (room / weight.n_bytes()).clamp(1, 64);
    let chunk_rows = rows.min(256);
    let chunk = random_rows(ty, cols, chunk_rows);
    (0..copies)
        .map(|_| {
            let mut on_device = DeviceWeight::new(&bench.resources, &weight)?;
            for first in (0..rows).step_by(chunk_rows as usize) {
                let n = chunk_rows.min(rows - first);
                let bytes = &chunk[..(u64::from(n) * weight.row_bytes()) as usize];
                on_device.write(gpu, u64::from(first) * weight.row_bytes(), bytes)?;
            }
            gpu.queue.submit([]);
            gpu.device.poll(wgpu::PollType::wait_indefinitely()).expect("the device answers");
            Ok(on_device)
        })
        .collect()
}

/// Variants worth comparing.
fn candidates(gpu: &Gpu, tokens: u32, is_ragged: bool) -> Vec<Variant> {
    let mut all = Vec::new();
    let token_tile = match tokens {
        1 => 1,
        _ if gpu.is_software() => 8,
        _ => 4,
    };
    let mut matvec = |lanes, row_lanes, group_rows, subgroups| {
        all.push(Variant::Matvec { lanes, row_lanes, group_rows, token_tile, subgroups });
    };
    for group_rows in [4, 8] {
        if gpu.is_software() {
            for (lanes, row_lanes) in [(4, 1), (8, 1), (8, 8)] {
                matvec(lanes, row_lanes, group_rows, Subgroups::Unused);
            }
        } else {
            for (lanes, row_lanes) in [(32, 8), (32, 32), (64, 8), (64, 16), (64, 32), (64, 64), (128, 128)] {
                matvec(lanes, row_lanes, group_rows, Subgroups::Unused);
            }
        }
        if gpu.features.subgroups {
            for lanes in [32, 64, 128] {
                matvec(lanes, lanes, group_rows, Subgroups::Sum);
            }
        }
        if let Some(lanes @ (4 | 8)) = fixed_subgroup_width(gpu).filter(|_| !is_ragged) {
            matvec(lanes, 1, group_rows, Subgroups::Broadcast);
        }
    }
    if tokens > 1 {
        all.push(Variant::Tiled);
    }
    all
}

fn product_rates(
    bench: &Bench,
    arguments: &Arguments,
    ty: GgmlType,
    rows: u32,
    cols: u32,
) -> Result<Vec<Value>, ExecError> {
    let copies = weights(bench, ty, rows, cols)?;
    let weight_bytes = copies[0].layout().row_bytes() * u64::from(rows);
    let most_tokens = u64::from(arguments.tokens.iter().copied().max().unwrap_or(1));
    let x_bytes = (most_tokens * u64::from(cols) * 4).next_multiple_of(256);
    let out_bytes = most_tokens * u64::from(rows) * 4;
    let arena = bench.buffer("arena", x_bytes + out_bytes)?;
    let x: Vec<f32> = (0..x_bytes / 4).map(|i| ((i * 37 + 11) % 101) as f32 / 50.0 - 1.0).collect();
    bench.resources.gpu.queue.write_buffer(&arena, 0, bytemuck::cast_slice(&x));
    let activation = |offset, bytes, cols| Activation { buffer: (*arena).clone(), offset, bytes, rows: Rows::T, cols };
    let (x, out) = (activation(0, x_bytes, cols), activation(x_bytes, out_bytes, rows));

    let mut results = Vec::new();
    for &tokens in &arguments.tokens {
        let words = [tokens, 0, tokens, 0, 0];
        let batch = bench.buffer("batch", 20)?;
        bench.resources.gpu.queue.write_buffer(&batch, 0, bytemuck::cast_slice(&words));
        let ctx = OpContext { resources: &bench.resources, batch: Binding::whole(Access::Read, &batch) };
        let chosen = variants(&bench.resources.gpu, copies[0].layout(), rows)
            .into_iter()
            .find(|(limit, _)| tokens <= *limit)
            .map(|(_, v)| v);
        let tried = if arguments.all_variants {
            candidates(&bench.resources.gpu, tokens, copies[0].layout().is_ragged())
        } else {
            chosen.into_iter().collect()
        };
        for variant in tried {
            let mut dispatches = Vec::new();
            for weight in &copies {
                let op = MatMul { x: &x, weight, rows: 0..rows, bias: None, scale: 1.0, residual: None, out: &out };
                dispatches.push(matmul_with(&ctx, &op, variant)?);
            }
            let parts = dispatches[0].len() as f64;
            let shape = BatchShape { n_tokens: tokens as usize, n_outputs: 0 };
            let seconds = bench.time(&dispatches.concat(), shape)? * parts;
            let macs = f64::from(rows) * f64::from(cols) * f64::from(tokens);
            results.push(json!({
                "type": ty.name(), "rows": rows, "cols": cols, "tokens": tokens,
                "variant": format!("{variant:?}"), "chosen": Some(variant) == chosen,
                "us": round(seconds * 1e6), "gmac_s": round(macs / seconds / 1e9),
                "gb_s": round(weight_bytes as f64 / seconds / 1e9),
            }));
            eprintln!("{}", results[results.len() - 1]);
        }
    }
    Ok(results)
}

/// To four digits: more are noise.
fn round(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = arguments()?;
    let gpu = pollster::block_on(Gpu::request(arguments.gpu.clone()))?;
    let adapter = json!({
        "name": gpu.adapter.name, "driver": gpu.adapter.driver_info, "backend": format!("{:?}", gpu.adapter.backend),
        "features": gpu.features.names(), "software": gpu.is_software(), "max_binding_bytes": gpu.max_binding_bytes(),
        "subgroup_sizes": [gpu.adapter.subgroup_min_size, gpu.adapter.subgroup_max_size],
    });
    let resources = Resources::new(&gpu, ShaderSet::default());
    let bench = Bench { resources, seconds: arguments.seconds };
    let device = device_rates(&bench)?;
    eprintln!("{device}");
    let mut products = Vec::new();
    if !arguments.device_only {
        for &(rows, cols) in &arguments.shapes {
            for &ty in arguments.types.iter().filter(|ty| ty.row_bytes(u64::from(cols)).is_some()) {
                products.extend(product_rates(&bench, &arguments, ty, rows, cols)?);
            }
        }
    }
    println!("{:#}", json!({ "adapter": adapter, "device": device, "products": products }));
    Ok(())
}
