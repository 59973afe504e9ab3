//! The steps that workers walk through.

use chord_program::BufferId;

/// Batches of at most this many tokens are handled as single tokens are: what every product needs whole, every worker
/// computes for itself, which costs less than waiting for one that does it for all.
pub(crate) const FEW_TOKENS: usize = 2;

/// What the workers do in one step, each its share.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Work {
    /// Brings the rows of `x`, through the norm of op `norm` if there is one, into the formats that products read.
    PrepareRows { x: BufferId, norm: Option<usize>, formats: RowFormats },
    /// A product with the rows that were prepared last: those of `x`, through a norm if `normed`.
    Product { op: usize, x: BufferId, normed: bool },
    /// Any other op.
    Op(usize),
}

/// The formats in which the next products read their rows. Products with experts add none: they prepare the rows of
/// each expert themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RowFormats {
    /// Unchanged, as f32.
    pub(crate) exact: bool,
    /// Rounded, to as many bits as the executor's options ask for.
    pub(crate) rounded: bool,
}

impl RowFormats {
    /// Whether there is nothing to prepare.
    pub(crate) fn is_none(self) -> bool {
        !self.exact && !self.rounded
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) work: Work,
    /// Workers wait for each other before this step.
    pub(crate) barrier: bool,
    /// The number of steps, this one included, that compute the same columns of what they write. Workers claim pieces
    /// of these columns and take each through all of the steps. 0 where they cannot.
    pub(crate) chained: usize,
}

impl Step {
    /// A step on its own, with no barrier yet.
    pub(crate) fn new(work: Work) -> Self {
        Step { work, barrier: false, chained: 0 }
    }
}
