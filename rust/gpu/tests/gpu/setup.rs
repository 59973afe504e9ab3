//! Devices, programs with random weights, and the comparison of two executors.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Waker};

use chord_cpu::{CpuExecutor, CpuOptions};
use chord_gguf::GgmlType;
use chord_gpu::{Gpu, GpuExecutor, GpuOptions, PlanOptions};
use chord_program::{
    Batch, BufferId, ExecError, Executor, OpKind, Program, ProgramBuilder, Rows, Weight, WeightId, WeightRef,
    WeightSink,
};
use chord_testkit::nmse;

/// NMSE limit of an f32 op.
pub(crate) const F32: f64 = 1e-7;
/// NMSE limit of soft-max and of anything that goes through f16.
pub(crate) const SOFT: f64 = 1e-6;

/// What to test without: the kernels of hardware with all optional features and with none, and those of software.
pub(crate) const VARIANTS: [&[&str]; 3] =
    [&["software-kernels"], &["software-kernels", "subgroups", "shader-f16"], &[]];

/// The system's adapter without some features.
pub(crate) fn gpu_without(features: &[&str]) -> Gpu {
    request(GpuOptions { disable_features: features.iter().map(|f| (*f).to_owned()).collect(), ..options() })
}

/// The system's adapter with the kernels of hardware.
pub(crate) fn gpu() -> Gpu {
    gpu_without(&["software-kernels"])
}

/// Options that accept any adapter.
pub(crate) fn options() -> GpuOptions {
    GpuOptions { allow_software: true, ..GpuOptions::default() }
}

/// Opens a device.
pub(crate) fn request(options: GpuOptions) -> Gpu {
    pollster::block_on(Gpu::request(options)).expect("these tests need a GPU adapter, a software one at least")
}

/// Numbers that look random and are the same everywhere: a linear congruential generator.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next_u32(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    /// Between −1 and 1.
    pub(crate) fn value(&mut self) -> f32 {
        self.next_u32() as f32 / (1u64 << 30) as f32 - 1.0
    }

    pub(crate) fn take(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.value()).collect()
    }
}

/// A program under construction, with the values of its weights.
pub(crate) struct Case {
    pub(crate) b: ProgramBuilder,
    weights: HashMap<String, Vec<u8>>,
    numbers: Numbers,
}

/// A program with the values of its weights: what [`Case::finish`] returns.
#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) program: Arc<Program>,
    weights: HashMap<String, Vec<u8>>,
}

impl Case {
    pub(crate) fn new(b: ProgramBuilder) -> Self {
        Case { b, weights: HashMap::new(), numbers: Numbers::new(1) }
    }

    /// A weight of random values, stored as `ty`.
    pub(crate) fn weight(&mut self, name: &str, ty: GgmlType, rows: u32, cols: u32) -> WeightRef {
        let values = self.numbers.take(rows as usize * cols as usize);
        self.weight_of(name, ty, rows, cols, &values)
    }

    pub(crate) fn weight_of(&mut self, name: &str, ty: GgmlType, rows: u32, cols: u32, values: &[f32]) -> WeightRef {
        let bytes = chord_gguf::quantize(ty, values).expect("a type with an encoder");
        self.weights.insert(name.to_owned(), bytes);
        self.b.weight(Weight { name: name.to_owned(), ty, cols, rows, experts: 1 })
    }

    /// Random activations `[T, cols]`: an embedding of the batch's ids.
    pub(crate) fn source(&mut self, name: &str, cols: u32) -> BufferId {
        let n_ids = 64;
        let weight = self.weight(&format!("{name}.table"), GgmlType::F32, n_ids, cols);
        let [ids, ..] = self.b.inputs();
        self.b.op(name, Rows::T, cols, OpKind::Embed { ids, weight, scale: 1.0 })
    }

    pub(crate) fn finish(self) -> Model {
        Model { program: Arc::new(self.b.finish().expect("a valid program")), weights: self.weights }
    }
}

impl Model {
    pub(crate) fn load(&self, sink: &mut dyn WeightSink) -> Result<(), ExecError> {
        for (index, weight) in self.program.weights.iter().enumerate() {
            // In two parts, as through a window.
            let bytes = &self.weights[&weight.name];
            let half = (weight.rows / 2) as usize * weight.row_bytes() as usize;
            if half > 0 {
                sink.write(WeightId(index as u32), 0, &bytes[..half])?;
            }
            sink.write(WeightId(index as u32), half as u64, &bytes[half..])?;
        }
        sink.finish()
    }

