//! How rows are rounded, and where the codes go.

use super::panel::{BLOCK, BYTE_BITS, ByteLayout, Record, blocks_before};
use crate::simd::Float;

/// Columns of half a block: each half has sums of its own.
const HALF: usize = BLOCK / 2;

/// Adding this to a number of up to 2²² rounds the number to an integer, half to even, and leaves the integer in the
/// lowest bits.
const ROUND: f32 = 12_582_912.0;

/// Scale of a block, and the factor that makes codes of it; `None` for a block that is not finite, all zeros, or too
/// small.
#[inline(always)]
fn scale_of(x: &[f32; BLOCK]) -> Option<(f32, f32)> {
    let largest = largest(x);
    let inverse = 127.0 / largest;
    (largest.is_finite() && inverse.is_finite()).then_some((largest / 127.0, inverse))
}

/// The largest magnitude; not finite where any number is not.
#[inline(always)]
fn largest(x: &[f32; BLOCK]) -> f32 {
    // Magnitudes compare as their bits do, and numbers that are not finite have the largest bits.
    let mut largest = 0;
    for x in x {
        let magnitude = x.to_bits() & 0x7fff_ffff;
        largest = if magnitude > largest { magnitude } else { largest };
    }
    f32::from_bits(largest)
}

/// A block's codes.
struct Rounded {
    /// High and low bytes; or both as one number, in `i16s`.
    bytes: [[i8; BLOCK]; 2],
    i16s: [i16; BLOCK],
    /// Of the high and of the low bytes: for each half of the block, sums of every fourth column.
    sums: [[[i32; 4]; 2]; 2],
}

impl Rounded {
    const ZERO: Rounded = Rounded { bytes: [[0; BLOCK]; 2], i16s: [0; BLOCK], sums: [[[0; 4]; 2]; 2] };

    /// Codes of `x · inverse`, of which none is above 127.
    #[inline(always)]
    unsafe fn of<I: Float>(x: &[f32; BLOCK], inverse: f32, layout: ByteLayout) -> Rounded {
        let mut rounded = Rounded::ZERO;
        // SAFETY: the caller's promise; vectors are within the block.
        unsafe {
            let (inverse, round) = (I::splat_f32(inverse), I::splat_f32(ROUND));
            let integer = I::splat(ROUND.to_bits().wrapping_neg());
            let finer = I::splat_f32((1 << BYTE_BITS) as f32);
            let (least, most) = (I::splat_f32(-127.0), I::splat_f32(127.0));
            for half in 0..2 {
                let mut sums = [I::splat(0); 2];
                for at in (half * HALF..(half + 1) * HALF).step_by(I::LANES) {
                    let product = I::mul(I::load_f32(x.as_ptr().add(at)), inverse);
                    let near = I::add(product, round);
                    let high = I::add_i32(I::bits(near), integer);
                    sums[0] = I::add_i32(sums[0], high);
                    if !matches!(layout, ByteLayout::I16) {
                        I::store_i8(rounded.bytes[0].as_mut_ptr().add(at), high);
                    }
                    if matches!(layout, ByteLayout::OneByte) {
                        continue;
                    }
                    // The rest is at most a half.
                    let rest = I::mul(I::sub(product, I::sub(near, round)), finer);
                    let rest = I::min(I::max(rest, least), most);
                    let low = I::add_i32(I::bits(I::add(rest, round)), integer);
                    sums[1] = I::add_i32(sums[1], low);
                    if let ByteLayout::I16 = layout {
                        let word = I::add_i32(I::shl(high, BYTE_BITS), low);
                        I::store_i16(rounded.i16s.as_mut_ptr().add(at), word);
                    } else {
                        I::store_i8(rounded.bytes[1].as_mut_ptr().add(at), low);
                    }
                }
                for (byte, sum) in sums.into_iter().enumerate() {
                    let mut lanes = [0; 16];
                    I::store_f32(lanes.as_mut_ptr().cast(), I::as_f32(sum));
                    for (i, lane) in lanes[..I::LANES].iter().enumerate() {
                        rounded.sums[byte][half][i % 4] += lane;
                    }
                }
            }
        }
        rounded
    }

    /// Sums of the high bytes (0) or the low bytes (1) of each half.
    #[inline(always)]
    fn half_sums(&self, byte: usize) -> [i32; 2] {
        self.sums[byte].map(|columns| columns.iter().sum())
    }
}

