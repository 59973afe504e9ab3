//! Runs ops: weights, tables and KV cache, and one match over [`OpKind`].

use std::ops::Range;
use std::sync::Arc;

use chord_gguf::GgmlType;
use chord_program::{Batch, BufferId, ExecError, OpKind, Program, Table, WeightRef};

use crate::frame::Frame;
use crate::kv::KvCache;
use crate::ops::{attention, elementwise, experts};
use crate::weights::Weights;

pub(crate) struct Machine {
    pub(crate) program: Arc<Program>,
    pub(crate) weights: Weights,
    tables: Vec<Vec<f32>>,
    kv: KvCache,
    decoded_rows: Vec<f32>,
    attention: attention::Scratch,
    /// Ops run so far.
    pub(crate) ops_run: u64,
}

impl Machine {
    pub(crate) fn new(program: Arc<Program>) -> Result<Self, ExecError> {
        check_vectors(&program)?;
        Ok(Machine {
            weights: Weights::new(&program)?,
            tables: program.tables.iter().map(|table| table.rows(program.n_ctx)).collect(),
            kv: KvCache::new(&program)?,
            decoded_rows: Vec::new(),
            attention: attention::Scratch::default(),
            ops_run: 0,
            program,
        })
    }

    pub(crate) fn table_bytes(&self) -> u64 {
        self.tables.iter().map(|table| 4 * table.len() as u64).sum()
    }

    /// Runs a range of ops.
    pub(crate) fn run(&mut self, ops: Range<usize>, batch: &Batch<'_>, frame: &mut Frame) -> Result<(), ExecError> {
        ops.into_iter().try_for_each(|index| self.run_op(index, batch, frame))
    }

