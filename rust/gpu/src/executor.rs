//! The executor: host state, uploads, submits and results of one program on one device.

mod memory;
mod paging;
mod prefill;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use chord_program::{
    Batch, BatchShape, Counters, DeviceInfo, ExecError, Executor, OutputName, Paged, Program, SegmentKind,
    TraceVisitor, Want, WeightId, WeightSink,
};

use crate::kernel::Dispatch;
use crate::ops::argmax::NOT_A_NUMBER;
use crate::plan::{Device, Outline, Plan, PlanSettings, Step};
use crate::readback::{Arrival, Readback, StagingPool};
use crate::resources::{Allocation, PipelineKey, Resources, Tally};
use crate::sequence::Sequences;
use crate::shader::ShaderSet;
use crate::{Gpu, trace};
use memory::{all_weights, make_device, make_weights};
use paging::{Pages, Work};
use prefill::{Prefill, PrefillResult, batch_words};

/// Decode steps in flight before the host must fetch an id.
pub const MAX_AHEAD: usize = 8;

/// Where a batch's ids begin, in bytes: see `include/batch.wgsl`.
const BATCH_IDS: u64 = 16;

/// Multiplications in one submit of a prompt: a slow GPU of 0.1 TFLOPS does them well within the two seconds after
/// which Windows resets a device.
const WORK_PER_SUBMIT: u64 = 30_000_000_000;

/// How a program is compiled.
#[derive(Clone, Debug)]
pub struct PlanOptions {
    /// Run neighbouring ops as one where a kernel exists for it.
    pub fusion: bool,
    /// Parts into which the keys of a single token are divided; by capacity if not given.
    pub attention_splits: Option<u32>,
    /// Multiplications after which a prompt's work continues in another submit; by default, what a slow GPU does in
    /// time.
    pub work_per_submit: Option<u64>,
    /// Most bytes to hold on the device: where not all weights fit, layers are paged.
    pub max_bytes: Option<u64>,
    /// Shader files, broken on purpose in tests.
    pub shaders: ShaderSet,
    /// In tests: the allocation that fails, counted from 0.
    pub fail_allocation: Option<u64>,
}

impl Default for PlanOptions {
    fn default() -> Self {
        PlanOptions {
            fusion: true,
            attention_splits: None,
            work_per_submit: None,
            max_bytes: None,
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
    /// The paged layers, if not all weights stay on the device.
    pages: Option<Pages>,
    is_finished: bool,
    /// Completion of the last upload.
    written: Option<Arrival>,
    sequences: Sequences,
    /// Sequence and position for which the batch on the device is the next decode step.
    primed: Option<(u32, u32)>,
    /// Decode steps claimed but not submitted yet: sequence and position.
    queued: VecDeque<(u32, u32)>,
    ids: VecDeque<Readback>,
    logits: VecDeque<Readback>,
    staging: StagingPool,
    /// The host has taken an id since the last submit.
    has_awaited: bool,
}

impl GpuExecutor {
    /// Compiles `program` for `gpu` and allocates everything it needs, weights included. Pipelines are compiled now, so
    /// that they are ready when the weights have arrived.
    ///
    /// # Errors
    /// [`ExecError::Unsupported`] for ops or types without a kernel, [`ExecError::OutOfMemory`], also where even paging
    /// every layer takes more than the options allow, [`ExecError::Device`].
    pub async fn new(gpu: &Gpu, program: Arc<Program>, options: PlanOptions) -> Result<Self, ExecError> {
        gpu.fault.check()?;
        let mut resources = Resources::new(gpu, options.shaders.clone());
        if let Some(n) = options.fail_allocation {
            resources = resources.fail_allocation(n);
        }
        let settings =
            PlanSettings { fusion: options.fusion, attention_splits: options.attention_splits, traced: false };
        let outline = Outline::new(&program, gpu, settings);
        let stacks = outline.stacks(&program);
        let pages = Pages::choose(&program, gpu, settings, &outline, options.max_bytes)?;
        let weights = match &pages {
            Some(pages) => pages.make_weights(&program, &resources, &stacks)?,
            None => make_weights(&program, &resources, &all_weights(&program), &stacks)?,
        };
        let device = make_device(&program, resources, weights)?;
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
            pages,
            is_finished: false,
            written: None,
            sequences,
            primed: None,
            queued: VecDeque::new(),
            ids: VecDeque::new(),
            logits: VecDeque::new(),
            staging,
            has_awaited: false,
        })
    }

    /// The kernels made so far on this device, for validation.
    pub fn kernels(&self) -> Vec<PipelineKey> {
        self.device.resources.pipeline_keys()
    }

