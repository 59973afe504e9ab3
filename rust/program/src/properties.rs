//! The properties of ops that passes and executors use without knowing the op. Each property is one match without a
//! fallback, so the compiler requires every property of a new op.

use crate::{BufferId, Mask, OpKind, Program, SlotId, WeightRef};

/// A batch input, as an index into [`Program::inputs`](crate::Program::inputs).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchInput {
    /// Token ids.
    Ids,
    /// Positions.
    Pos,
    /// Sequences.
    Seq,
    /// Output rows.
    OutRows,
}

/// How an op reads a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightUse {
    /// As a vector of f32, the same for every row: norm weights, biases, sinks.
    Vector,
    /// One row for each token, chosen by its id.
    Lookup,
    /// The whole matrix, multiplied with every row of `x`.
    Matrix {
        /// The other factor.
        x: BufferId,
    },
    /// The matrices of the experts chosen for each token.
    Experts {
        /// The other factor.
        x: BufferId,
        /// Chosen experts, a column for each.
        ids: BufferId,
    },
}

/// A product of rows with a matrix, or with the matrices of chosen experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product<'a> {
    /// The rows.
    pub x: BufferId,
    /// The matrix, or one for each expert.
    pub weight: &'a WeightRef,
    /// Experts chosen for each token; `None` where there is one matrix for all rows.
    pub ids: Option<BufferId>,
}

/// What an op does with a slot of the KV cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheUse {
    /// Stores the batch's keys and values.
    Write {
        /// Keys.
        k: BufferId,
        /// Values.
        v: BufferId,
        /// Where to.
        slot: SlotId,
    },
    /// Reads what queries attend to.
    Read {
        /// Queries.
        q: BufferId,
        /// Where from.
        slot: SlotId,
        /// Which positions.
        mask: Mask,
    },
}

/// How an op can be divided: parts of its outputs that can be computed on their own, and what each part reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Division {
    /// Columns of all rows. A part reads the same columns of the inputs listed here, and all of the other inputs.
    Columns(Vec<BufferId>),
    /// Groups of so many neighbouring columns of a row. A part reads the same columns of the same row.
    Groups(u32),
    /// Rows. A part reads the same row of every input.
    Rows,
    /// Heads of a slot's keys and values, and the queries that read them.
    Heads(CacheUse),
}

