//! Weights as stored in the file, filled row by row.

use chord_gguf::GgmlType;
use chord_program::{ExecError, Program, WeightId, WeightRef};

use crate::ops::matrix::{Matrix, Storage};

enum Bytes {
    /// F32 tensors, aligned for direct use.
    F32(Vec<f32>),
    /// Anything else, as in the file.
    Stored(Vec<u8>),
}

struct Tensor {
    bytes: Bytes,
    filled: u64,
}

/// All weights of a program.
pub(crate) struct Weights {
    tensors: Vec<Tensor>,
}

impl Weights {
    /// Takes the memory of all weights.
    pub(crate) fn new(program: &Program) -> Result<Self, ExecError> {
        let tensors = program.weights.iter().map(|weight| {
            if !weight.ty.can_dequantize() {
                let what = format!("{} of type {}", weight.name, weight.ty);
                return Err(ExecError::Unsupported { backend: "cpu", what });
            }
            let n_bytes = weight.n_bytes();
            let bytes = match weight.ty {
                GgmlType::F32 => Bytes::F32(zeroed(n_bytes / 4, &weight.name)?),
                _ => Bytes::Stored(zeroed(n_bytes, &weight.name)?),
            };
            Ok(Tensor { bytes, filled: 0 })
        });
        Ok(Weights { tensors: tensors.collect::<Result<_, _>>()? })
    }

    /// The next bytes of a weight; see [`chord_program::WeightSink::write`].
    pub(crate) fn write(
        &mut self,
        program: &Program,
        id: WeightId,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), ExecError> {
        let index = id.0 as usize;
        let Some(weight) = program.weights.get(index) else {
            let what = format!("the program has {} weights", program.weights.len());
            return Err(ExecError::BadWeight { name: format!("#{index}"), what });
        };
        let bad = |what| Err(ExecError::BadWeight { name: weight.name.clone(), what });
        let tensor = &mut self.tensors[index];
        if offset != tensor.filled {
            return bad(format!("bytes at {offset}, expected at {}", tensor.filled));
        }
        let len = bytes.len() as u64;
        if !len.is_multiple_of(weight.row_bytes()) {
            return bad(format!("{len} bytes are not whole rows of {}", weight.row_bytes()));
        }
        if offset + len > weight.n_bytes() {
            return bad(format!("bytes up to {}, it has {}", offset + len, weight.n_bytes()));
        }
        let place = match &mut tensor.bytes {
            Bytes::F32(values) => bytemuck::cast_slice_mut(values.as_mut_slice()),
            Bytes::Stored(stored) => stored.as_mut_slice(),
        };
        place[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        tensor.filled += len;
        Ok(())
    }

    /// Checks that every weight is complete.
    pub(crate) fn check_complete(&self, program: &Program) -> Result<(), ExecError> {
        for (weight, tensor) in program.weights.iter().zip(&self.tensors) {
            if tensor.filled != weight.n_bytes() {
                let what = format!("{} of {} bytes were given", tensor.filled, weight.n_bytes());
                return Err(ExecError::BadWeight { name: weight.name.clone(), what });
            }
        }
        Ok(())
    }

    /// The rows of a view, of one expert.
    pub(crate) fn matrix(&self, program: &Program, view: &WeightRef, expert: usize) -> Matrix<'_> {
        let weight = program.weight(view.weight);
        let cols = weight.cols as usize;
        let first = expert * weight.rows as usize + view.rows.start as usize;
        let n_rows = (view.rows.end - view.rows.start) as usize;
        let storage = match &self.tensors[view.weight.0 as usize].bytes {
            Bytes::F32(values) => Storage::F32(&values[first * cols..][..n_rows * cols]),
            Bytes::Stored(bytes) => {
                let row_bytes = weight.row_bytes() as usize;
                Storage::Blocks(weight.ty, &bytes[first * row_bytes..][..n_rows * row_bytes])
            }
        };
        Matrix { storage, n_rows, cols }
    }

    /// A vector of f32, as norms and biases are.
    pub(crate) fn vector(&self, view: &WeightRef) -> &[f32] {
        match &self.tensors[view.weight.0 as usize].bytes {
            Bytes::F32(values) => values,
            Bytes::Stored(_) => unreachable!("checked when the executor was made"),
        }
    }
}

/// A zeroed vector, or the error that names what it was for.
pub(crate) fn zeroed<T: Clone + Default>(len: u64, what: &str) -> Result<Vec<T>, ExecError> {
    let needed = len.saturating_mul(size_of::<T>() as u64);
    let out_of_memory = || ExecError::OutOfMemory { backend: "cpu", needed, what: what.to_owned() };
    let len = usize::try_from(len).map_err(|_| out_of_memory())?;
    let mut values = Vec::new();
    values.try_reserve_exact(len).map_err(|_| out_of_memory())?;
    values.resize(len, T::default());
    Ok(values)
}
