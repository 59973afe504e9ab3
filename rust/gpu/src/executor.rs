//! The executor: host state, uploads, submits and results of one program on one device.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use chord_program::{
    Batch, BatchShape, Counters, DeviceInfo, ExecError, Executor, OutputName, Program, SegmentKind, TraceVisitor, Want,
    Weight, WeightId, WeightSink,
};

use crate::kernel::Dispatch;
use crate::ops::argmax::NOT_A_NUMBER;
use crate::ops::kv::KvCache;
use crate::plan::{Device, Outline, Plan, PlanSettings, Step};
use crate::readback::{Readback, StagingPool};
use crate::resources::{MemoryKind, PipelineKey, Resources, Tally};
use crate::sequence::Sequences;
use crate::shader::ShaderSet;
use crate::weights::DeviceWeight;
use crate::{Gpu, trace};

/// Decode steps in flight before the host must fetch an id.
const MAX_AHEAD: usize = 8;

/// Where a batch's ids begin, in bytes: see `include/batch.wgsl`.
const BATCH_IDS: u64 = 16;

/// Multiplications in one submit of a prompt: a slow GPU of 0.1 TFLOPS does them well within the two seconds after which
/// Windows resets a device.
const WORK_PER_SUBMIT: u64 = 30_000_000_000;

/// How a program is compiled.
#[derive(Clone, Debug)]
pub struct PlanOptions {
    /// Run neighbouring ops as one where a kernel exists for it.
    pub fusion: bool,
    /// Parts into which the keys of a single token are dealt; by capacity if not given.
    pub attention_splits: Option<u32>,
    /// Multiplications after which a prompt's work goes into another submit; what a slow GPU does in time if not given.
    pub work_per_submit: Option<u64>,
    /// Shader files, broken on purpose in tests.
    pub shaders: ShaderSet,
    /// Tests let the n-th allocation fail.
    pub fail_allocation: Option<u64>,
}

impl Default for PlanOptions {
    fn default() -> Self {
        PlanOptions {
            fusion: true,
            attention_splits: None,
            work_per_submit: None,
            shaders: ShaderSet::default(),
            fail_allocation: None,
        }
    }
}

/// Runs one [`Program`] on a GPU.
#[derive(Debug)]
pub struct GpuExecutor {
    gpu: Gpu,
    program: Arc<Program>,
    options: PlanOptions,
    device: Device,
    plan: Plan,
    is_finished: bool,
    sequences: Sequences,
    /// Sequence and position for which the batch on the device is the next decode step.
    primed: Option<(u32, u32)>,
    /// Decode steps claimed but not submitted yet: sequence and position.
    queued: VecDeque<(u32, u32)>,
    ids: VecDeque<Readback>,
    logits: VecDeque<Readback>,
    staging: StagingPool,
    /// The host has taken the result of the last step submitted.
    has_awaited: bool,
}

impl GpuExecutor {
    /// Compiles `program` for `gpu` and allocates everything it needs, weights included. Pipelines are compiled now, so
    /// that they are ready by the time the weights have come.
    ///
    /// # Errors
    /// [`ExecError::Unsupported`] for ops or types without a kernel, [`ExecError::OutOfMemory`], [`ExecError::Device`].
    pub async fn new(gpu: &Gpu, program: Arc<Program>, options: PlanOptions) -> Result<Self, ExecError> {
        gpu.fault.check()?;
        let mut resources = Resources::new(gpu, options.shaders.clone());
        if let Some(n) = options.fail_allocation {
            resources = resources.fail_allocation(n);
        }
        let settings =
            PlanSettings { fusion: options.fusion, attention_splits: options.attention_splits, traced: false };
        let outline = Outline::new(&program, gpu, settings);
        let device = make_device(&program, resources, &outline.stacks(&program))?;
        let plan = Plan::new(&program, &device, settings, outline)?;
        let mut staging = StagingPool::default();
        if plan.argmax.is_some() {
            let ring: Result<Vec<_>, _> =
                (0..MAX_AHEAD).map(|_| StagingPool::default().take(&device.resources, 4)).collect();
            ring?.into_iter().for_each(|b| staging.give(b));
        }
        device.resources.settle().await?;
        let sequences = Sequences::new(program.n_seq_max);
        Ok(GpuExecutor {
            gpu: gpu.clone(),
            program,
            options,
            device,
            plan,
            is_finished: false,
            sequences,
            primed: None,
            queued: VecDeque::new(),
            ids: VecDeque::new(),
            logits: VecDeque::new(),
            staging,
            has_awaited: false,
        })
    }

