//! One file per op, beside its shader in `shaders/`: what it binds, how its grid grows with the batch, its tests.

use crate::{Binding, Resources};

/// What every op's constructor needs.
#[derive(Clone, Debug)]
pub struct OpContext<'a> {
    /// Pools to make pipelines and bind groups from.
    pub resources: &'a Resources,
    /// The batch, read-only: binding 0 of kernels that include `include/batch.wgsl`.
    pub batch: Binding,
}
