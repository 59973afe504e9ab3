//! A device, random weights, and the reference.

use std::ops::Range;
use std::path::PathBuf;

use chord_gguf::GgmlType;
use chord_gpu::ops::OpContext;
use chord_gpu::ops::embed::embed;
use chord_gpu::ops::matmul::{MatMul, Subgroups, Variant, fixed_subgroup_width, matmul, matmul_with};
use chord_gpu::shader::{Dialect, ShaderSet};
use chord_gpu::weights::DeviceWeight;
use chord_gpu::{Access, Activation, Allocation, Binding, Dispatch, Gpu, GpuOptions, MemoryKind, Resources};
use chord_program::{BatchShape, Rows, Weight};
use chord_testkit::blocks::f16_places;

/// NMSE limit of an f32 op on a GPU.
pub(crate) const LIMIT: f64 = 1e-7;
/// Largest error of a single element, relative to the sum of its products' magnitudes.
const ELEMENT_LIMIT: f64 = 1e-5;
/// Floats on both sides of an output that must stay as they were.
const GUARD: usize = 64;
const SENTINEL: f32 = 1234.5;

const fn matvec(lanes: u32, row_lanes: u32, group_rows: u32, token_tile: u32) -> Variant {
    Variant::Matvec { lanes, row_lanes, group_rows, token_tile, subgroups: Subgroups::Unused }
}

/// Each lane has rows of its own: no sums over lanes.
pub(crate) const LANE_PER_ROW: Variant = matvec(8, 1, 8, 8);
/// The same with little code, without broadcasts.
pub(crate) const LANE_ROWS: Variant = Variant::LaneRows { broadcast: false };
/// Sums over sixteen lanes, in a tree.
pub(crate) const SHARED_ROWS: Variant = matvec(64, 16, 4, 1);
/// One group of four rows for each workgroup.
pub(crate) const WHOLE_GROUP: Variant = matvec(64, 64, 4, 1);

/// The kinds of code that a device may choose among.
pub(crate) fn all_variants(gpu: &Gpu) -> Vec<Variant> {
    let mut variants = vec![Variant::Tiled, LANE_PER_ROW, SHARED_ROWS, matvec(8, 8, 8, 1), matvec(8, 1, 4, 1)];
    variants.push(LANE_ROWS);
    let mut with_subgroups = |lanes, row_lanes, group_rows, subgroups| {
        variants.push(Variant::Matvec { lanes, row_lanes, group_rows, token_tile: 4, subgroups });
    };
    if gpu.features.subgroups {
        with_subgroups(32, 32, 4, Subgroups::Sum);
    }
    if let Some(lanes @ (4 | 8)) = fixed_subgroup_width(gpu) {
        with_subgroups(lanes, 1, 8, Subgroups::Broadcast);
        if lanes == 4 {
            variants.push(Variant::LaneRows { broadcast: true });
        }
    }
    variants
}

/// Numbers that look random and are the same everywhere: a linear congruential generator.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn bits(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    /// Between −1 and 1.
    pub(crate) fn value(&mut self) -> f32 {
        (self.bits() >> 8) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub(crate) fn take(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.value()).collect()
    }
}

/// Rows of random bits with scales from `scale`; floats are random numbers.
pub(crate) fn random_rows(ty: GgmlType, cols: u32, rows: u32, mut scale: impl FnMut(&mut Numbers) -> f32) -> Vec<u8> {
    let mut numbers = Numbers::new(u64::from(cols) * 31 + u64::from(rows));
    let n_values = cols as usize * rows as usize;
    if ty.block_elems() == 1 {
        return chord_gguf::quantize(ty, &numbers.take(n_values)).expect("whole blocks");
    }
    let block_bytes = ty.block_bytes() as usize;
    let n_bytes = n_values / ty.block_elems() as usize * block_bytes;
    let mut bytes: Vec<u8> = (0..n_bytes).map(|_| (numbers.bits() >> 11) as u8).collect();
    let places = f16_places(ty);
    for block in bytes.chunks_exact_mut(block_bytes) {
        for place in &places {
            block[*place..*place + 2].copy_from_slice(&half::f16::from_f32(scale(&mut numbers)).to_le_bytes());
        }
    }
    bytes
}

/// Scales as files have them, of either sign.
pub(crate) fn usual_scale(numbers: &mut Numbers) -> f32 {
    0.02 * numbers.value()
}