    /// Runs one op.
    pub(crate) fn run_op(&mut self, index: usize, batch: &Batch<'_>, frame: &mut Frame) -> Result<(), ExecError> {
        let program = Arc::clone(&self.program);
        let op = &program.ops[index];
        let cols = |id: BufferId| program.buffer(id).cols as usize;
        let input = |id: BufferId| batch_input(&program, batch, id);
        self.ops_run += 1;
        match &op.kind {
            OpKind::Embed { ids, weight, scale } => {
                let ([], out) = frame.split([], op.out());
                let matrix = self.weights.matrix(&program, weight, 0);
                for (&id, out) in input(*ids)?.iter().zip(out.chunks_exact_mut(cols(op.out()))) {
                    matrix.decode(id as usize, out);
                }
                elementwise::scale_and_bias(out, *scale, None);
            }
            OpKind::RmsNorm { x, weight, group, eps } => {
                let ([x], out) = frame.split([*x], op.out());
                elementwise::rms_norm(x, self.vector(weight), *group as usize, *eps, out);
            }
            OpKind::LayerNorm { x, weight, bias, eps } => {
                let ([x], out) = frame.split([*x], op.out());
                elementwise::layer_norm(x, self.weights.vector(weight), self.vector(bias), *eps, out);
            }
            OpKind::MatMul { x, weight, bias, scale } => {
                let ([x], out) = frame.split([*x], op.out());
                self.weights.matrix(&program, weight, 0).multiply(x, out, &mut self.decoded_rows);
                elementwise::scale_and_bias(out, *scale, self.vector(bias));
            }
            OpKind::MatMulId { x, ids, weight } => {
                let k = cols(*ids);
                let ([x, ids], out) = frame.split([*x, *ids], op.out());
                let expert = |expert| self.weights.matrix(&program, weight, expert);
                experts::multiply(x, bytemuck::cast_slice(ids), k, expert, out, &mut self.decoded_rows);
            }
            OpKind::Add { a, b, scale } => {
                let ([a, b], out) = frame.split([*a, *b], op.out());
                elementwise::add(a, b, *scale, out);
            }
            OpKind::Rope { x, pos, table, head_dim, pairing } => {
                let Table::Rope(rope) = program.table(*table) else {
                    return Err(ExecError::Unsupported { backend: "cpu", what: "this kind of table".to_owned() });
                };
                let rows = &self.tables[table.0 as usize];
                let ([x], out) = frame.split([*x], op.out());
                elementwise::rope(x, input(*pos)?, rows, rope.n_rot() as usize, *head_dim as usize, *pairing, out);
            }
            OpKind::KvWrite { k, v, pos, seq, slot } => {
                self.kv.write(*slot, frame.get(*k), frame.get(*v), input(*pos)?, input(*seq)?);
            }
            OpKind::Attention { q, pos, seq, slot, n_heads, scale, mask, soft_cap, sinks } => {
                let kv = program.slot(*slot);
                let shape = attention::Shape {
                    slot: *slot,
                    n_heads: *n_heads as usize,
                    n_kv_heads: kv.n_kv_heads as usize,
                    k_dim: kv.k_dim as usize,
                    v_dim: kv.v_dim as usize,
                    scale: *scale,
                    mask: *mask,
                    soft_cap: *soft_cap,
                    sinks: sinks.as_ref().map(|w| self.weights.vector(w)),
                };
                let ([q], out) = frame.split([*q], op.out());
                attention::attention(&shape, &self.kv, q, input(*pos)?, input(*seq)?, out, &mut self.attention);
            }
            OpKind::Glu { gate, up, act } => {
                let ([gate, up], out) = frame.split([*gate, *up], op.out());
                elementwise::glu(gate, up, *act, out);
            }
            OpKind::Act { x, act } => {
                let ([x], out) = frame.split([*x], op.out());
                elementwise::act(x, *act, out);
            }
            OpKind::Route { logits, k, gating, scale } => {
                let experts = cols(*logits);
                let (ids, weights) = experts::route(frame.get(*logits), experts, *k as usize, *gating, *scale);
                frame.split([], op.outputs[0]).1.copy_from_slice(bytemuck::cast_slice(&ids));
                frame.split([], op.outputs[1]).1.copy_from_slice(&weights);
            }
            OpKind::CombineExperts { x, weights } => {
                let (k, cols) = (cols(*weights), cols(op.out()));
                let ([x, weights], out) = frame.split([*x, *weights], op.out());
                experts::combine(x, weights, k, cols, out);
            }
            OpKind::GatherRows { x, rows } => {
                let ([x], out) = frame.split([*x], op.out());
                elementwise::gather_rows(x, input(*rows)?, cols(op.out()), out);
            }
            OpKind::SoftCap { x, cap } => {
                let ([x], out) = frame.split([*x], op.out());
                elementwise::soft_cap(x, *cap, out);
            }
            OpKind::Scale { x, scale } => {
                let ([x], out) = frame.split([*x], op.out());
                elementwise::scale(x, *scale, out);
            }
        }
        Ok(())
    }

    fn vector(&self, view: &Option<WeightRef>) -> Option<&[f32]> {
        view.as_ref().map(|view| self.weights.vector(view))
    }
}

/// The batch's values of an input buffer.
fn batch_input<'a>(program: &Program, batch: &Batch<'a>, id: BufferId) -> Result<&'a [u32], ExecError> {
    match program.inputs.iter().position(|&input| input == id) {
        Some(0) => Ok(batch.ids),
        Some(1) => Ok(batch.pos),
        Some(2) => Ok(batch.seq),
        Some(3) => Ok(batch.out_rows),
        _ => {
            let what = format!("{} where a batch input is expected", program.buffer(id).name);
            Err(ExecError::Unsupported { backend: "cpu", what })
        }
    }
}

/// Norm weights, biases and sinks are read as f32 where they lie.
fn check_vectors(program: &Program) -> Result<(), ExecError> {
    for op in &program.ops {
        let vectors: Vec<&WeightRef> = match &op.kind {
            OpKind::Embed { .. } | OpKind::MatMulId { .. } => Vec::new(),
            OpKind::MatMul { bias, .. } => bias.iter().collect(),
            kind => kind.weights(),
        };
        for weight in vectors.into_iter().map(|view| program.weight(view.weight)) {
            if weight.ty != GgmlType::F32 || weight.rows != 1 {
                let what = format!("{} as a vector of {}", weight.name, weight.ty);
                return Err(ExecError::Unsupported { backend: "cpu", what });
            }
        }
    }
    Ok(())
}
