//! How the codes of 32 columns lie in words, and how vectors of them are unpacked.
//!
//! A *step* is four neighbouring columns: one 32-bit lane of a row. A block of 32 columns is eight steps, packed into
//! fewer words where codes have fewer than eight bits. Each word is stored for all rows of a strip side by side.
//!
//! A codebook type would look its codes up at the end of `block`.

use crate::simd::{Dot, Isa};

/// The eight steps of a block of one row, four codes to a word.
pub(crate) type Steps = [u32; 8];

/// A packing of codes.
pub(crate) trait Codes: 'static {
    /// Words for a block of one row.
    const WORDS: usize;
    /// Whether codes have eight bits and a sign.
    const SIGNED: bool = false;
    /// How they are multiplied.
    type Dot<I: Isa>: Dot<I>;

    /// Packs the steps of one row; the first [`Codes::WORDS`] of what it returns count.
    fn pack(steps: &Steps) -> [u32; 8];

    /// The other way round.
    fn unpack(words: &[u32; 8]) -> Steps;

    /// The steps of a block for a vector of rows, whose words lie `stride` bytes apart.
    ///
    /// # Safety
    /// The processor has `I`, and the words can be read.
    unsafe fn block<I: Isa>(from: *const u8, stride: usize) -> [I::V; 8];
}

const LOW: u32 = 0x0f0f_0f0f;
const PAIR: u32 = 0x0303_0303;
const BIT: u32 = 0x0101_0101;

/// Four bits: word `w` holds step `w` in its low halves and step `w + 4` in its high halves, as Q4_0 stores them.
pub(crate) struct Nibbles;

impl Nibbles {
    fn pack_low(steps: &Steps) -> [u32; 4] {
        std::array::from_fn(|w| (steps[w] & LOW) | (steps[w + 4] & LOW) << 4)
    }

    #[inline(always)]
    unsafe fn vectors<I: Isa>(from: *const u8, stride: usize) -> [I::V; 8] {
        // SAFETY: the caller's.
        unsafe {
            let mask = I::splat(LOW);
            let words = [I::load(from), I::load(from.add(stride)), I::load(from.add(2 * stride)), {
                I::load(from.add(3 * stride))
            }];
            [
                I::and(words[0], mask),
                I::and(words[1], mask),
                I::and(words[2], mask),
                I::and(words[3], mask),
                I::and(I::shr(words[0], 4), mask),
                I::and(I::shr(words[1], 4), mask),
                I::and(I::shr(words[2], 4), mask),
                I::and(I::shr(words[3], 4), mask),
            ]
        }
    }
}

impl Codes for Nibbles {
    const WORDS: usize = 4;
    type Dot<I: Isa> = I::FourBit;

    fn pack(steps: &Steps) -> [u32; 8] {
        let [a, b, c, d] = Nibbles::pack_low(steps);
        [a, b, c, d, 0, 0, 0, 0]
    }

    fn unpack(words: &[u32; 8]) -> Steps {
        std::array::from_fn(|s| words[s % 4] >> (s / 4 * 4) & LOW)
    }

    #[inline(always)]
    unsafe fn block<I: Isa>(from: *const u8, stride: usize) -> [I::V; 8] {
        // SAFETY: the caller's.
        unsafe { Nibbles::vectors::<I>(from, stride) }
    }
}

/// Five bits: as [`Nibbles`], and a word with the fifth bits of step `s` at bit `s` of each byte.
pub(crate) struct NibblesAndBit;

impl Codes for NibblesAndBit {
    const WORDS: usize = 5;
    type Dot<I: Isa> = I::FiveBit;

    fn pack(steps: &Steps) -> [u32; 8] {
        let [a, b, c, d] = Nibbles::pack_low(steps);
        let high = (0..8).fold(0, |word, s| word | (steps[s] >> 4 & BIT) << s);
        [a, b, c, d, high, 0, 0, 0]
    }

    fn unpack(words: &[u32; 8]) -> Steps {
        let low = Nibbles::unpack(words);
        std::array::from_fn(|s| low[s] | (words[4] >> s & BIT) << 4)
    }

    #[inline(always)]
    unsafe fn block<I: Isa>(from: *const u8, stride: usize) -> [I::V; 8] {
        // SAFETY: the caller's.
        unsafe {
            let low = Nibbles::vectors::<I>(from, stride);
            let high = I::load(from.add(4 * stride));
            let mask = I::splat(BIT << 4);
            [
                I::or(low[0], I::and(I::shl(high, 4), mask)),
                I::or(low[1], I::and(I::shl(high, 3), mask)),
                I::or(low[2], I::and(I::shl(high, 2), mask)),
                I::or(low[3], I::and(I::shl(high, 1), mask)),
                I::or(low[4], I::and(high, mask)),
                I::or(low[5], I::and(I::shr(high, 1), mask)),
                I::or(low[6], I::and(I::shr(high, 2), mask)),
                I::or(low[7], I::and(I::shr(high, 3), mask)),
            ]
        }
    }
}

/// Six bits: as [`Nibbles`], and [`Pairs`] of the high bits.
pub(crate) struct NibblesAndPair;

impl Codes for NibblesAndPair {
    const WORDS: usize = 6;
    type Dot<I: Isa> = I::Narrow;

    fn pack(steps: &Steps) -> [u32; 8] {
        let [a, b, c, d] = Nibbles::pack_low(steps);
        let high = Pairs::pack_low(&steps.map(|step| step >> 4));
        [a, b, c, d, high[0], high[1], 0, 0]
    }