pub(crate) struct Bench {
    pub(crate) gpu: Gpu,
    pub(crate) resources: Resources,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Bench::with(GpuOptions::default())
    }

    pub(crate) fn with(options: GpuOptions) -> Self {
        let options = GpuOptions { allow_software: true, ..options };
        let gpu =
            pollster::block_on(Gpu::request(options)).expect("these tests need a GPU adapter, a software one at least");
        let resources = Resources::new(&gpu, ShaderSet::default());
        Bench { gpu, resources }
    }

    /// The same device with kernels from other files.
    pub(crate) fn with_shaders(&self, shaders: ShaderSet) -> Self {
        Bench { gpu: self.gpu.clone(), resources: Resources::new(&self.gpu, shaders) }
    }

    /// Writes the kernels made so far to `$CHORD_SHADER_DUMP`, if that is set, for a browser's compiler. (naga has
    /// accepted them: they run.)
    pub(crate) fn dump_kernels(&self, name: &str) {
        let Some(folder) = std::env::var_os("CHORD_SHADER_DUMP").map(PathBuf::from) else { return };
        std::fs::create_dir_all(&folder).expect("a folder for the shaders");
        let mut texts: Vec<_> = self
            .resources
            .pipeline_keys()
            .iter()
            .map(|key| self.resources.wgsl(&key.source(), Dialect::Browser).expect("a kernel that expands"))
            .collect();
        texts.sort();
        texts.dedup();
        for (number, text) in texts.iter().enumerate() {
            std::fs::write(folder.join(format!("{name}-{number:03}.browser.wgsl")), text).expect("a file");
        }
    }

    fn buffer(&self, what: &str, bytes: u64) -> Allocation {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        self.resources.buffer(what, bytes, usage, MemoryKind::Scratch).expect("room for a test")
    }

    /// Uploads a weight in windows of `window_rows` rows.
    pub(crate) fn weight(&self, ty: GgmlType, cols: u32, rows: u32, bytes: &[u8], window_rows: u32) -> DeviceWeight {
        let weight = Weight { name: "w".to_owned(), ty, cols, rows, experts: 1 };
        let mut on_device = DeviceWeight::new(&self.resources, &weight).expect("a type with kernels");
        let window = window_rows as usize * weight.row_bytes() as usize;
        for (index, window_bytes) in bytes.chunks(window).enumerate() {
            assert!(!on_device.is_complete());
            on_device.write(&self.gpu, (index * window) as u64, window_bytes).expect("the next rows");
        }
        assert!(on_device.is_complete());
        on_device
    }

    fn read(&self, source: &wgpu::Buffer, offset: u64, n: usize) -> Vec<f32> {
        let bytes = (n * 4) as u64;
        let target = self.gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: bytes,
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(source, offset, &target, 0, bytes);
        self.gpu.queue.submit([encoder.finish()]);
        target.map_async(wgpu::MapMode::Read, .., |result| result.expect("a mapping"));
        self.gpu.device.poll(wgpu::PollType::wait_indefinitely()).expect("the device answers");
        let view = target.get_mapped_range(..).expect("mapped");
        bytemuck::cast_slice(&view).to_vec()
    }

    /// Lets `make` bind activations of `n_rows` rows, runs its dispatches and returns the outputs,
    /// `[n_rows, out_cols[i]]` each.
    pub(crate) fn run(
        &self,
        call: &Call<'_>,
        make: impl FnOnce(&OpContext<'_>, &Frame) -> Vec<Dispatch>,
    ) -> Vec<Vec<f32>> {
        let n = call.n_rows;
        let mut words = vec![n, 0, n, 0];
        words.extend(call.ids);
        words.resize(4 + n as usize, 0);
        let batch = self.buffer("batch", (words.len() * 4) as u64);
        self.gpu.queue.write_buffer(&batch, 0, bytemuck::cast_slice(&words));
        // x, residual, then guard and output for each output, and a last guard. Each begins at a multiple of 256 bytes.
        let aligned = |floats: usize| floats.next_multiple_of(64);
        let residual_at = aligned(call.x.len());
        let mut end = residual_at + aligned(call.residual.len());
        let outs: Vec<Range<usize>> = call
            .out_cols
            .iter()
            .map(|cols| {
                let first = end + GUARD;
                let out = first..first + n as usize * *cols as usize;
                end = aligned(out.end);
                out
            })
            .collect();
        let mut values = vec![SENTINEL; end + GUARD];
        values[..call.x.len()].copy_from_slice(call.x);
        values[residual_at..residual_at + call.residual.len()].copy_from_slice(call.residual);
        let arena = self.buffer("arena", (values.len() * 4) as u64);
        self.gpu.queue.write_buffer(&arena, 0, bytemuck::cast_slice(&values));
        let activation = |place: &Range<usize>| Activation {
            buffer: (*arena).clone(),
            offset: (place.start * 4) as u64,
            bytes: (place.len() * 4) as u64,
            rows: Rows::T,
            cols: place.len() as u32 / n,
        };
        let frame = Frame {
            x: activation(&(0..call.x.len())),
            residual: activation(&(residual_at..residual_at + call.residual.len())),
            outs: outs.iter().map(activation).collect(),
        };
        let ctx = OpContext { resources: &self.resources, batch: Binding::whole(Access::Read, &batch) };
        let dispatches = make(&ctx, &frame);
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            for dispatch in &dispatches {
                assert!(dispatch.encode(&mut pass, BatchShape { n_tokens: n as usize, n_outputs: 0 }));
            }
        }
        self.gpu.queue.submit([encoder.finish()]);
        pollster::block_on(self.resources.settle()).expect("nothing that the device objects to");
        let found = self.read(&arena, 0, values.len());
        let is_output = |i: &usize| outs.iter().any(|out| out.contains(i));
        let touched = (0..found.len()).find(|i| !is_output(i) && found[*i] != values[*i]);
        assert_eq!(touched, None, "written beside the output");
        outs.into_iter().map(|out| found[out].to_vec()).collect()
    }
}

