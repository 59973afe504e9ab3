//! Products with weights in their stored block type.

use std::ops::Range;

use chord_program::{ExecError, Rows};

use super::OpContext;
use crate::weights::{DeviceWeight, Layout, WeightPart, shader_name};
use crate::{Activation, Dispatch, Gpu, Grid, KernelSource, Kernels};

/// `out = scale · x · weight[rows]ᵀ + bias`, or `residual + factor · (…)`.
#[derive(Clone, Debug)]
pub struct MatMul<'a> {
    /// `[n, weight.cols]`
    pub x: &'a Activation,
    /// The matrix.
    pub weight: &'a DeviceWeight,
    /// The rows of it to use, one for each column of `out`.
    pub rows: Range<u32>,
    /// A vector of f32, one for each column of `out`.
    pub bias: Option<&'a DeviceWeight>,
    /// Factor on the product, before the bias.
    pub scale: f32,
    /// What the result is added to, and the factor on the result.
    pub residual: Option<(&'a Activation, f32)>,
    /// `[n, rows]`
    pub out: &'a Activation,
}

/// A way to compute a product. Which is fastest depends on the device and on the number of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variant {
    /// `matmul/matvec.wgsl`: every weight is read once for each tile of tokens.
    Matvec {
        /// Lanes of a workgroup.
        lanes: u32,
        /// Lanes that share a row of the matrix.
        row_lanes: u32,
        /// Rows that a lane works on at once: 4 or 8.
        group_rows: u32,
        /// Tokens that a lane works on at once.
        token_tile: u32,
        /// What subgroups are used for.
        subgroups: Subgroups,
    },
    /// `matmul/lane_rows.wgsl`: four rows for each lane and eight tokens at once, one pipeline for all products with
    /// weights of one type.
    LaneRows {
        /// A workgroup is a subgroup of four, the only width that the device has, and its lanes share what they read of
        /// `x`. Columns fill whole units.
        broadcast: bool,
    },
    /// `matmul/tiled.wgsl`: tiles of 64 rows by 64 tokens in workgroup memory.
    Tiled,
}

/// What a matvec uses subgroups for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subgroups {
    /// Nothing: they are not there, or do not help.
    Unused,
    /// To add up sums, whatever their width. `row_lanes` is `lanes`.
    Sum,
    /// To share what is read of `x`. `row_lanes` is 1 and `lanes`, 4 or 8, the only width that the device has.
    Broadcast,
}

/// The variants for a weight of `n_rows` rows, with the largest number of tokens each is for, ascending.
pub fn variants(gpu: &Gpu, layout: &Layout, n_rows: u32) -> Vec<(u32, Variant)> {
    if gpu.is_software() {
        // A workgroup is computed as a loop over vectors of lanes: barriers cost more than loads.
        let width = fixed_subgroup_width(gpu).filter(|width| matches!(width, 4 | 8) && !layout.is_ragged());
        // SwiftShader takes as long to compile one large kernel as to compute some tokens, so its code is small and is
        // the same for all products and numbers of tokens.
        if !gpu.adapter.name.contains("llvmpipe") {
            return vec![(u32::MAX, Variant::LaneRows { broadcast: width == Some(ROW_LANES) })];
        }
        let subgroups = if width.is_some() { Subgroups::Broadcast } else { Subgroups::Unused };
        let lanes = width.unwrap_or(8);
        let rows = |group_rows, token_tile| Variant::Matvec { lanes, row_lanes: 1, group_rows, token_tile, subgroups };
        return vec![(1, rows(8, 1)), (u32::MAX, rows(8, 8))];
    }
    let row_lanes = row_lanes(layout.units(), n_rows);
    let by_subgroup = gpu.features.subgroups && row_lanes >= 32;
    let subgroups = if by_subgroup { Subgroups::Sum } else { Subgroups::Unused };
    let lanes = if by_subgroup { row_lanes } else { row_lanes.max(64) };
    let matvec = |token_tile| Variant::Matvec { lanes, row_lanes, group_rows: 4, token_tile, subgroups };
    vec![(1, matvec(1)), (8, matvec(4)), (u32::MAX, Variant::Tiled)]
}

/// Lanes of a workgroup of `matmul/lane_rows.wgsl`.
const ROW_LANES: u32 = 4;

/// The number of lanes of a subgroup, where the device has subgroups of one width only.
pub fn fixed_subgroup_width(gpu: &Gpu) -> Option<u32> {
    let (min, max) = (gpu.adapter.subgroup_min_size, gpu.adapter.subgroup_max_size);
    (gpu.features.subgroups && min == max).then_some(min)
}

/// Lanes that keep a large GPU's memory busy.
const MANY_LANES: u64 = 1 << 16;

/// Lanes that share a row of `units` units: a few units each, so that few lanes idle in the last step. Matrices of few
/// rows get more, up to one lane per unit: they mostly wait for memory, and idle lanes cost nothing.
fn row_lanes(units: u32, n_rows: u32) -> u32 {
    let mut lanes = match units / 3 {
        0..16 => 8,
        16..32 => 16,
        32..64 => 32,
        _ => 64,
    };
    while lanes < units.min(128) && u64::from(n_rows.div_ceil(4)) * u64::from(lanes) < MANY_LANES {
        lanes *= 2;
    }
    lanes
}

/// The product, in the variants that suit the device.
pub fn matmul(ctx: &OpContext<'_>, op: &MatMul<'_>) -> Result<Kernels, ExecError> {
    let choices = variants(&ctx.resources.gpu, op.weight.layout(), op.rows.end - op.rows.start)
        .into_iter()
        .map(|(limit, variant)| Ok((limit, matmul_with(ctx, op, variant)?)))
        .collect::<Result<Vec<_>, ExecError>>()?;
    Ok(Kernels::by_rows(op.x.rows, choices))
}