    /// The pools from which everything was made.
    pub fn resources(&self) -> &Resources {
        &self.device.resources
    }

    /// Bytes of weights that the dispatches for a batch bind. Kernels may read fewer: of an embedding, only the rows of
    /// the batch's ids.
    pub fn weight_bytes_bound(&self, shape: BatchShape) -> u64 {
        self.plan.weight_bytes(shape)
    }

    fn check_ready(&self) -> Result<(), ExecError> {
        self.gpu.fault.check()?;
        match self.is_finished {
            true => Ok(()),
            false => Err(ExecError::BadBatch("the weights are not complete".to_owned())),
        }
    }

    /// Puts a batch on the device, in place of any decode step prepared there.
    fn write_batch(&mut self, words: &[u32]) {
        self.primed = None;
        let bytes: &[u8] = bytemuck::cast_slice(words);
        self.gpu.queue.write_buffer(&self.device.batch, 0, bytes);
        Tally::add(&self.device.resources.tally.bytes_uploaded, bytes.len() as u64);
    }

    fn check_resident(&self, what: &str) -> Result<(), ExecError> {
        match self.pages {
            None => Ok(()),
            Some(_) => Err(ExecError::Unsupported {
                backend: "gpu",
                what: format!("{what} of a model whose layers are paged: allow it more memory"),
            }),
        }
    }

    fn encoder(&self) -> wgpu::CommandEncoder {
        self.gpu.device.create_command_encoder(&Default::default())
    }

