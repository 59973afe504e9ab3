//! GGUF reader and ggml block formats.
//!
//! [`HeaderReader`] is fed a file's first bytes and gives a [`Header`]: typed [`Metadata`] and a directory of
//! [`TensorInfo`] whose byte ranges have been checked. [`dequantize`] and [`quantize`] are the plain reference for
//! the contents of tensors. [`FileBuilder`] writes files, for tests and for models without weights. The crate does no
//! I/O and knows neither devices nor models.

#[macro_use]
mod value;

mod directory;
mod error;
mod ggml_type;
mod growth;
mod header;
pub mod limits;
mod metadata;
pub mod quant;
mod reader;
mod split;
pub mod writer;

pub use error::GgufError;
pub use ggml_type::{GgmlType, UnknownTypeName};
pub use header::{Header, TensorInfo};
pub use metadata::{Metadata, MetadataError};
pub use quant::{DequantizeError, dequantize, quantize};
pub use reader::{HeaderReader, Status, read_header};
pub use split::SplitError;
pub use value::{Array, StringArray, Value, ValueType};
pub use writer::FileBuilder;