/// The product in one variant: a dispatch for each part of the weight.
pub fn matmul_with(ctx: &OpContext<'_>, op: &MatMul<'_>, variant: Variant) -> Result<Vec<Dispatch>, ExecError> {
    op.weight.parts_of(op.rows.clone()).map(|(rows, part)| part_dispatch(ctx, op, variant, rows, part)).collect()
}

fn part_dispatch(
    ctx: &OpContext<'_>,
    op: &MatMul<'_>,
    variant: Variant,
    rows: Range<u32>,
    part: &WeightPart,
) -> Result<Dispatch, ExecError> {
    let layout = op.weight.layout();
    let n_rows = rows.end - rows.start;
    let (source, grid) = kernel(variant, layout, op.x.rows, n_rows, variant.rows_per_group());
    let mut source = source
        .constant("ROW_FIRST", part.place_of(rows.start))
        .constant("OUT_STRIDE", op.out.cols)
        .constant("OUT_FIRST", rows.start - op.rows.start)
        .constant("SCALE", op.scale);
    let [codes, scales] = part.bindings();
    let mut bindings = vec![ctx.batch.clone(), op.x.binding(), op.out.binding(), codes, scales];
    if let Variant::LaneRows { .. } = variant {
        let mut unused = ctx.resources.unused()?.into_iter();
        if let Some((residual, factor)) = op.residual {
            source = source.constant("HAS_RESIDUAL", 1u32).constant("RESIDUAL_SCALE", factor);
            bindings.push(residual.binding());
        }
        bindings.extend(unused.by_ref().take(7 - bindings.len()));
        if let Some(bias) = op.bias {
            source = source.flag("BIAS", true);
            bindings.push(bias.vector()?);
        }
        return ctx.resources.dispatch(&source, &bindings, grid);
    }
    if let Some(bias) = op.bias {
        source = source.flag("BIAS", true).define("BIND_BIAS", bindings.len());
        bindings.push(bias.vector()?);
    }
    if let Some((residual, factor)) = op.residual {
        source =
            source.flag("RESIDUAL", true).define("BIND_RESIDUAL", bindings.len()).constant("RESIDUAL_SCALE", factor);
        bindings.push(residual.binding());
    }
    ctx.resources.dispatch(&source, &bindings, grid)
}

/// The kernel of a variant, without its epilogue, and a grid in which each workgroup computes `group_rows` columns of
/// the output.
pub(super) fn kernel(
    variant: Variant,
    layout: &Layout,
    tokens: Rows,
    n_rows: u32,
    group_rows: u32,
) -> (KernelSource, Grid) {
    let (source, token_tile) = match variant {
        Variant::Matvec { lanes, row_lanes, group_rows, token_tile, subgroups } => {
            let source = KernelSource::new("matmul/matvec.wgsl")
                .define("WG_SIZE", format!("{lanes}u"))
                .define("ROW_LANES", format!("{row_lanes}u"))
                .define("GROUP_ROWS", format!("{group_rows}u"))
                .define("TOKEN_TILE", format!("{token_tile}u"))
                .flag("EXACT_TILES", row_lanes == 1)
                .flag("SHORT_SUM", row_lanes <= 8)
                .flag("SUBGROUPS", subgroups != Subgroups::Unused)
                .define("BROADCAST", if subgroups == Subgroups::Broadcast { lanes } else { 0 });
            (source, token_tile)
        }
        Variant::LaneRows { broadcast } => {
            let source = KernelSource::new("matmul/lane_rows.wgsl")
                .define("WG_SIZE", format!("{ROW_LANES}u"))
                .define("BROADCAST", if broadcast { ROW_LANES } else { 0 });
            (source, 8)
        }
        Variant::Tiled => (KernelSource::new("matmul/tiled.wgsl"), 64),
    };
    let source = match variant {
        Variant::LaneRows { .. } => source.constant_rows(tokens),
        _ => source.define_rows("TOKENS", tokens),
    };
    let source = source
        .define("QUANT", shader_name(layout.ty))
        .flag("X_SCALAR", layout.is_ragged())
        .constant("K", layout.cols)
        .constant("UNITS", layout.units())
        .constant("SCALE_WORDS", layout.scale_words())
        .constant("ROWS", n_rows);
    (source, Grid::tiles(tokens, token_tile, n_rows.div_ceil(group_rows)))
}

impl Variant {
    /// Rows of the matrix that a workgroup takes.
    pub(super) fn rows_per_group(self) -> u32 {
        match self {
            Variant::Matvec { lanes, row_lanes, group_rows, .. } => lanes / row_lanes * group_rows,
            Variant::LaneRows { .. } => ROW_LANES * 4,
            Variant::Tiled => 64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_real_models_keep_their_lanes_busy() {
        for cols in [576, 640, 1536, 2048, 4096, 5632, 14336] {
            let units = cols / 32;
            let lanes = row_lanes(units, 50_000);
            let steps = units.div_ceil(lanes);
            assert!(f64::from(units) / f64::from(steps * lanes) >= 0.75, "{cols} columns, {lanes} lanes");
        }
    }

    #[test]
    fn few_rows_are_spread_over_more_lanes() {
        assert_eq!(row_lanes(18, 192), 32);
        assert_eq!(row_lanes(128, 1024), 128);
        assert_eq!(row_lanes(128, 4096), 64);
        assert_eq!(row_lanes(128, 14336), 32);
    }
}
