//! The ops. Each is a pure function of its inputs and attributes; an op's maths is defined by `chord-cpu`'s reference.

use crate::{BufferId, SlotId, TableId, WeightRef};

/// One step of a program.
#[derive(Clone, Debug, PartialEq)]
pub struct Op {
    /// What is computed, from what.
    pub kind: OpKind,
    /// Buffers written, as many as [`OpKind::n_outputs`] says.
    pub outputs: Vec<BufferId>,
}

impl Op {
    /// The single output of an op that has one.
    pub fn out(&self) -> BufferId {
        self.outputs[0]
    }
}

/// Which pairs of columns a rotation turns together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RopePairing {
    /// Columns `2i` and `2i + 1`.
    Interleaved,
    /// Columns `i` and `i + n_rot / 2`.
    Halves,
}

/// An element-wise non-linearity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `x · sigmoid(x)`
    Silu,
    /// `0.5 x (1 + tanh(√(2/π)(x + 0.044715 x³)))`
    GeluTanh,
    /// `max(x, 0)²`
    ReluSquared,
}

/// Which keys a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mask {
    /// Positions up to its own; with a window `w`, the last `w` of them (its own included).
    Causal {
        /// Sliding window, in positions.
        window: Option<u32>,
    },
    /// Every position of its sequence in the batch (encoders).
    Bidirectional,
}

/// How router logits become expert weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gating {
    /// Soft-max over all experts, then the top `k`; divided by their sum if `renormalize`.
    Softmax {
        /// Make the `k` weights sum to 1.
        renormalize: bool,
    },
    /// Sigmoid per expert, then the top `k`; divided by their sum if `renormalize`.
    Sigmoid {
        /// Make the `k` weights sum to 1.
        renormalize: bool,
    },
}

/// The operations. Shapes: `T` tokens, `R` output rows; weights are `[rows, cols]` with `cols` contiguous.
#[derive(Clone, Debug, PartialEq)]
pub enum OpKind {
    /// `out[t] = scale · weight[ids[t]]`, dequantized.
    Embed {
        /// Token ids `[T]`.
        ids: BufferId,
        /// `[n_vocab, n_embd]`.
        weight: WeightRef,
        /// Factor on every element (1 for most models).
        scale: f32,
    },
    /// `out = x / √(mean(x²) + eps) · weight`, over groups of `group` columns (all columns, or one head).
    RmsNorm {
        /// `[rows, cols]`.
        x: BufferId,
        /// `[group]` f32, applied to each group alike.
        weight: Option<WeightRef>,
        /// Columns that are normalized together; divides `cols`.
        group: u32,
        /// Added to the mean square.
        eps: f32,
    },
    /// `out = (x − mean) / √(var + eps) · weight + bias`, over all columns.
    LayerNorm {
        /// `[rows, cols]`.
        x: BufferId,
        /// `[cols]` f32.
        weight: WeightRef,
        /// `[cols]` f32.
        bias: Option<WeightRef>,
        /// Added to the variance.
        eps: f32,
    },
    /// `out = scale · (x · weightᵀ) (+ bias)`.
    MatMul {
        /// `[rows, weight.cols]`.
        x: BufferId,
        /// `[out.cols, x.cols]`.
        weight: WeightRef,
        /// `[out.cols]` f32.
        bias: Option<WeightRef>,
        /// Factor on the product, before the bias (1 for most models).
        scale: f32,
    },
    /// Expert matmul: row `t·k + j` of the output is `x[t or t·k + j] · weight[ids[t, j]]ᵀ`.
    MatMulId {
        /// `[T, cols]` (shared by the token's experts) or `[T·k, cols]`.
        x: BufferId,
        /// Chosen experts `[T, k]` as u32.
        ids: BufferId,
        /// `[experts, out.cols, x.cols]`.
        weight: WeightRef,
    },
    /// `out = a + scale · b`.
    Add {
        /// `[rows, cols]`.
        a: BufferId,
        /// `[rows, cols]`.
        b: BufferId,
        /// Factor on `b` (a residual multiplier; 1 for most models).
        scale: f32,
    },
    /// Rotates the first `table.n_rot` columns of each head of `head_dim` columns by the row's position.
    Rope {
        /// `[T, n_heads · head_dim]`.
        x: BufferId,
        /// Positions `[T]`.
        pos: BufferId,
        /// Cosines and sines.
        table: TableId,
        /// Columns of one head.
        head_dim: u32,
        /// Which columns turn together.
        pairing: RopePairing,
    },
    /// Stores keys and values of the batch at their positions.
    KvWrite {
        /// `[T, n_kv_heads · k_dim]`.
        k: BufferId,
        /// `[T, n_kv_heads · v_dim]`.
        v: BufferId,
        /// Positions `[T]`.
        pos: BufferId,
        /// Sequences `[T]`.
        seq: BufferId,
        /// Where to.
        slot: SlotId,
    },
    /// `softmax(scale · q kᵀ (soft-capped) + mask) · v` over the slot, heads grouped over its KV heads.
    Attention {
        /// `[T, n_heads · k_dim]`.
        q: BufferId,
        /// Positions `[T]`.
        pos: BufferId,
        /// Sequences `[T]`.
        seq: BufferId,
        /// Keys and values, those of this batch already written.
        slot: SlotId,
        /// Query heads; a multiple of the slot's KV heads.
        n_heads: u32,
        /// Factor on `q kᵀ`.
        scale: f32,
        /// Which keys are seen.
        mask: Mask,
        /// `cap · tanh(score / cap)`, if any.
        soft_cap: Option<f32>,
        /// A logit per head that takes part in the soft-max and in nothing else, `[n_heads]` f32.
        sinks: Option<WeightRef>,
    },
    /// `out = act(gate) · up`.
    Glu {
        /// `[rows, cols]`.
        gate: BufferId,
        /// `[rows, cols]`.
        up: BufferId,
        /// The non-linearity.
        act: Activation,
    },
    /// `out = act(x)`.
    Act {
        /// `[rows, cols]`.
        x: BufferId,
        /// The non-linearity.
        act: Activation,
    },
    /// Chooses `k` experts for each token. Outputs: ids `[T, k]` (u32), weights `[T, k]`, best first.
    Route {
        /// Router logits `[T, experts]`.
        logits: BufferId,
        /// Experts per token.
        k: u32,
        /// How logits become weights.
        gating: Gating,
        /// Factor on the weights.
        scale: f32,
    },
    /// `out[t] = Σⱼ weights[t, j] · x[t·k + j]`.
    CombineExperts {
        /// `[T·k, cols]`.
        x: BufferId,
        /// `[T, k]`.
        weights: BufferId,
    },
    /// `out[r] = x[out_rows[r]]`.
    GatherRows {
        /// `[T, cols]`.
        x: BufferId,
        /// `[R]`.
        rows: BufferId,
    },
    /// `out = cap · tanh(x / cap)`.
    SoftCap {
        /// `[rows, cols]`.
        x: BufferId,
        /// The cap.
        cap: f32,
    },
    /// `out = scale · x`.
    Scale {
        /// `[rows, cols]`.
        x: BufferId,
        /// The factor.
        scale: f32,
    },
}
