//! Gathers the rows whose outputs are wanted.

use chord_program::ExecError;

use super::OpContext;
use crate::{Activation, Grid, KernelSource, Kernels};

/// `out[r] = x[out_rows[r]]`.
pub fn gather_rows(ctx: &OpContext<'_>, x: &Activation, out: &Activation) -> Result<Kernels, ExecError> {
    let source = KernelSource::new("ops/gather_rows.wgsl").constant("COLS", out.cols);
    let bindings = [ctx.batch.clone(), x.binding(), out.binding()];
    let grid = Grid::elements(out.rows, out.cols, 1024);
    Ok(Kernels::always(vec![ctx.resources.dispatch(&source, &bindings, grid)?]))
}
