//! The reference's activations: `*.trace.gguf`, one F32 tensor for each step of its graph, in the order of the graph.

use std::path::Path;

use crate::GgufFile;
use chord_gguf::{Array, GgmlType, Value};

/// The activations of one run.
///
/// Names are those of the reference's graph, e.g. `attn_norm-0` for layer 0. The second and third tensor of one name
/// have `.1` and `.2` appended: `Qcur-0` is the projection, `Qcur-0.1` the same reshaped to heads, `Qcur-0.2` after
/// RoPE. Only the last [`Trace::keep_last`] tokens are kept.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The tokens of the run, all of them.
    pub tokens: Vec<u32>,
    /// How many tokens each tensor holds: the last ones of the run.
    pub keep_last: usize,
    /// File name of the model.
    pub model: String,
    file: GgufFile,
}

impl Trace {
    /// Reads a trace.
    ///
    /// # Panics
    /// If the file cannot be read or is not a trace.
    pub fn load(path: &Path) -> Self {
        let file = GgufFile::open(path);
        let metadata = &file.header.metadata;
        assert_eq!(file.header.architecture(), Some("trace"), "{} is not a trace", path.display());
        let tokens = match metadata.get("trace.tokens") {
            Some(Value::Array(Array::I32(tokens))) => tokens.iter().map(|&id| id as u32).collect(),
            other => panic!("{}: trace.tokens is {other:?}", path.display()),
        };
        for tensor in &file.header.tensors {
            assert_eq!(tensor.ty, GgmlType::F32, "{}: {}", path.display(), tensor.name);
        }
        Trace {
            tokens,
            keep_last: metadata.u32("trace.keep_last").expect("a trace says what it keeps") as usize,
            model: metadata.str("trace.model").expect("a trace names its model").to_owned(),
            file,
        }
    }

    /// Names and extents (`dims[0]` contiguous) in the order of the graph.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &[u64])> + '_ {
        self.file.header.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.dims.as_slice()))
    }

    /// The extents of a tensor; `None` if there is none of this name.
    pub fn dims(&self, name: &str) -> Option<&[u64]> {
        Some(&self.file.header.tensor(name)?.dims)
    }

    /// The values of a tensor; `None` if there is none of this name.
    pub fn values(&self, name: &str) -> Option<Vec<f32>> {
        self.file.header.tensor(name)?;
        Some(self.file.tensor_f32(name))
    }
}
