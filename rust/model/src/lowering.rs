//! The vocabulary of the architecture pages: named steps that check their tensors and append ops.

use chord_gguf::{GgmlType, Header};
use chord_program::{
    Activation, BufferId, Gating, KvSlot, KvType, Mask, OpKind, OutputName, Program, ProgramBuilder, RopePairing, Rows,
    SegmentKind, Table, TableId, Weight, WeightRef,
};

use crate::keys::{Keys, MAX_CTX};
use crate::{Hyperparameters, ModelError};

/// Default context length: enough for a chat, with a KV cache that fits on small devices.
const DEFAULT_CTX: u32 = 4096;
/// Positions that a ring holds beyond window and batch, so that tokens decoded ahead can be dropped.
pub const RING_SLACK: u32 = 16;

/// Sizes that the program is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildOptions {
    /// Positions a sequence can hold; `None` is the trained length, at most 4,096.
    pub n_ctx: Option<u32>,
    /// Storage type of the KV cache.
    pub kv_type: KvType,
    /// Sequences held at once.
    pub n_seq_max: u32,
    /// Largest number of tokens of a batch; cut to `n_ctx`.
    pub max_batch: u32,
    /// Largest number of output rows of a batch; cut to `max_batch`.
    pub max_outputs: u32,
}

impl Default for BuildOptions {
    fn default() -> Self {
        BuildOptions { n_ctx: None, kv_type: KvType::F16, n_seq_max: 1, max_batch: 512, max_outputs: 64 }
    }
}

/// The sizes of a program, checked.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    n_ctx: u32,
    n_seq_max: u32,
    max_batch: u32,
    max_outputs: u32,
    kv_type: KvType,
}

impl Sizes {
    pub(crate) fn new(hyper: &Hyperparameters, options: &BuildOptions) -> Result<Self, ModelError> {
        let check = |option, found: u32, max: u32| {
            if (1..=max).contains(&found) {
                return Ok(found);
            }
            Err(ModelError::BadOption { option, found: found.into(), max: max.into() })
        };
        let n_ctx = options.n_ctx.unwrap_or(hyper.n_ctx_train.min(DEFAULT_CTX));
        // Longer than trained is the caller's choice. Answers get worse there, and loading the model gives a warning.
        let n_ctx = check("n_ctx", n_ctx, MAX_CTX)?;
        let max_batch = check("max_batch", options.max_batch, 1 << 16)?.min(n_ctx);
        Ok(Sizes {
            n_ctx,
            n_seq_max: check("n_seq_max", options.n_seq_max, 1 << 16)?,
            max_batch,
            max_outputs: check("max_outputs", options.max_outputs, 1 << 16)?.min(max_batch),
            kv_type: options.kv_type,
        })
    }
}

/// The parameters of one layer's attention, besides its inputs.
#[derive(Clone, Copy)]
pub(crate) struct Attend {
    pub(crate) scale: f32,
    pub(crate) window: Option<u32>,
}

/// The program being written. Inside a layer, buffer names get its number (`Qcur.2` becomes `Qcur-7.2`, the reference's
/// way of numbering stages of one name; a leading `=` keeps the rest as it is) and tensor names its prefix (`attn_q`
/// becomes `blk.7.attn_q.weight`).
pub(crate) struct Lowering<'a> {
    header: &'a Header,
    pub(crate) h: Hyperparameters,
    pub(crate) rope_factors: Option<&'a [f32]>,
    sizes: Sizes,
    program: ProgramBuilder,
    layer: Option<u32>,
}

type Step = Result<BufferId, ModelError>;

impl<'a> Lowering<'a> {
    pub(crate) fn new(
        header: &'a Header,
        h: Hyperparameters,
        sizes: Sizes,
        rope_factors: Option<&'a [f32]>,
        weights: Vec<Weight>,
    ) -> Self {
        let mut program = ProgramBuilder::new(
            h.n_vocab,
            sizes.n_ctx,
            sizes.n_seq_max,
            sizes.max_batch,
            sizes.max_outputs,
            sizes.kv_type,
        );
        for weight in weights {
            program.weight(weight);
        }
        program.segment(SegmentKind::Prologue);
        Lowering { header, h, rope_factors, sizes, program, layer: None }
    }