    fn unpack(words: &[u32; 8]) -> Steps {
        let low = Nibbles::unpack(words);
        std::array::from_fn(|s| low[s] | (words[4 + s / 4] >> (s % 4 * 2) & PAIR) << 4)
    }

    #[inline(always)]
    unsafe fn block<I: Isa>(from: *const u8, stride: usize) -> [I::V; 8] {
        // SAFETY: the caller's.
        unsafe {
            let low = Nibbles::vectors::<I>(from, stride);
            let high = [I::load(from.add(4 * stride)), I::load(from.add(5 * stride))];
            let mask = I::splat(PAIR << 4);
            [
                I::or(low[0], I::and(I::shl(high[0], 4), mask)),
                I::or(low[1], I::and(I::shl(high[0], 2), mask)),
                I::or(low[2], I::and(high[0], mask)),
                I::or(low[3], I::and(I::shr(high[0], 2), mask)),
                I::or(low[4], I::and(I::shl(high[1], 4), mask)),
                I::or(low[5], I::and(I::shl(high[1], 2), mask)),
                I::or(low[6], I::and(high[1], mask)),
                I::or(low[7], I::and(I::shr(high[1], 2), mask)),
            ]
        }
    }
}

/// Two bits: word `w` holds steps `4 · w` to `4 · w + 3` in the pairs of each byte, from the low bits up.
pub(crate) struct Pairs;

impl Pairs {
    fn pack_low(steps: &Steps) -> [u32; 2] {
        std::array::from_fn(|w| (0..4).fold(0, |word, i| word | (steps[4 * w + i] & PAIR) << (2 * i)))
    }

    #[inline(always)]
    unsafe fn vectors<I: Isa>(from: *const u8, stride: usize) -> [I::V; 8] {
        // SAFETY: the caller's.
        unsafe {
            let (a, b, mask) = (I::load(from), I::load(from.add(stride)), I::splat(PAIR));
            [
                I::and(a, mask),
                I::and(I::shr(a, 2), mask),
                I::and(I::shr(a, 4), mask),
                I::and(I::shr(a, 6), mask),
                I::and(b, mask),
                I::and(I::shr(b, 2), mask),
                I::and(I::shr(b, 4), mask),
                I::and(I::shr(b, 6), mask),
            ]
        }
    }
}

impl Codes for Pairs {
    const WORDS: usize = 2;
    type Dot<I: Isa> = I::FourBit;

    fn pack(steps: &Steps) -> [u32; 8] {
        let [a, b] = Pairs::pack_low(steps);
        [a, b, 0, 0, 0, 0, 0, 0]
    }

    fn unpack(words: &[u32; 8]) -> Steps {
        std::array::from_fn(|s| words[s / 4] >> (s % 4 * 2) & PAIR)
    }

    #[inline(always)]
    unsafe fn block<I: Isa>(from: *const u8, stride: usize) -> [I::V; 8] {
        // SAFETY: the caller's.
        unsafe { Pairs::vectors::<I>(from, stride) }
    }
}

/// Three bits: as [`Pairs`], and a word with the third bits of step `s` at bit `s` of each byte.
pub(crate) struct PairsAndBit;

impl Codes for PairsAndBit {
    const WORDS: usize = 3;
    type Dot<I: Isa> = I::FourBit;

    fn pack(steps: &Steps) -> [u32; 8] {
        let [a, b] = Pairs::pack_low(steps);
        let high = (0..8).fold(0, |word, s| word | (steps[s] >> 2 & BIT) << s);
        [a, b, high, 0, 0, 0, 0, 0]
    }

    fn unpack(words: &[u32; 8]) -> Steps {
        let low = Pairs::unpack(words);
        std::array::from_fn(|s| low[s] | (words[2] >> s & BIT) << 2)
    }

    #[inline(always)]
    unsafe fn block<I: Isa>(from: *const u8, stride: usize) -> [I::V; 8] {
        // SAFETY: the caller's.
        unsafe {
            let low = Pairs::vectors::<I>(from, stride);
            let high = I::load(from.add(2 * stride));
            let mask = I::splat(BIT << 2);
            [
                I::or(low[0], I::and(I::shl(high, 2), mask)),
                I::or(low[1], I::and(I::shl(high, 1), mask)),
                I::or(low[2], I::and(high, mask)),
                I::or(low[3], I::and(I::shr(high, 1), mask)),
                I::or(low[4], I::and(I::shr(high, 2), mask)),
                I::or(low[5], I::and(I::shr(high, 3), mask)),
                I::or(low[6], I::and(I::shr(high, 4), mask)),
                I::or(low[7], I::and(I::shr(high, 5), mask)),
            ]
        }
    }
}

/// Eight bits, a word for each step.
pub(crate) struct Bytes;

impl Codes for Bytes {
    const WORDS: usize = 8;
    const SIGNED: bool = true;
    type Dot<I: Isa> = I::Wide;

    fn pack(steps: &Steps) -> [u32; 8] {
        *steps
    }

    fn unpack(words: &[u32; 8]) -> Steps {
        *words
    }

    #[inline(always)]
    unsafe fn block<I: Isa>(from: *const u8, stride: usize) -> [I::V; 8] {
        // SAFETY: the caller's.
        unsafe {
            [
                I::load(from),
                I::load(from.add(stride)),
                I::load(from.add(2 * stride)),
                I::load(from.add(3 * stride)),
                I::load(from.add(4 * stride)),
                I::load(from.add(5 * stride)),
                I::load(from.add(6 * stride)),
                I::load(from.add(7 * stride)),
            ]
        }
    }
}
