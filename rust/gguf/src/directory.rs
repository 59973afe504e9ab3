//! The tensor directory: entries are checked one by one as they are read, and their byte ranges together at the end.

use crate::{GgmlType, GgufError, TensorInfo};

/// The directory while it is read.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    /// `offset` is from the start of the data section here.
    tensors: Vec<TensorInfo>,
    /// Indices into `tensors`, sorted by name.
    by_name: Vec<u32>,
    /// Where the data offset of each tensor stands in the header.
    fields: Vec<u64>,
    /// The entry that is being read.
    name: String,
    dims: Vec<u64>,
    dims_offset: u64,
    ty: Option<GgmlType>,
    n_bytes: u64,
}

impl Directory {
    /// Begins the entry of tensor `name`, which stands at byte `offset` of the file.
    pub(crate) fn begin(&mut self, name: String, offset: u64) -> Result<(), GgufError> {
        if self.find(&name).is_ok() {
            return Err(GgufError::DuplicateTensor { tensor: name, offset });
        }
        self.name = name;
        Ok(())
    }

    /// The name of the entry that is being read, for an error about it.
    pub(crate) fn take_name(&mut self) -> String {
        std::mem::take(&mut self.name)
    }

    /// Takes the extents, which stand at byte `offset`.
    pub(crate) fn dimensions(&mut self, dims: Vec<u64>, offset: u64) -> Result<(), GgufError> {
        if let Some(index) = dims.iter().position(|&extent| extent == 0) {
            let (index, offset) = (index as u32, offset + index as u64 * 8);
            return Err(GgufError::ZeroDimension { tensor: self.take_name(), offset, index });
        }
        (self.dims, self.dims_offset) = (dims, offset);
        Ok(())
    }

    /// Takes the type, with which the size is known.
    pub(crate) fn tensor_type(&mut self, ty: GgmlType) -> Result<(), GgufError> {
        let (offset, cols) = (self.dims_offset, self.dims[0]);
        let block = ty.block_elems();
        if !cols.is_multiple_of(block) {
            return Err(GgufError::PartialBlock { tensor: self.take_name(), offset, ty, cols, block });
        }
        let countable = |n: &u64| *n <= i64::MAX as u64;
        let elements = self.dims.iter().try_fold(1u64, |n, &extent| n.checked_mul(extent)).filter(countable);
        let n_bytes = elements.and_then(|n| ty.row_bytes(n)).filter(countable);
        let Some(n_bytes) = n_bytes else {
            let dims = std::mem::take(&mut self.dims);
            return Err(GgufError::SizeOverflow { tensor: self.take_name(), offset, dims });
        };
        (self.ty, self.n_bytes) = (Some(ty), n_bytes);
        Ok(())
    }

    /// Takes the data offset, which stands at byte `field`, and ends the entry.
    pub(crate) fn data_offset(&mut self, found: u64, field: u64, alignment: u64) -> Result<(), GgufError> {
        if !found.is_multiple_of(alignment) {
            return Err(GgufError::MisalignedTensor { tensor: self.take_name(), offset: field, found, alignment });
        }
        let (name, dims) = (self.take_name(), std::mem::take(&mut self.dims));
        let slot = self.find(&name).unwrap_or_else(|slot| slot);
        self.by_name.insert(slot, self.tensors.len() as u32);
        let ty = self.ty.take().expect("the type is read before the offset");
        self.tensors.push(TensorInfo { name, dims, ty, offset: found, n_bytes: self.n_bytes });
        self.fields.push(field);
        Ok(())
    }

    /// Checks that the tensors fill the data section from its start to the end of the file, each followed by nothing
    /// but padding. Their order in the file may differ from that of the directory.
    ///
    /// Returns the tensors with offsets from the start of the file, and their indices sorted by name.
    pub(crate) fn check(
        mut self,
        data_offset: u64,
        alignment: u64,
        file_len: u64,
    ) -> Result<(Vec<TensorInfo>, Vec<u32>), GgufError> {
        for index in 0..self.tensors.len() {
            let tensor = &mut self.tensors[index];
            let relative = tensor.offset;
            tensor.offset = relative.saturating_add(data_offset);
            let end = relative.checked_add(data_offset).and_then(|start| start.checked_add(tensor.n_bytes));
            if end.is_none_or(|end| end > file_len) {
                return Err(GgufError::TensorPastEnd {
                    start: tensor.offset,
                    needed: tensor.n_bytes,
                    available: file_len.saturating_sub(tensor.offset),
                    offset: self.fields[index],
                    ty: tensor.ty,
                    dims: std::mem::take(&mut tensor.dims),
                    tensor: std::mem::take(&mut tensor.name),
                });
            }
        }
        self.check_gaps(data_offset, alignment, file_len)?;
        Ok((self.tensors, self.by_name))
    }

    /// Every tensor ends within the file here, so that no sum below can overflow `u64`.
    fn check_gaps(&self, data_offset: u64, alignment: u64, file_len: u64) -> Result<(), GgufError> {
        let mut order: Vec<u32> = (0..self.tensors.len() as u32).collect();
        order.sort_by_key(|&index| self.tensors[index as usize].offset);
        let Some(&first) = order.first() else {
            return match file_len.saturating_sub(data_offset) {
                0 => Ok(()),
                n_bytes => Err(GgufError::TrailingData { offset: data_offset, n_bytes }),
            };
        };
        let (first, field) = (&self.tensors[first as usize], self.fields[first as usize]);
        if first.offset != data_offset {
            let (tensor, found) = (first.name.clone(), first.offset - data_offset);
            return Err(GgufError::LeadingGap { tensor, offset: field, found });
        }
        for (place, &index) in order.iter().enumerate() {
            let (tensor, offset) = (&self.tensors[index as usize], self.fields[index as usize]);
            let next = order.get(place + 1).map(|&next| &self.tensors[next as usize]);
            let available = next.map_or(file_len, |next| next.offset) - tensor.offset;
            let (name, ty, dims) = (&tensor.name, tensor.ty, &tensor.dims);
            let needed = tensor.n_bytes;
            if let Some(next) = next.filter(|_| needed > available) {
                return Err(GgufError::TensorOverlap {
                    tensor: name.clone(),
                    offset,
                    ty,
                    dims: dims.clone(),
                    needed,
                    available,
                    next: next.name.clone(),
                });
            }
            let padded = needed.next_multiple_of(alignment);
            if available > padded {
                return Err(GgufError::TensorGap {
                    tensor: name.clone(),
                    offset,
                    ty,
                    dims: dims.clone(),
                    needed: padded,
                    available,
                    next: next.map(|next| next.name.clone()),
                });
            }
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.by_name.binary_search_by(|&index| self.tensors[index as usize].name.as_str().cmp(name))
    }
}
