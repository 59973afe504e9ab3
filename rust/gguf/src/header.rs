//! A file's header, read and checked.

use crate::{GgmlType, Metadata};

/// One tensor of the file. Its byte range has been checked against the file and against all other tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name, unique in the file.
    pub name: String,
    /// Extents, `dims[0]` the contiguous one: `[2048, 32000]` is 32000 rows of 2048. At least one, none of them 0.
    pub dims: Vec<u64>,
    /// How the elements are stored.
    pub ty: GgmlType,
    /// Where the data begins, in bytes from the start of the **file**.
    pub offset: u64,
    /// Length of the data in bytes, as type and extents give it.
    pub n_bytes: u64,
}

impl TensorInfo {
    /// Number of elements.
    pub fn n_elements(&self) -> u64 {
        self.dims.iter().product()
    }

    /// Elements per row: `dims[0]`.
    pub fn cols(&self) -> u64 {
        self.dims.first().copied().unwrap_or(1)
    }

    /// Number of rows: the product of all extents but the first.
    pub fn rows(&self) -> u64 {
        self.dims.iter().skip(1).product()
    }

    /// Bytes of one row.
    pub fn row_bytes(&self) -> u64 {
        self.n_bytes / self.rows().max(1)
    }
}

/// The whole header of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// Version of the container format, 2 or 3.
    pub version: u32,
    /// Alignment of the data section and of each tensor in it, in bytes.
    pub alignment: u64,
    /// Keys and values.
    pub metadata: Metadata,
    /// Tensors in the order of the file's directory.
    pub tensors: Vec<TensorInfo>,
    /// Where the data section begins, in bytes from the start of the file.
    pub data_offset: u64,
    /// Length of the file in bytes.
    pub file_len: u64,
    /// Bytes of the file after the last tensor and its padding, which nothing in the header explains.
    pub trailing_bytes: u64,
    /// Indices into `tensors`, sorted by name.
    pub(crate) by_name: Vec<u32>,
}

impl Header {
    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        let slot = self.by_name.binary_search_by(|&index| self.tensors[index as usize].name.as_str().cmp(name)).ok()?;
        Some(&self.tensors[self.by_name[slot] as usize])
    }

    /// The value of `general.architecture`, e.g. `"llama"`.
    pub fn architecture(&self) -> Option<&str> {
        self.metadata.get("general.architecture")?.as_str()
    }
}
