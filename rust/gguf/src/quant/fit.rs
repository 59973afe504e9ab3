//! Choosing scales for the encoders: simple rounding, no search for the best fit.

use super::block::F16Le;

/// `1 / scale`, or 0 where the scale is 0 (so that all elements become 0).
pub(super) fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// Rounds half away from zero and clamps; NaN gives 0.
pub(super) fn round_to(value: f32, min: i32, max: i32) -> i32 {
    (value.round() as i32).clamp(min, max)
}

/// Scale for elements of −`levels` to `levels − 1`: the value furthest from 0, with its sign, becomes −`levels`.
/// Returns the scale as stored, and its inverse.
pub(super) fn signed_scale(values: &[f32], levels: f32) -> (F16Le, f32) {
    let d = F16Le::from_f32(furthest(values) / -levels);
    (d, inverse(d.to_f32()))
}

/// Scale and minimum for elements of 0 to `levels`: both as stored, then the inverse scale and the minimum to encode
/// with.
pub(super) fn range_scale(values: &[f32], levels: f32) -> (F16Le, F16Le, f32, f32) {
    let (min, max) = range(values);
    let (d, m) = (F16Le::from_f32((max - min) / levels), F16Le::from_f32(min));
    (d, m, inverse(d.to_f32()), m.to_f32())
}

/// Packs 32 elements of 4 bits as Q4_0 does.
pub(super) fn pack_nibbles(values: &[f32], encode: impl Fn(f32) -> i32) -> [u8; 16] {
    std::array::from_fn(|i| encode(values[i]) as u8 | (encode(values[i + 16]) as u8) << 4)
}

/// Signed scales of `GROUPS` groups, `−scale_levels` to `scale_levels − 1`, and the scale of these scales.
pub(super) fn signed_scales<const GROUPS: usize>(
    values: &[f32],
    levels: f32,
    scale_levels: i32,
) -> (F16Le, [i32; GROUPS]) {
    let group = values.len() / GROUPS;
    let wanted: [f32; GROUPS] = std::array::from_fn(|g| furthest(&values[g * group..][..group]) / -levels);
    let d = F16Le::from_f32(furthest(&wanted) / -(scale_levels as f32));
    let inverse = inverse(d.to_f32());
    (d, wanted.map(|scale| round_to(scale * inverse, -scale_levels, scale_levels - 1)))
}

/// Scales and minima of a super-block of `GROUPS` groups.
pub(super) struct ScalesAndMinima<const GROUPS: usize> {
    pub(super) d: F16Le,
    pub(super) dmin: F16Le,
    pub(super) scales: [u8; GROUPS],
    pub(super) minima: [u8; GROUPS],
}

impl<const GROUPS: usize> ScalesAndMinima<GROUPS> {
    /// The element of group `g` that comes closest to `value`.
    pub(super) fn encode(&self, g: usize, value: f32, max: i32) -> i32 {
        let scale = self.d.to_f32() * f32::from(self.scales[g]);
        let min = self.dmin.to_f32() * f32::from(self.minima[g]);
        round_to((value + min) * inverse(scale), 0, max)
    }
}

/// Fits `d · scale · q − dmin · min` with elements of 0 to `levels`, scales and minima of 0 to `scale_levels`.
pub(super) fn scales_and_minima<const GROUPS: usize>(
    values: &[f32],
    levels: f32,
    scale_levels: f32,
) -> ScalesAndMinima<GROUPS> {
    let group = values.len() / GROUPS;
    // Minima are subtracted and not negative, so that a group of positive values starts from 0.
    let ranges: [(f32, f32); GROUPS] = std::array::from_fn(|g| {
        let (min, max) = range(&values[g * group..][..group]);
        (min.min(0.0), max.max(0.0))
    });
    let largest_scale = ranges.iter().fold(0.0f32, |most, (min, max)| most.max((max - min) / levels));
    let largest_min = ranges.iter().fold(0.0f32, |most, (min, _)| most.max(-min));
    let d = F16Le::from_f32(largest_scale / scale_levels);
    let dmin = F16Le::from_f32(largest_min / scale_levels);
    let (inverse_d, inverse_dmin) = (inverse(d.to_f32()), inverse(dmin.to_f32()));
    let most = scale_levels as i32;
    ScalesAndMinima {
        d,
        dmin,
        scales: ranges.map(|(min, max)| round_to((max - min) / levels * inverse_d, 0, most) as u8),
        minima: ranges.map(|(min, _)| round_to(-min * inverse_dmin, 0, most) as u8),
    }
}

fn furthest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most: f32, &v| if v.abs() > most.abs() { v } else { most })
}

fn range(values: &[f32]) -> (f32, f32) {
    values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(min, max), &v| (min.min(v), max.max(v)))
}
