//! Which ops run as one dispatch. The pass only groups ops, so that switching it off changes nothing but speed.

use chord_program::{BufferId, OpKind, OutputName, Program, Weight, WeightId, WeightRef};

/// Ops that run together, by their indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fused {
    /// One op by itself.
    Single(usize),
    /// `add(a, matmul(x))`
    MatMulAdd {
        /// The matmul, whose product only the add reads.
        matmul: usize,
        /// The add, with the product on its right.
        add: usize,
    },
    /// Query and key heads, normalized or not, are rotated; keys and values are stored.
    RotateStore {
        /// Norms of query and key heads.
        norms: Option<[usize; 2]>,
        /// Rotations of queries and keys.
        ropes: [usize; 2],
        /// The KV write that reads the rotated keys.
        kv_write: usize,
    },
    /// `glu(matmul(x), matmul(x))` over stacked weights.
    Gated {
        /// The product that goes through the non-linearity.
        gate: usize,
        /// The other one.
        up: usize,
        /// The op that multiplies them.
        glu: usize,
    },
    /// Two or three products of one input over stacked weights.
    Siblings {
        /// The first two.
        pair: [usize; 2],
        /// The third.
        third: Option<usize>,
    },
}

/// Which groups are formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fusion {
    pub(crate) residuals: bool,
    pub(crate) rotations: bool,
    pub(crate) products: bool,
}

impl Fusion {
    pub(crate) const ALL: Fusion = Fusion { residuals: true, rotations: true, products: true };
    pub(crate) const NONE: Fusion = Fusion { residuals: false, rotations: false, products: false };
}

impl Fused {
    /// The ops, in no particular order.
    pub(crate) fn ops(&self) -> Vec<usize> {
        match *self {
            Fused::Single(op) => vec![op],
            Fused::MatMulAdd { matmul, add } => vec![matmul, add],
            Fused::RotateStore { norms, ropes, kv_write } => {
                norms.into_iter().flatten().chain(ropes).chain([kv_write]).collect()
            }
            Fused::Gated { gate, up, glu } => vec![gate, up, glu],
            Fused::Siblings { pair, third } => pair.into_iter().chain(third).collect(),
        }
    }

    /// The op at whose place in the program the group runs: the last one, by which all inputs are written; for siblings
    /// the first, as its result may be needed before the last one's place.
    pub(crate) fn place(&self) -> usize {
        let ops = self.ops().into_iter();
        let place = if matches!(self, Fused::Siblings { .. }) { ops.min() } else { ops.max() };
        place.unwrap_or_default()
    }

    /// The weights that the group needs stacked.
    pub(crate) fn stack(&self, program: &Program) -> Vec<WeightId> {
        let ops = match *self {
            Fused::Gated { gate, up, .. } => vec![gate, up],
            Fused::Siblings { .. } => self.ops(),
            Fused::Single(_) | Fused::MatMulAdd { .. } | Fused::RotateStore { .. } => Vec::new(),
        };
        ops.into_iter().filter_map(|op| Some(product(&program.ops[op].kind)?.weight)).collect()
    }

    /// Buffers read and written, without those that stay inside the group.
    pub(crate) fn buffers(&self, program: &Program) -> Vec<BufferId> {
        let inner: Vec<BufferId> = match *self {
            Fused::Single(_) => Vec::new(),
            Fused::MatMulAdd { matmul, .. } => vec![program.ops[matmul].out()],
            Fused::RotateStore { norms, ropes, .. } => {
                norms.into_iter().flatten().chain([ropes[1]]).map(|op| program.ops[op].out()).collect()
            }
            Fused::Gated { gate, up, .. } => vec![program.ops[gate].out(), program.ops[up].out()],
            Fused::Siblings { .. } => Vec::new(),
        };
        let ops = self.ops().into_iter().map(|index| &program.ops[index]);
        let touched = ops.flat_map(|op| op.outputs.iter().copied().chain(op.kind.inputs()));
        touched.filter(|id| !inner.contains(id)).collect()
    }
}

/// Groups the ops of `program`, in the order in which they run. `stackable` tells whether weights can lie one after the
/// other on the device.
pub(crate) fn fuse(program: &Program, fusion: Fusion, stackable: &dyn Fn(&[&Weight]) -> bool) -> Vec<Fused> {
    let ops = Ops { program, writer: writers(program), stackable };
    let all = 0..program.ops.len();
    let mut groups: Vec<Fused> = Vec::new();
    if fusion.residuals {
        groups.extend(all.clone().filter_map(|add| ops.residual(add)));
    }
    if fusion.rotations {
        groups.extend(all.clone().filter_map(|attention| ops.rotation(attention)));
    }
    if fusion.products {
        groups.extend(all.clone().filter_map(|glu| ops.gated(glu)));
        let mut taken: Vec<usize> = groups.iter().flat_map(Fused::ops).collect();
        for op in all.clone() {
            if let Some(siblings) = ops.siblings(op, &taken) {
                taken.extend(siblings.ops());
                groups.push(siblings);
            }
        }
    }
    let taken: Vec<usize> = groups.iter().flat_map(Fused::ops).collect();
    groups.extend(all.filter(|op| !taken.contains(op)).map(Fused::Single));
    groups.sort_by_key(Fused::place);
    groups
}

/// The weight of a matmul without bias and with a scale of 1.
fn product(kind: &OpKind) -> Option<&WeightRef> {
    if let OpKind::MatMul { weight, bias: None, scale: 1.0, .. } = kind { Some(weight) } else { None }
}

/// The op that writes each buffer.
fn writers(program: &Program) -> Vec<Option<usize>> {
    let mut writer = vec![None; program.buffers.len()];
    for (index, op) in program.ops.iter().enumerate() {
        op.outputs.iter().for_each(|id| writer[id.0 as usize] = Some(index));
    }
    writer
}

