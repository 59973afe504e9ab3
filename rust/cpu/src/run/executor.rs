//! The executor: queues work in order, and does it when results are polled.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use chord_program::{
    Batch, BufferId, Counters, DeviceInfo, ExecError, Executor, MemoryUse, OutputName, Program, SegmentKind,
    TraceVisitor, Want, WeightId, WeightSink,
};

use super::machine::{Machine, Scope};
use super::profile::Profile;
use super::schedule::{Queued, Schedule};
use crate::device::processor_name;
use crate::matmul::{ActivationType, CpuOptions};
use crate::memory::Frame;
use crate::pool::{Pool, default_threads};
use crate::simd::InstructionSet;

/// Runs one program on the CPU. Work is done inside `poll_ids`, `poll_logits`, `truncate`, `run_segment` and `trace`;
/// each poll runs at most one step (a prefill batch or a decoded token) and, if more has to run before it can answer,
/// wakes its task and returns `Pending`, so that the caller can stop in between.
pub struct CpuExecutor {
    machine: Machine,
    frame: Frame,
    schedule: Schedule,
    /// The last id chosen for each sequence.
    chosen: Vec<u32>,
    ready_ids: Vec<u32>,
    ready_logits: VecDeque<Vec<f32>>,
    /// The buffer that the caller of `poll_logits` passed last time, to be used again.
    spare_logits: Vec<f32>,
    is_ready: bool,
    steps_run: u64,
    tokens: u64,
}

impl CpuExecutor {
    /// Allocates the memory that `program` needs and starts threads; weights come through [`WeightSink`].
    ///
    /// # Errors
    /// If memory or threads cannot be had, or a weight's type cannot be decoded.
    pub fn new(program: Arc<Program>, options: CpuOptions) -> Result<Self, ExecError> {
        let pool = Pool::spawn(options.threads.unwrap_or_else(default_threads));
        let pool = pool.map_err(|error| ExecError::Device(error.to_string()))?;
        Self::with_pool(program, options.activations, options.isa.unwrap_or_else(InstructionSet::best), pool)
    }

    /// The same on threads that exist already.
    ///
    /// # Errors
    /// If memory cannot be had, or a weight's type cannot be decoded.
    ///
    /// # Panics
    /// If `isa` is not one of [`InstructionSet::available`].
    pub fn with_pool(
        program: Arc<Program>,
        activations: ActivationType,
        isa: InstructionSet,
        pool: Pool,
    ) -> Result<Self, ExecError> {
        let (machine, memory) = Machine::new(Arc::clone(&program), activations, isa, pool)?;
        Ok(CpuExecutor {
            frame: Frame::shared(&machine.narrow, &memory)?,
            schedule: Schedule::new(&program),
            chosen: vec![0; program.n_seq_max as usize],
            ready_ids: Vec::new(),
            ready_logits: VecDeque::new(),
            spare_logits: Vec::new(),
            is_ready: false,
            steps_run: 0,
            tokens: 0,
            machine,
        })
    }

    /// Begins to measure how long each kind of step takes, as the calling thread sees it. Needs a clock, which
    /// WebAssembly does not have.
    pub fn start_profile(&mut self) {
        self.machine.profile = Some(Profile::new());
    }

    /// Ends what [`start_profile`](Self::start_profile) began; empty without it.
    pub fn take_profile(&mut self) -> Profile {
        self.machine.profile.take().unwrap_or_default()
    }

    fn check_ready(&self) -> Result<(), ExecError> {
        if self.is_ready { Ok(()) } else { Err(ExecError::Device("the weights are not complete".to_owned())) }
    }

    fn output(&self, name: OutputName) -> Result<BufferId, ExecError> {
        self.machine.program.output(name).ok_or(ExecError::NoOutput(name))
    }

    /// Runs what is next in the queue, if anything. After an error nothing is left to run and every sequence is empty.
    fn step(&mut self) -> Result<(), ExecError> {
        let Some(queued) = self.schedule.pop() else { return Ok(()) };
        let done = match queued {
            Queued::Batch(batch, want) => {
                let done = self.run_batch(&batch.borrow(), want);
                self.schedule.recycle(batch);
                done
            }
            Queued::Decode { seq, pos } => {
                self.tokens += 1;
                let batch = Batch { ids: &[self.chosen[seq as usize]], pos: &[pos], seq: &[seq], out_rows: &[0] };
                self.run_batch(&batch, Want::Ids)
            }
        };
        if done.is_err() {
            self.schedule.clear();
            self.ready_ids.clear();
            self.ready_logits.clear();
        }
        done
    }

