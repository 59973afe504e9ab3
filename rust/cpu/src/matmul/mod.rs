//! Products with weight matrices. These are packed with rows side by side, so that a vector's lanes are rows.
//!
//! | | |
//! |---|---|
//! | `formats`, `codes`, `scales` | how the blocks of each type are packed, and unpacked to vectors |
//! | `panel`, `rounding`, `activations` | the other factor: rows rounded to codes of one byte or two, in panels of tokens |
//! | `operands`, `selection` | what one product reads and writes |
//! | `product` | many tokens: `unpack` a chunk of columns, then `tiles` or `centred_tiles` |
//! | `single_token`, `single_token_looped` | one token, natively and in WebAssembly |
//! | `exact` | unchanged activations |
//! | `centring` | what is subtracted from codes, and added again |
//! | `dispatch`, `fastest` | all of it, compiled for each instruction set; which of them is the fastest |
//! | `matrix`, `weights`, `options` | a packed matrix, those of a program, and what a user chooses |

mod activations;
mod centred_tiles;
mod centring;
mod codes;
mod dispatch;
mod exact;
mod fastest;
mod formats;
mod matrix;
mod operands;
mod options;
mod panel;
mod product;
mod rounding;
mod scales;
mod selection;
mod single_token;
mod single_token_looped;
mod tiles;
mod unpack;
pub(crate) mod weights;

pub use activations::{Activations, Filler};
pub use fastest::{Fastest, fastest};
pub use matrix::{PackedMatrix, Precision};
pub use options::{ActivationType, CpuOptions};
