//! The ops, arranged for speed. Their maths is defined by [`crate::reference`].

pub(crate) mod attention;
pub(crate) mod decode;
pub(crate) mod dot;
pub(crate) mod elementwise;
pub(crate) mod experts;
pub(crate) mod f16;
mod lanes;
pub(crate) mod matrix;
