//! The tensors of a recipe: their names, shapes and types, and the numbers in them.

use chord_gguf::GgmlType;

use crate::blocks;

/// A tensor of random numbers.
#[derive(Clone, Debug)]
pub(crate) struct TensorRecipe {
    pub(crate) name: String,
    pub(crate) dims: Vec<u64>,
    pub(crate) ty: GgmlType,
    /// Mean of the numbers. Blocks have mean 0.
    pub(crate) around: f32,
    /// How far they reach to either side.
    pub(crate) reach: f32,
}

impl TensorRecipe {
    /// Inputs of size 1 give outputs of size `gain`.
    pub(crate) fn matrix(name: &str, dims: &[u32], gain: f32) -> Self {
        let reach = gain * (3.0 / dims[0] as f32).sqrt();
        let dims = dims.iter().map(|&dim| dim.into()).collect();
        TensorRecipe { name: format!("{name}.weight"), dims, ty: GgmlType::F32, around: 0.0, reach }
    }

    /// The weight of a norm, with mean `around`.
    pub(crate) fn norm(name: &str, cols: u32, around: f32) -> Self {
        TensorRecipe { around, reach: 0.3, ..TensorRecipe::matrix(name, &[cols], 0.0) }
    }

    /// A bias, with a number for each column.
    pub(crate) fn bias(name: &str, cols: u32) -> Self {
        let name = format!("{name}.bias");
        TensorRecipe { name, dims: vec![cols.into()], ty: GgmlType::F32, around: 0.0, reach: 0.3 }
    }

    /// The tensor's data.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let n: u64 = self.dims.iter().product();
        let mut random = Random::named(&self.name);
        let value = |random: &mut Random| self.around + self.reach * random.number();
        match self.ty {
            GgmlType::F32 => (0..n).flat_map(|_| value(&mut random).to_le_bytes()).collect(),
            GgmlType::F16 => (0..n).flat_map(|_| half::f16::from_f32(value(&mut random)).to_le_bytes()).collect(),
            GgmlType::BF16 => (0..n).flat_map(|_| half::bf16::from_f32(value(&mut random)).to_le_bytes()).collect(),
            // Numbers that are equally frequent up to `reach` have this root mean square.
            ty => blocks::random(ty, n, self.reach / 3f32.sqrt(), &mut random),
        }
    }
}

/// Linear congruential numbers.
pub(crate) struct Random(u64);

impl Random {
    /// Numbers that follow from a tensor's name, so that a tensor is the same in every model.
    fn named(name: &str) -> Self {
        Random(name.bytes().fold(1u64, |state, byte| step(state ^ u64::from(byte))))
    }

    fn next(&mut self) -> u64 {
        self.0 = step(self.0);
        self.0
    }

    /// From -1 to 1.
    pub(crate) fn number(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// Any byte.
    pub(crate) fn byte(&mut self) -> u8 {
        (self.next() >> 56) as u8
    }
}

fn step(state: u64) -> u64 {
    state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}
