//! Which ops run as one: a pass over the program that only groups, so that switching it off changes nothing but speed.

use chord_program::{BufferId, OpKind, OutputName, Program};

/// Ops that run together, by their indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fused {
    /// One op by itself.
    Single(usize),
    /// `add(a, matmul(x))`, written at once.
    MatMulAdd {
        /// The matmul, read by nothing but the add.
        matmul: usize,
        /// The add, with the product on its right.
        add: usize,
    },
}

impl Fused {
    /// The ops, first to last.
    pub(crate) fn ops(&self) -> Vec<usize> {
        match *self {
            Fused::Single(op) => vec![op],
            Fused::MatMulAdd { matmul, add } => vec![matmul, add],
        }
    }

    /// The last op: its place in the program is the group's.
    pub(crate) fn last_op(&self) -> usize {
        self.ops().into_iter().max().unwrap_or_default()
    }

    /// Buffers read and written, without those that stay inside the group.
    pub(crate) fn buffers(&self, program: &Program) -> Vec<BufferId> {
        let ops: Vec<_> = self.ops().into_iter().map(|index| &program.ops[index]).collect();
        let last = self.last_op();
        let inner: Vec<BufferId> =
            self.ops().into_iter().filter(|op| *op != last).flat_map(|op| program.ops[op].outputs.clone()).collect();
        let touched = ops.iter().flat_map(|op| op.outputs.iter().copied().chain(op.kind.inputs()));
        touched.filter(|id| !inner.contains(id)).collect()
    }
}

/// Groups the ops of `program`; one group per op if `enabled` is false.
pub(crate) fn fuse(program: &Program, enabled: bool) -> Vec<Fused> {
    let mut groups: Vec<Fused> = (0..program.ops.len()).map(Fused::Single).collect();
    if enabled {
        fuse_residuals(program, &mut groups);
    }
    groups
}

/// The ops that read a buffer.
fn readers(program: &Program, id: BufferId) -> usize {
    program.ops.iter().filter(|op| op.kind.inputs().contains(&id)).count()
}

/// True if nothing outside the next op sees the buffer.
fn is_private(program: &Program, id: BufferId) -> bool {
    let is_output = [OutputName::Logits, OutputName::Hidden, OutputName::Pooled]
        .into_iter()
        .any(|name| program.output(name) == Some(id));
    readers(program, id) == 1 && !is_output
}

fn same_segment(program: &Program, a: usize, b: usize) -> bool {
    program.segments.iter().any(|s| s.ops.contains(&a) && s.ops.contains(&b))
}

/// A matmul directly followed by the add of its result to something else.
fn fuse_residuals(program: &Program, groups: &mut Vec<Fused>) {
    let mut index = 0;
    while index + 1 < groups.len() {
        if let (Fused::Single(matmul), Fused::Single(add)) = (groups[index], groups[index + 1]) {
            let (first, second) = (&program.ops[matmul], &program.ops[add]);
            if let (OpKind::MatMul { .. }, OpKind::Add { a, b, .. }) = (&first.kind, &second.kind) {
                let product = first.out();
                if *b == product && *a != product && is_private(program, product) && same_segment(program, matmul, add)
                {
                    groups[index] = Fused::MatMulAdd { matmul, add };
                    groups.remove(index + 1);
                }
            }
        }
        index += 1;
    }
}
