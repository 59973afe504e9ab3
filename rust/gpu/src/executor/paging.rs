//! Layers that the device does not hold: they share two slots, and enqueued work runs as far as its layers have
//! arrived.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use chord_program::{BatchShape, ExecError, PAGE_SLOTS, PagePlan, Paged, Program, WeightId};

use super::memory::{all_weights, make_weights, weight_bytes};
use super::{GpuExecutor, MAX_AHEAD, Prefill};
use crate::Gpu;
use crate::plan::{Outline, Plan, PlanSettings};
use crate::readback::Arrival;
use crate::resources::Resources;
use crate::sequence::Sequences;
use crate::weights::{DeviceWeight, SlotLayout, groups};

/// Enqueued work.
#[derive(Debug)]
pub(super) enum Work {
    Prefill(Prefill),
    Decode { seq: u32, pos: u32 },
}

/// Enqueued work, and how many of its segments have been submitted.
#[derive(Debug)]
struct Run {
    work: Work,
    shape: BatchShape,
    segments: Vec<usize>,
    /// How many of `segments`.
    n_submitted: usize,
    /// The sequences before it.
    before: Sequences,
}

/// What a slot holds.
#[derive(Debug, Default)]
struct SlotState {
    segment: Option<usize>,
    is_complete: bool,
    /// Completion of the last work that reads it.
    last_use: Option<Arrival>,
}

/// The pages of one executor.
#[derive(Debug)]
pub(super) struct Pages {
    plan: PagePlan,
    layout: SlotLayout,
    /// Each segment's own weights.
    own: Vec<Vec<WeightId>>,
    /// The paged segment of each weight that has one.
    segment_of: Vec<Option<usize>>,
    slots: [SlotState; PAGE_SLOTS],
    runs: VecDeque<Run>,
    /// Completion of everything submitted.
    last_submit: Option<Arrival>,
}

impl Pages {
    /// Which layers are paged so that everything stays within `max` bytes; none if all of it does, or without a limit.
    pub(super) fn choose(
        program: &Program,
        gpu: &Gpu,
        settings: PlanSettings,
        outline: &Outline,
        max: Option<u64>,
    ) -> Result<Option<Pages>, ExecError> {
        let Some(max) = max else { return Ok(None) };
        let stacks = outline.stacks(program);
        let own = program.layer_weights();
        let layouts = own.iter().map(|own| SlotLayout::new(gpu, program, &groups(own, &stacks)));
        let layouts: Vec<SlotLayout> = layouts.collect::<Result<_, _>>()?;
        let bytes_of = |ids: &[WeightId]| weight_bytes(program, gpu, &groups(ids, &stacks));
        let resident = bytes_of(&all_weights(program))? + rest_bytes(program, settings, outline);
        let layers = own.iter().map(|own| bytes_of(own)).collect::<Result<Vec<u64>, _>>()?;
        let slot = |segments: &[usize]| {
            segments.iter().fold(SlotLayout::default(), |slot, segment| slot.or(&layouts[*segment]))
        };
        let layer_bytes = |segment: usize| layers[segment];
        let slot_bytes = |segments: &[usize]| slot(segments).bytes();
        let Some(plan) = PagePlan::choose(program, max, resident, layer_bytes, slot_bytes) else {
            let needed = PagePlan::least(program, resident, layer_bytes, slot_bytes);
            let what = format!("everything but the layers, and two slots for them; {max} bytes were allowed");
            return Err(ExecError::OutOfMemory { backend: "gpu", needed, what });
        };
        if plan.segments.is_empty() {
            return Ok(None);
        }
        let mut segment_of = vec![None; program.weights.len()];
        for segment in &plan.segments {
            own[*segment].iter().for_each(|id| segment_of[id.0 as usize] = Some(*segment));
        }
        let layout = slot(&plan.segments);
        let (slots, runs) = Default::default();
        Ok(Some(Pages { plan, layout, own, segment_of, slots, runs, last_submit: None }))
    }

