//! Errors of the command.

use std::io;
use std::path::{Path, PathBuf};

use chord_engine::{EngineError, ReadError};

/// Any failure of a command, printed as `error[code]: message`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CliError {
    /// The engine's own.
    #[error("{0}")]
    Engine(#[from] EngineError),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file of a split model is not there.
    #[error("part {no} of {count} of the model is missing: {}; all parts must be in the same folder", path.display())]
    MissingPart {
        /// Where it should be.
        path: PathBuf,
        /// Which it is, from 1.
        no: u32,
        /// How many there are.
        count: u32,
    },
    /// A file's name and its header disagree about the number of parts.
    #[error(
        "{}: this file's header says that the model has {n_parts} parts, and its name says another number: expected a name that \
         ends in -00001-of-{n_parts:05}.gguf",
        path.display()
    )]
    SplitName {
        /// The file.
        path: PathBuf,
        /// Parts by its header.
        n_parts: u64,
    },
    /// The parts of a split model do not belong together.
    #[error(transparent)]
    Split(#[from] chord_gguf::SplitError),
    /// Standard input or output failed.
    #[error("standard input or output: {0}")]
    Stream(#[from] io::Error),
    /// An argument, a file or the standard input holds something unusable.
    #[error("{0}")]
    Input(String),
    /// A message has a field that would be ignored.
    #[error("{0}")]
    UnsupportedField(String),
    /// A trace found an op out of tolerance.
    #[error("{0}")]
    OutOfTolerance(String),
}

impl CliError {
    /// A failure to do something with a file.
    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        CliError::File { path: path.to_owned(), source }
    }

    /// A stable kebab-case code, listed in `docs/errors.md`.
    pub(crate) fn code(&self) -> &str {
        match self {
            CliError::Engine(error) => error.code(),
            CliError::File { source, .. } if source.kind() == io::ErrorKind::NotFound => "file-not-found",
            CliError::File { .. } | CliError::Stream(_) => "io",
            CliError::MissingPart { .. } => "missing-part",
            CliError::SplitName { .. } => "bad-split",
            CliError::Split(error) => error.code(),
            CliError::Input(_) => "bad-input",
            CliError::UnsupportedField(_) => "unsupported-field",
            CliError::OutOfTolerance(_) => "out-of-tolerance",
        }
    }

    /// True if the reader of our output has closed it.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, CliError::Stream(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

macro_rules! through_the_engine {
    ($($error:ty),*) => {
        $(impl From<$error> for CliError {
            fn from(error: $error) -> Self {
                CliError::Engine(error.into())
            }
        })*
    };
}

through_the_engine!(
    ReadError,
    chord_gguf::GgufError,
    chord_text::TextError,
    chord_model::ModelError,
    chord_program::ExecError
);
