//! How attention is divided among workers.

use super::pass::{Pass, Share};
use super::step::FEW_TOKENS;
use crate::kv::AnyHead;
use crate::memory::View;
use crate::ops::attention::{HeadGroup, Params, Scratch};
use crate::ops::splits::SplitLayout;
use crate::ops::token_block::TokenBlock;
use crate::pool::Abandoned;
use crate::pool::work_queue::partition;

impl Pass<'_> {
    /// Workers claim blocks of tokens and KV heads from a queue: under a causal mask later blocks take longer. With few
    /// tokens, workers take the splits of the positions in rotation.
    pub(crate) fn attention(
        &self,
        params: &Params<'_>,
        q: View<'_>,
        out: View<'_>,
        share: &Share<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), Abandoned> {
        let (pos, splits, worker) = (self.inputs.batch.pos, &self.state.splits, share.worker);
        let seen = |block: &TokenBlock| block.seen_by_any(params.mask, pos);
        let n_splits = if self.inputs.batch.ids.len() <= FEW_TOKENS {
            self.inputs.blocks.iter().map(|block| splits.count(&seen(block))).max().unwrap_or(1)
        } else {
            1
        };
        let layout = SplitLayout { n_heads: params.n_heads, v_dim: params.v_dim, n_splits };
        let per_block = n_splits * params.n_kv_heads;
        let n_items = self.inputs.blocks.len() * per_block;
        let mut attend = |item: usize| {
            let (block, kv_head) = (&self.inputs.blocks[item / per_block], item % params.n_kv_heads);
            let index = item % per_block / params.n_kv_heads;
            let split = (n_splits > 1).then(|| splits.split(&seen(block), index, layout));
            // SAFETY: the processor has been checked for these ops. Keys and values were written before a barrier, or
            // by this worker; the item's heads of `q` and `out`, or its split, are this worker's.
            unsafe {
                match self.state.kv.head(params.slot, block.seq, kv_head) {
                    AnyHead::F32(head) => {
                        let heads = HeadGroup { params, kv_head, block, split, pos, head, q, out };
                        (self.state.ops.attend_f32)(&heads, scratch);
                    }
                    AnyHead::F16(head) => {
                        let heads = HeadGroup { params, kv_head, block, split, pos, head, q, out };
                        (self.state.ops.attend_f16)(&heads, scratch);
                    }
                }
            }
        };
        if self.few {
            (worker.index..n_items).step_by(worker.n_threads).for_each(attend);
        } else {
            // The longest first.
            share.queue.claim(n_items, 1).flatten().for_each(|item| attend(n_items - 1 - item));
        }
        if n_splits > 1 {
            worker.barrier()?;
            for index in partition(out.rows * params.n_heads, worker) {
                let (row, head) = (index / params.n_heads, index % params.n_heads);
                // SAFETY: all splits were stored before the barrier, and this head of `out` is this worker's.
                unsafe {
                    let out = out.part_mut(row, head * params.v_dim..(head + 1) * params.v_dim);
                    splits.combine(row, head, layout, n_splits, out);
                }
            }
        }
        Ok(())
    }
}