impl OpKind {
    /// The op's name in the text form.
    pub fn name(&self) -> &'static str {
        match self {
            OpKind::Embed { .. } => "embed",
            OpKind::RmsNorm { .. } => "rms_norm",
            OpKind::LayerNorm { .. } => "layer_norm",
            OpKind::MatMul { .. } => "matmul",
            OpKind::MatMulId { .. } => "matmul_id",
            OpKind::Add { .. } => "add",
            OpKind::Rope { .. } => "rope",
            OpKind::KvWrite { .. } => "kv_write",
            OpKind::Attention { .. } => "attention",
            OpKind::Glu { .. } => "glu",
            OpKind::Act { .. } => "act",
            OpKind::Route { .. } => "route",
            OpKind::CombineExperts { .. } => "combine_experts",
            OpKind::GatherRows { .. } => "gather_rows",
            OpKind::SoftCap { .. } => "soft_cap",
            OpKind::Scale { .. } => "scale",
        }
    }

    /// Number of buffers written.
    pub fn n_outputs(&self) -> usize {
        match self {
            OpKind::KvWrite { .. } => 0,
            OpKind::Embed { .. }
            | OpKind::RmsNorm { .. }
            | OpKind::LayerNorm { .. }
            | OpKind::MatMul { .. }
            | OpKind::MatMulId { .. }
            | OpKind::Add { .. }
            | OpKind::Rope { .. }
            | OpKind::Attention { .. }
            | OpKind::Glu { .. }
            | OpKind::Act { .. }
            | OpKind::CombineExperts { .. }
            | OpKind::GatherRows { .. }
            | OpKind::SoftCap { .. }
            | OpKind::Scale { .. } => 1,
            OpKind::Route { .. } => 2,
        }
    }

    /// Buffers read, in the order of the fields.
    pub fn inputs(&self) -> Vec<BufferId> {
        self.clone().inputs_mut().into_iter().map(|id| *id).collect()
    }

    /// The same, mutable.
    pub(crate) fn inputs_mut(&mut self) -> Vec<&mut BufferId> {
        match self {
            OpKind::Embed { ids, .. } => vec![ids],
            OpKind::RmsNorm { x, .. }
            | OpKind::LayerNorm { x, .. }
            | OpKind::MatMul { x, .. }
            | OpKind::Act { x, .. }
            | OpKind::SoftCap { x, .. }
            | OpKind::Scale { x, .. } => vec![x],
            OpKind::MatMulId { x, ids, .. } => vec![x, ids],
            OpKind::Add { a, b, .. } => vec![a, b],
            OpKind::Rope { x, pos, .. } => vec![x, pos],
            OpKind::KvWrite { k, v, pos, seq, .. } => vec![k, v, pos, seq],
            OpKind::Attention { q, pos, seq, .. } => vec![q, pos, seq],
            OpKind::Glu { gate, up, .. } => vec![gate, up],
            OpKind::Route { logits, .. } => vec![logits],
            OpKind::CombineExperts { x, weights } => vec![x, weights],
            OpKind::GatherRows { x, rows } => vec![x, rows],
        }
    }

    /// The buffers read that must be batch inputs, and which input each must be.
    pub fn batch_inputs(&self) -> Vec<(BufferId, BatchInput)> {
        match *self {
            OpKind::Embed { ids, .. } => vec![(ids, BatchInput::Ids)],
            OpKind::Rope { pos, .. } => vec![(pos, BatchInput::Pos)],
            OpKind::KvWrite { pos, seq, .. } | OpKind::Attention { pos, seq, .. } => {
                vec![(pos, BatchInput::Pos), (seq, BatchInput::Seq)]
            }
            OpKind::GatherRows { rows, .. } => vec![(rows, BatchInput::OutRows)],
            OpKind::RmsNorm { .. }
            | OpKind::LayerNorm { .. }
            | OpKind::MatMul { .. }
            | OpKind::MatMulId { .. }
            | OpKind::Add { .. }
            | OpKind::Glu { .. }
            | OpKind::Act { .. }
            | OpKind::Route { .. }
            | OpKind::CombineExperts { .. }
            | OpKind::SoftCap { .. }
            | OpKind::Scale { .. } => Vec::new(),
        }
    }

    /// Weights read, and how.
    pub fn weight_uses(&self) -> Vec<(&WeightRef, WeightUse)> {
        let vector = |weight| (weight, WeightUse::Vector);
        match self {
            OpKind::Embed { weight, .. } => vec![(weight, WeightUse::Lookup)],
            OpKind::RmsNorm { weight, .. } => weight.iter().map(vector).collect(),
            OpKind::LayerNorm { weight, bias, .. } => std::iter::once(weight).chain(bias).map(vector).collect(),
            OpKind::MatMul { x, weight, bias, .. } => {
                std::iter::once((weight, WeightUse::Matrix { x: *x })).chain(bias.iter().map(vector)).collect()
            }
            OpKind::MatMulId { x, ids, weight } => vec![(weight, WeightUse::Experts { x: *x, ids: *ids })],
            OpKind::Attention { sinks, .. } => sinks.iter().map(vector).collect(),
            OpKind::Add { .. }
            | OpKind::Rope { .. }
            | OpKind::KvWrite { .. }
            | OpKind::Glu { .. }
            | OpKind::Act { .. }
            | OpKind::Route { .. }
            | OpKind::CombineExperts { .. }
            | OpKind::GatherRows { .. }
            | OpKind::SoftCap { .. }
            | OpKind::Scale { .. } => Vec::new(),
        }
    }

    /// Weights read.
    pub fn weights(&self) -> Vec<&WeightRef> {
        self.weight_uses().into_iter().map(|(weight, _)| weight).collect()
    }

    /// The product that the op is, if it is one.
    pub fn product(&self) -> Option<Product<'_>> {
        self.weight_uses().into_iter().find_map(|(weight, how)| match how {
            WeightUse::Matrix { x } => Some(Product { x, weight, ids: None }),
            WeightUse::Experts { x, ids } => Some(Product { x, weight, ids: Some(ids) }),
            WeightUse::Vector | WeightUse::Lookup => None,
        })
    }

    /// How the op can be divided.
    pub fn division(&self) -> Division {
        match *self {
            OpKind::Embed { .. } | OpKind::LayerNorm { .. } | OpKind::Route { .. } => Division::Rows,
            OpKind::RmsNorm { group, .. } => Division::Groups(group),
            OpKind::Rope { head_dim, .. } => Division::Groups(head_dim),
            OpKind::MatMul { .. } | OpKind::MatMulId { .. } => Division::Columns(Vec::new()),
            OpKind::Add { a, b, .. } | OpKind::Glu { gate: a, up: b, .. } => Division::Columns(vec![a, b]),
            OpKind::Act { x, .. }
            | OpKind::SoftCap { x, .. }
            | OpKind::Scale { x, .. }
            | OpKind::GatherRows { x, .. }
            | OpKind::CombineExperts { x, .. } => Division::Columns(vec![x]),
            OpKind::KvWrite { k, v, slot, .. } => Division::Heads(CacheUse::Write { k, v, slot }),
            OpKind::Attention { q, slot, mask, .. } => Division::Heads(CacheUse::Read { q, slot, mask }),
        }
    }

    /// What the op does with the KV cache, if anything.
    pub fn cache_use(&self) -> Option<CacheUse> {
        match self.division() {
            Division::Heads(cache) => Some(cache),
            Division::Columns(_) | Division::Groups(_) | Division::Rows => None,
        }
    }

    /// Whether each row of the output is made from the same row of every input and nothing else of the batch, so that
    /// the op may run on some of the rows alone.
    pub fn is_row_wise(&self) -> bool {
        match self {
            OpKind::RmsNorm { .. }
            | OpKind::LayerNorm { .. }
            | OpKind::MatMul { .. }
            | OpKind::Add { .. }
            | OpKind::Glu { .. }
            | OpKind::Act { .. }
            | OpKind::SoftCap { .. }
            | OpKind::Scale { .. } => true,
            // They read the batch by token, have a row for every token, or change the number of rows.
            OpKind::Embed { .. }
            | OpKind::MatMulId { .. }
            | OpKind::Rope { .. }
            | OpKind::KvWrite { .. }
            | OpKind::Attention { .. }
            | OpKind::Route { .. }
            | OpKind::CombineExperts { .. }
            | OpKind::GatherRows { .. } => false,
        }
    }

    /// Multiplications for each row of the batch, roughly: those of products and of attention over a full slot.
    pub fn multiplications(&self, program: &Program) -> u64 {
        let of_matrix = |weight: &WeightRef| {
            u64::from(program.weight(weight.weight).cols) * u64::from(weight.rows.end - weight.rows.start)
        };
        match self {
            OpKind::MatMul { weight, .. } => of_matrix(weight),
            OpKind::MatMulId { ids, weight, .. } => of_matrix(weight) * u64::from(program.buffer(*ids).cols),
            OpKind::Attention { slot, n_heads, .. } => {
                let slot = program.slot(*slot);
                u64::from(*n_heads) * u64::from(slot.k_dim + slot.v_dim) * u64::from(slot.capacity)
            }
            OpKind::Embed { .. }
            | OpKind::RmsNorm { .. }
            | OpKind::LayerNorm { .. }
            | OpKind::Add { .. }
            | OpKind::Rope { .. }
            | OpKind::KvWrite { .. }
            | OpKind::Glu { .. }
            | OpKind::Act { .. }
            | OpKind::Route { .. }
            | OpKind::CombineExperts { .. }
            | OpKind::GatherRows { .. }
            | OpKind::SoftCap { .. }
            | OpKind::Scale { .. } => 0,
        }
    }
}
