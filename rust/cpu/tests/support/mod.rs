//! Models and goldens for the tests of this crate.

#![allow(dead_code)] // Each test file uses its part.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use chord_cpu::CpuExecutor;
use chord_gguf::{GgmlType, Header, HeaderReader, Status};
use chord_model::BuildOptions;
use chord_program::{Batch, BufferId, ExecError, Executor, KvType, Program, Want, WeightId, WeightSink};

/// A file read whole, with its header.
pub struct File {
    pub bytes: Vec<u8>,
    pub header: Header,
}

impl File {
    pub fn open(path: &Path) -> File {
        let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut reader = HeaderReader::new(bytes.len() as u64);
        let header = match reader.feed(&bytes) {
            Ok(Status::Done(header)) => header,
            other => panic!("{}: {other:?}", path.display()),
        };
        File { bytes, header }
    }

    pub fn tensor_bytes(&self, name: &str) -> &[u8] {
        let info = self.header.tensor(name).unwrap_or_else(|| panic!("no tensor {name}"));
        &self.bytes[info.offset as usize..][..info.n_bytes as usize]
    }

    pub fn f32s(&self, name: &str) -> Vec<f32> {
        let info = self.header.tensor(name).unwrap_or_else(|| panic!("no tensor {name}"));
        assert_eq!(info.ty, GgmlType::F32);
        f32s(self.tensor_bytes(name))
    }

    pub fn lower(&self, options: &BuildOptions) -> Program {
        let factors: Vec<Vec<f32>> = chord_model::needs(&self.header).iter().map(|name| self.f32s(name)).collect();
        chord_model::lower(&self.header, options, factors.first().map(Vec::as_slice)).expect("the model can be lowered")
    }

    /// An executor of `program` with this file's weights.
    pub fn executor(&self, program: Program) -> CpuExecutor {
        let program = Arc::new(program);
        let mut executor = CpuExecutor::new(Arc::clone(&program)).expect("memory for the model");
        for (id, weight) in program.weights.iter().enumerate() {
            let row_bytes = weight.row_bytes() as usize;
            // In pieces, as a loader's staging window brings them.
            let piece = (1 << 20) / row_bytes * row_bytes + row_bytes;
            let mut offset = 0;
            for bytes in self.tensor_bytes(&weight.name).chunks(piece) {
                executor.write(WeightId(id as u32), offset, bytes).expect("the weight fits");
                offset += bytes.len() as u64;
            }
        }
        executor.finish().expect("all weights are there");
        executor
    }
}

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder of goldens, or a message on why the test cannot run.
pub fn golden() -> Option<PathBuf> {
    let named = std::env::var_os("CHORD_GOLDEN").map(PathBuf::from);
    let places = [named, Some(repository().join("../shared/golden")), Some(repository().join("tests/golden"))];
    let found = places.into_iter().flatten().find(|place| place.is_dir());
    if found.is_none() {
        eprintln!("skipped: no folder of goldens (set CHORD_GOLDEN)");
    }
    found
}

pub fn models() -> PathBuf {
    std::env::var_os("CHORD_MODELS").map_or_else(|| repository().join("models"), PathBuf::from)
}

pub fn json(path: &Path) -> serde_json::Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).expect("valid JSON")
}

pub fn u32s(value: &serde_json::Value) -> Vec<u32> {
    value.as_array().expect("a list").iter().map(|v| v.as_u64().expect("a whole number") as u32).collect()
}

pub fn f64s(value: &serde_json::Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number")).collect()
}

