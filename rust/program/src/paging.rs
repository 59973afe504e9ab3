//! Paging: running a program whose layers do not all fit on the device. The other layers stream through two slots.

use std::task::{Context, Poll};

use crate::{ExecError, Program, SegmentKind, WeightId, WeightSink};

/// Slots that paged layers share: the device computes with one while the next is filled.
pub const PAGE_SLOTS: usize = 2;

/// How a program is divided between what stays on the device and what streams through it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PagePlan {
    /// Segments whose own weights are paged, in the order in which they run.
    pub segments: Vec<usize>,
    /// Bytes of one of the [`PAGE_SLOTS`] slots.
    pub slot_bytes: u64,
    /// Bytes of the weights that are paged, as the file stores them: read once for every token decoded and for every
    /// chunk of a prompt.
    pub bytes_per_pass: u64,
    /// Bytes on the device, slots included.
    pub total: u64,
}

impl PagePlan {
    /// The plan that pages the fewest layers and stays within `max` bytes. `resident` is the bytes on the device with
    /// all weights, `layer_bytes` those of a segment's own weights there, `slot_bytes` those of a slot that holds each
    /// of the given segments. None where even two slots are too much.
    ///
    /// Paged layers are spread evenly among the others, so that a layer can be read while those before it are computed.
    pub fn choose(
        program: &Program,
        max: u64,
        resident: u64,
        layer_bytes: impl Fn(usize) -> u64,
        slot_bytes: impl Fn(&[usize]) -> u64,
    ) -> Option<PagePlan> {
        if resident <= max {
            return Some(PagePlan { total: resident, ..PagePlan::default() });
        }
        let own = program.layer_weights();
        let layers: Vec<usize> = (0..own.len()).filter(|segment| !own[*segment].is_empty()).collect();
        let n = layers.len();
        (1..=n).find_map(|n_paged| {
            let is_paged = |i: usize| (i + 1) * n_paged / n > i * n_paged / n;
            let segments: Vec<usize> = (0..n).filter(|i| is_paged(*i)).map(|i| layers[i]).collect();
            let slot_bytes = slot_bytes(&segments);
            let paged: u64 = segments.iter().map(|segment| layer_bytes(*segment)).sum();
            let total = resident.saturating_sub(paged) + PAGE_SLOTS as u64 * slot_bytes;
            let weights = segments.iter().flat_map(|segment| &own[*segment]);
            let bytes_per_pass = weights.map(|id| program.weight(*id).n_bytes()).sum();
            (total <= max).then_some(PagePlan { segments, slot_bytes, bytes_per_pass, total })
        })
    }

    /// The fewest bytes that are enough: every layer is paged, unless holding all of them takes no more than the two
    /// slots.
    pub fn least(
        program: &Program,
        resident: u64,
        layer_bytes: impl Fn(usize) -> u64,
        slot_bytes: impl Fn(&[usize]) -> u64,
    ) -> u64 {
        let own = program.layer_weights();
        let layers: Vec<usize> = (0..own.len()).filter(|segment| !own[*segment].is_empty()).collect();
        let paged: u64 = layers.iter().map(|segment| layer_bytes(*segment)).sum();
        resident.min(resident.saturating_sub(paged) + PAGE_SLOTS as u64 * slot_bytes(&layers))
    }
}

impl Program {
    /// For each segment that is a layer, the weights that nothing but this segment uses; nothing for the other
    /// segments, whose weights (embedding, output) are never paged.
    pub fn layer_weights(&self) -> Vec<Vec<WeightId>> {
        let mut user: Vec<Option<usize>> = vec![None; self.weights.len()];
        let mut is_shared = vec![false; self.weights.len()];
        for (index, segment) in self.segments.iter().enumerate() {
            for weight in self.ops[segment.ops.clone()].iter().flat_map(|op| op.kind.weights()) {
                let id = weight.weight.0 as usize;
                is_shared[id] |= user[id].is_some_and(|other| other != index);
                user[id] = Some(index);
            }
        }
        let mut own = vec![Vec::new(); self.segments.len()];
        for (id, segment) in user.into_iter().enumerate() {
            if let Some(segment) = segment.filter(|_| !is_shared[id])
                && matches!(self.segments[segment].kind, SegmentKind::Layer(_))
            {
                own[segment].push(WeightId(id as u32));
            }
        }
        own
    }
}

