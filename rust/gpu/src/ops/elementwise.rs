//! Add, gated and plain non-linearities, scale, soft-cap: each value from those at the same place.

use chord_program::{Activation as NonLinearity, ExecError};

use super::OpContext;
use crate::{Activation, Grid, KernelSource, Kernels};

const FILE: &str = "ops/elementwise.wgsl";
const SPAN: u32 = 1024;

/// The operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Elementwise {
    /// `a + factor · b`
    Add {
        /// Factor on `b`.
        factor: f32,
    },
    /// `act(a) · b`
    Glu(NonLinearity),
    /// `act(a)`
    Act(NonLinearity),
    /// `factor · a`
    Scale {
        /// Factor on `a`.
        factor: f32,
    },
    /// `cap · tanh(a / cap)`
    SoftCap {
        /// The cap.
        cap: f32,
    },
}

/// Name of the function in `include/activation.wgsl`.
pub fn activation_function(act: NonLinearity) -> &'static str {
    match act {
        NonLinearity::Silu => "silu",
        NonLinearity::GeluTanh => "gelu_tanh",
        NonLinearity::ReluSquared => "relu_squared",
    }
}

/// Computes `out` from `inputs`, all of one shape.
pub fn elementwise(
    ctx: &OpContext<'_>,
    op: Elementwise,
    inputs: &[&Activation],
    out: &Activation,
) -> Result<Kernels, ExecError> {
    let source = KernelSource::new(FILE).define_rows("N_ROWS", out.rows).constant("COLS", out.cols);
    let source = match op {
        Elementwise::Add { factor } => source.define("KIND", "add").constant("FACTOR", factor),
        Elementwise::Glu(act) => source.define("KIND", "glu").define("ACT", activation_function(act)),
        Elementwise::Act(act) => source.define("KIND", "act").define("ACT", activation_function(act)),
        Elementwise::Scale { factor } => source.define("KIND", "scale").constant("FACTOR", factor),
        Elementwise::SoftCap { cap } => source.define("KIND", "soft_cap").constant("CAP", cap),
    };
    let mut bindings = vec![ctx.batch.clone(), out.binding()];
    bindings.extend(inputs.iter().map(|x| x.binding()));
    let grid = Grid::elements(out.rows, out.cols, SPAN);
    Ok(Kernels::always(vec![ctx.resources.dispatch(&source, &bindings, grid)?]))
}
