//! Random valid blocks of every quantized type: random codes, and scales that give the numbers a chosen size.

use chord_gguf::GgmlType;
use half::f16;

use crate::recipe::Random;

/// What a block consists of, in the order of its bytes.
enum Field {
    /// The block's scale, f16.
    Scale,
    /// The block's minimum, f16: this many times its scale.
    Min(f32),
    /// Codes, or the scales of its parts: any bytes are valid.
    Codes(usize),
}

/// The fields of a type's blocks, and the root mean square of the numbers in a block of scale 1 whose codes are equally
/// frequent.
fn layout(ty: GgmlType) -> (Vec<Field>, f32) {
    use Field::{Codes, Min, Scale};
    match ty {
        GgmlType::Q4_0 => (vec![Scale, Codes(16)], 4.64),
        GgmlType::Q4_1 => (vec![Scale, Min(-7.5), Codes(16)], 4.61),
        GgmlType::Q5_0 => (vec![Scale, Codes(4 + 16)], 9.25),
        GgmlType::Q5_1 => (vec![Scale, Min(-15.5), Codes(4 + 16)], 9.23),
        GgmlType::Q8_0 => (vec![Scale, Codes(32)], 73.9),
        GgmlType::Q2_K => (vec![Codes(16 + 64), Scale, Min(1.5)], 13.9),
        GgmlType::Q3_K => (vec![Codes(32 + 64 + 12), Scale], 43.3),
        GgmlType::Q4_K => (vec![Scale, Min(7.5), Codes(12 + 128)], 258.0),
        GgmlType::Q5_K => (vec![Scale, Min(15.5), Codes(12 + 32 + 128)], 527.0),
        GgmlType::Q6_K => (vec![Codes(128 + 64 + 16), Scale], 1366.0),
        GgmlType::IQ4_NL => (vec![Scale, Codes(16)], 67.44),
        other => panic!("no recipe makes blocks of {other}"),
    }
}

/// Where the f16 numbers of a block are, in bytes.
///
/// # Panics
/// If the type is not quantized.
pub fn f16_places(ty: GgmlType) -> Vec<usize> {
    let mut at = 0;
    let mut places = Vec::new();
    for field in layout(ty).0 {
        match field {
            Field::Scale | Field::Min(_) => {
                places.push(at);
                at += 2;
            }
            Field::Codes(n) => at += n,
        }
    }
    places
}

/// Blocks of `n` numbers whose root mean square is about `size`.
pub(crate) fn random(ty: GgmlType, n: u64, size: f32, random: &mut Random) -> Vec<u8> {
    let (fields, unit) = layout(ty);
    let mut bytes = Vec::new();
    for _ in 0..n / ty.block_elems() {
        // Blocks differ in magnitude; otherwise a scale from the wrong block would not show.
        let scale = size / unit * (1.0 + 0.5 * random.number());
        for field in &fields {
            match field {
                Field::Scale => bytes.extend(f16::from_f32(scale).to_le_bytes()),
                Field::Min(times) => bytes.extend(f16::from_f32(scale * times).to_le_bytes()),
                Field::Codes(n) => bytes.extend((0..*n).map(|_| random.byte())),
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use chord_gguf::dequantize;

    use super::*;
    use crate::recipe::TensorRecipe;

    #[test]
    fn blocks_are_whole_and_of_the_size_that_was_asked_for() {
        for ty in GgmlType::decodable() {
            let tensor = TensorRecipe { ty, ..TensorRecipe::matrix("any", &[256, 64], 1.0) };
            let bytes = tensor.bytes();
            assert_eq!(bytes.len() as u64, 64 * ty.row_bytes(256).unwrap(), "{ty}");
            let mut values = vec![0.0; 256 * 64];
            dequantize(ty, &bytes, &mut values).unwrap();
            let gain = values.iter().map(|v| v * v).sum::<f32>() / 64.0;
            // With scales that differ by half to either side: 1 + 0.25 / 3.
            assert!((0.9..1.25).contains(&gain), "{ty}: a squared gain of {gain}");
        }
    }
}