/// The part of an executor that pages ([`Executor::paged`](crate::Executor::paged)). Enqueued work waits until the
/// owner of the file brings the weights it needs:
///
/// ```text
/// enqueue_prefill or enqueue_decode
/// while !advance():  poll_page → segment;  write(weight, offset, bytes) for each weight of the segment
/// poll_ids or poll_logits
/// ```
///
/// A page requested when nothing waits is the first of the next run: it is written while the device still computes.
pub trait Paged: WeightSink {
    /// Submits enqueued work as far as its weights are present. True once nothing waits.
    fn advance(&mut self) -> Result<bool, ExecError>;
    /// The segment to bring next, once the device no longer uses its slot. Each of its
    /// [own weights](Program::layer_weights) must then be written from its first row on, and again from there if the
    /// same segment is requested again. None if the slots hold what comes next.
    fn poll_page(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<usize>, ExecError>>;
    /// True if the device has done all that was submitted.
    fn is_idle(&mut self) -> bool;
    /// Drops the waiting work; its sequences end where it began. Returns how many dropped batches had requested logits.
    fn abandon(&mut self) -> usize;
}

#[cfg(test)]
mod tests {
    use chord_gguf::GgmlType;

    use super::*;
    use crate::{KvType, OpKind, OutputName, ProgramBuilder, Rows, Weight};

    /// An embedding tied to the output and `n` layers of one matrix `[64, 64]` each.
    fn program(n: u32) -> Program {
        let mut b = ProgramBuilder::new(32, 8, 1, 4, 4, KvType::F32);
        let [ids, _, _, out_rows] = b.inputs();
        let matrix = |name: String, rows| Weight { name, ty: GgmlType::F32, cols: 64, rows, experts: 1 };
        let embedding = b.weight(matrix("embedding".into(), 32));
        b.segment(SegmentKind::Prologue);
        let mut x = b.op("embd", Rows::T, 64, OpKind::Embed { ids, weight: embedding.clone(), scale: 1.0 });
        for layer in 0..n {
            b.segment(SegmentKind::Layer(layer));
            let weight = b.weight(matrix(format!("layer {layer}"), 64));
            x = b.op(format!("x-{layer}"), Rows::T, 64, OpKind::MatMul { x, weight, bias: None, scale: 1.0 });
        }
        b.segment(SegmentKind::Epilogue);
        let x = b.op("last", Rows::R, 64, OpKind::GatherRows { x, rows: out_rows });
        let y = b.op("logits", Rows::R, 32, OpKind::MatMul { x, weight: embedding, bias: None, scale: 1.0 });
        b.output(OutputName::Logits, y);
        b.finish().unwrap()
    }

    const LAYER: u64 = 64 * 64 * 4;
    const EMBEDDING: u64 = 32 * 64 * 4;

    fn choose(n: u32, max: u64) -> Option<PagePlan> {
        let program = program(n);
        PagePlan::choose(&program, max, program.weight_bytes(), |_| LAYER, |_| LAYER)
    }

    #[test]
    fn only_weights_of_a_single_layer_are_paged() {
        let own = program(3).layer_weights();
        assert_eq!(own.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1, 1, 1, 0]);
    }

    #[test]
    fn as_many_layers_as_fit_beside_the_slots_stay() {
        assert_eq!(choose(9, EMBEDDING + 9 * LAYER).unwrap().segments, []);
        let tight = choose(9, EMBEDDING + 9 * LAYER - 1).unwrap();
        // Two slots and six layers.
        assert_eq!((tight.segments.len(), tight.total), (3, EMBEDDING + 8 * LAYER));
        assert_eq!(tight.segments, [3, 6, 9], "spread evenly");
        assert_eq!(tight.bytes_per_pass, 3 * LAYER);
        let third = choose(9, EMBEDDING + 3 * LAYER).unwrap();
        assert_eq!((third.segments.len(), third.total), (8, EMBEDDING + 3 * LAYER));
        let none = choose(9, EMBEDDING + 2 * LAYER).unwrap();
        assert_eq!(none.segments, (1..=9).collect::<Vec<_>>());
        assert_eq!(choose(9, EMBEDDING + 2 * LAYER - 1), None);
        let program = program(9);
        let least = PagePlan::least(&program, program.weight_bytes(), |_| LAYER, |_| LAYER);
        assert_eq!(least, EMBEDDING + 2 * LAYER);
    }
}
