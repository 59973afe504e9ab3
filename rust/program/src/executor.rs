//! The interface of executors, designed for a device that runs ahead.

use std::task::{Context, Poll};

use crate::{Batch, BufferId, ExecError, PagePlan, Paged, Program, WeightId};

/// Takes weights to their final place.
pub trait WeightSink {
    /// Bytes of weight `id` from byte `offset` of the tensor on. Each call brings whole rows; calls for one weight come
    /// in order and leave no gap; weights come in any order.
    fn write(&mut self, id: WeightId, offset: u64, bytes: &[u8]) -> Result<(), ExecError>;
    /// All weights are there: checks that none is missing and makes the executor ready to run.
    fn finish(&mut self) -> Result<(), ExecError>;
}

/// The result of a batch that is brought back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Only fill the KV cache: the epilogue is not run.
    Nothing,
    /// A signal when it is done: a meaningless id for each output row, through [`Executor::poll_ids`]. It paces the
    /// caller. Whether the epilogue runs is the executor's choice.
    Done,
    /// The id with the highest logit of each output row (the lowest id among equals), through [`Executor::poll_ids`].
    /// The last one becomes the next input of its sequence for [`Executor::enqueue_decode`].
    Ids,
    /// The logits `[R, n_vocab]`, through [`Executor::poll_logits`].
    Logits,
}

/// Bytes held on the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// Weights as stored there, tables included.
    pub weights: u64,
    /// KV cache.
    pub kv: u64,
    /// Transients, state, staging and read-back.
    pub scratch: u64,
}

impl MemoryUse {
    /// The sum.
    pub fn total(&self) -> u64 {
        self.weights + self.kv + self.scratch
    }
}

/// Counts since the executor was made; the hot path must change none but `submits`, `dispatches`, `tokens` and
/// `bytes_read_back`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Device buffers created.
    pub buffers_created: u64,
    /// Bind groups created.
    pub bind_groups_created: u64,
    /// Pipelines created.
    pub pipelines_created: u64,
    /// Submits.
    pub submits: u64,
    /// Dispatches.
    pub dispatches: u64,
    /// Tokens decoded (`enqueue_decode` steps).
    pub tokens: u64,
    /// Decode submits made only after a read-back of the step before had been awaited.
    pub readbacks_before_submit: u64,
    /// Bytes of batches written to the device.
    pub bytes_uploaded: u64,
    /// Bytes of results read back from the device.
    pub bytes_read_back: u64,
}

/// What runs the program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceInfo {
    /// `cpu` or `gpu`.
    pub backend: &'static str,
    /// Adapter or processor, as the system names it.
    pub name: String,
    /// True for a software GPU, which computes on the CPU (SwiftShader, lavapipe).
    pub is_software: bool,
    /// Optional features in use (`subgroups`, `shader-f16`, `simd128`).
    pub features: Vec<String>,
    /// Bytes held.
    pub memory: MemoryUse,
    /// The paged layers; no segments if everything is resident.
    pub pages: PagePlan,
}

/// Called after each op of a traced run with the op's index, the buffer it wrote and its f32 values.
pub type TraceVisitor<'a> = dyn FnMut(usize, BufferId, &[f32]) -> Result<(), ExecError> + 'a;

/// Runs one [`Program`] with its weights, KV cache and scratch memory. Work is enqueued and results are polled, in the
/// order of enqueuing; a synchronous executor works inside `poll_*`, one step per call that returns.
pub trait Executor: WeightSink {
    /// The program being run.
    fn program(&self) -> &Program;
    /// What runs it.
    fn device(&self) -> DeviceInfo;
    /// Counts so far.
    fn counters(&self) -> Counters;
    /// Ready once all written weights are on the device. Called after [`WeightSink::finish`]; an executor that copies
    /// them itself is always ready.
    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ExecError>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }
    /// The interface for paged weights; none if all weights are resident. An executor that pages accepts work as usual,
    /// but runs it only as its pages arrive.
    fn paged(&mut self) -> Option<&mut dyn Paged> {
        None
    }

    /// Enqueues all segments for one batch. The positions of each sequence continue where it ends; if they begin
    /// further back, the sequence is cut there first.
    fn enqueue_prefill(&mut self, batch: &Batch<'_>, want: Want) -> Result<(), ExecError>;
    /// Enqueues `n` greedy steps of a sequence: each takes the id chosen last as its input at the next position.
    fn enqueue_decode(&mut self, seq: u32, n: u32) -> Result<(), ExecError>;
    /// Appends ids that have arrived to `ids`, waiting for at least one while any is outstanding. `Ready` with nothing
    /// appended means that none is outstanding.
    fn poll_ids(&mut self, cx: &mut Context<'_>, ids: &mut Vec<u32>) -> Poll<Result<(), ExecError>>;
    /// The logits of the oldest batch enqueued with [`Want::Logits`], into `logits` (resized to `R · n_vocab`).
    fn poll_logits(&mut self, cx: &mut Context<'_>, logits: &mut Vec<f32>) -> Poll<Result<(), ExecError>>;
    /// Cuts a sequence to its first `n_past` positions. Ids not yet polled of any sequence are dropped.
    fn truncate(&mut self, seq: u32, n_past: u32) -> Result<(), ExecError>;

    /// Enqueues one segment of the program for a batch, carried buffers staying in place between calls of one batch.
    fn run_segment(&mut self, segment: usize, batch: &Batch<'_>) -> Result<(), ExecError>;
    /// Runs a batch op by op, without fusion and without reuse of buffers, and shows every f32 output. Blocks.
    fn trace(&mut self, batch: &Batch<'_>, visit: &mut TraceVisitor<'_>) -> Result<(), ExecError>;
}
