//! Rotary position embedding from a table made on the host.

use chord_program::{ExecError, RopePairing};

use super::OpContext;
use crate::{Activation, Binding, Grid, KernelSource, Kernels};

/// The rotation of one buffer.
#[derive(Clone, Debug)]
pub struct Rope<'a> {
    /// `[T, n_heads · head_dim]`.
    pub x: &'a Activation,
    /// `[n_ctx, n_rot / 2]` of `(cos, sin)`.
    pub table: Binding,
    /// Columns of each head that are rotated.
    pub n_rot: u32,
    /// Columns of a head.
    pub head_dim: u32,
    /// Which columns form a pair.
    pub pairing: RopePairing,
    /// The same shape as `x`.
    pub out: &'a Activation,
}

/// Rotates each head by its token's position.
pub fn rope(ctx: &OpContext<'_>, op: &Rope<'_>) -> Result<Kernels, ExecError> {
    let n_heads = op.out.cols / op.head_dim;
    let source = KernelSource::new("ops/rope.wgsl")
        .flag("INTERLEAVED", op.pairing == RopePairing::Interleaved)
        .constant("N_HEADS", n_heads)
        .constant("HEAD_DIM", op.head_dim)
        .constant("N_ROT", op.n_rot);
    let bindings = [ctx.batch.clone(), op.x.binding(), op.out.binding(), op.table.clone()];
    let grid = Grid::elements(op.out.rows, n_heads * (op.head_dim - op.n_rot / 2), 64);
    Ok(Kernels::always(vec![ctx.resources.dispatch(&source, &bindings, grid)?]))
}