    /// The kernels in use, for validation.
    pub fn kernels(&self) -> Vec<PipelineKey> {
        self.device.resources.pipeline_keys()
    }

    /// The pools everything was made from.
    pub fn resources(&self) -> &Resources {
        &self.device.resources
    }

    fn check_ready(&self) -> Result<(), ExecError> {
        self.gpu.fault.check()?;
        match self.is_finished {
            true => Ok(()),
            false => Err(ExecError::BadBatch("the weights are not complete".to_owned())),
        }
    }

    /// Puts a batch on the device; it takes the place of any decode step prepared there.
    fn write_batch(&mut self, batch: &Batch<'_>) {
        self.primed = None;
        let (max_batch, max_outputs) = (self.program.max_batch as usize, self.program.max_outputs as usize);
        let mut words = vec![0u32; 4 + 3 * max_batch + max_outputs];
        let header = [batch.ids.len(), batch.out_rows.len(), max_batch, max_outputs];
        words[..4].copy_from_slice(&header.map(|n| n as u32));
        let mut at = 4;
        for (values, room) in
            [(batch.ids, max_batch), (batch.pos, max_batch), (batch.seq, max_batch), (batch.out_rows, max_outputs)]
        {
            words[at..at + values.len()].copy_from_slice(values);
            at += room;
        }
        self.gpu.queue.write_buffer(&self.device.batch, 0, bytemuck::cast_slice(&words));
    }

    fn encoder(&self) -> wgpu::CommandEncoder {
        self.gpu.device.create_command_encoder(&Default::default())
    }

    /// Adds segments to `encoder`, in as few submits as their work allows; the last one also gets the greedy choice, if
    /// wanted, and is returned open.
    fn encode_segments(
        &self,
        mut encoder: wgpu::CommandEncoder,
        segments: &[usize],
        shape: BatchShape,
        argmax: Option<&[Dispatch]>,
    ) -> wgpu::CommandEncoder {
        let steps: Vec<&Step> =
            segments.iter().flat_map(|segment| &self.plan.steps[self.plan.segments[*segment].clone()]).collect();
        let mut rest = &steps[..];
        loop {
            let mut work = 0;
            let mut dispatches = 0;
            {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                while let Some((step, after)) = rest.split_first() {
                    dispatches += Plan::encode(std::slice::from_ref(*step), &mut pass, shape);
                    work += step.work * shape.n_tokens as u64;
                    rest = after;
                    if work >= self.options.work_per_submit.unwrap_or(WORK_PER_SUBMIT) {
                        break;
                    }
                }
                if rest.is_empty() {
                    for dispatch in argmax.into_iter().flatten() {
                        dispatches += u64::from(dispatch.encode(&mut pass, shape));
                    }
                }
            }
            Tally::add(&self.device.resources.tally.dispatches, dispatches);
            if rest.is_empty() {
                return encoder;
            }
            self.submit(std::mem::replace(&mut encoder, self.encoder()));
        }
    }

    fn submit(&self, encoder: wgpu::CommandEncoder) -> wgpu::SubmissionIndex {
        Tally::add(&self.device.resources.tally.submits, 1);
        self.gpu.queue.submit([encoder.finish()])
    }

