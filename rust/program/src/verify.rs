//! Checks a program once, so that executors need not: shapes, order, views, segments.

use std::collections::HashSet;

use crate::{BufferClass, BufferId, Mask, Op, OpKind, Program, ProgramError, Rows, Table, WeightRef};

/// Marks the transients that one segment writes and another reads.
pub(crate) fn classify_carried(program: &mut Program) {
    let segment_of = |index: usize| program.segments.iter().position(|s| s.ops.contains(&index));
    let mut writer = vec![None; program.buffers.len()];
    let mut carried = Vec::new();
    for (index, op) in program.ops.iter().enumerate() {
        let here = segment_of(index);
        carried.extend(op.kind.inputs().into_iter().filter(|id| matches!(writer[id.0 as usize], Some(w) if w != here)));
        op.outputs.iter().for_each(|id| writer[id.0 as usize] = Some(here));
    }
    for id in carried {
        let class = &mut program.buffers[id.0 as usize].class;
        if *class == BufferClass::Transient {
            *class = BufferClass::Carried;
        }
    }
}

/// Checks everything that executors rely on.
pub(crate) fn verify(program: &Program) -> Result<(), ProgramError> {
    let bad = |what: String| Err(ProgramError::Bad(what));
    for (name, value) in [
        ("n_vocab", program.n_vocab),
        ("n_ctx", program.n_ctx),
        ("n_seq_max", program.n_seq_max),
        ("max_batch", program.max_batch),
        ("max_outputs", program.max_outputs),
    ] {
        if value == 0 {
            return bad(format!("{name} is 0"));
        }
    }
    let mut next = 0;
    for segment in &program.segments {
        if segment.ops.start != next {
            return bad(format!("segment {:?} starts at op {}, expected {next}", segment.kind, segment.ops.start));
        }
        next = segment.ops.end;
    }
    if next != program.ops.len() {
        return bad(format!("segments cover {next} of {} ops", program.ops.len()));
    }
    for weight in &program.weights {
        if weight.ty.row_bytes(u64::from(weight.cols)).is_none() {
            return bad(format!("{}: {} columns are not whole blocks of {}", weight.name, weight.cols, weight.ty));
        }
    }
    for slot in &program.slots {
        if slot.capacity == 0 || slot.n_kv_heads == 0 {
            return bad(format!("{}: empty", slot.name));
        }
        let needed = slot.window.map_or(program.n_ctx, |w| program.n_ctx.min(w.saturating_add(program.max_batch)));
        if slot.capacity < needed {
            return bad(format!("{}: holds {} positions, needs {needed}", slot.name, slot.capacity));
        }
    }
    let mut names = HashSet::new();
    for buffer in &program.buffers {
        if !names.insert(&buffer.name) {
            return bad(format!("two buffers are named {}", buffer.name));
        }
    }
    let mut written: HashSet<BufferId> = program.inputs.into_iter().collect();
    for (index, op) in program.ops.iter().enumerate() {
        let check = OpCheck { program, op };
        check.check(&mut written).map_err(|what| ProgramError::BadOp { index, op: op.kind.name(), what })?;
    }
    match program.outputs.iter().find(|(_, id)| !written.contains(id)) {
        Some((name, _)) => bad(format!("no op writes the output {name:?}")),
        None => Ok(()),
    }
}

struct OpCheck<'a> {
    program: &'a Program,
    op: &'a Op,
}

