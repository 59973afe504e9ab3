//! What steps read and write, and which worker does: where assignments differ, a barrier must lie between two steps.

use std::ops::Range;

use chord_program::{BufferId, CacheUse, Division, MemoryPlan, Program, SlotId};

use super::step::Work;

/// Which elements of a buffer are one worker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Assignment {
    /// The same columns of every row.
    Columns,
    /// Neighbouring groups of this many columns, counted row by row; a group is a whole row, or a head.
    Groups(u32),
    /// Those of the heads and queries that attention of few tokens assigns to the worker.
    Queries,
    /// Any: all workers need all elements, or claim them as they go.
    Any,
}

/// Memory that steps read or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resource {
    Buffer(BufferId),
    Slot(SlotId),
    /// The rows prepared for products.
    PreparedRows,
    /// Partial results of attention.
    Splits,
}

impl Resource {
    /// Its range in an address space of all resources: the arena's bytes, and the others after them.
    fn range(self, memory: &MemoryPlan) -> Range<u64> {
        const BEHIND: u64 = 1 << 62;
        match self {
            Resource::Buffer(id) => {
                let start = memory.offset(id).unwrap_or(0);
                let len = if memory.offset(id).is_some() { memory.sizes[id.0 as usize] } else { 0 };
                start..start + len
            }
            Resource::Splits => BEHIND - 1..BEHIND,
            Resource::PreparedRows => BEHIND..BEHIND + 1,
            Resource::Slot(SlotId(slot)) => BEHIND + 1 + u64::from(slot)..BEHIND + 2 + u64::from(slot),
        }
    }
}

/// One thing that a step reads or writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    resource: Resource,
    assignment: Assignment,
    is_write: bool,
}

impl Access {
    /// Whether a barrier must lie between the two, because one worker may write what another reads or writes.
    pub(crate) fn collides(&self, other: &Access, memory: &MemoryPlan) -> bool {
        let (a, b) = (self.resource.range(memory), other.resource.range(memory));
        let is_own = self.resource == other.resource && self.assignment == other.assignment;
        (self.is_write || other.is_write)
            && (a.start < b.end && b.start < a.end)
            && (!is_own || self.assignment == Assignment::Any)
    }
}

/// All accesses of a step: with `few`, for batches of at most [`FEW_TOKENS`](super::step::FEW_TOKENS) tokens, otherwise
/// for larger ones.
pub(crate) fn accesses(program: &Program, work: &Work, few: bool) -> Vec<Access> {
    let read = |resource, assignment| Access { resource, assignment, is_write: false };
    let write = |resource, assignment| Access { resource, assignment, is_write: true };
    let cols = |id: BufferId| program.buffer(id).cols;
    let buffer = Resource::Buffer;
    match work {
        Work::PrepareRows { x, .. } if few => vec![read(buffer(*x), Assignment::Any)],
        Work::PrepareRows { x, .. } => {
            let rows = Assignment::Groups(cols(*x));
            vec![read(buffer(*x), rows), write(Resource::PreparedRows, rows)]
        }
        Work::Product { op, x, normed } => {
            let op = &program.ops[*op];
            let mut accesses = vec![write(buffer(op.out()), if few { Assignment::Columns } else { Assignment::Any })];
            if !few {
                accesses.push(read(Resource::PreparedRows, Assignment::Any));
            }
            if let Some(ids) = op.kind.product().and_then(|product| product.ids) {
                accesses.push(read(buffer(ids), Assignment::Any));
                if !normed {
                    accesses.push(read(buffer(*x), Assignment::Any));
                }
            }
            accesses
        }
        Work::Op(index) => {
            let op = &program.ops[*index];
            let out = |assignment: fn(u32) -> Assignment| {
                op.outputs.iter().map(move |id| write(buffer(*id), assignment(cols(*id))))
            };
            match op.kind.division() {
                Division::Columns(same) => {
                    let assignment = |id| if same.contains(&id) { Assignment::Columns } else { Assignment::Any };
                    let inputs = op.kind.inputs().into_iter().map(|id| read(buffer(id), assignment(id)));
                    inputs.chain(out(|_| Assignment::Columns)).collect()
                }
                Division::Groups(n) => {
                    let inputs = op.kind.inputs().into_iter().map(|id| read(buffer(id), Assignment::Groups(n)));
                    inputs.chain(op.outputs.iter().map(|id| write(buffer(*id), Assignment::Groups(n)))).collect()
                }
                Division::Rows => {
                    let inputs = op.kind.inputs().into_iter().map(|id| read(buffer(id), Assignment::Groups(cols(id))));
                    inputs.chain(out(Assignment::Groups)).collect()
                }
                Division::Heads(CacheUse::Write { k, v, slot }) => {
                    let shape = program.slot(slot);
                    vec![
                        read(buffer(k), Assignment::Groups(shape.k_dim)),
                        read(buffer(v), Assignment::Groups(shape.v_dim)),
                        write(Resource::Slot(slot), Assignment::Groups(shape.k_dim)),
                    ]
                }
                Division::Heads(CacheUse::Read { q, slot, .. }) => {
                    let assignment = if few { Assignment::Queries } else { Assignment::Any };
                    vec![
                        read(buffer(q), assignment),
                        read(Resource::Slot(slot), assignment),
                        write(Resource::Splits, Assignment::Any),
                        write(buffer(op.out()), assignment),
                    ]
                }
            }
        }
    }
}
