//! The text form: what `chord inspect --program` prints and snapshot tests compare.

use std::fmt;

use crate::{BufferClass, BufferId, Mask, Op, OpKind, Program, Rows, SegmentKind, Table, WeightRef};

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Rows::Fixed(n) => write!(f, "{n}"),
            Rows::Tokens(1) => f.write_str("T"),
            Rows::Tokens(n) => write!(f, "{n}T"),
            Rows::Outputs(1) => f.write_str("R"),
            Rows::Outputs(n) => write!(f, "{n}R"),
        }
    }
}

impl fmt::Display for SegmentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SegmentKind::Prologue => f.write_str("prologue"),
            SegmentKind::Layer(index) => write!(f, "layer {index}"),
            SegmentKind::Epilogue => f.write_str("epilogue"),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "program n_vocab={} n_ctx={} n_seq_max={} max_batch={} max_outputs={} kv={:?}",
            self.n_vocab, self.n_ctx, self.n_seq_max, self.max_batch, self.max_outputs, self.kv_type
        )?;
        for (index, table) in self.tables.iter().enumerate() {
            let Table::Rope(rope) = table;
            writeln!(f, "table rope{index} [{}, {}] magnitude={}", self.n_ctx, rope.n_rot(), rope.magnitude)?;
        }
        for slot in &self.slots {
            write!(f, "slot {} [{}, {}, {}+{}]", slot.name, slot.n_kv_heads, slot.capacity, slot.k_dim, slot.v_dim)?;
            match slot.window {
                Some(window) => writeln!(f, " window={window}")?,
                None => writeln!(f)?,
            }
        }
        for segment in &self.segments {
            writeln!(f, "{}:", segment.kind)?;
            for op in &self.ops[segment.ops.clone()] {
                writeln!(f, "  {}", OpText { program: self, op })?;
            }
        }
        for (name, buffer) in &self.outputs {
            writeln!(f, "output {name:?} = {}", self.buffer(*buffer).name)?;
        }
        Ok(())
    }
}

struct OpText<'a> {
    program: &'a Program,
    op: &'a Op,
}

impl OpText<'_> {
    fn name(&self, id: BufferId) -> &str {
        &self.program.buffer(id).name
    }

    fn weight(&self, view: &WeightRef) -> String {
        let w = self.program.weight(view.weight);
        let rows = if view.rows == (0..w.rows) { String::new() } else { format!("[{:?}]", view.rows) };
        format!("{}{rows}:{}", w.name, w.ty)
    }
}

/// ` scale=…`, or nothing for the usual 1.
fn unless_one(scale: f32) -> String {
    if scale == 1.0 { String::new() } else { format!(" scale={scale}") }
}

impl fmt::Display for OpText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, id) in self.op.outputs.iter().enumerate() {
            let buffer = self.program.buffer(*id);
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{} [{}, {}]", buffer.name, buffer.rows, buffer.cols)?;
            if buffer.class == BufferClass::Carried {
                write!(f, "*")?;
            }
        }
        if !self.op.outputs.is_empty() {
            write!(f, " = ")?;
        }
        write!(f, "{}", self.op.kind.name())?;
        for id in self.op.kind.inputs() {
            write!(f, " {}", self.name(id))?;
        }
        for view in self.op.kind.weights() {
            write!(f, " {}", self.weight(view))?;
        }
        match &self.op.kind {
            OpKind::Embed { scale, .. } | OpKind::MatMul { scale, .. } | OpKind::Add { scale, .. } => {
                write!(f, "{}", unless_one(*scale))
            }
            OpKind::Scale { scale, .. } => write!(f, " scale={scale}"),
            OpKind::RmsNorm { group, eps, .. } => write!(f, " group={group} eps={eps:e}"),
            OpKind::LayerNorm { eps, .. } => write!(f, " eps={eps:e}"),
            OpKind::Rope { table, head_dim, pairing, .. } => {
                write!(f, " rope{} head_dim={head_dim} {pairing:?}", table.0)
            }
            OpKind::KvWrite { slot, .. } => write!(f, " {}", self.program.slot(*slot).name),
            OpKind::Attention { slot, n_heads, scale, mask, soft_cap, .. } => {
                write!(f, " {} n_heads={n_heads} scale={scale}", self.program.slot(*slot).name)?;
                match mask {
                    Mask::Causal { window: Some(window) } => write!(f, " window={window}")?,
                    Mask::Causal { window: None } => write!(f, " causal")?,
                    Mask::Bidirectional => write!(f, " bidirectional")?,
                }
                soft_cap.map_or(Ok(()), |cap| write!(f, " soft_cap={cap}"))
            }
            OpKind::Glu { act, .. } | OpKind::Act { act, .. } => write!(f, " {act:?}"),
            OpKind::Route { k, gating, scale, .. } => write!(f, " k={k} {gating:?}{}", unless_one(*scale)),
            OpKind::SoftCap { cap, .. } => write!(f, " cap={cap}"),
            OpKind::MatMulId { .. } | OpKind::CombineExperts { .. } | OpKind::GatherRows { .. } => Ok(()),
        }
    }
}
