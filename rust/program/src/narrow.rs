//! Choosing the output rows early: a pass that leaves out rows whose results are not needed.
//!
//! Only a prompt's last token needs logits, and after its attention the last layer treats every row separately. Rows
//! are therefore chosen there instead of just before the output matrix, and most of that layer's products have one row.

use crate::{BufferClass, BufferId, Op, OpKind, Program, Rows, SegmentKind};

impl Program {
    /// The same program with the op that chooses the output rows moved up, past every row-wise op of the last layer;
    /// unchanged where that would make no product smaller, or would not be valid. Names of weights, slots and buffers
    /// stay, and so do the values of all rows that are left.
    pub fn narrowed(&self) -> Program {
        self.try_narrow().unwrap_or_else(|| self.clone())
    }

    fn try_narrow(&self) -> Option<Program> {
        let choice = self.ops.iter().position(|op| matches!(op.kind, OpKind::GatherRows { .. }))?;
        let OpKind::GatherRows { x, rows } = self.ops[choice].kind else { return None };
        let last_layer = self.segments.iter().rfind(|s| matches!(s.kind, SegmentKind::Layer(_)))?.ops.clone();
        if last_layer.end > choice {
            return None;
        }

        // From the end backwards: ops whose result only the choice and other such ops read.
        let mut is_narrow = vec![false; self.ops.len()];
        is_narrow[choice] = true;
        for index in last_layer.clone().rev() {
            let op = &self.ops[index];
            let readers =
                || (0..self.ops.len()).filter(|&other| self.ops[other].kind.inputs().contains(&op.outputs[0]));
            is_narrow[index] = op.kind.is_row_wise()
                && self.buffer(op.out()).rows == Rows::T
                && self.buffer(op.out()).class != BufferClass::Output
                && readers().next().is_some()
                && readers().all(|other| is_narrow[other]);
        }
        is_narrow[choice] = false;
        let narrow = |index: usize| is_narrow[index];
        if !last_layer.clone().any(|index| narrow(index) && self.ops[index].kind.product().is_some()) {
            return None;
        }

        let mut program = self.clone();
        // For each buffer of all rows, the buffer of chosen rows that ops after the choice read instead.
        let mut chosen: Vec<Option<BufferId>> = vec![None; self.buffers.len()];
        (program.ops, program.segments) = (Vec::new(), Vec::new());
        for segment in &self.segments {
            let start = program.ops.len();
            for index in segment.ops.clone().filter(|&index| index != choice) {
                let mut op = self.ops[index].clone();
                if narrow(index) {
                    for id in op.kind.inputs() {
                        let buffer = self.buffer(id);
                        if chosen[id.0 as usize].is_none() {
                            let gathered = program.add_rows_of(buffer.name.clone(), buffer.cols);
                            program.ops.push(Op { kind: OpKind::GatherRows { x: id, rows }, outputs: vec![gathered] });
                            chosen[id.0 as usize] = Some(gathered);
                        }
                    }
                    program.buffers[op.out().0 as usize].rows = Rows::R;
                    chosen[op.out().0 as usize] = Some(op.out());
                }
                let behind = narrow(index) || index > choice;
                for id in op.kind.inputs_mut().into_iter().filter(|_| behind) {
                    // The choice's result becomes the chosen rows of its input.
                    let of = if *id == self.ops[choice].out() { x } else { *id };
                    *id = chosen[of.0 as usize].unwrap_or(*id);
                }
                program.ops.push(op);
            }
            program.segments.push(crate::Segment { kind: segment.kind, ops: start..program.ops.len() });
        }
        crate::verify::classify_carried(&mut program);
        crate::verify::verify(&program).ok()?;
        Some(program)
    }

