//! The tensor directory: entries are checked one by one as they are read, and their byte ranges together at the end.

use crate::{GgmlType, GgufError, TensorInfo};

/// The directory while it is read.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    /// `offset` is from the start of the data section here.
    tensors: Vec<TensorInfo>,
    /// Indices into `tensors`, sorted by name.
    by_name: Vec<u32>,
    /// Where in the header the data offset of each tensor is.
    fields: Vec<u64>,
    /// The entry that is being read.
    name: String,
    dims: Vec<u64>,
    dims_offset: u64,
    ty: Option<GgmlType>,
    n_bytes: u64,
}

/// A directory whose ranges have been checked.
pub(crate) struct Checked {
    pub(crate) tensors: Vec<TensorInfo>,
    /// Indices into `tensors`, sorted by name.
    pub(crate) by_name: Vec<u32>,
    /// Bytes after the last tensor and its padding.
    pub(crate) trailing_bytes: u64,
}

impl Directory {
    /// Begins the entry of tensor `name`, which is at byte `offset` of the file.
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

    /// Takes the extents, which are at byte `offset`.
    pub(crate) fn dimensions(&mut self, dims: Vec<u64>, offset: u64) -> Result<(), GgufError> {
        if let Some(index) = dims.iter().position(|&extent| extent == 0) {
            let (index, offset) = (index as u32, offset + index as u64 * 8);
            return Err(GgufError::ZeroDimension { tensor: self.take_name(), offset, index });
        }
        (self.dims, self.dims_offset) = (dims, offset);
        Ok(())
    }

    /// Takes the type, and with it computes the size.
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

    /// Takes the data offset, which is at byte `field`, and ends the entry.
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

    /// Checks that the tensors follow each other from the start of the data section on, with nothing but padding
    /// between them. Their order in the file may differ from that of the directory. The file may continue after the
    /// last one.
    ///
    /// Offsets of the tensors returned count from the start of the file.
    pub(crate) fn check(mut self, data_offset: u64, alignment: u64, file_len: u64) -> Result<Checked, GgufError> {
        for tensor in &mut self.tensors {
            // Past the end of any file, it makes no difference how far.
            tensor.offset = tensor.offset.saturating_add(data_offset);
        }
        let mut order: Vec<u32> = (0..self.tensors.len() as u32).collect();
        order.sort_by_key(|&index| self.tensors[index as usize].offset);
        if let Some(&first) = order.first() {
            let TensorInfo { name, offset, .. } = &self.tensors[first as usize];
            if (data_offset + 1..=file_len).contains(offset) {
                let (tensor, found) = (name.clone(), offset - data_offset);
                return Err(GgufError::LeadingGap { tensor, offset: self.fields[first as usize], found });
            }
        }
        for (place, &index) in order.iter().enumerate() {
            let next = order.get(place + 1).map(|&next| &self.tensors[next as usize]);
            check_range(&self.tensors[index as usize], self.fields[index as usize], next, alignment, file_len)?;
        }
        // No overflow: the bytes lie within the file, and an alignment is small.
        let last = order.last().map(|&last| &self.tensors[last as usize]);
        let end = last.map_or(data_offset, |last| last.offset + last.n_bytes.next_multiple_of(alignment));
        let trailing_bytes = file_len.saturating_sub(end);
        Ok(Checked { tensors: self.tensors, by_name: self.by_name, trailing_bytes })
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.by_name.binary_search_by(|&index| self.tensors[index as usize].name.as_str().cmp(name))
    }
}

/// Checks one tensor's data against the end of the file and the start of the `next` tensor's data. `offset` is where
/// in the header its data offset is.
fn check_range(
    tensor: &TensorInfo,
    offset: u64,
    next: Option<&TensorInfo>,
    alignment: u64,
    file_len: u64,
) -> Result<(), GgufError> {
    let (ty, needed) = (tensor.ty, tensor.n_bytes);
    let (name, dims) = (|| tensor.name.clone(), || tensor.dims.clone());
    let to_end = file_len.saturating_sub(tensor.offset);
    if let Some(next) = next.filter(|next| tensor.offset <= file_len && needed > next.offset - tensor.offset) {
        let (available, next) = (next.offset - tensor.offset, next.name.clone());
        return Err(GgufError::TensorOverlap { tensor: name(), offset, ty, dims: dims(), needed, available, next });
    }
    if needed > to_end {
        let (start, available) = (tensor.offset, to_end);
        return Err(GgufError::TensorPastEnd { tensor: name(), offset, ty, dims: dims(), start, needed, available });
    }
    // A tensor past the end is reported as such, not as a gap before it. Anything may follow the last one.
    let Some(next) = next.filter(|next| next.offset <= file_len) else { return Ok(()) };
    let available = next.offset - tensor.offset;
    // No overflow: the bytes lie within the file, and an alignment is small.
    let padded = needed.next_multiple_of(alignment);
    if available > padded {
        let next = next.name.clone();
        return Err(GgufError::TensorGap { tensor: name(), offset, ty, dims: dims(), needed: padded, available, next });
    }
    Ok(())
}
