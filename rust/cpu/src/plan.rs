//! The program as the workers walk it: steps, and the barriers that must lie between them.
//!
//! Every op has a way of being shared out ([`Layout`]). Where the next op's share reads what the same worker has written,
//! nobody waits; a barrier comes where shares differ. Memory that several buffers use in turn counts like the buffers do.
//! With many tokens products and attention are dealt in pieces to whoever is free, and waiting for all is the lesser cost.
//!
//! A norm that only feeds products is not a step: the rows are normed where products take them
//! ([`Work::TakeRows`]), in the form that their kernels read.

use std::ops::Range;

use chord_program::{BufferClass, BufferId, CacheUse, Division, MemoryPlan, OpKind, Program, Reuse, SlotId};

/// Batches of at most this many tokens are handled as single tokens are: what every product needs whole is computed by
/// every worker for itself, which costs less than to wait for one that does it for all.
pub(crate) const FEW_TOKENS: usize = 2;

/// Buffers begin at cache lines.
const ALIGNMENT: u64 = 64;

/// What the workers do in one step, each its share.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Work {
    /// Brings the rows of `x`, through the norm of op `norm` if there is one, into the form that products take.
    TakeRows { x: BufferId, norm: Option<usize>, form: Form },
    /// A product with the rows that were taken last: those of `x`, through a norm if so.
    Product { op: usize, x: BufferId, normed: bool },
    /// Any other op.
    Op(usize),
}

/// Forms of rows that the products which follow ask for. Products with experts ask for none: they take rows apart by
/// expert first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Form {
    /// Unchanged.
    pub(crate) values: bool,
    /// Rounded, to as many bits as the executor was asked for.
    pub(crate) codes: bool,
}

impl Form {
    /// Whether there is nothing to bring into any form.
    pub(crate) fn is_none(self) -> bool {
        !self.values && !self.codes
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) work: Work,
    /// Everyone waits for everyone before this step.
    pub(crate) barrier: bool,
    /// So many steps, from this one on, compute the same columns of what they write: these can be dealt in pieces, each
    /// for whoever is free, who takes a piece through all of the steps. 0 where they cannot.
    pub(crate) together: usize,
}

