//! Whole models from their files, on the GPU executor.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chord_gguf::read_header;
use chord_gpu::{Gpu, GpuExecutor, PlanOptions};
use chord_model::{BuildOptions, lower, needs};
use chord_program::{Executor, KvType, Program, Want, WeightId, WeightSink};
use chord_testkit::{GgufFile, Golden, LogitsComparison, LogitsReport, Recipe, Trace, nmse};

use crate::setup::{Tokens, gpu, logits};

/// A model file and how to run it.
pub(crate) struct ModelFile {
    pub(crate) file: GgufFile,
    pub(crate) program: Arc<Program>,
}

/// Options with room for a batch of `max_batch` tokens, each of which has an output.
pub(crate) fn build(n_ctx: u32, kv_type: KvType, max_batch: u32) -> BuildOptions {
    BuildOptions { n_ctx: Some(n_ctx), kv_type, n_seq_max: 1, max_batch, max_outputs: max_batch }
}

impl ModelFile {
    pub(crate) fn open(path: &Path, options: &BuildOptions) -> Self {
        let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let header = read_header(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        ModelFile::of(GgufFile { header, bytes }, options)
    }

    pub(crate) fn of(file: GgufFile, options: &BuildOptions) -> Self {
        let factors = needs(&file.header).first().map(|name| file.tensor_f32(name));
        let program = lower(&file.header, options, factors.as_deref()).expect("a model we lower");
        ModelFile { file, program: Arc::new(program) }
    }

    pub(crate) fn load(&self, sink: &mut dyn WeightSink) {
        for (index, weight) in self.program.weights.iter().enumerate() {
            sink.write(WeightId(index as u32), 0, self.file.tensor_bytes(&weight.name)).expect("a weight that fits");
        }
        sink.finish().expect("all weights are there");
    }

    pub(crate) fn on_gpu(&self, gpu: &Gpu, options: PlanOptions) -> GpuExecutor {
        let mut executor =
            pollster::block_on(GpuExecutor::new(gpu, self.program.clone(), options)).expect("a model the GPU runs");
        self.load(&mut executor);
        executor
    }
}

/// Runs the first `n` of the golden's tokens in chunks of `chunk` and compares all their logits.
pub(crate) fn run_golden(executor: &mut GpuExecutor, golden: &Golden, n: usize, chunk: usize) -> LogitsReport {
    let mut comparison = LogitsComparison::new(golden);
    for (index, ids) in golden.tokens[..n.min(golden.tokens.len())].chunks(chunk).enumerate() {
        let first = index * chunk;
        let tokens = Tokens::of_ids(first as u32, ids);
        executor.enqueue_prefill(&tokens.batch(), Want::Logits).expect("a batch that fits");
        comparison.rows(first, &logits(executor).expect("logits"));
    }
    comparison.report()
}

/// The golden of this name and its model.
pub(crate) fn golden_and_model(name: &str) -> (Golden, PathBuf) {
    let golden = Golden::named(name);
    let path = golden.model_path();
    (golden, path)
}

/// The golden of the recipe of this name, and its model with room for batches of `max_batch`.
pub(crate) fn recipe(name: &str, kv_type: KvType, max_batch: u32) -> (Golden, ModelFile) {
    let recipe = Recipe::named(name);
    let golden = recipe.golden();
    let model = ModelFile::of(recipe.file(), &build(golden.n_ctx, kv_type, max_batch));
    (golden, model)
}

/// Compares every buffer that has the reference's name with the reference's activations of the last tokens.
pub(crate) fn check_activations(name: &str, model: &ModelFile, expected: &Trace, limit: f64) {
    let mut executor = model.on_gpu(&gpu(), PlanOptions::default());
    let tokens = Tokens::of_ids(0, &expected.tokens);
    let program = model.program.clone();
    let mut compared = 0;
    executor
        .trace(&tokens.batch(), &mut |op, buffer, values| {
            let buffer = &program.buffer(buffer).name;
            if let Some(expected) = expected.values(buffer) {
                let error = nmse(&expected, &values[values.len() - expected.len()..]);
                assert!(error <= limit, "{name}: op {op} ({buffer}): NMSE {error:e}");
                compared += 1;
            }
            Ok(())
        })
        .expect("a trace");
    println!("{name}: {compared} buffers compared");
    assert!(compared >= 8 * program.slots.len() + 2, "{name}: only {compared} buffers have the reference's names");
}