    /// Encodes segments, each with the slot of its weights if they are paged, in as few submits as their work allows.
    /// The last encoder also gets the greedy choice, if wanted, and is returned unsubmitted.
    fn encode_segments(
        &self,
        mut encoder: wgpu::CommandEncoder,
        segments: &[(usize, usize)],
        shape: BatchShape,
        argmax: Option<&[Dispatch]>,
    ) -> wgpu::CommandEncoder {
        let steps_of = |segment: usize| &self.plan.steps[self.plan.segments[segment].clone()];
        let steps: Vec<(&Step, usize)> = segments
            .iter()
            .flat_map(|&(segment, slot)| steps_of(segment).iter().map(move |step| (step, slot)))
            .collect();
        let mut rest = &steps[..];
        loop {
            let mut work = 0;
            let mut dispatches = 0;
            {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                while let Some((&(step, slot), after)) = rest.split_first() {
                    dispatches += step.encode(&mut pass, shape, slot);
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

    /// Submits `encoder` and after it a copy of `bytes` bytes from an offset of a buffer to `staging`, which the host
    /// then reads.
    fn submit_and_read(
        &self,
        mut encoder: wgpu::CommandEncoder,
        (source, offset): (&wgpu::Buffer, u64),
        staging: Allocation,
        bytes: u64,
    ) -> (Readback, wgpu::SubmissionIndex) {
        encoder.copy_buffer_to_buffer(source, offset, &staging, 0, bytes);
        let submission = self.submit(encoder);
        Tally::add(&self.device.resources.tally.bytes_read_back, bytes);
        (Readback::start(staging, bytes, submission.clone()), submission)
    }

    /// All segments of a program without pages.
    fn all_segments(&self) -> Vec<(usize, usize)> {
        (0..self.plan.segments.len()).map(|segment| (segment, 0)).collect()
    }

    /// Writes the batch of `work` to the device. The returned encoder holds the commands that must precede it.
    fn begin(&mut self, work: &Work) -> wgpu::CommandEncoder {
        let mut encoder = self.encoder();
        match work {
            Work::Prefill(prefill) => self.write_batch(&prefill.words),
            &Work::Decode { seq, pos } if self.primed != Some((seq, pos)) => {
                let max_batch = self.program.max_batch;
                let mut words = vec![0u32; 4 + 3 * max_batch as usize + 1];
                words[..4].copy_from_slice(&[1, 1, max_batch, self.program.max_outputs]);
                words[4 + max_batch as usize] = pos;
                words[4 + 2 * max_batch as usize] = seq;
                self.write_batch(&words);
                encoder.copy_buffer_to_buffer(&self.device.next, u64::from(seq) * 4, &self.device.batch, BATCH_IDS, 4);
            }
            Work::Decode { .. } => {}
        }
        encoder
    }

    /// Submits the last segments of `work`, with its greedy choice, and starts reading its result back.
    fn end(
        &mut self,
        encoder: wgpu::CommandEncoder,
        segments: &[(usize, usize)],
        work: Work,
    ) -> Result<wgpu::SubmissionIndex, ExecError> {
        match work {
            Work::Prefill(prefill) => self.end_prefill(encoder, segments, prefill),
            Work::Decode { seq, pos } => self.end_decode(encoder, segments, seq, pos),
        }
    }

    fn end_decode(
        &mut self,
        encoder: wgpu::CommandEncoder,
        segments: &[(usize, usize)],
        seq: u32,
        pos: u32,
    ) -> Result<wgpu::SubmissionIndex, ExecError> {
        let Some(argmax) = &self.plan.argmax else { return Err(ExecError::NoOutput(OutputName::Logits)) };
        let staging = self.staging.take(&self.device.resources, 4)?;
        let shape = BatchShape { n_tokens: 1, n_outputs: 1 };
        let encoder = self.encode_segments(encoder, segments, shape, Some(argmax));
        let (readback, submission) = self.submit_and_read(encoder, (&self.device.ids, 0), staging, 4);
        let tally = &self.device.resources.tally;
        Tally::add(&tally.tokens, 1);
        if std::mem::take(&mut self.has_awaited) && self.ids.is_empty() {
            Tally::add(&tally.readbacks_before_submit, 1);
        }
        self.ids.push_back(readback);
        self.primed = Some((seq, pos + 1));
        Ok(submission)
    }

    fn end_prefill(
        &mut self,
        encoder: wgpu::CommandEncoder,
        segments: &[(usize, usize)],
        prefill: Prefill,
    ) -> Result<wgpu::SubmissionIndex, ExecError> {
        let Prefill { shape, result, .. } = prefill;
        let argmax = self.plan.argmax.as_ref().filter(|_| matches!(result, Some(PrefillResult { next: Some(_), .. })));
        let encoder = self.encode_segments(encoder, segments, shape, argmax.map(<[Dispatch; 2]>::as_slice));
        let Some(PrefillResult { staging, bytes, logits, next }) = result else {
            return Ok(self.submit(encoder));
        };
        self.has_awaited = false;
        if next.is_some() {
            let (readback, submission) = self.submit_and_read(encoder, (&self.device.ids, 0), staging, bytes);
            self.ids.push_back(readback);
            self.primed = next;
            return Ok(submission);
        }
        let (offset, _) = self.plan.layout.range(logits).ok_or(ExecError::NoOutput(OutputName::Logits))?;
        let (readback, submission) = self.submit_and_read(encoder, (&self.plan.arena, offset), staging, bytes);
        self.logits.push_back(readback);
        Ok(submission)
    }

    /// Submits one greedy step.
    fn submit_decode(&mut self, seq: u32, pos: u32) -> Result<(), ExecError> {
        let work = Work::Decode { seq, pos };
        let encoder = self.begin(&work);
        self.end(encoder, &self.all_segments(), work).map(|_| ())
    }

    /// Submits queued steps while fewer than [`MAX_AHEAD`] are in flight, or all of them.
    fn pump(&mut self, all: bool) -> Result<(), ExecError> {
        while all || self.ids.len() < MAX_AHEAD {
            let Some((seq, pos)) = self.queued.pop_front() else { break };
            self.submit_decode(seq, pos)?;
        }
        Ok(())
    }

    /// The segments to run: all, or without the epilogue if only keys and values are wanted.
    fn segments(&self, with_epilogue: bool) -> Vec<usize> {
        let kinds = self.program.segments.iter().enumerate();
        kinds.filter(|(_, s)| with_epilogue || s.kind != SegmentKind::Epilogue).map(|(index, _)| index).collect()
    }
}

impl WeightSink for GpuExecutor {
    fn write(&mut self, id: WeightId, offset: u64, bytes: &[u8]) -> Result<(), ExecError> {
        self.gpu.fault.check()?;
        match &mut self.pages {
            Some(pages) if pages.segment_of(id).is_some() => {
                pages.write(&self.gpu, &mut self.device.weights, id, offset, bytes)
            }
            _ => self.device.weights[id.0 as usize][0].write(&self.gpu, offset, bytes),
        }
    }

    fn finish(&mut self) -> Result<(), ExecError> {
        self.gpu.fault.check()?;
        let mut held = self.device.weights.iter().zip(&self.program.weights).filter(|(places, _)| places.len() == 1);
        if let Some((_, weight)) = held.find(|(places, _)| !places[0].is_complete()) {
            let what = format!("{} bytes expected, not all arrived", weight.n_bytes());
            return Err(ExecError::BadWeight { name: weight.name.clone(), what });
        }
        // Submits what is still staged for upload.
        let submission = self.gpu.queue.submit([]);
        self.written = Some(Arrival::of_work(&self.gpu, submission));
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
            pages: self.pages.as_ref().map(|pages| pages.plan().clone()).unwrap_or_default(),
        }
    }

    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ExecError>> {
        let Some(written) = &self.written else { return Poll::Ready(Ok(())) };
        if written.poll(cx, &self.gpu)?.is_pending() {
            return Poll::Pending;
        }
        self.written = None;
        Poll::Ready(Ok(()))
    }

    fn paged(&mut self) -> Option<&mut dyn Paged> {
        if self.pages.is_some() { Some(self) } else { None }
    }

    fn counters(&self) -> Counters {
        self.device.resources.tally.counters()
    }

    fn enqueue_prefill(&mut self, batch: &Batch<'_>, want: Want) -> Result<(), ExecError> {
        self.check_ready()?;
        batch.check(&self.program)?;
        let shape = batch.shape();
        // An unused id is the cheapest signal.
        let want = if want == Want::Done { Want::Ids } else { want };
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
        let result = match bytes.zip(logits) {
            Some((bytes, logits)) => {
                let last = batch.out_rows[shape.n_outputs - 1] as usize;
                let next = (want == Want::Ids).then(|| (batch.seq[last], batch.pos[last] + 1));
                let staging = self.staging.take(&self.device.resources, bytes)?;
                Some(PrefillResult { staging, bytes, logits, next })
            }
            None => None,
        };
        let before = self.sequences.clone();
        if let Err(error) = self.sequences.append(&self.program, batch, want == Want::Ids) {
            result.into_iter().for_each(|result| self.staging.give(result.staging));
            return Err(error);
        }
        let segments = self.segments(logits.is_some());
        let work = Work::Prefill(Prefill { words: batch_words(&self.program, batch), shape, result });
        if let Some(pages) = &mut self.pages {
            pages.enqueue(work, segments, shape, before);
            return Ok(());
        }
        let encoder = self.begin(&work);
        let segments: Vec<(usize, usize)> = segments.into_iter().map(|segment| (segment, 0)).collect();
        self.end(encoder, &segments, work).map(|_| ())
    }

    fn enqueue_decode(&mut self, seq: u32, n: u32) -> Result<(), ExecError> {
        self.check_ready()?;
        if self.plan.argmax.is_none() {
            return Err(ExecError::NoOutput(OutputName::Logits));
        }
        for _ in 0..n {
            let before = self.sequences.clone();
            let pos = self.sequences.step(&self.program, seq)?;
            match &mut self.pages {
                Some(pages) => {
                    let segments = (0..self.plan.segments.len()).collect();
                    let shape = BatchShape { n_tokens: 1, n_outputs: 1 };
                    pages.enqueue(Work::Decode { seq, pos }, segments, shape, before);
                }
                None => self.queued.push_back((seq, pos)),
            }
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
                // Queued steps are submitted before the host waits.
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
        if self.pages.is_some() {
            self.abandon();
        }
        self.sequences.truncate(&self.program, seq, n_past)?;
        // Steps that claimed a position below `n_past` must still fill it, although their ids are not used.
        self.queued.retain(|&(s, pos)| s != seq || pos < n_past);
        self.pump(true)?;
        self.ids.iter_mut().for_each(|readback| readback.dropped = true);
        Ok(())
    }

    fn run_segment(&mut self, segment: usize, batch: &Batch<'_>) -> Result<(), ExecError> {
        self.check_ready()?;
        self.check_resident("a single segment")?;
        batch.check(&self.program)?;
        if segment >= self.plan.segments.len() {
            let n = self.plan.segments.len();
            return Err(ExecError::BadBatch(format!("segment {segment} of {n}")));
        }
        if segment == 0 {
            self.sequences.append(&self.program, batch, false)?;
        }
        self.pump(true)?;
        self.write_batch(&batch_words(&self.program, batch));
        let encoder = self.encode_segments(self.encoder(), &[(segment, 0)], batch.shape(), None);
        self.submit(encoder);
        Ok(())
    }

    fn trace(&mut self, batch: &Batch<'_>, visit: &mut TraceVisitor<'_>) -> Result<(), ExecError> {
        self.check_ready()?;
        self.check_resident("a trace")?;
        batch.check(&self.program)?;
        self.sequences.append(&self.program, batch, false)?;
        self.pump(true)?;
        self.write_batch(&batch_words(&self.program, batch));
        let settings = PlanSettings { fusion: false, attention_splits: self.options.attention_splits, traced: true };
        let outline = Outline::new(&self.program, &self.gpu, settings);
        let plan = Plan::new(&self.program, &self.device, settings, outline)?;
        trace::run(&self.program, &self.device, &plan, batch.shape(), visit)
    }
}