    /// Submits one greedy step.
    fn submit_decode(&mut self, seq: u32, pos: u32) -> Result<(), ExecError> {
        let Some(argmax) = &self.plan.argmax else { return Err(ExecError::NoOutput(OutputName::Logits)) };
        let shape = BatchShape { n_tokens: 1, n_outputs: 1 };
        let mut encoder = self.encoder();
        if self.primed != Some((seq, pos)) {
            let max_batch = self.program.max_batch;
            let mut words = vec![0u32; 4 + 3 * max_batch as usize + 1];
            words[..4].copy_from_slice(&[1, 1, max_batch, self.program.max_outputs]);
            words[4 + max_batch as usize] = pos;
            words[4 + 2 * max_batch as usize] = seq;
            self.gpu.queue.write_buffer(&self.device.batch, 0, bytemuck::cast_slice(&words));
            encoder.copy_buffer_to_buffer(&self.device.next, u64::from(seq) * 4, &self.device.batch, BATCH_IDS, 4);
        }
        let staging = self.staging.take(&self.device.resources, 4)?;
        let segments: Vec<usize> = (0..self.plan.segments.len()).collect();
        let mut encoder = self.encode_segments(encoder, &segments, shape, Some(argmax));
        encoder.copy_buffer_to_buffer(&self.device.ids, 0, &staging, 0, 4);
        let submission = self.submit(encoder);
        let tally = &self.device.resources.tally;
        Tally::add(&tally.tokens, 1);
        if std::mem::take(&mut self.has_awaited) && self.ids.is_empty() {
            Tally::add(&tally.readbacks_before_submit, 1);
        }
        self.ids.push_back(Readback::start(staging, 4, submission));
        self.primed = Some((seq, pos + 1));
        Ok(())
    }

    /// Submits queued steps while fewer than [`MAX_AHEAD`] are in flight, or all of them.
    fn pump(&mut self, all: bool) -> Result<(), ExecError> {
        while all || self.ids.len() < MAX_AHEAD {
            let Some((seq, pos)) = self.queued.pop_front() else { break };
            self.submit_decode(seq, pos)?;
        }
        Ok(())
    }

    /// Segments of a run that is wanted for its outputs, or only for its keys and values.
    fn segments(&self, with_epilogue: bool) -> Vec<usize> {
        let kinds = self.program.segments.iter().enumerate();
        kinds.filter(|(_, s)| with_epilogue || s.kind != SegmentKind::Epilogue).map(|(index, _)| index).collect()
    }
}

fn make_device(program: &Program, resources: Resources, stacks: &[Vec<WeightId>]) -> Result<Device, ExecError> {
    let gpu = resources.gpu.clone();
    let weights = make_weights(program, &resources, stacks)?;
    let storage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
    let mut tables = Vec::with_capacity(program.tables.len());
    for table in &program.tables {
        let bytes = u64::from(program.n_ctx) * u64::from(table.cols()) * 4;
        if bytes > gpu.max_binding_bytes() {
            let what = format!("a table of {} positions: use a smaller context", program.n_ctx);
            return Err(ExecError::OutOfMemory { backend: "gpu", needed: bytes, what });
        }
        let buffer = resources.buffer("table", bytes, storage, MemoryKind::Weights)?;
        gpu.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(&table.rows(program.n_ctx)));
        tables.push(buffer);
    }
    let caches = program
        .slots
        .iter()
        .map(|slot| KvCache::new(&resources, slot, program.kv_type, program.n_seq_max))
        .collect::<Result<Vec<_>, _>>()?;
    let batch_words = 4 + 3 * u64::from(program.max_batch) + u64::from(program.max_outputs);
    let batch = resources.buffer("batch", 4 * batch_words, storage, MemoryKind::Scratch)?;
    let copied = storage | wgpu::BufferUsages::COPY_SRC;
    let ids = resources.buffer("chosen ids", 4 * u64::from(program.max_outputs), copied, MemoryKind::Scratch)?;
    let next = resources.buffer("next ids", 4 * u64::from(program.n_seq_max), copied, MemoryKind::Scratch)?;
    Ok(Device { resources, weights, tables, caches, batch, ids, next })
}

/// Room for every weight, those of a stack together.
fn make_weights(
    program: &Program,
    resources: &Resources,
    stacks: &[Vec<WeightId>],
) -> Result<Vec<DeviceWeight>, ExecError> {
    let mut stacked: Vec<Option<DeviceWeight>> = program.weights.iter().map(|_| None).collect();
    for stack in stacks {
        let weights: Vec<&Weight> = stack.iter().map(|id| program.weight(*id)).collect();
        for (id, weight) in stack.iter().zip(DeviceWeight::stacked(resources, &weights)?) {
            stacked[id.0 as usize] = Some(weight);
        }
    }
    let all = stacked.into_iter().zip(&program.weights);
    all.map(|(stacked, weight)| stacked.map_or_else(|| DeviceWeight::new(resources, weight), Ok)).collect()
}

