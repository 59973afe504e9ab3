//! Model architectures: a GGUF header becomes a [`Program`](chord_program::Program).
//!
//! [`lower`] reads the [`Hyperparameters`], picks the architecture and lets its page (`arch/*.rs`) write the ops. Every
//! tensor is checked against the shape that the op needs. No other crate names an architecture.

mod arch;
mod error;
mod hyperparameters;
mod keys;
mod lower;
mod lowering;
mod rope;
mod shapes;
mod unread;

pub use arch::{architectures, check_architecture, is_supported};
pub use error::ModelError;
pub use hyperparameters::{Hyperparameters, notes};
pub use lower::{lower, memory, needs};
pub use lowering::{BuildOptions, RING_SLACK};
pub use rope::{RopeScaling, Yarn};
pub use shapes::{Quant, SHAPES, Shape};
pub use unread::ignored_tensors;
