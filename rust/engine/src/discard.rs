//! An executor that drops its weights and cannot run.

use std::sync::Arc;
use std::task::{Context, Poll};

use chord_program::{
    Batch, Counters, DeviceInfo, ExecError, Executor, Program, TraceVisitor, Want, WeightId, WeightSink,
};

/// Counts the bytes of each weight and keeps none of them.
pub(crate) struct DiscardingExecutor {
    program: Arc<Program>,
    /// Bytes received of each weight.
    seen: Vec<u64>,
}

impl DiscardingExecutor {
    pub(crate) fn new(program: Arc<Program>) -> Self {
        DiscardingExecutor { seen: vec![0; program.weights.len()], program }
    }

    fn cannot<T>(&self) -> Result<T, ExecError> {
        Err(ExecError::Unsupported { backend: "discard", what: "running: the weights were dropped".to_owned() })
    }
}

impl WeightSink for DiscardingExecutor {
    fn write(&mut self, id: WeightId, offset: u64, bytes: &[u8]) -> Result<(), ExecError> {
        let weight = self.program.weight(id);
        let seen = &mut self.seen[id.0 as usize];
        let n_bytes = bytes.len() as u64;
        if offset != *seen || !n_bytes.is_multiple_of(weight.row_bytes()) {
            let what = format!("{n_bytes} bytes at {offset}, expected whole rows at {seen}");
            return Err(ExecError::BadWeight { name: weight.name.clone(), what });
        }
        *seen += n_bytes;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ExecError> {
        for (weight, seen) in self.program.weights.iter().zip(&self.seen) {
            if *seen != weight.n_bytes() {
                let what = format!("{seen} of {} bytes came", weight.n_bytes());
                return Err(ExecError::BadWeight { name: weight.name.clone(), what });
            }
        }
        Ok(())
    }
}

impl Executor for DiscardingExecutor {
    fn program(&self) -> &Program {
        &self.program
    }

    fn device(&self) -> DeviceInfo {
        DeviceInfo { backend: "discard", name: "nothing".to_owned(), ..DeviceInfo::default() }
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }

    fn enqueue_prefill(&mut self, _: &Batch<'_>, _: Want) -> Result<(), ExecError> {
        self.cannot()
    }

    fn enqueue_decode(&mut self, _: u32, _: u32) -> Result<(), ExecError> {
        self.cannot()
    }

    fn poll_ids(&mut self, _: &mut Context<'_>, _: &mut Vec<u32>) -> Poll<Result<(), ExecError>> {
        Poll::Ready(self.cannot())
    }

    fn poll_logits(&mut self, _: &mut Context<'_>, _: &mut Vec<f32>) -> Poll<Result<(), ExecError>> {
        Poll::Ready(self.cannot())
    }

    fn truncate(&mut self, _: u32, _: u32) -> Result<(), ExecError> {
        Ok(())
    }

    fn run_segment(&mut self, _: usize, _: &Batch<'_>) -> Result<(), ExecError> {
        self.cannot()
    }

    fn trace(&mut self, _: &Batch<'_>, _: &mut TraceVisitor<'_>) -> Result<(), ExecError> {
        self.cannot()
    }
}
