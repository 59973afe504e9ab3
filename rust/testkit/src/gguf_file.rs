//! A GGUF file in memory.

use std::path::Path;

use chord_gguf::{Header, TensorInfo, dequantize, read_header};

/// A whole file with its header read.
#[derive(Clone, Debug)]
pub struct GgufFile {
    /// The header.
    pub header: Header,
    /// All bytes of the file.
    pub bytes: Vec<u8>,
}

impl GgufFile {
    /// Reads a file.
    ///
    /// # Panics
    /// If it cannot be read or is not valid.
    pub fn open(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let header = read_header(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        GgufFile { header, bytes }
    }

    /// The tensor of this name.
    ///
    /// # Panics
    /// If there is none.
    pub fn tensor(&self, name: &str) -> &TensorInfo {
        self.header.tensor(name).unwrap_or_else(|| panic!("no tensor {name:?}"))
    }

    /// The bytes of a tensor's data, as they are stored.
    ///
    /// # Panics
    /// If there is no such tensor.
    pub fn tensor_bytes(&self, name: &str) -> &[u8] {
        let tensor = self.tensor(name);
        &self.bytes[tensor.offset as usize..][..tensor.n_bytes as usize]
    }

    /// A tensor's elements, decoded, `dims[0]` contiguous.
    ///
    /// # Panics
    /// If there is no such tensor or its type has no decoder.
    pub fn tensor_f32(&self, name: &str) -> Vec<f32> {
        let tensor = self.tensor(name);
        let mut values = vec![0.0; tensor.n_elements() as usize];
        dequantize(tensor.ty, self.tensor_bytes(name), &mut values).unwrap_or_else(|error| panic!("{name}: {error}"));
        values
    }
}
