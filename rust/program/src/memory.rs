//! The place of each buffer in one arena, found from the ops between the one that writes it and the last that reads it.

use crate::{BufferClass, BufferId, Program};

/// Whether buffers that are never alive together may share memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Share: the ordinary case.
    Yes,
    /// Every buffer keeps its own place (traces).
    No,
}

/// Byte offsets of a program's buffers in one arena, for the largest batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Offset of each buffer of the program; inputs have none.
    pub offsets: Vec<Option<u64>>,
    /// Bytes of each buffer at the largest batch.
    pub sizes: Vec<u64>,
    /// Bytes of the arena.
    pub total: u64,
}

impl MemoryPlan {
    /// Lays out the buffers of `program`, every offset a multiple of `alignment` (a power of two).
    ///
    /// An output never shares memory with an input of the same op, so kernels need not expect aliasing.
    /// Results are kept to the end of the run. Segments of one batch run in order, so buffers carried from one to the
    /// next are shared like any other.
    pub fn new(program: &Program, alignment: u64, reuse: Reuse) -> Self {
        let touched = |op: &crate::Op| op.outputs.iter().copied().chain(op.kind.inputs()).collect();
        let steps: Vec<Vec<BufferId>> = program.ops.iter().map(touched).collect();
        Self::for_steps(program, alignment, reuse, &steps)
    }

    /// The same for an executor that runs several ops as one step: each step lists the buffers it reads and writes.
    /// Buffers in no step get no room.
    pub fn for_steps(program: &Program, alignment: u64, reuse: Reuse, steps: &[Vec<BufferId>]) -> Self {
        let lives = lifetimes(program, steps);
        let round = |bytes: u64| bytes.next_multiple_of(alignment);
        let sizes: Vec<u64> = program
            .buffers
            .iter()
            .map(|b| {
                let rows = b.rows.resolve(program.max_batch as usize, program.max_outputs as usize);
                4 * rows as u64 * u64::from(b.cols)
            })
            .collect();
        let mut offsets = vec![None; program.buffers.len()];
        let mut placed: Vec<(u64, u64, Life)> = Vec::new();
        let mut total = 0;
        for (index, buffer) in program.buffers.iter().enumerate() {
            if buffer.class == BufferClass::Input || lives[index].is_empty() {
                continue;
            }
            let size = round(sizes[index].max(1));
            let life = match (reuse, buffer.class) {
                (Reuse::No, _) => Life { first: 0, last: usize::MAX },
                (Reuse::Yes, BufferClass::Output) => Life { last: usize::MAX, ..lives[index] },
                (Reuse::Yes, _) => lives[index],
            };
            let offset = first_gap(&mut placed, size, life);
            placed.push((offset, size, life));
            offsets[index] = Some(offset);
            total = total.max(offset + size);
        }
        MemoryPlan { offsets, sizes, total }
    }

    /// Offset of a buffer that is not a batch input.
    pub fn offset(&self, id: BufferId) -> Option<u64> {
        self.offsets[id.0 as usize]
    }
}

/// First and last step that touch a buffer, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Life {
    first: usize,
    last: usize,
}

impl Life {
    /// True for a buffer that no step touches.
    fn is_empty(self) -> bool {
        self.first > self.last
    }

    fn overlaps(self, other: Life) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

fn lifetimes(program: &Program, steps: &[Vec<BufferId>]) -> Vec<Life> {
    let mut lives = vec![Life { first: usize::MAX, last: 0 }; program.buffers.len()];
    for (index, touched) in steps.iter().enumerate() {
        for id in touched {
            let life = &mut lives[id.0 as usize];
            life.first = life.first.min(index);
            life.last = life.last.max(index);
        }
    }
    lives
}

/// Lowest offset at which `size` bytes are free of every placed block alive at the same time.
fn first_gap(placed: &mut [(u64, u64, Life)], size: u64, life: Life) -> u64 {
    placed.sort_unstable_by_key(|&(offset, ..)| offset);
    let mut offset = 0;
    for &(other_offset, other_size, other_life) in placed.iter() {
        if !other_life.overlaps(life) {
            continue;
        }
        if offset + size <= other_offset {
            break;
        }
        offset = offset.max(other_offset + other_size);
    }
    offset
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KvType, OpKind, ProgramBuilder, Rows, SegmentKind};

    /// `ids → a → b → c → d`, all of one size.
    fn chain() -> Program {
        let mut b = ProgramBuilder::new(10, 16, 1, 4, 4, KvType::F32);
        b.segment(SegmentKind::Prologue);
        let weight =
            b.weight(crate::Weight { name: "w".into(), ty: chord_gguf::GgmlType::F32, cols: 64, rows: 10, experts: 1 });
        let [ids, ..] = b.inputs();
        let mut x = b.op("a", Rows::T, 64, OpKind::Embed { ids, weight, scale: 1.0 });
        for name in ["b", "c", "d"] {
            x = b.op(name, Rows::T, 64, OpKind::Scale { x, scale: 2.0 });
        }
        b.finish().expect("a valid chain")
    }

    #[test]
    fn a_chain_needs_two_buffers() {
        let program = chain();
        let plan = MemoryPlan::new(&program, 256, Reuse::Yes);
        assert_eq!(plan.total, 2 * 4 * 64 * 4);
        for op in &program.ops {
            for input in op.kind.inputs() {
                assert_ne!(plan.offset(input), plan.offset(op.out()), "an op must not write over its input");
            }
        }
    }

    #[test]
    fn inputs_and_outputs_of_a_fused_step_do_not_overlap() {
        let program = chain();
        let id =
            |name: &str| BufferId(program.buffers.iter().position(|b| b.name == name).expect("named above") as u32);
        // c = scale(scale(a)) in one step: b needs no room, and a is still read while c is written.
        let steps = vec![vec![id("a")], vec![id("a"), id("c")], vec![id("c"), id("d")]];
        let plan = MemoryPlan::for_steps(&program, 256, Reuse::Yes, &steps);
        assert_eq!(plan.offset(id("b")), None);
        assert_ne!(plan.offset(id("a")), plan.offset(id("c")));
    }

    #[test]
    fn a_trace_keeps_every_buffer() {
        assert_eq!(MemoryPlan::new(&chain(), 256, Reuse::No).total, 4 * 4 * 64 * 4);
    }
}
