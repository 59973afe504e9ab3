//! Weights in their final form, filled row by row: matrices packed for products, vectors as f32.

use std::ops::Range;

use chord_program::{ExecError, Program, WeightId, WeightRef, WeightUse};

use super::activations::Activations;
use super::matrix::{PackedMatrix, Precision};
use super::options::ActivationType;
use crate::memory::HugePages;
use crate::simd::InstructionSet;

enum Form {
    /// Norm weights, biases and sinks.
    Vector(Vec<f32>),
    /// `[experts · rows, cols]`.
    Matrix(PackedMatrix),
}

struct Tensor {
    form: Form,
    /// Bytes written so far.
    filled: u64,
}

/// All weights of a program.
pub(crate) struct Weights {
    tensors: Vec<Tensor>,
    activations: ActivationType,
    isa: InstructionSet,
}

impl Weights {
    /// Allocates the memory of all weights.
    pub(crate) fn new(program: &Program, activations: ActivationType, isa: InstructionSet) -> Result<Self, ExecError> {
        let is_vector = vectors(program);
        let mut pages = HugePages::for_many();
        let tensors = program.weights.iter().zip(is_vector).map(|(weight, is_vector)| {
            let rows = u64::from(weight.rows) * u64::from(weight.experts);
            let form = if is_vector {
                Form::Vector(zeroed(rows * u64::from(weight.cols), &weight.name)?)
            } else {
                let rows = usize::try_from(rows).unwrap_or(usize::MAX);
                let cols = weight.cols as usize;
                Form::Matrix(PackedMatrix::new_in(&mut pages, weight.ty, rows, cols, isa, &weight.name)?)
            };
            Ok(Tensor { form, filled: 0 })
        });
        Ok(Weights { tensors: tensors.collect::<Result<_, _>>()?, activations, isa })
    }

    /// The instruction set that the matrices are packed for.
    pub(crate) fn isa(&self) -> InstructionSet {
        self.isa
    }

    /// The form of activations in products.
    pub(crate) fn activation_type(&self) -> ActivationType {
        self.activations
    }

    /// Empty rows for products, with codes of `bytes` bytes.
    pub(crate) fn rows(&self, bytes: usize) -> Activations {
        Activations::with_bytes(self.isa, bytes)
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> u64 {
        let bytes = |tensor: &Tensor| match &tensor.form {
            Form::Vector(values) => 4 * values.len() as u64,
            Form::Matrix(matrix) => matrix.bytes(),
        };
        self.tensors.iter().map(bytes).sum()
    }

    /// Writes the next bytes of a weight; see [`chord_program::WeightSink::write`].
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
            return bad(format!("bytes up to {}, but the weight has {}", offset + len, weight.n_bytes()));
        }
        match &mut tensor.form {
            Form::Vector(values) => {
                bytemuck::cast_slice_mut(values.as_mut_slice())[offset as usize..][..bytes.len()]
                    .copy_from_slice(bytes);
            }
            Form::Matrix(matrix) => matrix.write_rows((offset / weight.row_bytes()) as usize, bytes),
        }
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

    /// Whether products with this weight read rounded rows.
    pub(crate) fn takes_codes(&self, view: &WeightRef) -> bool {
        match &self.tensors[view.weight.0 as usize].form {
            Form::Matrix(matrix) => self.activations != ActivationType::F32 && matrix.multiplies(Precision::Rounded),
            Form::Vector(_) => false,
        }
    }

    /// The rows of a view in one expert.
    pub(crate) fn matrix(&self, program: &Program, view: &WeightRef, expert: usize) -> Matrix<'_> {
        let Form::Matrix(packed) = &self.tensors[view.weight.0 as usize].form else {
            unreachable!("only what is never multiplied is a vector")
        };
        let first = expert * program.weight(view.weight).rows as usize;
        let rows = first + view.rows.start as usize..first + view.rows.end as usize;
        let precision = if self.takes_codes(view) { Precision::Rounded } else { Precision::F32 };
        Matrix { packed, rows, precision }
    }

    /// A vector of f32, as norms and biases are.
    pub(crate) fn vector(&self, view: &WeightRef) -> &[f32] {
        match &self.tensors[view.weight.0 as usize].form {
            Form::Vector(values) => values,
            Form::Matrix(_) => unreachable!("checked when the executor was made"),
        }
    }
}

/// Which weights are vectors: those that no op multiplies by or looks rows up in.
fn vectors(program: &Program) -> Vec<bool> {
    let mut is_vector = vec![true; program.weights.len()];
    for (weight, how) in program.ops.iter().flat_map(|op| op.kind.weight_uses()) {
        match how {
            WeightUse::Vector => {}
            WeightUse::Lookup | WeightUse::Matrix { .. } | WeightUse::Experts { .. } => {
                is_vector[weight.weight.0 as usize] = false;
            }
        }
    }
    is_vector
}

/// Rows of a packed matrix.
pub(crate) struct Matrix<'a> {
    packed: &'a PackedMatrix,
    rows: Range<usize>,
    precision: Precision,
}

impl Matrix<'_> {
    pub(crate) fn cols(&self) -> usize {
        self.packed.cols()
    }

    /// Whether its products read rounded rows.
    pub(crate) fn takes_codes(&self) -> bool {
        self.precision == Precision::Rounded
    }

    /// Row `row` as f32.
    pub(crate) fn decode(&self, row: usize, out: &mut [f32], bytes: &mut Vec<u8>) {
        let ty = self.packed.ty();
        bytes.resize(ty.row_bytes(out.len() as u64).expect("checked when the weight was declared") as usize, 0);
        self.packed.read_row(self.rows.start + row, bytes);
        chord_gguf::dequantize(ty, bytes, out).expect("whole rows of a type that can be decoded");
    }

    /// Products of all rows of `x` with rows `rows` of this matrix, written from `out` on, tokens `stride` apart.
    ///
    /// # Safety
    /// `out` can be written at these places, and the rule of [`crate::memory`] holds for them.
    pub(crate) unsafe fn multiply(&self, x: &Activations, rows: Range<usize>, out: *mut f32, stride: usize) {
        let rows = self.rows.start + rows.start..self.rows.start + rows.end;
        let row_blocks = self.packed.row_blocks(rows.clone());
        // SAFETY: the caller's promise.
        unsafe { self.packed.multiply(x, self.precision, rows, row_blocks, out, stride) };
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
