//! Why a header cannot be lowered.

use chord_gguf::GgmlType;
use chord_program::ProgramError;

/// A header that cannot be lowered to a program.
#[derive(Clone, Debug, PartialEq, thiserror::Error, serde::Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum ModelError {
    /// A metadata key that the architecture needs is absent.
    #[error("metadata key {key} is missing")]
    MissingKey {
        /// The key.
        key: String,
    },
    /// A metadata value is of the wrong type.
    #[error("metadata key {key}: expected {expected}, found {found}")]
    WrongType {
        /// The key.
        key: String,
        /// What was expected.
        expected: &'static str,
        /// The type found.
        found: &'static str,
    },
    /// A metadata value is out of its range.
    #[error("metadata key {key}: {found} is not between {min} and {max}")]
    OutOfRange {
        /// The key.
        key: String,
        /// The value found.
        found: f64,
        /// Smallest accepted.
        min: f64,
        /// Largest accepted.
        max: f64,
    },
    /// Two metadata values do not fit each other.
    #[error("{key} = {value} does not fit {other_key} = {other}: {why}")]
    Inconsistent {
        /// One key.
        key: String,
        /// Its value.
        value: u64,
        /// The other key.
        other_key: String,
        /// Its value.
        other: u64,
        /// What would fit.
        why: &'static str,
    },
    /// No page of this crate describes the architecture.
    #[error("architecture {architecture} is not supported (supported: {supported})")]
    UnsupportedArchitecture {
        /// What `general.architecture` says.
        architecture: String,
        /// The supported ones, separated by commas.
        supported: String,
    },
    /// The architecture is known, this variant of it is not.
    #[error("{key} = {value} is not supported for this architecture")]
    UnsupportedValue {
        /// The key.
        key: String,
        /// Its value.
        value: String,
    },
    /// A tensor is absent.
    #[error("tensor {tensor} is missing")]
    MissingTensor {
        /// Its name.
        tensor: String,
    },
    /// The file has tensors that the program does not read, so that its answers would be wrong.
    #[error(
        "tensor {tensor}{} is not read by the program for {architecture}, so the answers would be wrong: use a file of \
         this model made by another converter or with another quantization",
        if *others > 0 { format!(" (and {others} more)") } else { String::new() }
    )]
    UnreadTensor {
        /// Name of the first one, in the order of the file.
        tensor: String,
        /// How many more there are.
        others: usize,
        /// What `general.architecture` says.
        architecture: String,
    },
    /// A tensor does not have the shape that its op needs.
    #[error("tensor {tensor}: dims {found:?}, expected {expected:?}")]
    TensorShape {
        /// Its name.
        tensor: String,
        /// Dims needed, the contiguous one first.
        expected: Vec<u64>,
        /// Dims found.
        found: Vec<u64>,
    },
    /// A tensor is stored in a type that cannot be used for it.
    #[error("tensor {tensor}: type {found}, expected {expected}")]
    TensorType {
        /// Its name.
        tensor: String,
        /// What was expected.
        expected: &'static str,
        /// The type found.
        found: GgmlType,
    },
    /// Lowering needs a tensor's values and did not get them, or got unusable ones.
    #[error("tensor {tensor}: {what}")]
    TensorValues {
        /// Its name.
        tensor: String,
        /// What was expected and found.
        what: String,
    },
    /// An option does not fit the model.
    #[error("option {option} = {found}: expected 1 to {max}")]
    BadOption {
        /// Its name.
        option: &'static str,
        /// The value given.
        found: u64,
        /// Largest accepted.
        max: u64,
    },
    /// The program that was written is invalid: a bug in this crate, or sizes that it does not expect.
    #[error(transparent)]
    Program(#[from] ProgramError),
}

impl ModelError {
    /// A stable kebab-case name.
    pub fn code(&self) -> &'static str {
        match self {
            ModelError::MissingKey { .. } => "missing-key",
            ModelError::WrongType { .. } => "wrong-type",
            ModelError::OutOfRange { .. } => "out-of-range",
            ModelError::Inconsistent { .. } => "inconsistent-metadata",
            ModelError::UnsupportedArchitecture { .. } => "unsupported-architecture",
            ModelError::UnsupportedValue { .. } => "unsupported-value",
            ModelError::MissingTensor { .. } => "missing-tensor",
            ModelError::UnreadTensor { .. } => "unread-tensor",
            ModelError::TensorShape { .. } => "tensor-shape",
            ModelError::TensorType { .. } => "tensor-type",
            ModelError::TensorValues { .. } => "tensor-values",
            ModelError::BadOption { .. } => "bad-option",
            ModelError::Program(_) => "bad-program",
        }
    }
}
