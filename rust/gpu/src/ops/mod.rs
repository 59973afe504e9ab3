//! One file per op: what it binds and how its grid grows with the batch. Shaders are in `shaders/ops` and
//! `shaders/matmul`.

use crate::{Binding, Resources};

pub mod argmax;
pub mod attention;
pub mod elementwise;
pub mod embed;
pub mod gather;
pub mod kv;
pub mod matmul;
pub mod matmul_fused;
pub mod norm;
pub mod rope;
pub mod rotate_store;

/// What every op's constructor needs.
#[derive(Clone, Debug)]
pub struct OpContext<'a> {
    /// Pools to make pipelines and bind groups from.
    pub resources: &'a Resources,
    /// The batch, read-only: binding 0 of kernels that include `include/batch.wgsl`.
    pub batch: Binding,
}