struct Ops<'a> {
    program: &'a Program,
    writer: Vec<Option<usize>>,
    stackable: &'a dyn Fn(&[&Weight]) -> bool,
}

impl Ops<'_> {
    fn kind(&self, op: usize) -> &OpKind {
        &self.program.ops[op].kind
    }

    /// The op that writes `id`, if `reader` and nothing else reads it, in the same segment.
    fn private_writer(&self, id: BufferId, reader: usize) -> Option<usize> {
        let program = self.program;
        let writer = self.writer[id.0 as usize]?;
        let names = [OutputName::Logits, OutputName::Hidden, OutputName::Pooled];
        let is_output = names.into_iter().any(|name| program.output(name) == Some(id));
        let readers = program.ops.iter().filter(|op| op.kind.inputs().contains(&id)).count();
        let together = program.segments.iter().any(|s| s.ops.contains(&writer) && s.ops.contains(&reader));
        (readers == 1 && !is_output && together).then_some(writer)
    }

    /// `add(a, matmul(x))` for the add at `add`.
    fn residual(&self, add: usize) -> Option<Fused> {
        let OpKind::Add { a, b, .. } = *self.kind(add) else { return None };
        let matmul = self.private_writer(b, add)?;
        (a != b && matches!(self.kind(matmul), OpKind::MatMul { .. })).then_some(Fused::MatMulAdd { matmul, add })
    }

    /// What prepares the queries and the cache of the attention at `attention`.
    fn rotation(&self, attention: usize) -> Option<Fused> {
        let OpKind::Attention { q, slot, n_heads, .. } = *self.kind(attention) else { return None };
        let is_its_write = |op: &usize| matches!(self.kind(*op), OpKind::KvWrite { slot: s, .. } if *s == slot);
        let kv_write = (0..attention).rev().find(is_its_write)?;
        let OpKind::KvWrite { k, .. } = *self.kind(kv_write) else { return None };
        let ropes = [self.private_writer(q, attention)?, self.private_writer(k, kv_write)?];
        let [
            OpKind::Rope { x: q, table, head_dim, pairing, .. },
            OpKind::Rope { x: k, table: t, head_dim: d, pairing: p, .. },
        ] = ropes.map(|op| self.kind(op))
        else {
            return None;
        };
        let shape = self.program.slot(slot);
        let alike = (table, head_dim, pairing) == (t, d, p) && *head_dim == shape.k_dim;
        let q_cols = self.program.buffer(*q).cols;
        if !alike || q_cols != n_heads * shape.k_dim || *head_dim > MAX_HEAD_DIM || !shape.v_dim.is_multiple_of(4) {
            return None;
        }
        let norms = self.head_norm(*q, ropes[0], *head_dim).zip(self.head_norm(*k, ropes[1], *head_dim));
        Some(Fused::RotateStore { norms: norms.map(|(q, k)| [q, k]), ropes, kv_write })
    }

    /// `glu(matmul(x), matmul(x))` for the op at `glu`.
    fn gated(&self, glu: usize) -> Option<Fused> {
        let OpKind::Glu { gate, up, .. } = *self.kind(glu) else { return None };
        let (gate, up) = (self.private_writer(gate, glu)?, self.private_writer(up, glu)?);
        let alike = gate != up && self.kind(gate).inputs() == self.kind(up).inputs();
        (alike && self.can_stack(&[gate, up])).then_some(Fused::Gated { gate, up, glu })
    }

    /// The product at `op` with one or two later ones of the same input and segment that are not taken.
    fn siblings(&self, op: usize, taken: &[usize]) -> Option<Fused> {
        product(self.kind(op))?;
        let segment = self.program.segments.iter().find(|s| s.ops.contains(&op))?;
        let mut group = vec![op];
        for other in op + 1..segment.ops.end {
            let is_sibling = product(self.kind(other)).is_some() && self.kind(other).inputs() == self.kind(op).inputs();
            if is_sibling && !taken.contains(&other) && group.len() < 3 {
                group.push(other);
                if !self.can_stack(&group) {
                    group.pop();
                }
            }
        }
        if taken.contains(&op) || group.len() < 2 {
            return None;
        }
        Some(Fused::Siblings { pair: [group[0], group[1]], third: group.get(2).copied() })
    }

    /// True if these are plain products over whole weights that can be stacked and that nothing else uses.
    fn can_stack(&self, ops: &[usize]) -> bool {
        let program = self.program;
        let Some(refs) = ops.iter().map(|op| product(self.kind(*op))).collect::<Option<Vec<_>>>() else { return false };
        let is_whole = |r: &&WeightRef| r.rows == (0..program.weight(r.weight).rows);
        let uses =
            |id: WeightId| program.ops.iter().flat_map(|op| op.kind.weights()).filter(|w| w.weight == id).count();
        let weights: Vec<&Weight> = refs.iter().map(|r| program.weight(r.weight)).collect();
        refs.iter().all(is_whole)
            && refs.iter().all(|r| uses(r.weight) == 1)
            && weights.iter().all(|w| w.experts == 1)
            && (self.stackable)(&weights)
    }

    /// The head norm that writes `id`, if only the rotation at `rope` reads it.
    fn head_norm(&self, id: BufferId, rope: usize, head_dim: u32) -> Option<usize> {
        let norm = self.private_writer(id, rope)?;
        let is_norm = matches!(self.kind(norm), OpKind::RmsNorm { weight: Some(_), group, .. } if *group == head_dim);
        is_norm.then_some(norm)
    }
}

/// Most columns of a head: the fused kernel holds them in workgroup memory.
const MAX_HEAD_DIM: u32 = 1024;
