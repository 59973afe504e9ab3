//! Token embedding: rows of a table, gathered and dequantized.

use std::ops::Range;

use chord_program::ExecError;

use super::OpContext;
use crate::weights::{DeviceWeight, shader_name};
use crate::{Activation, Grid, KernelSource, Kernels};

/// `out[t] = scale · weight[rows.start + ids[t]]`, with the ids of the batch.
pub fn embed(
    ctx: &OpContext<'_>,
    weight: &DeviceWeight,
    rows: Range<u32>,
    scale: f32,
    out: &Activation,
) -> Result<Kernels, ExecError> {
    let layout = weight.layout();
    let mut dispatches = Vec::new();
    for (part_rows, part) in weight.parts_of(rows.clone()) {
        let source = KernelSource::new("ops/embed.wgsl")
            .define("QUANT", shader_name(layout.ty))
            .flag("RAGGED", layout.is_ragged())
            .flag("LITTLE_CODE", ctx.resources.gpu.lanes_are_a_loop)
            .constant("K", layout.cols)
            .constant("UNITS", layout.units())
            .constant("SCALE_WORDS", layout.scale_words())
            .constant("SCALE", scale)
            .constant("ROWS", part_rows.end - part_rows.start)
            .constant("ID_FIRST", part_rows.start - rows.start)
            .constant("ROW_FIRST", part.place_of(part_rows.start));
        let [codes, scales] = part.bindings();
        let bindings = [ctx.batch.clone(), out.binding(), codes, scales];
        let grid = Grid::elements(out.rows, layout.units(), 64);
        dispatches.push(ctx.resources.dispatch(&source, &bindings, grid)?);
    }
    Ok(Kernels::always(dispatches))
}
