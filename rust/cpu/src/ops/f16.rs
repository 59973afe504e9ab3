//! Half precision to single.

/// Exact for every value, and without branches, so that it vectorises.
#[inline(always)]
pub(crate) fn f16_to_f32(bits: u16) -> f32 {
    let magnitude = u32::from(bits & 0x7fff) << 13;
    // Moves the exponent's bias from 15 to 127, and makes subnormals normal.
    let finite = f32::from_bits(magnitude) * f32::from_bits(0x7780_0000);
    let infinite = if magnitude >= 0x0f80_0000 { 0x7f80_0000 } else { 0 };
    f32::from_bits(finite.to_bits() | infinite | u32::from(bits & 0x8000) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_converts_exactly() {
        for bits in 0..=u16::MAX {
            let (expected, found) = (half::f16::from_bits(bits).to_f32(), f16_to_f32(bits));
            assert!(expected.to_bits() == found.to_bits() || expected.is_nan() && found.is_nan(), "{bits:#x}");
        }
    }
}