    /// The program, checked.
    pub(crate) fn into_program(self) -> Result<Program, ModelError> {
        Ok(self.program.finish()?)
    }

    /// The metadata, for keys that only one architecture has.
    pub(crate) fn keys(&self) -> Result<Keys<'a>, ModelError> {
        Keys::new(self.header)
    }

    /// Refuses a count above 0 that this architecture's page would otherwise ignore.
    pub(crate) fn refuse(&self, key: &str, found: Option<u32>) -> Result<(), ModelError> {
        let architecture = &self.h.architecture;
        match found {
            Some(value) if value > 0 => {
                Err(ModelError::UnsupportedValue { key: format!("{architecture}.{key}"), value: value.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// Refuses a number other than the one that this architecture's page uses.
    pub(crate) fn refuse_other(&self, key: &str, taken: u32) -> Result<(), ModelError> {
        self.refuse(key, self.keys()?.optional_count(key, u32::MAX)?.filter(|&found| found != taken))
    }

    /// Refuses a model without a count that this architecture's page needs.
    pub(crate) fn require(&self, key: &str, found: u32) -> Result<(), ModelError> {
        let key = format!("{}.{key}", self.h.architecture);
        if found > 0 { Ok(()) } else { Err(ModelError::MissingKey { key }) }
    }

    /// Starts layer `index`.
    pub(crate) fn layer(&mut self, index: u32) {
        self.program.segment(SegmentKind::Layer(index));
        self.layer = Some(index);
    }

    fn buffer_name(&self, name: &str) -> String {
        if let Some(verbatim) = name.strip_prefix('=') {
            return verbatim.to_owned();
        }
        match (self.layer, name.split_once('.')) {
            (None, _) => name.to_owned(),
            (Some(layer), None) => format!("{name}-{layer}"),
            (Some(layer), Some((stem, stage))) => format!("{stem}-{layer}.{stage}"),
        }
    }

    fn tensor_name(&self, name: &str, kind: &str) -> String {
        match self.layer {
            None => format!("{name}.{kind}"),
            Some(layer) => format!("blk.{layer}.{name}.{kind}"),
        }
    }

    /// Whether a tensor of the current layer is in the file.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.header.tensor(&self.tensor_name(name, "weight")).is_some()
    }

    fn tensor(&mut self, tensor: String, dims: &[u32]) -> Result<WeightRef, ModelError> {
        let Some(info) = self.header.tensor(&tensor) else { return Err(ModelError::MissingTensor { tensor }) };
        let expected: Vec<u64> = dims.iter().copied().map(u64::from).collect();
        if info.dims != expected {
            return Err(ModelError::TensorShape { tensor, expected, found: info.dims.clone() });
        }
        if dims.len() == 1 && info.ty != GgmlType::F32 {
            return Err(ModelError::TensorType { tensor, expected: "F32", found: info.ty });
        }
        if !info.ty.can_dequantize() {
            return Err(ModelError::TensorType { tensor, expected: "a type that can be dequantized", found: info.ty });
        }
        let at = |axis: usize| dims.get(axis).copied().unwrap_or(1);
        Ok(self.program.weight(Weight { name: tensor, ty: info.ty, cols: at(0), rows: at(1), experts: at(2) }))
    }

    fn op(&mut self, name: &str, rows: Rows, cols: u32, kind: OpKind) -> BufferId {
        let name = self.buffer_name(name);
        self.program.op(name, rows, cols, kind)
    }

    fn like(&mut self, name: &str, x: BufferId, kind: OpKind) -> BufferId {
        let (rows, cols) = self.program.shape(x);
        self.op(name, rows, cols, kind)
    }

    /// Rows of the token embedding, times `scale`.
    pub(crate) fn embed(&mut self, name: &str, scale: f32) -> Step {
        let [ids, ..] = self.program.inputs();
        let (n_embd, n_vocab) = (self.h.n_embd, self.h.n_vocab);
        let weight = self.tensor("token_embd.weight".to_owned(), &[n_embd, n_vocab])?;
        Ok(self.op(name, Rows::T, n_embd, OpKind::Embed { ids, weight, scale }))
    }

    /// RMS norm over all columns of `x`.
    pub(crate) fn norm(&mut self, name: &str, x: BufferId, tensor: &str) -> Step {
        let (_, cols) = self.program.shape(x);
        self.norm_heads(name, x, tensor, cols)
    }

    /// RMS norm over each head of `group` columns, with one weight for all of them.
    pub(crate) fn norm_heads(&mut self, name: &str, x: BufferId, tensor: &str, group: u32) -> Step {
        let weight = Some(self.tensor(self.tensor_name(tensor, "weight"), &[group])?);
        let eps = self.h.norm_eps;
        Ok(self.like(name, x, OpKind::RmsNorm { x, weight, group, eps }))
    }

    /// Matrix product with a tensor of `cols` rows. A bias in the file is refused: see [`Self::biased`].
    pub(crate) fn linear(&mut self, name: &str, x: BufferId, tensor: &str, cols: u32) -> Step {
        self.matmul(name, x, (tensor, None), cols)
    }

    /// The same with a bias, if the file has one.
    pub(crate) fn biased(&mut self, name: &str, x: BufferId, tensor: &str, cols: u32) -> Step {
        self.matmul(name, x, (tensor, Some(tensor)), cols)
    }

    fn matmul(&mut self, name: &str, x: BufferId, tensors: (&str, Option<&str>), cols: u32) -> Step {
        let (rows, x_cols) = self.program.shape(x);
        let weight = self.tensor(self.tensor_name(tensors.0, "weight"), &[x_cols, cols])?;
        let bias_name = tensors.1.map(|tensor| self.tensor_name(tensor, "bias"));
        let bias = match bias_name.filter(|name| self.header.tensor(name).is_some()) {
            Some(name) => Some(self.tensor(name, &[cols])?),
            None => None,
        };
        Ok(self.op(name, rows, cols, OpKind::MatMul { x, weight, bias, scale: 1.0 }))
    }

    /// `a + b`.
    pub(crate) fn add(&mut self, name: &str, a: BufferId, b: BufferId) -> BufferId {
        self.like(name, a, OpKind::Add { a, b, scale: 1.0 })
    }

    /// A table of rotations with the model's `n_rot`, for layers whose positions are divided by `divisor`.
    pub(crate) fn rope_table(&mut self, theta: f64, divisor: f64) -> TableId {
        let table = self.h.rope_scaling.table(theta, self.h.n_rot, divisor, self.rope_factors);
        self.program.table(Table::Rope(table))
    }

    /// Rotates the heads of `x`.
    pub(crate) fn rope(&mut self, name: &str, x: BufferId, table: TableId, pairing: RopePairing) -> BufferId {
        let [_, pos, ..] = self.program.inputs();
        let head_dim = self.h.k_dim;
        self.like(name, x, OpKind::Rope { x, pos, table, head_dim, pairing })
    }

    /// Writes keys and values to the layer's slot and attends over it.
    pub(crate) fn attention(&mut self, name: &str, [q, k, v]: [BufferId; 3], attend: Attend) -> BufferId {
        let [_, pos, seq, _] = self.program.inputs();
        let n_ctx = self.sizes.n_ctx;
        let ring = |window: u32| window.saturating_add(self.sizes.max_batch).saturating_add(RING_SLACK).min(n_ctx);
        let slot = self.program.slot(KvSlot {
            name: self.buffer_name("kv"),
            n_kv_heads: self.h.n_kv_head,
            k_dim: self.h.k_dim,
            v_dim: self.h.v_dim,
            capacity: attend.window.map_or(n_ctx, ring),
            window: attend.window,
        });
        self.program.push(OpKind::KvWrite { k, v, pos, seq, slot }, Vec::new());
        let n_heads = self.h.n_head;
        let mask = Mask::Causal { window: attend.window };
        let kind =
            OpKind::Attention { q, pos, seq, slot, n_heads, scale: attend.scale, mask, soft_cap: None, sinks: None };
        self.op(name, Rows::T, n_heads * self.h.v_dim, kind)
    }

    /// `down(act(gate(x)) · up(x))`, the middle buffer named `glu`.
    pub(crate) fn gated_ffn(&mut self, x: BufferId, act: Activation, glu: &str) -> Step {
        self.gated(x, act, glu, Self::linear)
    }

    /// The same with biases, if the file has them.
    pub(crate) fn biased_gated_ffn(&mut self, x: BufferId, act: Activation, glu: &str) -> Step {
        self.gated(x, act, glu, Self::biased)
    }

    fn gated(
        &mut self,
        x: BufferId,
        act: Activation,
        glu: &str,
        linear: fn(&mut Self, &str, BufferId, &str, u32) -> Step,
    ) -> Step {
        let (n_ff, n_embd) = (self.h.n_ff, self.h.n_embd);
        let gate = linear(self, "ffn_gate", x, "ffn_gate", n_ff)?;
        let up = linear(self, "ffn_up", x, "ffn_up", n_ff)?;
        let hidden = self.like(glu, gate, OpKind::Glu { gate, up, act });
        linear(self, "ffn_out", hidden, "ffn_down", n_embd)
    }

    /// The same with each token sent through its `k` best experts.
    pub(crate) fn expert_ffn(&mut self, x: BufferId, act: Activation, gating: Gating) -> Step {
        let (k, n_expert) = (self.h.n_expert_used, self.h.n_expert);
        let (n_ff, n_embd) = (self.h.n_ff, self.h.n_embd);
        let logits = self.linear("ffn_moe_logits", x, "ffn_gate_inp", n_expert)?;
        let ids = self.program.buffer_u32(self.buffer_name("ffn_moe_topk"), Rows::T, k);
        let weights = self.program.buffer(self.buffer_name("ffn_moe_weights"), Rows::T, k);
        self.program.push(OpKind::Route { logits, k, gating, scale: 1.0 }, vec![ids, weights]);
        let gate = self.linear_experts("ffn_moe_gate", x, ids, "ffn_gate_exps", n_ff)?;
        let up = self.linear_experts("ffn_moe_up", x, ids, "ffn_up_exps", n_ff)?;
        let hidden = self.like("ffn_moe_swiglu", gate, OpKind::Glu { gate, up, act });
        let down = self.linear_experts("ffn_moe_down", hidden, ids, "ffn_down_exps", n_embd)?;
        Ok(self.op("ffn_moe_out", Rows::T, n_embd, OpKind::CombineExperts { x: down, weights }))
    }

    fn linear_experts(&mut self, name: &str, x: BufferId, ids: BufferId, tensor: &str, cols: u32) -> Step {
        let (_, x_cols) = self.program.shape(x);
        let weight = self.tensor(self.tensor_name(tensor, "weight"), &[x_cols, cols, self.h.n_expert])?;
        let rows = Rows::Tokens(self.h.n_expert_used);
        Ok(self.op(name, rows, cols, OpKind::MatMulId { x, ids, weight }))
    }

    /// Final norm and logits of the output rows. Without `output.weight` the embedding serves as the output matrix.
    pub(crate) fn logits(&mut self, x: BufferId, soft_cap: Option<f32>) -> Result<(), ModelError> {
        self.output(x, soft_cap, None)
    }

    /// The same with `output.bias`, if the file has it.
    pub(crate) fn biased_logits(&mut self, x: BufferId) -> Result<(), ModelError> {
        self.output(x, None, Some("output"))
    }

    fn output(&mut self, x: BufferId, soft_cap: Option<f32>, bias: Option<&str>) -> Result<(), ModelError> {
        self.layer = None;
        self.program.segment(SegmentKind::Epilogue);
        let [_, _, _, rows] = self.program.inputs();
        let (n_embd, n_vocab) = (self.h.n_embd, self.h.n_vocab);
        // Only the output rows pay for the largest matrix.
        let x = self.op("result_inp", Rows::R, n_embd, OpKind::GatherRows { x, rows });
        let hidden = self.norm("result_norm", x, "output_norm")?;
        let output = if self.has("output") { "output" } else { "token_embd" };
        let Some(cap) = soft_cap else {
            let logits = self.matmul("result_output", hidden, (output, bias), n_vocab)?;
            return self.finish(hidden, logits);
        };
        let raw = self.matmul("result_output_uncapped", hidden, (output, bias), n_vocab)?;
        let logits = self.like("result_output", raw, OpKind::SoftCap { x: raw, cap });
        self.finish(hidden, logits)
    }

    fn finish(&mut self, hidden: BufferId, logits: BufferId) -> Result<(), ModelError> {
        self.program.output(OutputName::Hidden, hidden);
        self.program.output(OutputName::Logits, logits);
        Ok(())
    }
}