    pub(super) fn plan(&self) -> &PagePlan {
        &self.plan
    }

    /// The paged segment that a weight belongs to, if any.
    pub(super) fn segment_of(&self, id: WeightId) -> Option<usize> {
        self.segment_of[id.0 as usize]
    }

    /// Room for every weight, in both slots for those that are paged.
    pub(super) fn make_weights(
        &self,
        program: &Program,
        resources: &Resources,
        stacks: &[Vec<WeightId>],
    ) -> Result<Vec<Vec<DeviceWeight>>, ExecError> {
        let held = all_weights(program).into_iter().filter(|id| self.segment_of(*id).is_none());
        let mut places = make_weights(program, resources, &held.collect::<Vec<_>>(), stacks)?;
        for _ in 0..PAGE_SLOTS {
            let slot = self.layout.allocate(resources)?;
            for segment in &self.plan.segments {
                for (id, weight) in slot.place(&resources.gpu, program, &groups(&self.own[*segment], stacks))? {
                    places[id.0 as usize].push(weight);
                }
            }
        }
        Ok(places)
    }

    pub(super) fn enqueue(&mut self, work: Work, segments: Vec<usize>, shape: BatchShape, before: Sequences) {
        self.runs.push_back(Run { work, shape, segments, n_submitted: 0, before });
    }

    /// Writes bytes of a weight whose page was requested.
    pub(super) fn write(
        &mut self,
        gpu: &Gpu,
        weights: &mut [Vec<DeviceWeight>],
        id: WeightId,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), ExecError> {
        let segment = self.segment_of(id);
        let slot = self.slots.iter().position(|slot| slot.segment == segment && !slot.is_complete);
        let (Some(segment), Some(slot)) = (segment, slot) else {
            return Err(ExecError::BadBatch(format!("bytes of weight {}, whose page was not requested", id.0)));
        };
        weights[id.0 as usize][slot].write(gpu, offset, bytes)?;
        if self.own[segment].iter().all(|id| weights[id.0 as usize][slot].is_complete()) {
            self.slots[slot].is_complete = true;
            // Submits what is still staged for upload.
            gpu.queue.submit([]);
        }
        Ok(())
    }

    /// The slot that holds all of a segment's weights.
    fn complete_slot(&self, segment: usize) -> Option<usize> {
        self.slots.iter().position(|slot| slot.segment == Some(segment) && slot.is_complete)
    }

    /// The pages that are computed with next: those of the first run that waits, or of a new run if none does.
    fn needed(&self) -> [usize; PAGE_SLOTS] {
        let pages = &self.plan.segments;
        let rest = self.runs.front().map_or(&[][..], |run| &run.segments[run.n_submitted..]);
        let first = rest.iter().find_map(|segment| pages.iter().position(|page| page == segment)).unwrap_or(0);
        std::array::from_fn(|ahead| pages[(first + ahead) % pages.len()])
    }
}

/// Bytes on the device besides the weights, with room to read logits back.
fn rest_bytes(program: &Program, settings: PlanSettings, outline: &Outline) -> u64 {
    let tables: u64 = program.tables.iter().map(|t| 4 * u64::from(t.cols()) * u64::from(program.n_ctx)).sum();
    let batch = 4 * (4 + 3 * u64::from(program.max_batch) + 2 * u64::from(program.max_outputs));
    let read_back = 4 * u64::from(program.max_outputs) * (u64::from(program.n_vocab) + 1);
    let ids = 4 * (u64::from(program.n_seq_max) + MAX_AHEAD as u64);
    tables + program.kv_bytes() + Plan::bytes(program, settings, outline) + batch + read_back + ids
}

