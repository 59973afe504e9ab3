//! RMS and layer normalization.

use chord_program::ExecError;

use super::OpContext;
use crate::{Activation, Binding, Gpu, Grid, KernelSource, Kernels};

/// Lanes for a reduction over `cols` values.
pub(super) fn reduction_lanes(gpu: &Gpu, cols: u32) -> u32 {
    match cols {
        _ if gpu.lanes_are_a_loop => 1,
        0..=256 => 64,
        _ => 256,
    }
}

/// `out = x / √(mean(x²) + eps) · weight`, over groups of `group` columns.
pub fn rms_norm(
    ctx: &OpContext<'_>,
    x: &Activation,
    weight: Option<Binding>,
    group: u32,
    eps: f32,
    out: &Activation,
) -> Result<Kernels, ExecError> {
    let groups = out.cols / group;
    let lanes = reduction_lanes(&ctx.resources.gpu, group);
    let source = KernelSource::new("ops/rms_norm.wgsl");
    let source = match ctx.resources.gpu.lanes_are_a_loop {
        true => source.constant_rows(out.rows),
        false => source.define_rows("N_ROWS", out.rows),
    };
    let source = source
        .define("WG_SIZE", format!("{lanes}u"))
        .flag("WEIGHT", weight.is_some())
        .flag("SUBGROUPS", ctx.resources.gpu.features.subgroups && lanes > 1)
        .constant("GROUP", group)
        .constant("GROUPS_PER_ROW", groups)
        .constant("EPS", eps);
    let mut bindings = vec![ctx.batch.clone(), x.binding(), out.binding()];
    bindings.extend(weight);
    let grid = Grid::per_row(out.rows, groups);
    Ok(Kernels::always(vec![ctx.resources.dispatch(&source, &bindings, grid)?]))
}

/// `out = (x − mean) / √(var + eps) · weight + bias`, over all columns.
pub fn layer_norm(
    ctx: &OpContext<'_>,
    x: &Activation,
    weight: Binding,
    bias: Option<Binding>,
    eps: f32,
    out: &Activation,
) -> Result<Kernels, ExecError> {
    let lanes = reduction_lanes(&ctx.resources.gpu, out.cols);
    let source = KernelSource::new("ops/layer_norm.wgsl")
        .define_rows("N_ROWS", out.rows)
        .define("WG_SIZE", format!("{lanes}u"))
        .flag("BIAS", bias.is_some())
        .flag("SUBGROUPS", ctx.resources.gpu.features.subgroups && lanes > 1)
        .constant("COLS", out.cols)
        .constant("EPS", eps);
    let mut bindings = vec![ctx.batch.clone(), x.binding(), out.binding(), weight];
    bindings.extend(bias);
    let grid = Grid::per_row(out.rows, 1);
    Ok(Kernels::always(vec![ctx.resources.dispatch(&source, &bindings, grid)?]))
}