    pub(crate) fn on_cpu(&self) -> CpuExecutor {
        let mut cpu = CpuExecutor::new(self.program.clone(), CpuOptions::exact()).expect("the CPU runs any program");
        self.load(&mut cpu).expect("the CPU takes any weight");
        cpu
    }

    pub(crate) fn on_gpu(&self, gpu: &Gpu, options: PlanOptions) -> Result<GpuExecutor, ExecError> {
        let mut executor = pollster::block_on(GpuExecutor::new(gpu, self.program.clone(), options))?;
        self.load(&mut executor)?;
        Ok(executor)
    }
}

/// A batch that owns its arrays.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tokens {
    pub(crate) ids: Vec<u32>,
    pub(crate) pos: Vec<u32>,
    pub(crate) seq: Vec<u32>,
    pub(crate) out_rows: Vec<u32>,
}

impl Tokens {
    /// `n` tokens of sequence 0 from position `first` on, with outputs for all.
    pub(crate) fn run(first: u32, n: u32) -> Self {
        Tokens {
            ids: (0..n).map(|t| (t * 7 + first * 3 + 1) % 64).collect(),
            pos: (first..first + n).collect(),
            seq: vec![0; n as usize],
            out_rows: (0..n).collect(),
        }
    }

    pub(crate) fn of_ids(first: u32, ids: &[u32]) -> Self {
        let n = ids.len() as u32;
        Tokens { ids: ids.to_vec(), ..Tokens::run(first, n) }
    }

    pub(crate) fn with_outputs(mut self, rows: &[u32]) -> Self {
        self.out_rows = rows.to_vec();
        self
    }

    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch { ids: &self.ids, pos: &self.pos, seq: &self.seq, out_rows: &self.out_rows }
    }
}

/// Every f32 output of a traced run: op and values.
pub(crate) fn trace(executor: &mut dyn Executor, tokens: &Tokens) -> Result<Vec<(usize, Vec<f32>)>, ExecError> {
    let mut outputs = Vec::new();
    executor.trace(&tokens.batch(), &mut |op, _, values| {
        outputs.push((op, values.to_vec()));
        Ok(())
    })?;
    Ok(outputs)
}

/// The first op whose GPU output is further than `limit` from the CPU's: name and NMSE.
pub(crate) fn first_difference(
    model: &Model,
    gpu: &mut GpuExecutor,
    batches: &[Tokens],
    limit: f64,
) -> Result<Option<(&'static str, f64)>, ExecError> {
    let mut cpu = model.on_cpu();
    for tokens in batches {
        let expected = trace(&mut cpu, tokens)?;
        let found = trace(gpu, tokens)?;
        assert_eq!(expected.len(), found.len(), "both traces show every output");
        for ((op, expected), (found_op, found)) in expected.iter().zip(&found) {
            assert_eq!(op, found_op);
            let error = nmse(expected, found);
            if error > limit {
                return Ok(Some((model.program.ops[*op].kind.name(), error)));
            }
        }
    }
    Ok(None)
}

/// Runs the batches on both executors, with and without optional features, and compares every op's output.
#[track_caller]
pub(crate) fn check(model: &Model, batches: &[Tokens], limit: f64) {
    for disabled in VARIANTS {
        check_on(model, &gpu_without(disabled), PlanOptions::default(), batches, limit);
    }
}

/// The same on one device.
#[track_caller]
pub(crate) fn check_on(model: &Model, gpu: &Gpu, options: PlanOptions, batches: &[Tokens], limit: f64) {
    let mut executor = model.on_gpu(gpu, options).expect("the executor takes the program");
    if let Some((op, error)) = first_difference(model, &mut executor, batches, limit).expect("both traces run") {
        panic!("{op}: NMSE {error:e} over {limit:e} on {} with {:?}", gpu.adapter.name, gpu.features);
    }
}

/// Waits for the logits of a batch.
pub(crate) fn logits(executor: &mut dyn Executor) -> Result<Vec<f32>, ExecError> {
    let mut logits = Vec::new();
    pollster::block_on(std::future::poll_fn(|cx| executor.poll_logits(cx, &mut logits)))?;
    Ok(logits)
}

/// Waits for all outstanding ids.
pub(crate) fn all_ids(executor: &mut dyn Executor) -> Result<Vec<u32>, ExecError> {
    let mut ids = Vec::new();
    loop {
        let before = ids.len();
        pollster::block_on(std::future::poll_fn(|cx: &mut Context<'_>| executor.poll_ids(cx, &mut ids)))?;
        if ids.len() == before {
            return Ok(ids);
        }
    }
}

/// A context for polls that must not wait.
pub(crate) fn no_wake() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