    fn run_batch(&mut self, batch: &Batch<'_>, want: Want) -> Result<(), ExecError> {
        let program = Arc::clone(&self.machine.program);
        self.steps_run += 1;
        let mut n_segments = program.segments.len();
        // `Want::Done` needs no output.
        let out_rows = if want == Want::Done { &[] } else { batch.out_rows };
        let shown = Batch { out_rows, ..*batch };
        if matches!(want, Want::Nothing | Want::Done)
            && program.segments.last().is_some_and(|s| s.kind == SegmentKind::Epilogue)
        {
            n_segments -= 1;
        }
        self.frame.resize(&self.machine.narrow, shown.shape());
        self.machine.run(Scope::Segments(0..n_segments), &shown, &mut self.frame)?;
        match want {
            Want::Nothing => Ok(()),
            Want::Done => {
                self.ready_ids.extend(batch.out_rows.iter().map(|_| 0));
                Ok(())
            }
            Want::Ids => self.choose(batch),
            Want::Logits => self.keep_logits(self.output(OutputName::Logits)?),
        }
    }

    fn keep_logits(&mut self, logits: BufferId) -> Result<(), ExecError> {
        let mut kept = std::mem::take(&mut self.spare_logits);
        kept.clear();
        kept.extend_from_slice(self.frame.get(logits));
        self.ready_logits.push_back(kept);
        Ok(())
    }

    /// Chooses the id with the highest logit of each output row.
    fn choose(&mut self, batch: &Batch<'_>) -> Result<(), ExecError> {
        let logits = self.output(OutputName::Logits)?;
        let logits = self.frame.get(logits);
        let n_vocab = self.machine.program.n_vocab as usize;
        for (&row, logits) in batch.out_rows.iter().zip(logits.chunks_exact(n_vocab)) {
            let (pos, seq) = (batch.pos[row as usize], batch.seq[row as usize]);
            let id = argmax(logits).ok_or_else(|| {
                ExecError::NotANumber(format!("position {pos} of sequence {seq} has no highest logit"))
            })?;
            self.chosen[seq as usize] = id;
            self.ready_ids.push(id);
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<(), ExecError> {
        while !self.schedule.is_empty() {
            self.step()?;
        }
        Ok(())
    }
}

/// Index of the highest value, the lowest among equals; `None` if a value is not a number.
fn argmax(logits: &[f32]) -> Option<u32> {
    // Sixteen at a time: a comparison of numbers is a vector instruction, the search for an index is not.
    let (chunks, rest) = logits.as_chunks::<16>();
    let mut highest = [f32::NEG_INFINITY; 16];
    let mut is_nan = [false; 16];
    for chunk in chunks {
        for i in 0..16 {
            highest[i] = if chunk[i] > highest[i] { chunk[i] } else { highest[i] };
            is_nan[i] |= chunk[i].is_nan();
        }
    }
    if is_nan.contains(&true) || rest.iter().any(|x| x.is_nan()) {
        return None;
    }
    let highest = highest.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max);
    logits.iter().position(|&x| x == highest).map(|id| id as u32)
}

impl WeightSink for CpuExecutor {
    fn write(&mut self, id: WeightId, offset: u64, bytes: &[u8]) -> Result<(), ExecError> {
        self.machine.weights.write(&self.machine.program, id, offset, bytes)
    }

    fn finish(&mut self) -> Result<(), ExecError> {
        self.machine.weights.check_complete(&self.machine.program)?;
        self.is_ready = true;
        Ok(())
    }
}

impl Executor for CpuExecutor {
    fn program(&self) -> &Program {
        &self.machine.program
    }

