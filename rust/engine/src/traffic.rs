//! How many bytes one decoded token moves: the denominator of every claim about speed.

use chord_program::{CacheUse, Mask, Program, WeightUse};

/// Bytes of weights and of keys and values that one token at position `n_past` reads.
pub fn bytes_per_token(program: &Program, n_past: u32) -> u64 {
    let mut bytes = 0;
    for op in &program.ops {
        let rows = |weight: &chord_program::WeightRef| u64::from(weight.rows.end - weight.rows.start);
        for (weight, how) in op.kind.weight_uses() {
            let row_bytes = program.weight(weight.weight).row_bytes();
            bytes += match how {
                WeightUse::Lookup => row_bytes,
                WeightUse::Experts { ids, .. } => rows(weight) * row_bytes * u64::from(program.buffer(ids).cols),
                WeightUse::Vector | WeightUse::Matrix { .. } => rows(weight) * row_bytes,
            };
        }
        if let Some(CacheUse::Read { slot, mask, .. }) = op.kind.cache_use() {
            let slot = program.slot(slot);
            let seen = match mask {
                Mask::Causal { window: Some(window) } => (n_past + 1).min(window),
                Mask::Causal { window: None } | Mask::Bidirectional => n_past + 1,
            };
            let row = u64::from(slot.n_kv_heads) * u64::from(slot.k_dim + slot.v_dim) * program.kv_type.bytes();
            bytes += row * u64::from(seen.min(slot.capacity));
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{FakeExecutor, N_VOCAB};

    #[test]
    fn an_embedding_moves_one_row_and_a_matrix_all_of_them() {
        let (executor, _) = FakeExecutor::with_state(16, 1, 4);
        assert_eq!(bytes_per_token(executor.program(), 3), 4 * 4 + u64::from(N_VOCAB) * 4 * 4);
    }
}
