//! The program as the workers walk it: steps, and the barriers that must lie between them.
//!
//! Where a step reads what the same worker has written, no worker waits; a barrier comes where assignments differ, also
//! those of buffers that use the same memory one after the other. With many tokens workers claim pieces of products and
//! of attention from a queue: the barriers that this needs cost less than it saves.
//!
//! A norm that only feeds products is not a step: it runs where rows are prepared for products
//! ([`Work::PrepareRows`]), which brings them into the format that the kernels read.

use std::ops::Range;

use chord_program::{BufferClass, BufferId, Division, MemoryPlan, OpKind, Program, Reuse};

use super::access::{Access, accesses};
use super::step::{RowFormats, Step, Work};

/// Buffers begin at cache lines.
const ALIGNMENT: u64 = 64;

/// How ops become steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fusion {
    /// Norms run where rows are prepared for products.
    Yes,
    /// Every op runs on its own and leaves its result in its buffer (traces).
    No,
}

/// Steps of a program.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    /// Steps of each segment.
    pub(crate) segments: Vec<Range<usize>>,
    /// First step of each op; fused ops have none of their own. One more at the end.
    pub(crate) ops: Vec<usize>,
}

impl Plan {
    /// The steps, without barriers. `is_rounded` says whether a product (by its op) reads rounded rows.
    pub(crate) fn new(program: &Program, fusion: Fusion, is_rounded: impl Fn(usize) -> bool) -> Self {
        let mut steps: Vec<Step> = Vec::new();
        let (mut segments, mut ops) = (Vec::new(), Vec::new());
        for segment in &program.segments {
            let first = steps.len();
            // The buffer whose rows are prepared, and the step that does it.
            let mut prepared: Option<(BufferId, usize)> = None;
            for index in segment.ops.clone() {
                ops.push(steps.len());
                let Some(product) = program.ops[index].kind.product() else {
                    if fusion == Fusion::No || !only_feeds_products(program, index) {
                        steps.push(Step::new(Work::Op(index)));
                    }
                    continue;
                };
                let at = match prepared {
                    Some((of, at)) if of == product.x && fusion == Fusion::Yes => at,
                    Some(_) | None => {
                        let norm = writer(program, product.x)
                            .filter(|&op| fusion == Fusion::Yes && only_feeds_products(program, op));
                        let x = norm.map_or(product.x, |op| program.ops[op].kind.inputs()[0]);
                        steps.push(Step::new(Work::PrepareRows { x, norm, formats: RowFormats::default() }));
                        steps.len() - 1
                    }
                };
                prepared = Some((product.x, at));
                let Work::PrepareRows { x, norm, formats } = &mut steps[at].work else { unreachable!("pushed above") };
                match product.ids {
                    Some(_) => {}
                    None if is_rounded(index) => formats.rounded = true,
                    None => formats.exact = true,
                }
                let work = Work::Product { op: index, x: *x, normed: norm.is_some() };
                steps.push(Step::new(work));
            }
            segments.push(first..steps.len());
        }
        ops.push(steps.len());
        Plan { steps, segments, ops }
    }

    /// Where the buffers are stored. Buffers of one phase never share memory; a phase is what can run without a barrier
    /// as far as data is concerned. If memory were reused within a phase, that would need more barriers.
    pub(crate) fn memory(&self, program: &Program) -> MemoryPlan {
        let apart = MemoryPlan::new(program, ALIGNMENT, Reuse::No);
        let mut phases: Vec<Vec<BufferId>> = Vec::new();
        for step in &self.with_barriers(program, &apart, true).steps {
            let buffers = buffers(program, &step.work);
            match phases.last_mut() {
                Some(phase) if !step.barrier => phase.extend(buffers),
                _ => phases.push(buffers),
            }
        }
        MemoryPlan::for_steps(program, ALIGNMENT, Reuse::Yes, &phases)
    }

    /// The same steps with the barriers that a batch needs: one of at most
    /// [`FEW_TOKENS`](super::step::FEW_TOKENS) tokens, or a larger one.
    pub(crate) fn with_barriers(&self, program: &Program, memory: &MemoryPlan, few: bool) -> Self {
        let mut plan = self.clone();
        let mut since: Vec<Access> = Vec::new();
        for step in &mut plan.steps {
            let accesses = accesses(program, &step.work, few);
            step.barrier = accesses.iter().any(|new| since.iter().any(|old| new.collides(old, memory)));
            if step.barrier {
                since.clear();
            }
            since.extend(accesses);
        }
        if few {
            plan.find_chains(program);
        }
        plan
    }

    /// A chain is all of the steps between two barriers: a step left out would be divided equally, not in pieces.
    fn find_chains(&mut self, program: &Program) {
        for segment in &self.segments {
            let mut start = segment.start;
            while start < segment.end {
                let ends = |index: &usize| *index == segment.end || self.steps[*index].barrier;
                let end = (start + 1..=segment.end).find(ends).expect("at the segment's end");
                // Each worker prepares the rows of few tokens for itself.
                let prepares_rows = |step: &Step| matches!(step.work, Work::PrepareRows { .. });
                let first = start + self.steps[start..end].iter().take_while(|step| prepares_rows(step)).count();
                let goes_on = end == segment.end && self.steps.get(end).is_some_and(|step| !step.barrier);
                let goes_on = goes_on || !self.steps[start].barrier && start > 0;
                let cols = |step: &Step| columns(program, &step.work);
                if first < end
                    && !goes_on
                    && cols(&self.steps[first]).is_some()
                    && self.steps[first..end].iter().all(|step| cols(step) == cols(&self.steps[first]))
                {
                    self.steps[first].chained = end - first;
                }
                start = end;
            }
        }
    }
}

/// How many columns a step writes, if it writes columns and reads nothing but the same ones of other buffers.
fn columns(program: &Program, work: &Work) -> Option<u32> {
    let (Work::Product { op, .. } | Work::Op(op)) = work else { return None };
    let op = &program.ops[*op];
    // The rows of each expert are rounded by every call, and would be again for each piece.
    let has_experts = op.kind.product().is_some_and(|product| product.ids.is_some());
    let is_by_columns = matches!(op.kind.division(), Division::Columns(_)) && !has_experts;
    is_by_columns.then(|| program.buffer(op.out()).cols)
}

/// The op that writes a buffer.
fn writer(program: &Program, id: BufferId) -> Option<usize> {
    program.ops.iter().position(|op| op.outputs.contains(&id))
}

/// A norm of whole rows whose result only products read.
fn only_feeds_products(program: &Program, index: usize) -> bool {
    let op = &program.ops[index];
    let OpKind::RmsNorm { group, .. } = op.kind else { return false };
    let out = program.buffer(op.out());
    let is_product =
        |other: &chord_program::Op| other.kind.product().is_some_and(|product| product.x == program.ops[index].out());
    out.class == BufferClass::Transient
        && group == out.cols
        && program.ops.iter().filter(|other| other.kind.inputs().contains(&op.out())).all(is_product)
}

/// Buffers that a step reads or writes.
fn buffers(program: &Program, work: &Work) -> Vec<BufferId> {
    match work {
        Work::PrepareRows { x, .. } => vec![*x],
        // While one worker writes its share of the product, another may still be preparing the rows.
        Work::Product { op, x, .. } => {
            let op = &program.ops[*op];
            [*x, op.out()].into_iter().chain(op.kind.product().and_then(|product| product.ids)).collect()
        }
        Work::Op(op) => {
            let op = &program.ops[*op];
            op.outputs.iter().copied().chain(op.kind.inputs()).collect()
        }
    }
}
