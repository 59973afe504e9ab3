//! Several products of one input in one dispatch. The matrices are stacked: see [`DeviceWeight::stacked`].

use chord_program::{Activation as NonLinearity, ExecError};

use super::OpContext;
use super::elementwise::activation_function;
use super::matmul::{Variant, kernel, variants};
use crate::weights::DeviceWeight;
use crate::{Activation, Dispatch, KernelSource, Kernels};

/// `out = act(x · gateᵀ) · (x · upᵀ)`
#[derive(Clone, Debug)]
pub struct GatedPair<'a> {
    /// `[n, cols]`
    pub x: &'a Activation,
    /// `[rows, cols]`
    pub gate: &'a DeviceWeight,
    /// `[rows, cols]`, stacked on `gate`.
    pub up: &'a DeviceWeight,
    /// The non-linearity.
    pub act: NonLinearity,
    /// `[n, rows]`
    pub out: &'a Activation,
}

impl GatedPair<'_> {
    /// The kernels, by the variants that suit the device.
    ///
    /// # Errors
    /// [`ExecError::Device`] for weights that are not stacked.
    pub fn kernels(&self, ctx: &OpContext<'_>) -> Result<Kernels, ExecError> {
        let choices = variants(&ctx.resources.gpu, self.gate.layout(), self.gate.n_rows());
        let choices = choices.into_iter().map(|(limit, variant)| Ok((limit, vec![self.dispatch(ctx, variant)?])));
        Ok(Kernels::by_rows(self.x.rows, choices.collect::<Result<Vec<_>, ExecError>>()?))
    }

    /// The dispatch of one variant.
    ///
    /// # Errors
    /// [`ExecError::Device`] for weights that are not stacked.
    pub fn dispatch(&self, ctx: &OpContext<'_>, variant: Variant) -> Result<Dispatch, ExecError> {
        let n_rows = self.gate.n_rows();
        if !self.gate.is_followed_by(self.up) || self.up.n_rows() != n_rows {
            return Err(not_stacked());
        }
        // Half of the rows that a workgroup takes are of the second matrix.
        let (variant, group_rows) = match variant {
            Variant::Matvec { lanes, row_lanes, token_tile, subgroups, .. } => {
                let variant = Variant::Matvec { lanes, row_lanes, group_rows: 4, token_tile, subgroups };
                (variant, variant.rows_per_group())
            }
            Variant::LaneRows { .. } | Variant::Tiled => (variant, variant.rows_per_group() / 2),
        };
        let (source, grid) = kernel(variant, self.gate.layout(), self.x.rows, n_rows, group_rows);
        let part = &self.gate.parts()[0];
        let source = source
            .constant("GLU_ROWS", n_rows)
            .constant("ROW_FIRST", part.place_of(0))
            .constant("OUT_STRIDE", self.out.cols);
        let [codes, scales] = part.bindings();
        let mut bindings = vec![ctx.batch.clone(), self.x.binding(), self.out.binding(), codes, scales];
        let source = if let Variant::LaneRows { .. } = variant {
            bindings.extend(ctx.resources.unused()?);
            source.constant("GLU_KIND", glu_kind(self.act))
        } else {
            source.flag("GLU", true).define("ACTIVATION", activation_function(self.act))
        };
        ctx.resources.dispatch(&source, &bindings, grid)
    }
}

/// `outs[i] = x · weights[i]ᵀ` for two or three weights.
#[derive(Clone, Debug)]
pub struct Siblings<'a> {
    /// `[n, cols]`
    pub x: &'a Activation,
    /// Each stacked on the one before.
    pub weights: Vec<&'a DeviceWeight>,
    /// `[n, rows]` for each weight.
    pub outs: Vec<&'a Activation>,
}

impl Siblings<'_> {
    /// The kernels, by the variants that suit the device.
    ///
    /// # Errors
    /// [`ExecError::Device`] for weights that are not stacked.
    pub fn kernels(&self, ctx: &OpContext<'_>) -> Result<Kernels, ExecError> {
        let first = self.weights.first().ok_or_else(not_stacked)?;
        let n_rows = self.weights.iter().map(|w| w.n_rows()).sum();
        let choices = variants(&ctx.resources.gpu, first.layout(), n_rows);
        let choices = choices.into_iter().map(|(limit, variant)| Ok((limit, vec![self.dispatch(ctx, variant)?])));
        Ok(Kernels::by_rows(self.x.rows, choices.collect::<Result<Vec<_>, ExecError>>()?))
    }

    /// The dispatch of one variant.
    ///
    /// # Errors
    /// [`ExecError::Device`] for weights that are not stacked.
    pub fn dispatch(&self, ctx: &OpContext<'_>, variant: Variant) -> Result<Dispatch, ExecError> {
        let n_rows: Vec<u32> = self.weights.iter().map(|w| w.n_rows()).collect();
        let is_stack = self.weights.windows(2).all(|pair| pair[0].is_followed_by(pair[1]));
        if !is_stack || !matches!(n_rows.len(), 2 | 3) || self.outs.len() != n_rows.len() {
            return Err(not_stacked());
        }
        let first = self.weights[0];
        let (source, grid) =
            kernel(variant, first.layout(), self.x.rows, n_rows.iter().sum(), variant.rows_per_group());
        let part = &first.parts()[0];
        let by_code = !matches!(variant, Variant::LaneRows { .. });
        let source =
            if by_code { source.define("STACKED", n_rows.len()) } else { source.constant("OUT_STRIDE", n_rows[0]) };
        let source = source.constant("ROW_FIRST", part.place_of(0)).constant("SECOND_FIRST", n_rows[0]);
        let source: KernelSource =
            if n_rows.len() == 3 { source.constant("THIRD_FIRST", n_rows[0] + n_rows[1]) } else { source };
        let [codes, scales] = part.bindings();
        let mut bindings = vec![ctx.batch.clone(), self.x.binding(), self.outs[0].binding(), codes, scales];
        bindings.extend(self.outs[1..].iter().map(|out| out.binding()));
        if !by_code {
            bindings.extend(ctx.resources.unused()?.into_iter().take(7 - bindings.len()));
        }
        ctx.resources.dispatch(&source, &bindings, grid)
    }
}

/// The number of a non-linearity in `matmul/lane_rows.wgsl`.
fn glu_kind(act: NonLinearity) -> u32 {
    match act {
        NonLinearity::Silu => 0,
        NonLinearity::GeluTanh => 1,
        NonLinearity::ReluSquared => 2,
    }
}

fn not_stacked() -> ExecError {
    ExecError::Device("a fused product of weights that are not stacked".to_owned())
}