    fn add_rows_of(&mut self, name: String, cols: u32) -> BufferId {
        let class = BufferClass::Transient;
        self.buffers.push(crate::Buffer { name: format!("{name}.rows"), rows: Rows::R, cols, class, is_u32: false });
        BufferId(self.buffers.len() as u32 - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KvSlot, KvType, Mask, OutputName, ProgramBuilder, Weight};

    fn name(program: &Program, id: BufferId) -> &str {
        &program.buffer(id).name
    }

    /// Two layers of attention, with a product or without, and logits.
    fn program(with_product: bool) -> Program {
        let mut b = ProgramBuilder::new(10, 16, 1, 8, 4, KvType::F32);
        let [ids, pos, seq, rows] = b.inputs();
        let weight = |b: &mut ProgramBuilder, name: &str, rows| {
            b.weight(Weight { name: name.to_owned(), ty: chord_gguf::GgmlType::F32, cols: 32, rows, experts: 1 })
        };
        b.segment(SegmentKind::Prologue);
        let embedding = weight(&mut b, "embedding", 10);
        let mut x = b.op("x", Rows::T, 32, OpKind::Embed { ids, weight: embedding.clone(), scale: 1.0 });
        for layer in 0..2 {
            b.segment(SegmentKind::Layer(layer));
            let slot =
                KvSlot { name: format!("kv-{layer}"), n_kv_heads: 1, k_dim: 32, v_dim: 32, capacity: 16, window: None };
            let slot = b.slot(slot);
            b.push(OpKind::KvWrite { k: x, v: x, pos, seq, slot }, Vec::new());
            let mask = Mask::Causal { window: None };
            let kind =
                OpKind::Attention { q: x, pos, seq, slot, n_heads: 1, scale: 1.0, mask, soft_cap: None, sinks: None };
            let mut seen = b.op(format!("seen-{layer}"), Rows::T, 32, kind);
            if with_product {
                let weight = weight(&mut b, &format!("w-{layer}"), 32);
                let kind = OpKind::MatMul { x: seen, weight, bias: None, scale: 1.0 };
                seen = b.op(format!("product-{layer}"), Rows::T, 32, kind);
            }
            x = b.op(format!("sum-{layer}"), Rows::T, 32, OpKind::Add { a: x, b: seen, scale: 1.0 });
        }
        b.segment(SegmentKind::Epilogue);
        let last = b.op("last", Rows::R, 32, OpKind::GatherRows { x, rows });
        let logits = OpKind::MatMul { x: last, weight: embedding, bias: None, scale: 1.0 };
        let logits = b.op("logits", Rows::R, 10, logits);
        b.output(OutputName::Logits, logits);
        b.finish().expect("a valid program")
    }

    #[test]
    fn rows_are_chosen_after_the_last_attention() {
        let (whole, narrow) = (program(true), program(true).narrowed());
        let gathers: Vec<&str> = narrow
            .ops
            .iter()
            .filter(|op| matches!(op.kind, OpKind::GatherRows { .. }))
            .map(|op| name(&narrow, op.kind.inputs()[0]))
            .collect();
        assert_eq!(gathers, ["seen-1", "sum-0"]);
        let rows = |program: &Program, of: &str| program.buffers.iter().find(|b| b.name == of).map(|b| b.rows);
        for of in ["product-0", "sum-0", "seen-1"] {
            assert_eq!(rows(&narrow, of), Some(Rows::T), "{of}");
        }
        for of in ["product-1", "sum-1", "logits"] {
            assert_eq!(rows(&narrow, of), Some(Rows::R), "{of}");
        }
        let logits = narrow.ops.last().expect("ops");
        assert_eq!(name(&narrow, logits.kind.inputs()[0]), "sum-1");
        // Things that are referred to by index stay in place.
        assert_eq!((&narrow.weights, &narrow.slots, narrow.inputs), (&whole.weights, &whole.slots, whole.inputs));
        assert_eq!(narrow.output(OutputName::Logits), whole.output(OutputName::Logits));
        assert_eq!(narrow.segments.last().map(|s| s.ops.end), Some(narrow.ops.len()));
        assert_eq!(narrow.narrowed(), narrow, "there is nothing more to move");
    }

    #[test]
    fn a_program_in_which_no_product_gets_smaller_is_left_alone() {
        assert_eq!(program(false).narrowed(), program(false));
    }

    #[test]
    fn rows_that_others_read_stay() {
        let mut all_read = program(true);
        let product = all_read.buffers.iter().position(|b| b.name == "product-1").expect("there");
        all_read.outputs.push((OutputName::Hidden, BufferId(product as u32)));
        all_read.buffers[product].class = BufferClass::Output;
        assert_eq!(all_read.narrowed(), all_read);
    }
}