impl WeightSink for GpuExecutor {
    fn write(&mut self, id: WeightId, offset: u64, bytes: &[u8]) -> Result<(), ExecError> {
        self.gpu.fault.check()?;
        self.device.weights[id.0 as usize].write(&self.gpu, offset, bytes)
    }

    fn finish(&mut self) -> Result<(), ExecError> {
        self.gpu.fault.check()?;
        let missing = self.device.weights.iter().zip(&self.program.weights).find(|(w, _)| !w.is_complete());
        if let Some((_, weight)) = missing {
            let what = format!("{} bytes expected, not all of them came", weight.n_bytes());
            return Err(ExecError::BadWeight { name: weight.name.clone(), what });
        }
        // Sends what is still staged for upload on its way.
        self.gpu.queue.submit([]);
        self.is_finished = true;
        Ok(())
    }
}

impl Executor for GpuExecutor {
    fn program(&self) -> &Program {
        &self.program
    }

    fn device(&self) -> DeviceInfo {
        DeviceInfo {
            backend: "gpu",
            name: self.gpu.adapter.name.clone(),
            is_software: self.gpu.is_software(),
            features: self.gpu.features.names(),
            memory: self.device.resources.tally.memory(),
        }
    }

    fn counters(&self) -> Counters {
        self.device.resources.tally.counters()
    }

    fn enqueue_prefill(&mut self, batch: &Batch<'_>, want: Want) -> Result<(), ExecError> {
        self.check_ready()?;
        batch.check(&self.program)?;
        let shape = batch.shape();
        let logits = match (want, self.program.output(OutputName::Logits)) {
            (Want::Nothing, _) => None,
            (_, Some(_)) if shape.n_outputs == 0 => None,
            (_, Some(logits)) => Some(logits),
            (_, None) => return Err(ExecError::NoOutput(OutputName::Logits)),
        };
        self.pump(true)?;
        let bytes = match (want, logits) {
            (Want::Ids, Some(_)) => Some(4 * shape.n_outputs as u64),
            (Want::Logits, Some(_)) => Some(4 * shape.n_outputs as u64 * u64::from(self.program.n_vocab)),
            _ => None,
        };
        let staging = match bytes {
            Some(bytes) => Some((self.staging.take(&self.device.resources, bytes)?, bytes)),
            None => None,
        };
        if let Err(error) = self.sequences.append(&self.program, batch, want == Want::Ids) {
            staging.into_iter().for_each(|(buffer, _)| self.staging.give(buffer));
            return Err(error);
        }
        self.write_batch(batch);
        let argmax = self.plan.argmax.as_ref().filter(|_| want == Want::Ids && logits.is_some());
        let segments = self.segments(logits.is_some());
        let mut encoder = self.encode_segments(self.encoder(), &segments, shape, argmax.map(<[Dispatch; 2]>::as_slice));
        let Some(((staging, bytes), logits)) = staging.zip(logits) else {
            self.submit(encoder);
            return Ok(());
        };
        self.has_awaited = false;
        if want == Want::Ids {
            encoder.copy_buffer_to_buffer(&self.device.ids, 0, &staging, 0, bytes);
            let submission = self.submit(encoder);
            self.ids.push_back(Readback::start(staging, bytes, submission));
            let last = batch.out_rows[shape.n_outputs - 1] as usize;
            self.primed = Some((batch.seq[last], batch.pos[last] + 1));
        } else {
            let (offset, _) = self.plan.layout.range(logits).ok_or(ExecError::NoOutput(OutputName::Logits))?;
            encoder.copy_buffer_to_buffer(&self.plan.arena, offset, &staging, 0, bytes);
            let submission = self.submit(encoder);
            self.logits.push_back(Readback::start(staging, bytes, submission));
        }
        Ok(())
    }

