//! Running models for the tests of this crate.

#![allow(dead_code, unreachable_pub)] // Each test file uses its part.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use chord_cpu::{CpuExecutor, CpuOptions};
use chord_model::BuildOptions;
use chord_program::{Batch, BufferId, ExecError, Executor, KvType, Program, Want, WeightId, WeightSink};
use chord_testkit::{GgufFile, Golden, LogitsComparison, LogitsReport, Trace, model_path, nmse};

/// A model's file.
pub fn open(name: &str) -> GgufFile {
    GgufFile::open(&model_path(name))
}

pub fn options(kv_type: KvType, n_ctx: u32) -> BuildOptions {
    BuildOptions { n_ctx: Some(n_ctx), kv_type, ..BuildOptions::default() }
}

pub fn lower(file: &GgufFile, options: &BuildOptions) -> Program {
    let factors: Vec<Vec<f32>> = chord_model::needs(&file.header).iter().map(|name| file.tensor_f32(name)).collect();
    chord_model::lower(&file.header, options, factors.first().map(Vec::as_slice)).expect("the model can be lowered")
}

/// An executor of `program` with the file's weights: one thread, f32 activations.
pub fn executor(file: &GgufFile, program: Program) -> CpuExecutor {
    executor_with(file, program, CpuOptions::exact())
}

/// An executor of `program` with the file's weights.
pub fn executor_with(file: &GgufFile, program: Program, options: CpuOptions) -> CpuExecutor {
    let program = Arc::new(program);
    let mut executor = CpuExecutor::new(Arc::clone(&program), options).expect("memory for the model");
    for (id, weight) in program.weights.iter().enumerate() {
        let row_bytes = weight.row_bytes() as usize;
        // In pieces of whole rows, as a loader's staging window brings them.
        let piece = (1 << 20) / row_bytes * row_bytes + row_bytes;
        let mut offset = 0;
        for bytes in file.tensor_bytes(&weight.name).chunks(piece) {
            executor.write(WeightId(id as u32), offset, bytes).expect("the weight fits");
            offset += bytes.len() as u64;
        }
    }
    executor.finish().expect("all weights are there");
    executor
}

/// Polls to the end.
pub fn wait<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = poll(&mut cx) {
            return value;
        }
    }
}

/// Runs `ids` of sequence 0 from position `start` on, with logits of every row.
pub fn logits(executor: &mut CpuExecutor, start: usize, ids: &[u32]) -> Vec<f32> {
    let pos: Vec<u32> = (start as u32..).take(ids.len()).collect();
    let out_rows: Vec<u32> = (0..ids.len() as u32).collect();
    let batch = Batch { ids, pos: &pos, seq: &vec![0; ids.len()], out_rows: &out_rows };
    executor.enqueue_prefill(&batch, Want::Logits).expect("a valid batch");
    let mut logits = Vec::new();
    wait(|cx| executor.poll_logits(cx, &mut logits)).expect("logits");
    logits
}

/// Runs a prompt in sequence 0 as the engine does: first the tokens that full batches leave over, then full batches.
/// Returns the logits of its last row.
pub fn logits_of_prompt(executor: &mut CpuExecutor, ids: &[u32]) -> Vec<f32> {
    executor.truncate(0, 0).expect("a fresh start");
    let max_batch = executor.program().max_batch as usize;
    let (mut start, mut logits) = (0, Vec::new());
    while start < ids.len() {
        let end = start + (ids.len() - start - 1) % max_batch + 1;
        let pos: Vec<u32> = (start as u32..end as u32).collect();
        let (out_rows, want) =
            if end == ids.len() { (&[(end - start - 1) as u32][..], Want::Logits) } else { (&[][..], Want::Nothing) };
        let batch = Batch { ids: &ids[start..end], pos: &pos, seq: &vec![0; pos.len()], out_rows };
        executor.enqueue_prefill(&batch, want).expect("a valid batch");
        start = end;
    }
    wait(|cx| executor.poll_logits(cx, &mut logits)).expect("logits");
    logits
}

/// Compares the first `n` positions of a golden, run in batches of `chunk` tokens.
pub fn compare_logits(executor: &mut CpuExecutor, golden: &Golden, n: usize, chunk: usize) -> LogitsReport {
    let mut comparison = LogitsComparison::new(golden);
    for start in (0..n).step_by(chunk) {
        let ids = &golden.tokens[start..(start + chunk).min(n)];
        comparison.rows(start, &logits(executor, start, ids));
    }
    comparison.report()
}

/// The greedy continuation of a prompt in sequence 0.
pub fn greedy(executor: &mut CpuExecutor, prompt: &[u32], n: usize) -> Vec<u32> {
    let max_batch = executor.program().max_batch as usize;
    for (index, ids) in prompt.chunks(max_batch).enumerate() {
        let start = (index * max_batch) as u32;
        let pos: Vec<u32> = (start..).take(ids.len()).collect();
        let is_last = start as usize + ids.len() == prompt.len();
        let out_rows = [ids.len() as u32 - 1];
        let batch = Batch { ids, pos: &pos, seq: &vec![0; ids.len()], out_rows: &out_rows[..usize::from(is_last)] };
        executor.enqueue_prefill(&batch, if is_last { Want::Ids } else { Want::Nothing }).expect("a valid batch");
    }
    executor.enqueue_decode(0, n as u32 - 1).expect("room for the continuation");
    let mut ids = Vec::new();
    while ids.len() < n {
        let before = ids.len();
        wait(|cx| executor.poll_ids(cx, &mut ids)).expect("ids");
        assert!(ids.len() > before, "no id is outstanding after {before} of {n}");
    }
    ids
}

/// Error of each traced op whose buffer the reference has stored: `(op, buffer name, NMSE)`, in the program's order.
pub fn compare_trace(executor: &mut CpuExecutor, golden: &Trace) -> Vec<(usize, String, f64)> {
    let n = golden.tokens.len() as u32;
    let pos: Vec<u32> = (0..n).collect();
    let out_rows: Vec<u32> = (n - golden.keep_last as u32..n).collect();
    let batch = Batch { ids: &golden.tokens, pos: &pos, seq: &vec![0; n as usize], out_rows: &out_rows };
    let names: Vec<String> = executor.program().buffers.iter().map(|b| b.name.clone()).collect();
    let mut compared = Vec::new();
    let mut visit = |op: usize, id: BufferId, values: &[f32]| -> Result<(), ExecError> {
        let name = &names[id.0 as usize];
        if let Some(expected) = golden.values(name) {
            let last = &values[values.len() - expected.len()..];
            compared.push((op, name.clone(), nmse(&expected, last)));
        }
        Ok(())
    };
    executor.trace(&batch, &mut visit).expect("the trace runs");
    compared
}