impl OpCheck<'_> {
    fn check(&self, written: &mut HashSet<BufferId>) -> Result<(), String> {
        for id in self.op.kind.inputs() {
            if !written.contains(&id) {
                return Err(format!("reads {} before it is written", self.program.buffer(id).name));
            }
        }
        for weight in self.op.kind.weights() {
            let rows = self.program.weight(weight.weight).rows;
            if weight.rows.start >= weight.rows.end || weight.rows.end > rows {
                return Err(format!("view of rows {:?}, the tensor has {rows}", weight.rows));
            }
        }
        let n_outputs = self.op.kind.n_outputs();
        if self.op.outputs.len() != n_outputs {
            return Err(format!("{} outputs, expected {n_outputs}", self.op.outputs.len()));
        }
        self.shapes()?;
        for id in &self.op.outputs {
            if !written.insert(*id) {
                return Err(format!("{} is written twice", self.program.buffer(*id).name));
            }
        }
        Ok(())
    }

    fn cols(&self, id: BufferId) -> u32 {
        self.program.buffer(id).cols
    }

    fn rows(&self, id: BufferId) -> Rows {
        self.program.buffer(id).rows
    }

    fn want_cols(&self, id: BufferId, cols: u32) -> Result<(), String> {
        let found = self.cols(id);
        let name = &self.program.buffer(id).name;
        if found == cols { Ok(()) } else { Err(format!("{name} has {found} columns, expected {cols}")) }
    }

    fn want_rows(&self, id: BufferId, rows: Rows) -> Result<(), String> {
        let found = self.rows(id);
        let name = &self.program.buffer(id).name;
        if found == rows { Ok(()) } else { Err(format!("{name} has {found:?} rows, expected {rows:?}")) }
    }

    /// The output is of the same shape as `x`.
    fn like(&self, x: BufferId) -> Result<(), String> {
        self.want_cols(self.op.out(), self.cols(x))?;
        self.want_rows(self.op.out(), self.rows(x))
    }

    /// A vector of `len` elements, as norms and biases are.
    fn want_vector(&self, weight: &WeightRef, len: u32) -> Result<(), String> {
        let w = self.program.weight(weight.weight);
        let view = weight.rows.end - weight.rows.start;
        if w.cols == len && view == 1 {
            return Ok(());
        }
        Err(format!("{} is [{view}, {}], expected a vector of {len}", w.name, w.cols))
    }

    fn shapes(&self) -> Result<(), String> {
        let program = self.program;
        match &self.op.kind {
            OpKind::Embed { weight, .. } => {
                self.want_cols(self.op.out(), program.weight(weight.weight).cols)?;
                self.want_rows(self.op.out(), Rows::T)
            }
            OpKind::RmsNorm { x, weight, group, .. } => {
                if *group == 0 || !self.cols(*x).is_multiple_of(*group) {
                    return Err(format!("groups of {group} in {} columns", self.cols(*x)));
                }
                weight.iter().try_for_each(|w| self.want_vector(w, *group))?;
                self.like(*x)
            }
            OpKind::LayerNorm { x, weight, bias, .. } => {
                std::iter::once(weight).chain(bias).try_for_each(|w| self.want_vector(w, self.cols(*x)))?;
                self.like(*x)
            }
            OpKind::MatMul { x, weight, bias, .. } => {
                let n = weight.rows.end - weight.rows.start;
                self.want_cols(*x, program.weight(weight.weight).cols)?;
                self.want_cols(self.op.out(), n)?;
                bias.iter().try_for_each(|b| self.want_vector(b, n))?;
                self.want_rows(self.op.out(), self.rows(*x))
            }
            OpKind::MatMulId { x, ids, weight } => {
                let k = self.cols(*ids);
                self.want_cols(*x, program.weight(weight.weight).cols)?;
                self.want_cols(self.op.out(), weight.rows.end - weight.rows.start)?;
                self.want_rows(*ids, Rows::T)?;
                if self.rows(*x) != Rows::T && self.rows(*x) != Rows::Tokens(k) {
                    return Err(format!("input of {:?} rows for {k} experts a token", self.rows(*x)));
                }
                self.want_rows(self.op.out(), Rows::Tokens(k))
            }
            OpKind::Add { a, b, .. } | OpKind::Glu { gate: a, up: b, .. } => {
                self.want_cols(*b, self.cols(*a))?;
                self.want_rows(*b, self.rows(*a))?;
                self.like(*a)
            }
            OpKind::Rope { x, table, head_dim, .. } => {
                let Table::Rope(rope) = program.table(*table);
                if *head_dim == 0 || !self.cols(*x).is_multiple_of(*head_dim) || rope.n_rot() > *head_dim {
                    return Err(format!("heads of {head_dim} in {} columns, {} turned", self.cols(*x), rope.n_rot()));
                }
                self.like(*x)
            }
            OpKind::KvWrite { k, v, slot, .. } => {
                let slot = program.slot(*slot);
                self.want_cols(*k, slot.n_kv_heads * slot.k_dim)?;
                self.want_cols(*v, slot.n_kv_heads * slot.v_dim)
            }
            OpKind::Attention { q, slot, n_heads, mask, sinks, .. } => {
                let slot = program.slot(*slot);
                if *n_heads == 0 || !n_heads.is_multiple_of(slot.n_kv_heads) {
                    return Err(format!("{n_heads} heads over {} KV heads", slot.n_kv_heads));
                }
                if let Mask::Causal { window: Some(window) } = mask
                    && slot.window.is_some_and(|kept| kept < *window)
                {
                    return Err(format!("window of {window} over a slot that keeps {:?}", slot.window));
                }
                if let (Mask::Causal { window: None }, Some(kept)) = (mask, slot.window) {
                    return Err(format!("no window over a slot that keeps {kept}"));
                }
                sinks.iter().try_for_each(|w| self.want_vector(w, *n_heads))?;
                self.want_cols(*q, n_heads * slot.k_dim)?;
                self.want_cols(self.op.out(), n_heads * slot.v_dim)
            }
            OpKind::Act { x, .. } | OpKind::SoftCap { x, .. } | OpKind::Scale { x, .. } => self.like(*x),
            OpKind::Route { logits, k, .. } => {
                if *k == 0 || *k > self.cols(*logits) {
                    return Err(format!("{k} of {} experts", self.cols(*logits)));
                }
                self.op.outputs.iter().try_for_each(|id| {
                    self.want_cols(*id, *k)?;
                    self.want_rows(*id, Rows::T)
                })
            }
            OpKind::CombineExperts { x, weights } => {
                self.want_rows(*x, Rows::Tokens(self.cols(*weights)))?;
                self.want_cols(self.op.out(), self.cols(*x))?;
                self.want_rows(self.op.out(), Rows::T)
            }
            OpKind::GatherRows { x, .. } => {
                self.want_cols(self.op.out(), self.cols(*x))?;
                self.want_rows(self.op.out(), Rows::R)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KvType, ProgramBuilder, SegmentKind, Weight};

    fn builder() -> ProgramBuilder {
        let mut b = ProgramBuilder::new(10, 16, 1, 4, 4, KvType::F32);
        b.segment(SegmentKind::Prologue);
        b
    }

    fn weight(rows: u32, cols: u32) -> Weight {
        Weight { name: format!("w{rows}x{cols}"), ty: chord_gguf::GgmlType::F32, cols, rows, experts: 1 }
    }

    #[test]
    fn a_matmul_over_the_wrong_width_is_refused() {
        let mut b = builder();
        let [ids, ..] = b.inputs();
        let embd = b.weight(weight(10, 64));
        let wrong = b.weight(weight(8, 32));
        let x = b.op("x", Rows::T, 64, OpKind::Embed { ids, weight: embd, scale: 1.0 });
        b.op("y", Rows::T, 8, OpKind::MatMul { x, weight: wrong, bias: None, scale: 1.0 });
        let error = b.finish().expect_err("widths differ");
        assert!(matches!(error, ProgramError::BadOp { index: 1, op: "matmul", .. }), "{error}");
    }

    #[test]
    fn reading_before_writing_is_refused() {
        let mut b = builder();
        let x = b.buffer("never written", Rows::T, 64);
        b.op("y", Rows::T, 64, OpKind::Scale { x, scale: 1.0 });
        assert!(b.finish().is_err());
    }

    #[test]
    fn what_crosses_a_segment_is_carried() {
        let mut b = builder();
        let [ids, ..] = b.inputs();
        let embd = b.weight(weight(10, 64));
        let x = b.op("x", Rows::T, 64, OpKind::Embed { ids, weight: embd, scale: 1.0 });
        b.segment(SegmentKind::Layer(0));
        let y = b.op("y", Rows::T, 64, OpKind::Scale { x, scale: 2.0 });
        let z = b.op("z", Rows::T, 64, OpKind::Scale { x: y, scale: 2.0 });
        let program = b.finish().expect("valid");
        assert_eq!(program.buffer(x).class, BufferClass::Carried);
        assert_eq!(program.buffer(y).class, BufferClass::Transient);
        assert_eq!(program.buffer(z).class, BufferClass::Transient);
    }
}
