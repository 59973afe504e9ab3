//! Errors of programs and executors.

use crate::OutputName;

/// An invalid program: a bug in its writer, found before any device sees it.
#[derive(Clone, Debug, PartialEq, thiserror::Error, serde::Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum ProgramError {
    /// An op's shapes, order or attributes do not fit.
    #[error("op {index} ({op}): {what}")]
    BadOp {
        /// Index into the program's ops.
        index: usize,
        /// The op's name.
        op: &'static str,
        /// What was expected and found.
        what: String,
    },
    /// Something outside the ops does not fit.
    #[error("program: {0}")]
    Bad(String),
}

/// A run that failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error, serde::Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum ExecError {
    /// The batch does not fit the program.
    #[error("batch: {0}")]
    BadBatch(String),
    /// The bytes handed to a weight sink do not fit the weight.
    #[error("weight {name}: {what}")]
    BadWeight {
        /// Tensor name.
        name: String,
        /// What was expected and found.
        what: String,
    },
    /// The executor has no code for this.
    #[error("the {backend} executor cannot run {what}")]
    Unsupported {
        /// `cpu` or `gpu`.
        backend: &'static str,
        /// Op or type.
        what: String,
    },
    /// Memory could not be had.
    #[error("out of {backend} memory: {needed} bytes needed for {what}")]
    OutOfMemory {
        /// `cpu` or `gpu`.
        backend: &'static str,
        /// Bytes requested.
        needed: u64,
        /// What for.
        what: String,
    },
    /// The device is gone; a new executor must be made.
    #[error("the device was lost: {0}")]
    DeviceLost(String),
    /// The device refused or failed.
    #[error("device: {0}")]
    Device(String),
    /// A logit that a choice depends on is NaN: the weights are damaged, or the device computes wrongly.
    #[error("the logits are not numbers: {0}")]
    NotANumber(String),
    /// The sequence cannot be cut back that far; start it again from position 0.
    #[error("sequence {seq} cannot be cut to {wanted}: the window keeps positions from {floor} on")]
    CannotTruncate {
        /// The sequence.
        seq: u32,
        /// Positions wanted.
        wanted: u32,
        /// Fewest positions it can be cut to (other than 0).
        floor: u32,
    },
    /// The program does not compute the requested output.
    #[error("the program has no output {0:?}")]
    NoOutput(OutputName),
}
