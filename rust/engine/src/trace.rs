//! Comparing a run op by op: against another executor, or against stored activations of the reference.

use std::collections::HashMap;
use std::future::poll_fn;

use chord_gguf::{GgmlType, Header, dequantize};
use chord_program::{Batch, ExecError, Executor, Want};

use crate::fields::invalid;
use crate::weights::zeroed;
use crate::{EngineError, ReadAt};

/// One op of a traced run.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceRow {
    /// Index into the program's ops.
    pub index: usize,
    /// The op's name.
    pub op: &'static str,
    /// The buffer it wrote.
    pub buffer: String,
    /// Rows and columns of the buffer.
    pub shape: [usize; 2],
    /// Root of the mean square of the finite values.
    pub rms: f64,
    /// Largest magnitude of the finite values.
    pub max: f64,
    /// Values that are NaN or infinite.
    pub not_finite: usize,
    /// NMSE against the expected values, where there are any.
    pub nmse: Option<f64>,
}

impl TraceRow {
    /// True if the op computed a value that is not finite, or an NMSE above `tolerance`.
    pub fn is_out_of(&self, tolerance: f64) -> bool {
        self.not_finite > 0 || self.nmse.is_some_and(|nmse| nmse.is_nan() || nmse > tolerance)
    }
}

/// What the last rows of each buffer should hold, by the buffer's name.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    buffers: HashMap<String, Vec<f32>>,
}

impl Expected {
    /// Nothing is expected: rows come without an NMSE.
    pub fn none() -> Self {
        Self::default()
    }

    /// Number of buffers.
    pub fn len(&self) -> usize {
        self.buffers.len()
    }

    /// True if nothing is expected.
    pub fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }

    /// Another executor's results. All of its activations are held in memory.
    pub async fn from_executor(executor: &mut dyn Executor, tokens: &[u32]) -> Result<Self, EngineError> {
        let names: Vec<String> = executor.program().buffers.iter().map(|b| b.name.clone()).collect();
        let mut buffers = HashMap::new();
        run(executor, tokens, &mut |_, buffer, values| {
            buffers.insert(names[buffer].clone(), values.to_vec());
            Ok(())
        })
        .await?;
        Ok(Expected { buffers })
    }

    /// The activations of a trace file: F32 tensors under the buffers' names.
    pub async fn from_file(reader: &mut impl ReadAt, header: &Header) -> Result<Self, EngineError> {
        let mut buffers = HashMap::new();
        for info in &header.tensors {
            let mut bytes = zeroed(info.n_bytes)?;
            reader.read_at(info.offset, &mut bytes).await?;
            let mut values = vec![0.0; bytes.len() / 4];
            if info.ty != GgmlType::F32 || dequantize(info.ty, &bytes, &mut values).is_err() {
                let what = format!("tensor {} of the trace file is {}, expected F32", info.name, info.ty);
                return Err(invalid("against", what));
            }
            buffers.insert(info.name.clone(), values);
        }
        Ok(Expected { buffers })
    }

    /// Mean squared error over mean square, the expected values being the last rows of `values`.
    fn nmse(&self, buffer: &str, values: &[f32]) -> Option<f64> {
        let expected = self.buffers.get(buffer)?;
        // More values than ours: as wrong as can be.
        let Some(skipped) = values.len().checked_sub(expected.len()) else { return Some(f64::INFINITY) };
        let pairs = || expected.iter().zip(&values[skipped..]).map(|(&a, &b)| (f64::from(a), f64::from(b)));
        let error: f64 = pairs().map(|(a, b)| (a - b).powi(2)).sum();
        let power: f64 = pairs().map(|(a, _)| a * a).sum();
        Some(if error == 0.0 { 0.0 } else { error / power })
    }
}

/// Runs `tokens` from position 0 of sequence 0 without fusion and shows a row for each op. Where there are more tokens
/// than a batch holds, only the last batch is traced.
pub async fn trace(
    executor: &mut dyn Executor,
    tokens: &[u32],
    expected: &Expected,
    on_row: &mut dyn FnMut(&TraceRow) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let program = executor.program();
    let ops: Vec<&'static str> = program.ops.iter().map(|op| op.kind.name()).collect();
    let buffers: Vec<(String, usize)> = program.buffers.iter().map(|b| (b.name.clone(), b.cols as usize)).collect();
    let mut rows = Vec::new();
    run(executor, tokens, &mut |index, buffer, values| {
        let (name, cols) = &buffers[buffer];
        let finite = || values.iter().map(|&v| f64::from(v)).filter(|v| v.is_finite());
        let not_finite = values.len() - finite().count();
        rows.push(TraceRow {
            index,
            op: ops[index],
            buffer: name.clone(),
            shape: [values.len() / cols, *cols],
            rms: (finite().map(|v| v * v).sum::<f64>() / (values.len() - not_finite).max(1) as f64).sqrt(),
            max: finite().fold(0.0, |max, v| max.max(v.abs())),
            not_finite,
            nmse: expected.nmse(name, values),
        });
        Ok(())
    })
    .await?;
    rows.iter().try_for_each(on_row)
}

/// Shown each op's index, the index of the buffer it wrote, and the buffer's values.
type Visit<'a> = dyn FnMut(usize, usize, &[f32]) -> Result<(), ExecError> + 'a;

async fn run(executor: &mut dyn Executor, tokens: &[u32], visit: &mut Visit<'_>) -> Result<(), EngineError> {
    if tokens.is_empty() {
        return Err(EngineError::EmptyPrompt);
    }
    let (n_ctx, max_batch) = (executor.program().n_ctx, executor.program().max_batch as usize);
    if tokens.len() > n_ctx as usize {
        return Err(EngineError::PromptTooLong { n_tokens: tokens.len() as u64, n_ctx });
    }
    let max_outputs = executor.program().max_outputs;
    executor.truncate(0, 0)?;
    let traced_from = (tokens.len() - 1) / max_batch * max_batch;
    for first in (0..=traced_from).step_by(max_batch) {
        let ids = &tokens[first..tokens.len().min(first + max_batch)];
        let pos: Vec<u32> = (first as u32..).take(ids.len()).collect();
        let seq = vec![0; ids.len()];
        let n = ids.len() as u32;
        if first == traced_from {
            // Stored activations have the last rows only.
            let out_rows: Vec<u32> = (n.saturating_sub(max_outputs)..n).collect();
            let batch = Batch { ids, pos: &pos, seq: &seq, out_rows: &out_rows };
            executor.trace(&batch, &mut |op, buffer, values| visit(op, buffer.0 as usize, values))?;
        } else {
            let batch = Batch { ids, pos: &pos, seq: &seq, out_rows: &[n - 1] };
            executor.enqueue_prefill(&batch, Want::Ids)?;
            let mut ids = Vec::new();
            poll_fn(|cx| executor.poll_ids(cx, &mut ids)).await?;
        }
    }
    Ok(())
}
