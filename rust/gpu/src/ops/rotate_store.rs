//! Head norms, rotations and the KV write in one kernel: the ops between the projections and attention.

use chord_program::{ExecError, RopePairing};

use super::OpContext;
use super::kv::KvCache;
use crate::{Access, Activation, Binding, Grid, KernelSource, Kernels};

/// Norm of the query and key heads.
#[derive(Clone, Debug)]
pub struct HeadNorms {
    /// `[head_dim]` for queries and for keys.
    pub weights: [Binding; 2],
    /// Added to the mean square, for queries and for keys.
    pub eps: [f32; 2],
}

/// Rotates queries and keys, stores keys and values.
#[derive(Clone, Debug)]
pub struct RotateStore<'a> {
    /// `[T, n_heads · k_dim]`.
    pub q: &'a Activation,
    /// `[T, n_kv_heads · k_dim]`.
    pub k: &'a Activation,
    /// `[T, n_kv_heads · v_dim]`.
    pub v: &'a Activation,
    /// The rotated queries, in the shape of `q`.
    pub out: &'a Activation,
    /// Norms before the rotation, if any.
    pub norms: Option<HeadNorms>,
    /// `[n_ctx, n_rot / 2]` of `(cos, sin)`.
    pub table: Binding,
    /// Columns of each head that are rotated.
    pub n_rot: u32,
    /// Which columns form a pair.
    pub pairing: RopePairing,
    /// Where keys and values go.
    pub cache: &'a KvCache,
}

/// Norms, rotations and KV write in one dispatch.
pub fn rotate_store(ctx: &OpContext<'_>, op: &RotateStore<'_>) -> Result<Kernels, ExecError> {
    let slot = op.cache.slot();
    let activations = [op.q, op.k, op.v, op.out];
    // One binding covers all four activations, from the start of the first to the end of the last.
    let start = activations.iter().map(|a| a.offset).min().unwrap_or(0);
    let end = activations.iter().map(|a| a.offset + a.bytes).max().unwrap_or(0);
    let at = |activation: &Activation| ((activation.offset - start) / 4) as u32;
    let n_heads = op.q.cols / slot.k_dim;
    let (file, lanes) = match ctx.resources.gpu.lanes_are_a_loop {
        true => ("ops/rotate_store_heads.wgsl", 4),
        false => ("ops/rotate_store.wgsl", 64),
    };
    let mut source = op
        .cache
        .specialise(KernelSource::new(file))
        .define("HEAD_DIM", format!("{}u", slot.k_dim))
        .flag("INTERLEAVED", op.pairing == RopePairing::Interleaved)
        .flag("NORM", op.norms.is_some())
        .define("WG_SIZE", format!("{lanes}u"))
        .flag("SUBGROUPS", ctx.resources.gpu.features.subgroups && !ctx.resources.gpu.lanes_are_a_loop)
        .constant("N_HEADS", n_heads)
        .constant("N_ROT", op.n_rot)
        .constant("V_DIM", slot.v_dim)
        .constant("Q_AT", at(op.q))
        .constant("K_AT", at(op.k))
        .constant("V_AT", at(op.v))
        .constant("OUT_AT", at(op.out));
    let arena = Binding { offset: start, bytes: end - start, ..Binding::whole(Access::ReadWrite, &op.q.buffer) };
    let [k_cache, v_cache] = op.cache.bindings(Access::ReadWrite);
    let mut bindings = vec![ctx.batch.clone(), arena, op.table.clone(), k_cache, v_cache];
    if let Some(norms) = &op.norms {
        source = source.constant("Q_EPS", norms.eps[0]).constant("K_EPS", norms.eps[1]);
        bindings.extend(norms.weights.clone());
    }
    let grid = match ctx.resources.gpu.lanes_are_a_loop {
        // A lane for each head.
        true => Grid::elements(op.q.rows, n_heads + 2 * slot.n_kv_heads, lanes),
        // A workgroup for each query head and each KV head.
        false => Grid::per_row(op.q.rows, n_heads + slot.n_kv_heads),
    };
    Ok(Kernels::always(vec![ctx.resources.dispatch(&source, &bindings, grid)?]))
}
