//! Where the bytes of each block type go on the device: the one description from which room, upload and the shader's
//! file follow.
//!
//! Kernels read the plane `codes` as `vec4<u32>` and the plane `scales` as `u32`. Blocks whose size is not a multiple
//! of 16 bytes are divided so that both planes are aligned. `shaders/quant/NAME.wgsl` reads the type.

use std::ops::Range;

use chord_gguf::GgmlType;

/// Some bytes of a block, as the file has it.
pub(super) enum Part {
    /// As they are.
    Bytes(Range<usize>),
    /// The bytes at these places.
    Sorted(&'static [usize]),
    /// The fifth bits of 32 weights, four bytes from here on, with the bit of element `4j + l` moved to bit `8l + j`:
    /// see `shaders/quant/fifth_bits.wgsl`.
    FifthBits(usize),
}

/// What the planes of a quantized type hold.
pub(super) struct Planes {
    /// A part of each block, one block after the other.
    pub(super) codes: Part,
    /// For each row the first part of all its blocks, then the second one, padded to whole words.
    pub(super) scales: &'static [Part],
}

impl Part {
    /// Its number of bytes.
    pub(super) fn len(&self) -> usize {
        match self {
            Part::Bytes(range) => range.len(),
            Part::Sorted(places) => places.len(),
            Part::FifthBits(_) => 4,
        }
    }

    /// Appends its bytes of `block`.
    pub(super) fn push(&self, block: &[u8], out: &mut Vec<u8>) {
        match self {
            Part::Bytes(range) => out.extend(&block[range.clone()]),
            Part::Sorted(places) => out.extend(places.iter().map(|place| block[*place])),
            Part::FifthBits(at) => out.extend(fifth_bits(&block[*at..at + 4])),
        }
    }
}

/// Bytes of a Q6_K block's scales in the order of its units, two groups a unit: see `shaders/quant/q6_k.wgsl`.
const Q6_K_SCALES: [usize; 16] = [192, 196, 193, 197, 194, 198, 195, 199, 200, 204, 201, 205, 202, 206, 203, 207];

/// The quantized types with kernels.
static PLANES: &[(GgmlType, Planes)] = &[
    (GgmlType::Q4_0, Planes { codes: Part::Bytes(2..18), scales: &[Part::Bytes(0..2)] }),
    (GgmlType::Q4_1, Planes { codes: Part::Bytes(4..20), scales: &[Part::Bytes(0..4)] }),
    (GgmlType::Q5_0, Planes { codes: Part::Bytes(6..22), scales: &[Part::FifthBits(2), Part::Bytes(0..2)] }),
    (GgmlType::Q5_1, Planes { codes: Part::Bytes(8..24), scales: &[Part::FifthBits(4), Part::Bytes(0..4)] }),
    (GgmlType::Q8_0, Planes { codes: Part::Bytes(2..34), scales: &[Part::Bytes(0..2)] }),
    (GgmlType::Q4_K, Planes { codes: Part::Bytes(0..144), scales: &[] }),
    (GgmlType::Q5_K, Planes { codes: Part::Bytes(0..176), scales: &[] }),
    (
        GgmlType::Q6_K,
        Planes { codes: Part::Bytes(0..192), scales: &[Part::Sorted(&Q6_K_SCALES), Part::Bytes(208..210)] },
    ),
    (GgmlType::IQ4_NL, Planes { codes: Part::Bytes(2..18), scales: &[Part::Bytes(0..2)] }),
];

/// The planes of a quantized type; none without kernels.
pub(super) fn planes(ty: GgmlType) -> Option<&'static Planes> {
    PLANES.iter().find(|(other, _)| *other == ty).map(|(_, planes)| planes)
}

/// The types that weights on the device may have.
pub fn types() -> impl Iterator<Item = GgmlType> {
    GgmlType::FLOATS.iter().copied().chain(PLANES.iter().map(|(ty, _)| *ty))
}

/// The name of the file in `shaders/quant` that reads the type.
pub(crate) fn shader_name(ty: GgmlType) -> String {
    ty.name().to_lowercase()
}

fn fifth_bits(bytes: &[u8]) -> [u8; 4] {
    let bits = bytes.iter().rev().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
    std::array::from_fn(|l| (0..8).fold(0, |byte, j| byte | ((bits >> (4 * j + l) & 1) as u8) << j))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shader::ShaderSet;

    #[test]
    fn fifth_bits_go_to_the_byte_of_their_lane() {
        for element in 0..32u32 {
            let (j, l) = (element / 4, element % 4);
            assert_eq!(u32::from_le_bytes(fifth_bits(&(1u32 << element).to_le_bytes())), 1 << (8 * l + j));
        }
    }

    #[test]
    fn every_byte_of_a_block_is_in_one_part() {
        for (ty, planes) in PLANES {
            let mut seen = vec![0; ty.block_bytes() as usize];
            for part in std::iter::once(&planes.codes).chain(planes.scales) {
                match part {
                    Part::Bytes(range) => range.clone().for_each(|byte| seen[byte] += 1),
                    Part::Sorted(places) => places.iter().for_each(|byte| seen[*byte] += 1),
                    Part::FifthBits(at) => (*at..at + 4).for_each(|byte| seen[byte] += 1),
                }
            }
            assert!(seen.iter().all(|times| *times == 1), "{ty}: {seen:?}");
        }
    }

    #[test]
    fn every_type_has_a_file_that_reads_it() {
        for ty in types() {
            let file = format!("quant/{}.wgsl", shader_name(ty));
            assert!(ShaderSet::default().text(&file).is_some(), "no shaders/{file}");
        }
    }
}