/// The inputs of a run.
#[derive(Default)]
pub(crate) struct Call<'a> {
    pub(crate) n_rows: u32,
    pub(crate) ids: &'a [u32],
    pub(crate) x: &'a [f32],
    pub(crate) residual: &'a [f32],
    pub(crate) out_cols: &'a [u32],
}

pub(crate) struct Frame {
    pub(crate) x: Activation,
    pub(crate) residual: Activation,
    pub(crate) outs: Vec<Activation>,
}

/// A matrix and everything about a product with it.
pub(crate) struct Product {
    pub(crate) ty: GgmlType,
    pub(crate) cols: u32,
    pub(crate) n_rows: u32,
    /// Rows that take part.
    pub(crate) view: Range<u32>,
    pub(crate) n_tokens: u32,
    pub(crate) scale: f32,
    pub(crate) bias: bool,
    pub(crate) residual: Option<f32>,
    pub(crate) bytes: Vec<u8>,
}

impl Product {
    pub(crate) fn new(ty: GgmlType, cols: u32, n_rows: u32, n_tokens: u32) -> Self {
        let bytes = random_rows(ty, cols, n_rows, usual_scale);
        Product { ty, cols, n_rows, view: 0..n_rows, n_tokens, scale: 1.0, bias: false, residual: None, bytes }
    }

    /// Runs it in `variant`, or in the device's choice, and compares every element.
    #[track_caller]
    pub(crate) fn check(&self, bench: &Bench, variant: Option<Variant>) {
        let weight = bench.weight(self.ty, self.cols, self.n_rows, &self.bytes, self.n_rows.div_ceil(3));
        self.check_weight(bench, &weight, variant);
    }

    #[track_caller]
    pub(crate) fn check_weight(&self, bench: &Bench, weight: &DeviceWeight, variant: Option<Variant>) {
        self.compare(bench, weight, variant).check(&format!(
            "{} [{}, {}] · {} tokens, {variant:?} on {}",
            self.ty, self.n_rows, self.cols, self.n_tokens, bench.gpu.adapter.name
        ));
    }