    fn enqueue_decode(&mut self, seq: u32, n: u32) -> Result<(), ExecError> {
        self.check_ready()?;
        if self.plan.argmax.is_none() {
            return Err(ExecError::NoOutput(OutputName::Logits));
        }
        for _ in 0..n {
            let pos = self.sequences.step(&self.program, seq)?;
            self.queued.push_back((seq, pos));
        }
        self.pump(false)
    }

    fn poll_ids(&mut self, cx: &mut Context<'_>, ids: &mut Vec<u32>) -> Poll<Result<(), ExecError>> {
        if self.device.resources.poll_settled(cx)?.is_pending() {
            return Poll::Pending;
        }
        let before = ids.len();
        loop {
            let Some(front) = self.ids.front() else {
                self.pump(false)?;
                if self.ids.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                continue;
            };
            if !front.has_arrived() {
                // Steps that wait for a free place go out before the host waits.
                self.pump(false)?;
                if ids.len() > before {
                    return Poll::Ready(Ok(()));
                }
            }
            let Some(front) = self.ids.front() else { continue };
            if front.poll(cx, &self.gpu)?.is_pending() {
                return Poll::Pending;
            }
            let Some(arrived) = self.ids.pop_front() else { continue };
            let is_dropped = arrived.dropped;
            let at = ids.len();
            arrived.take(&mut self.staging, ids)?;
            if is_dropped {
                ids.truncate(at);
            } else if ids[at..].contains(&NOT_A_NUMBER) {
                return Poll::Ready(Err(ExecError::NotANumber("a logit is not a number".to_owned())));
            }
            self.has_awaited = true;
        }
    }

    fn poll_logits(&mut self, cx: &mut Context<'_>, logits: &mut Vec<f32>) -> Poll<Result<(), ExecError>> {
        if self.device.resources.poll_settled(cx)?.is_pending() {
            return Poll::Pending;
        }
        logits.clear();
        let Some(front) = self.logits.front() else {
            return Poll::Ready(Err(ExecError::BadBatch("no batch was run for its logits".to_owned())));
        };
        if front.poll(cx, &self.gpu)?.is_pending() {
            return Poll::Pending;
        }
        if let Some(arrived) = self.logits.pop_front() {
            arrived.take(&mut self.staging, logits)?;
        }
        Poll::Ready(Ok(()))
    }

    fn truncate(&mut self, seq: u32, n_past: u32) -> Result<(), ExecError> {
        self.gpu.fault.check()?;
        self.sequences.truncate(&self.program, seq, n_past)?;
        // Steps that have claimed a position that stays must still fill it, though nobody will see their ids.
        self.queued.retain(|&(s, pos)| s != seq || pos < n_past);
        self.pump(true)?;
        self.ids.iter_mut().for_each(|readback| readback.dropped = true);
        Ok(())
    }

    fn run_segment(&mut self, segment: usize, batch: &Batch<'_>) -> Result<(), ExecError> {
        self.check_ready()?;
        batch.check(&self.program)?;
        if segment >= self.plan.segments.len() {
            let n = self.plan.segments.len();
            return Err(ExecError::BadBatch(format!("segment {segment} of {n}")));
        }
        if segment == 0 {
            self.sequences.append(&self.program, batch, false)?;
        }
        self.pump(true)?;
        self.write_batch(batch);
        let encoder = self.encode_segments(self.encoder(), &[segment], batch.shape(), None);
        self.submit(encoder);
        Ok(())
    }

    fn trace(&mut self, batch: &Batch<'_>, visit: &mut TraceVisitor<'_>) -> Result<(), ExecError> {
        self.check_ready()?;
        batch.check(&self.program)?;
        self.sequences.append(&self.program, batch, false)?;
        self.pump(true)?;
        self.write_batch(batch);
        let settings = PlanSettings { fusion: false, attention_splits: self.options.attention_splits, traced: true };
        let outline = Outline::new(&self.program, &self.gpu, settings);
        let plan = Plan::new(&self.program, &self.device, settings, outline)?;
        trace::run(&self.program, &self.device, &plan, batch.shape(), visit)
    }
}
