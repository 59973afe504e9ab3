//! The ops, arranged for speed. Their maths is defined by [`crate::reference`].

pub(crate) mod attention;
pub(crate) mod dispatch;
pub(crate) mod elementwise;
pub(crate) mod experts;
pub(crate) mod math;
#[cfg(test)]
mod math_tests;
pub(crate) mod splits;
pub(crate) mod token_block;