    /// Runs it and compares every element.
    pub(crate) fn compare(&self, bench: &Bench, weight: &DeviceWeight, variant: Option<Variant>) -> Comparison {
        let mut numbers = Numbers::new(7);
        let out_cols = self.view.end - self.view.start;
        let x = numbers.take(self.n_tokens as usize * self.cols as usize);
        let bias = numbers.take(out_cols as usize);
        let residual = numbers.take(self.n_tokens as usize * out_cols as usize);
        let bias_bytes: &[u8] = bytemuck::cast_slice(&bias);
        let bias_weight = bench.weight(GgmlType::F32, out_cols, 1, bias_bytes, 1);
        let call = Call { n_rows: self.n_tokens, x: &x, residual: &residual, out_cols: &[out_cols], ..Call::default() };
        let found = &bench.run(&call, |ctx, frame| {
            let op = MatMul {
                x: &frame.x,
                weight,
                rows: self.view.clone(),
                bias: self.bias.then_some(&bias_weight),
                scale: self.scale,
                residual: self.residual.map(|factor| (&frame.residual, factor)),
                out: &frame.outs[0],
            };
            let shape = BatchShape { n_tokens: self.n_tokens as usize, n_outputs: 0 };
            match variant {
                Some(variant) => matmul_with(ctx, &op, variant).expect("a kernel"),
                None => matmul(ctx, &op).expect("a kernel").select(shape).to_vec(),
            }
        })[0];

        let mut row = vec![0.0; self.cols as usize];
        let row_bytes = self.bytes.len() / self.n_rows as usize;
        let mut comparison = Comparison::default();
        for (column, index) in self.view.clone().enumerate() {
            let bytes = &self.bytes[index as usize * row_bytes..][..row_bytes];
            chord_gguf::dequantize(self.ty, bytes, &mut row).expect("whole rows");
            for (token, x) in x.chunks_exact(self.cols as usize).enumerate() {
                let products = || row.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x));
                let mut expected = f64::from(self.scale) * products().sum::<f64>();
                if self.bias {
                    expected += f64::from(bias[column]);
                }
                let at = token * out_cols as usize + column;
                if let Some(factor) = self.residual {
                    expected = f64::from(residual[at]) + f64::from(factor) * expected;
                }
                let magnitude = f64::from(self.scale).abs() * products().map(f64::abs).sum::<f64>() + 1.0;
                comparison.add(expected, found[at], magnitude);
            }
        }
        comparison
    }
}

/// Checks the rows embedded for `ids`, exactly but for the rounding of a scale.
#[track_caller]
pub(crate) fn check_embed(
    bench: &Bench,
    ty: GgmlType,
    cols: u32,
    n_rows: u32,
    view: Range<u32>,
    ids: &[u32],
    scale: f32,
) {
    let bytes = random_rows(ty, cols, n_rows, usual_scale);
    let weight = bench.weight(ty, cols, n_rows, &bytes, n_rows);
    let call = Call { n_rows: ids.len() as u32, ids, out_cols: &[cols], ..Call::default() };
    let found = &bench.run(&call, |ctx, frame| {
        let kernels = embed(ctx, &weight, view.clone(), scale, &frame.outs[0]).expect("a kernel");
        kernels.select(BatchShape { n_tokens: ids.len(), n_outputs: 0 }).to_vec()
    })[0];
    let row_bytes = bytes.len() / n_rows as usize;
    let mut row = vec![0.0; cols as usize];
    for (id, found) in ids.iter().zip(found.chunks_exact(cols as usize)) {
        let index = (view.start + id) as usize;
        chord_gguf::dequantize(ty, &bytes[index * row_bytes..][..row_bytes], &mut row).expect("whole rows");
        let largest = row.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        for (column, (found, expected)) in found.iter().zip(&row).enumerate() {
            let error = (found - scale * expected).abs();
            assert!(error <= 1e-6 * scale.abs() * largest, "{ty} row {index} column {column}: {found} for {expected}");
        }
    }
}

#[derive(Default)]
pub(crate) struct Comparison {
    error: f64,
    energy: f64,
    worst: f64,
}

impl Comparison {
    pub(crate) fn add(&mut self, expected: f64, found: f32, magnitude: f64) {
        let difference = f64::from(found) - expected;
        self.error += difference * difference;
        self.energy += expected * expected;
        // `max` ignores NaN, and NaN must not pass.
        let relative = difference.abs() / magnitude;
        self.worst = if relative <= self.worst { self.worst } else { relative };
    }

    pub(crate) fn nmse(&self) -> f64 {
        self.error / self.energy.max(f64::MIN_POSITIVE)
    }

    #[track_caller]
    pub(crate) fn check(&self, what: &str) {
        assert!(self.nmse() <= LIMIT, "{what}: NMSE {:e}", self.nmse());
        assert!(self.worst <= ELEMENT_LIMIT, "{what}: an element is off by {:e} of its magnitude", self.worst);
    }
}
