//! Conversion between half and single precision.

/// Widens, exactly for every value. Without branches, so that it vectorises.
#[cfg(not(all(target_family = "wasm", target_feature = "simd128")))]
#[inline(always)]
pub(crate) fn f16_to_f32(bits: u16) -> f32 {
    let magnitude = u32::from(bits & 0x7fff) << 13;
    // Moves the exponent's bias from 15 to 127, and makes subnormals normal.
    let finite = f32::from_bits(magnitude) * f32::from_bits(0x7780_0000);
    let infinite = if magnitude >= 0x0f80_0000 { 0x7f80_0000 } else { 0 };
    f32::from_bits(finite.to_bits() | infinite | u32::from(bits & 0x8000) << 16)
}

/// Rounds to the nearest, half to even; what is too large becomes infinite. Without branches, so that it vectorises.
#[inline(always)]
pub(crate) fn f32_to_f16(value: f32) -> u16 {
    /// 2^16, from where on nothing is finite, and 2^-14, below which results are subnormal.
    const LARGE: u32 = 0x4780_0000;
    const SMALL: u32 = 0x3880_0000;
    /// Its last bit is worth as much as that of a subnormal half.
    const HALF: u32 = 0x3f00_0000;
    let sign = (value.to_bits() >> 16) & 0x8000;
    let bits = value.to_bits() & 0x7fff_ffff;
    let special = if bits > 0x7f80_0000 { 0x7e00 } else { 0x7c00 };
    let subnormal = (f32::from_bits(bits) + f32::from_bits(HALF)).to_bits().wrapping_sub(HALF);
    // Moves the exponent's bias from 127 to 15, and rounds.
    let normal = bits.wrapping_add(0xc800_0fff).wrapping_add(bits >> 13 & 1) >> 13;
    let magnitude = if bits >= LARGE {
        special
    } else if bits < SMALL {
        subnormal
    } else {
        normal
    };
    (sign | magnitude) as u16
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

    #[test]
    fn halves_and_values_between_them_round_correctly() {
        for bits in 0..=u16::MAX {
            let half = half::f16::from_bits(bits).to_f32();
            for value in
                [half, f32::from_bits(half.to_bits() ^ 1), half * 1.000_3, half * 0.999_8, half + half * 4.9e-4]
            {
                let (expected, found) = (half::f16::from_f32(value), f32_to_f16(value));
                let both_nan = expected.is_nan() && half::f16::from_bits(found).is_nan();
                assert!(expected.to_bits() == found || both_nan, "{value:e}: {expected:?}, found {found:#x}");
            }
        }
        for value in [f32::MAX, f32::MIN, 65_519.9, 65_520.0, 1e-9, -1e-9, f32::NEG_INFINITY] {
            assert_eq!(half::f16::from_f32(value).to_bits(), f32_to_f16(value), "{value:e}");
        }
    }
}