impl Paged for GpuExecutor {
    fn advance(&mut self) -> Result<bool, ExecError> {
        self.check_ready()?;
        loop {
            let Some(pages) = &mut self.pages else { return Ok(true) };
            let Some(mut run) = pages.runs.pop_front() else { return Ok(true) };
            let mut segments = Vec::new();
            for &segment in &run.segments[run.n_submitted..] {
                if !pages.plan.segments.contains(&segment) {
                    segments.push((segment, 0));
                } else if let Some(slot) = pages.complete_slot(segment) {
                    segments.push((segment, slot));
                } else {
                    break;
                }
            }
            if segments.is_empty() {
                pages.runs.push_front(run);
                return Ok(false);
            }
            let encoder = if run.n_submitted == 0 { self.begin(&run.work) } else { self.encoder() };
            run.n_submitted += segments.len();
            let submission = if run.n_submitted < run.segments.len() {
                let encoder = self.encode_segments(encoder, &segments, run.shape, None);
                let submission = self.submit(encoder);
                if let Some(pages) = &mut self.pages {
                    pages.runs.push_front(run);
                }
                submission
            } else {
                self.end(encoder, &segments, run.work)?
            };
            let done = Arrival::of_work(&self.gpu, submission);
            if let Some(pages) = &mut self.pages {
                let used = segments.iter().filter(|(segment, _)| pages.plan.segments.contains(segment));
                for (_, slot) in used {
                    pages.slots[*slot].last_use = Some(done.clone());
                }
                pages.last_submit = Some(done);
            }
        }
    }

    fn poll_page(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<usize>, ExecError>> {
        self.gpu.fault.check()?;
        let Some(pages) = &mut self.pages else { return Poll::Ready(Ok(None)) };
        let needed = pages.needed();
        let Some(&page) = needed.iter().find(|page| pages.complete_slot(**page).is_none()) else {
            return Poll::Ready(Ok(None));
        };
        // Never the slot that holds the other needed page. Of two other slots, one whose last work is done.
        let is_needed = |slot: &SlotState| slot.is_complete && slot.segment.is_some_and(|s| needed.contains(&s));
        let is_busy = |slot: &SlotState| slot.last_use.as_ref().is_some_and(|last| !last.is_there());
        let begun = pages.slots.iter().position(|slot| slot.segment == Some(page));
        let free = || {
            let free = (0..PAGE_SLOTS).filter(|slot| !is_needed(&pages.slots[*slot]));
            free.min_by_key(|slot| is_busy(&pages.slots[*slot]))
        };
        let Some(index) = begun.or_else(free) else {
            return Poll::Ready(Err(ExecError::Device("no slot is free for a page".to_owned())));
        };
        let slot = &mut pages.slots[index];
        if let Some(last) = &slot.last_use {
            if last.poll(cx, &self.gpu)?.is_pending() {
                return Poll::Pending;
            }
            slot.last_use = None;
        }
        *slot = SlotState { segment: Some(page), ..SlotState::default() };
        for id in &pages.own[page] {
            self.device.weights[id.0 as usize][index].restart();
        }
        Poll::Ready(Ok(Some(page)))
    }

    fn is_idle(&mut self) -> bool {
        // A native device must be polled; a browser calls back by itself.
        #[cfg(not(target_arch = "wasm32"))]
        let _ = self.gpu.device.poll(wgpu::PollType::Poll);
        self.pages.as_ref().and_then(|pages| pages.last_submit.as_ref()).is_none_or(Arrival::is_there)
    }

    fn abandon(&mut self) -> usize {
        let Some(pages) = &mut self.pages else { return 0 };
        let runs = std::mem::take(&mut pages.runs);
        if let Some(first) = runs.front() {
            self.sequences = first.before.clone();
            self.primed = None;
        }
        let mut n_logits = 0;
        for run in runs {
            if let Work::Prefill(Prefill { result: Some(result), .. }) = run.work {
                n_logits += usize::from(result.next.is_none());
                self.staging.give(result.staging);
            }
        }
        n_logits
    }
}