/// Where the codes of one token of a panel go.
pub(crate) struct TokenSlot {
    pub(super) codes: *mut i8,
    pub(super) records: *mut Record,
    /// Tokens in the panel: a token's quads are this many quads apart, and its records this many records.
    pub(super) width: usize,
    pub(super) panel: usize,
    pub(super) n_panels: usize,
    pub(super) n_blocks: usize,
    pub(super) layout: ByteLayout,
}

impl TokenSlot {
    /// Fills the slot of a token that pads the panel.
    ///
    /// # Safety
    /// There is room.
    pub(crate) unsafe fn write_zeros(&self) {
        for b in 0..self.n_blocks {
            // SAFETY: the caller's promise.
            unsafe { self.write(b, 0.0, &Rounded::ZERO) };
        }
    }

    /// Writes the codes of block `b` and its record; `scale` is that of high bytes.
    #[inline(always)]
    unsafe fn write(&self, b: usize, scale: f32, rounded: &Rounded) {
        // SAFETY: the caller's promise that there is room.
        unsafe {
            let at = blocks_before(self.panel, b, self.n_panels, self.n_blocks) * self.width;
            let codes = self.codes.add(at * BLOCK * self.layout.size());
            let (mut scale, mut sums) = (scale, rounded.half_sums(0));
            match self.layout {
                ByteLayout::OneByte => self.write_bytes(codes, &rounded.bytes[0]),
                ByteLayout::TwoPlanes { plane } => {
                    self.write_bytes(codes, &rounded.bytes[0]);
                    self.write_bytes(codes.add(plane), &rounded.bytes[1]);
                }
                ByteLayout::I16 => self.write_i16s(codes, &rounded.i16s),
            }
            if !matches!(self.layout, ByteLayout::OneByte) {
                let low = rounded.half_sums(1);
                sums = [(sums[0] << BYTE_BITS) + low[0], (sums[1] << BYTE_BITS) + low[1]];
                scale /= (1 << BYTE_BITS) as f32;
            }
            let sum = |n: i32| scale * n as f32;
            let negated = |[first, last]: [i32; 2]| (-first) as u32 & 0xffff | (-last as u32) << 16;
            let pairs = rounded.sums[0].map(|[a, b, c, d]| [a + b, c + d]);
            let both = [pairs[0][0] + pairs[1][0], pairs[0][1] + pairs[1][1]];
            self.records.add(at).write(Record {
                scale,
                sums: [sum(sums[0] + sums[1]), sum(sums[0]), sum(sums[1])],
                neg_sums: [negated(both), negated(pairs[0]), negated(pairs[1])],
            });
        }
    }

    #[inline(always)]
    unsafe fn write_bytes(&self, to: *mut i8, bytes: &[i8; BLOCK]) {
        // SAFETY: the caller's promise.
        unsafe {
            if self.width == 1 {
                return to.cast::<[i8; BLOCK]>().write_unaligned(*bytes);
            }
            for (s, four) in bytes.as_chunks::<4>().0.iter().enumerate() {
                to.add(4 * s * self.width).cast::<[i8; 4]>().write_unaligned(*four);
            }
        }
    }

    #[inline(always)]
    unsafe fn write_i16s(&self, to: *mut i8, i16s: &[i16; BLOCK]) {
        for (s, &[a, b, c, d]) in i16s.as_chunks::<4>().0.iter().enumerate() {
            for (part, two) in [[a, c], [b, d]].into_iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe { to.add(4 * (2 * s + part) * self.width).cast::<[i16; 2]>().write_unaligned(two) };
            }
        }
    }
}

/// Quantizes one token.
///
/// # Safety
/// The processor has `I`, `x` points to `cols` numbers, and `slot` to room for them.
#[inline(always)]
pub(crate) unsafe fn quantize_token<I: Float>(x: *const f32, cols: usize, slot: &TokenSlot) {
    for b in 0..cols / BLOCK {
        // SAFETY: the caller's promise.
        unsafe {
            let x = &*x.add(b * BLOCK).cast::<[f32; BLOCK]>();
            if let Some((scale, inverse)) = scale_of(x) {
                slot.write(b, scale, &Rounded::of::<I>(x, inverse, slot.layout));
            } else {
                let scale = if largest(x).is_finite() { 0.0 } else { f32::NAN };
                slot.write(b, scale, &Rounded::ZERO);
            }
        }
    }
}
