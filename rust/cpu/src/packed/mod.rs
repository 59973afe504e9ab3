//! Weight matrices packed for products: rows side by side, so that a vector's lanes are rows.
//!
//! `codes` and `scales` say how numbers lie and how vectors of them are unpacked, `format` which of these each type
//! has. `activations` is the other factor, and `rounding` makes its codes. `kernels`, `halves` and `exact` multiply,
//! `dispatch` compiles all of it for each instruction set.

mod activations;
mod codes;
mod dispatch;
mod exact;
mod format;
mod halves;
mod kernels;
mod matrix;
mod rounding;
mod scales;

pub use activations::{Activations, Filler, TakenRows};
pub use matrix::{PackedMatrix, Precision};