pub fn options(kv_type: KvType, n_ctx: u32) -> BuildOptions {
    BuildOptions { n_ctx: Some(n_ctx), kv_type, ..BuildOptions::default() }
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

/// Logits of every position of `tokens`, handed over in batches of at most `batch` rows.
pub fn all_logits(executor: &mut CpuExecutor, tokens: &[u32], batch: usize, mut take: impl FnMut(usize, &[f32])) {
    let n_vocab = executor.program().n_vocab as usize;
    let mut logits = Vec::new();
    for (chunk_index, ids) in tokens.chunks(batch).enumerate() {
        let start = chunk_index * batch;
        let pos: Vec<u32> = (start as u32..).take(ids.len()).collect();
        let out_rows: Vec<u32> = (0..ids.len() as u32).collect();
        let batch = Batch { ids, pos: &pos, seq: &vec![0; ids.len()], out_rows: &out_rows };
        executor.enqueue_prefill(&batch, Want::Logits).expect("a valid batch");
        wait(|cx| executor.poll_logits(cx, &mut logits)).expect("logits");
        for (row, logits) in logits.chunks_exact(n_vocab).enumerate() {
            take(start + row, logits);
        }
    }
}

/// Normalized mean square error; of logits the mean of each row is taken off first.
#[derive(Default)]
pub struct Nmse {
    error: f64,
    power: f64,
}

impl Nmse {
    pub fn add(&mut self, expected: &[f32], found: &[f32]) {
        assert_eq!(expected.len(), found.len());
        for (&e, &f) in expected.iter().zip(found) {
            self.error += (f64::from(e) - f64::from(f)).powi(2);
            self.power += f64::from(e).powi(2);
        }
    }

    pub fn add_logits(&mut self, expected: &[f32], found: &[f32]) {
        assert_eq!(expected.len(), found.len());
        let mean = |x: &[f32]| x.iter().map(|&x| f64::from(x)).sum::<f64>() / x.len() as f64;
        let (expected_mean, found_mean) = (mean(expected), mean(found));
        for (&e, &f) in expected.iter().zip(found) {
            let (e, f) = (f64::from(e) - expected_mean, f64::from(f) - found_mean);
            self.error += (e - f).powi(2);
            self.power += e.powi(2);
        }
    }

    pub fn value(&self) -> f64 {
        if self.power == 0.0 { if self.error == 0.0 { 0.0 } else { f64::INFINITY } } else { self.error / self.power }
    }
}

pub fn argmax(logits: &[f32]) -> usize {
    (0..logits.len()).reduce(|best, i| if logits[i] > logits[best] { i } else { best }).expect("not empty")
}

/// Every f32 buffer of a traced batch of all `tokens`, by name.
pub fn trace(executor: &mut CpuExecutor, tokens: &[u32], outputs: usize) -> Vec<(usize, String, Vec<f32>)> {
    let pos: Vec<u32> = (0..tokens.len() as u32).collect();
    let first = tokens.len() - outputs;
    let out_rows: Vec<u32> = (first as u32..tokens.len() as u32).collect();
    let batch = Batch { ids: tokens, pos: &pos, seq: &vec![0; tokens.len()], out_rows: &out_rows };
    let names: Vec<String> = executor.program().buffers.iter().map(|b| b.name.clone()).collect();
    let mut seen = Vec::new();
    let mut visit = |op: usize, id: BufferId, values: &[f32]| -> Result<(), ExecError> {
        seen.push((op, names[id.0 as usize].clone(), values.to_vec()));
        Ok(())
    };
    executor.trace(&batch, &mut visit).expect("the trace runs");
    seen
}

/// Error of each traced op whose buffer the reference has stored: `(op, name, nmse)`, in the order of the program.
pub fn compare_trace(executor: &mut CpuExecutor, golden: &File) -> Vec<(usize, String, f64)> {
    let metadata = &golden.header.metadata;
    let tokens: Vec<u32> = match metadata.array("trace.tokens").expect("tokens") {
        chord_gguf::Array::I32(ids) => ids.iter().map(|&id| id as u32).collect(),
        chord_gguf::Array::U32(ids) => ids.clone(),
        other => panic!("tokens are {other:?}"),
    };
    let keep = metadata.u32("trace.keep_last").expect("keep_last") as usize;
    let mut compared = Vec::new();
    for (op, name, values) in trace(executor, &tokens, keep) {
        if golden.header.tensor(&name).is_none() {
            continue;
        }
        let expected = golden.f32s(&name);
        let mut nmse = Nmse::default();
        nmse.add(&expected, &values[values.len() - expected.len()..]);
        compared.push((op, name, nmse.value()));
    }
    compared
}

/// Little-endian f32.
pub fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
}