/// How ops become steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fusion {
    /// Norms run where products take their rows.
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
    /// The steps, without barriers. `takes_codes` says whether a product (by its op) reads rounded rows.
    pub(crate) fn new(program: &Program, fusion: Fusion, takes_codes: impl Fn(usize) -> bool) -> Self {
        let mut steps: Vec<Step> = Vec::new();
        let (mut segments, mut ops) = (Vec::new(), Vec::new());
        for segment in &program.segments {
            let first = steps.len();
            // The step that took the rows which products may go on using.
            let mut taken: Option<(BufferId, usize)> = None;
            for index in segment.ops.clone() {
                ops.push(steps.len());
                let Some(product) = program.ops[index].kind.product() else {
                    if fusion == Fusion::No || !only_feeds_products(program, index) {
                        steps.push(Step { work: Work::Op(index), barrier: false, together: 0 });
                    }
                    continue;
                };
                let at = match taken {
                    Some((of, at)) if of == product.x && fusion == Fusion::Yes => at,
                    Some(_) | None => {
                        let norm = writer(program, product.x)
                            .filter(|&op| fusion == Fusion::Yes && only_feeds_products(program, op));
                        let x = norm.map_or(product.x, |op| program.ops[op].kind.inputs()[0]);
                        steps.push(Step {
                            work: Work::TakeRows { x, norm, form: Form::default() },
                            barrier: false,
                            together: 0,
                        });
                        steps.len() - 1
                    }
                };
                taken = Some((product.x, at));
                let Work::TakeRows { x, norm, form } = &mut steps[at].work else { unreachable!("taken above") };
                match product.ids {
                    Some(_) => {}
                    None if takes_codes(index) => form.codes = true,
                    None => form.values = true,
                }
                let work = Work::Product { op: index, x: *x, normed: norm.is_some() };
                steps.push(Step { work, barrier: false, together: 0 });
            }
            segments.push(first..steps.len());
        }
        ops.push(steps.len());
        Plan { steps, segments, ops }
    }

    /// Where the buffers lie: none where another of the same phase does, a phase being what data alone allows to run
    /// without a barrier. Used again within a phase, memory would need barriers of its own.
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

    /// The same steps with the barriers that batches of at most, or of more than, [`FEW_TOKENS`] tokens need.
    pub(crate) fn with_barriers(&self, program: &Program, memory: &MemoryPlan, few: bool) -> Self {
        let mut plan = self.clone();
        let mut since: Vec<Access> = Vec::new();
        for step in &mut plan.steps {
            let accesses = accesses(program, &step.work, few);
            let places = |access: &Access| access.place.range(memory);
            let collides = |new: &Access| {
                since.iter().any(|old| {
                    (new.is_write || old.is_write)
                        && overlap(&places(new), &places(old))
                        && (old.place != new.place || old.layout != new.layout || old.layout == Layout::Whole)
                })
            };
            step.barrier = accesses.iter().any(collides);
            if step.barrier {
                since.clear();
            }
            since.extend(accesses);
        }
        if few {
            plan.find_those_dealt_together(program);
        }
        plan
    }

    /// All steps between two barriers, or none of them: others would look for the columns of their own share.
    fn find_those_dealt_together(&mut self, program: &Program) {
        for segment in &self.segments {
            let mut start = segment.start;
            while start < segment.end {
                let ends = |index: &usize| *index == segment.end || self.steps[*index].barrier;
                let end = (start + 1..=segment.end).find(ends).expect("at the segment's end");
                // Rows for few tokens are taken by each worker for itself.
                let takes_rows = |step: &Step| matches!(step.work, Work::TakeRows { .. });
                let first = start + self.steps[start..end].iter().take_while(|step| takes_rows(step)).count();
                let goes_on = end == segment.end && self.steps.get(end).is_some_and(|step| !step.barrier);
                let goes_on = goes_on || !self.steps[start].barrier && start > 0;
                let cols = |step: &Step| columns(program, &step.work);
                if first < end
                    && !goes_on
                    && cols(&self.steps[first]).is_some()
                    && self.steps[first..end].iter().all(|step| cols(step) == cols(&self.steps[first]))
                {
                    self.steps[first].together = end - first;
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
    // Rows are rounded anew for each expert, and would be for each piece.
    let has_experts = op.kind.product().is_some_and(|product| product.ids.is_some());
    let is_by_columns = matches!(op.kind.division(), Division::Columns(_)) && !has_experts;
    is_by_columns.then(|| program.buffer(op.out()).cols)
}

/// The op that writes a buffer.
fn writer(program: &Program, id: BufferId) -> Option<usize> {
    program.ops.iter().position(|op| op.outputs.contains(&id))
}

/// A norm of whole rows whose result nobody but products of its segment reads.
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

/// Buffers that a step touches.
fn buffers(program: &Program, work: &Work) -> Vec<BufferId> {
    match work {
        Work::TakeRows { x, .. } => vec![*x],
        // While one worker writes its share of the product, another may still be taking the rows.
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

/// How an op is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// The same columns of every row.
    Cols,
    /// A run of units of this many columns, counted row by row; a whole row, or a head.
    Units(u32),
    /// As attention of few tokens shares out heads and queries.
    Queries,
    /// Everyone needs everything, or nobody knows who gets what.
    Whole,
}

/// What is read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Buffer(BufferId),
    Slot(SlotId),
    /// The rows taken for products.
    Taken,
    /// What attention keeps of parts of the positions.
    Parts,
}

impl Place {
    /// A range of one imagined memory: the arena, and the others behind all of it.
    fn range(self, memory: &MemoryPlan) -> Range<u64> {
        const BEHIND: u64 = 1 << 62;
        match self {
            Place::Buffer(id) => {
                let start = memory.offset(id).unwrap_or(0);
                let len = if memory.offset(id).is_some() { memory.sizes[id.0 as usize] } else { 0 };
                start..start + len
            }
            Place::Parts => BEHIND - 1..BEHIND,
            Place::Taken => BEHIND..BEHIND + 1,
            Place::Slot(SlotId(slot)) => BEHIND + 1 + u64::from(slot)..BEHIND + 2 + u64::from(slot),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Access {
    place: Place,
    layout: Layout,
    is_write: bool,
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

fn accesses(program: &Program, work: &Work, few: bool) -> Vec<Access> {
    let read = |place, layout| Access { place, layout, is_write: false };
    let write = |place, layout| Access { place, layout, is_write: true };
    let cols = |id: BufferId| program.buffer(id).cols;
    let buffer = Place::Buffer;
    match work {
        Work::TakeRows { x, .. } if few => vec![read(buffer(*x), Layout::Whole)],
        Work::TakeRows { x, .. } => {
            let rows = Layout::Units(cols(*x));
            vec![read(buffer(*x), rows), write(Place::Taken, rows)]
        }
        Work::Product { op, x, normed } => {
            let op = &program.ops[*op];
            let mut accesses = vec![write(buffer(op.out()), if few { Layout::Cols } else { Layout::Whole })];
            if !few {
                accesses.push(read(Place::Taken, Layout::Whole));
            }
            if let Some(ids) = op.kind.product().and_then(|product| product.ids) {
                accesses.push(read(buffer(ids), Layout::Whole));
                if !normed {
                    accesses.push(read(buffer(*x), Layout::Whole));
                }
            }
            accesses
        }
        Work::Op(index) => {
            let op = &program.ops[*index];
            let out =
                |layout: fn(u32) -> Layout| op.outputs.iter().map(move |id| write(buffer(*id), layout(cols(*id))));
            match op.kind.division() {
                Division::Columns(same) => {
                    let layout = |id| if same.contains(&id) { Layout::Cols } else { Layout::Whole };
                    let inputs = op.kind.inputs().into_iter().map(|id| read(buffer(id), layout(id)));
                    inputs.chain(out(|_| Layout::Cols)).collect()
                }
                Division::Groups(n) => {
                    let inputs = op.kind.inputs().into_iter().map(|id| read(buffer(id), Layout::Units(n)));
                    inputs.chain(op.outputs.iter().map(|id| write(buffer(*id), Layout::Units(n)))).collect()
                }
                Division::Rows => {
                    let inputs = op.kind.inputs().into_iter().map(|id| read(buffer(id), Layout::Units(cols(id))));
                    inputs.chain(out(Layout::Units)).collect()
                }
                Division::Heads(CacheUse::Write { k, v, slot }) => {
                    let shape = program.slot(slot);
                    vec![
                        read(buffer(k), Layout::Units(shape.k_dim)),
                        read(buffer(v), Layout::Units(shape.v_dim)),
                        write(Place::Slot(slot), Layout::Units(shape.k_dim)),
                    ]
                }
                Division::Heads(CacheUse::Read { q, slot, .. }) => {
                    let layout = if few { Layout::Queries } else { Layout::Whole };
                    vec![
                        read(buffer(q), layout),
                        read(Place::Slot(slot), layout),
                        write(Place::Parts, Layout::Whole),
                        write(buffer(op.out()), layout),
                    ]
                }
            }
        }
    }
}