    fn device(&self) -> DeviceInfo {
        let memory = MemoryUse {
            weights: self.machine.weights.bytes() + self.machine.table_bytes(),
            kv: self.machine.kv_bytes(),
            scratch: self.frame.bytes() + self.machine.scratch_bytes(),
        };
        let isa = self.machine.isa();
        let features = vec![isa.name().to_owned()];
        let n_threads = self.machine.n_threads();
        let threads = if n_threads == 1 { "one thread".to_owned() } else { format!("{n_threads} threads") };
        let name = format!("{}, {threads}, {isa}", processor_name());
        DeviceInfo { backend: "cpu", name, is_software: false, features, memory, pages: Default::default() }
    }

    fn counters(&self) -> Counters {
        Counters {
            submits: self.steps_run,
            dispatches: self.machine.ops_run,
            tokens: self.tokens,
            ..Counters::default()
        }
    }

    fn enqueue_prefill(&mut self, batch: &Batch<'_>, want: Want) -> Result<(), ExecError> {
        self.check_ready()?;
        if matches!(want, Want::Ids | Want::Logits) {
            self.output(OutputName::Logits)?;
        }
        self.schedule.push_batch(&self.machine.program, batch, want)
    }

    fn enqueue_decode(&mut self, seq: u32, n: u32) -> Result<(), ExecError> {
        self.check_ready()?;
        self.output(OutputName::Logits)?;
        self.schedule.push_decode(&self.machine.program, seq, n)
    }

    fn poll_ids(&mut self, cx: &mut Context<'_>, ids: &mut Vec<u32>) -> Poll<Result<(), ExecError>> {
        if self.ready_ids.is_empty() {
            self.step()?;
        }
        if self.ready_ids.is_empty() && (self.schedule.ids_outstanding() || !self.schedule.is_empty()) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        ids.append(&mut self.ready_ids);
        Poll::Ready(Ok(()))
    }

    fn poll_logits(&mut self, cx: &mut Context<'_>, logits: &mut Vec<f32>) -> Poll<Result<(), ExecError>> {
        if self.ready_logits.is_empty() && !self.schedule.logits_outstanding() {
            return Poll::Ready(Err(ExecError::BadBatch("no logits are outstanding".to_owned())));
        }
        if self.ready_logits.is_empty() {
            self.step()?;
        }
        match self.ready_logits.pop_front() {
            Some(ready) => {
                self.spare_logits = std::mem::replace(logits, ready);
                Poll::Ready(Ok(()))
            }
            None => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn truncate(&mut self, seq: u32, n_past: u32) -> Result<(), ExecError> {
        self.schedule.check_cut(&self.machine.program, seq, n_past)?;
        self.schedule.drop_undone(seq, n_past);
        self.drain()?;
        self.ready_ids.clear();
        self.schedule.truncate(&self.machine.program, seq, n_past)
    }

    fn run_segment(&mut self, segment: usize, batch: &Batch<'_>) -> Result<(), ExecError> {
        self.check_ready()?;
        self.drain()?;
        let program = Arc::clone(&self.machine.program);
        let Some(found) = program.segments.get(segment) else {
            return Err(ExecError::BadBatch(format!("segment {segment} of {}", program.segments.len())));
        };
        match segment {
            0 => self.schedule.advance(&program, batch, false)?,
            _ => self.schedule.check_reached(&program, batch)?,
        }
        self.frame.resize(&self.machine.narrow, batch.shape());
        self.machine.run(Scope::Segments(segment..segment + 1), batch, &mut self.frame)?;
        if let Some(logits) = program.output(OutputName::Logits)
            && program.ops[found.ops.clone()].iter().any(|op| op.outputs.contains(&logits))
        {
            self.keep_logits(logits)?;
        }
        Ok(())
    }

    fn trace(&mut self, batch: &Batch<'_>, visit: &mut TraceVisitor<'_>) -> Result<(), ExecError> {
        self.check_ready()?;
        self.drain()?;
        let program = Arc::clone(&self.machine.program);
        self.schedule.advance(&program, batch, false)?;
        let mut frame = Frame::separate(&program, batch.shape())?;
        for (index, op) in program.ops.iter().enumerate() {
            self.machine.run(Scope::Op(index), batch, &mut frame)?;
            for &id in op.outputs.iter().filter(|id| !program.buffer(**id).is_u32) {
                visit(index, id, frame.get(id))?;
            }
        }
        Ok(())
    }
}
