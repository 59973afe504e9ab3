//! How the codes of 32 columns lie in words, and how vectors of them are unpacked.
//!
//! A *step* is four neighbouring columns: one 32-bit lane of a row. A block of 32 columns is eight steps, packed into
//! fewer words where codes have fewer than eight bits. Each word is stored for all rows of a strip side by side.
//!
//! What is stored and what is multiplied are separate facts: [`Looked`] stores four bits and multiplies signed bytes.

use std::marker::PhantomData;

use crate::simd::{Dot, Isa};

/// The eight steps of a block of one row, four codes to a word.
pub(crate) type Steps = [u32; 8];

/// A packing of codes.
pub(crate) trait Codes: 'static {
    /// Words for a block of one row.
    const WORDS: usize;
    /// Whether what is unpacked are bytes with a sign: they come combined with [`Dot::SIGN`], which they are stored with or
    /// looked up with.
    const SIGNED: bool = false;
    /// The middle of codes without one: half of what they can be.
    const MIDDLE: u8 = 0;
    /// Whether they take so long to unpack that the processor would not ask for the next ones in time by itself: they are
    /// asked for [`AHEAD`] then.
    const PREFETCH: bool = true;
    /// How they are multiplied.
    type Dot<I: Isa>: Dot<I>;

    /// Packs the steps of one row; the first [`Codes::WORDS`] of what it returns count. `sign` is [`Dot::SIGN`] of
    /// [`Isa::Wide`], for types that store it.
    fn pack(steps: &Steps, sign: u8) -> [u32; 8];

    /// The other way round.
    fn unpack(words: &[u32; 8], sign: u8) -> Steps;

    /// Steps `w` and `w + 4` of a block, `w` less than four, for a vector of rows, whose words lie `stride` bytes apart.
    ///
    /// # Safety
    /// The processor has `I`, and the words can be read.
    unsafe fn pair<I: Isa>(from: *const u8, stride: usize, w: usize) -> [I::V; 2];

    /// All steps of a block: see [`Codes::pair`].
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn block<I: Isa>(from: *const u8, stride: usize) -> [I::V; 8] {
        // SAFETY: the caller's.
        unsafe {
            let mut steps = [I::splat(0); 8];
            let mut w = 0;
            while w < 4 {
                [steps[w], steps[w + 4]] = Self::pair::<I>(from, stride, w);
                w += 1;
            }
            steps
        }
    }
}

/// Bytes from what a product with one token reads to what it asks for.
pub(crate) const AHEAD: usize = 6144;

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
    unsafe fn vectors<I: Isa>(from: *const u8, stride: usize, w: usize) -> [I::V; 2] {
        // SAFETY: the caller's.
        unsafe {
            let (word, mask) = (I::load(from.add(w * stride)), I::splat(LOW));
            [I::and(word, mask), I::and(I::shr_halves(word, 4), mask)]
        }
    }
}

impl Codes for Nibbles {
    const WORDS: usize = 4;
    const MIDDLE: u8 = 8;
    type Dot<I: Isa> = I::FourBit;

    fn pack(steps: &Steps, _: u8) -> [u32; 8] {
        let [a, b, c, d] = Nibbles::pack_low(steps);
        [a, b, c, d, 0, 0, 0, 0]
    }

    fn unpack(words: &[u32; 8], _: u8) -> Steps {
        std::array::from_fn(|s| words[s % 4] >> (s / 4 * 4) & LOW)
    }

    #[inline(always)]
    unsafe fn pair<I: Isa>(from: *const u8, stride: usize, w: usize) -> [I::V; 2] {
        // SAFETY: the caller's.
        unsafe { Nibbles::vectors::<I>(from, stride, w) }
    }
}

/// Five bits: as [`Nibbles`], and a word with the fifth bits of step `s` at bit `s` of each byte.
pub(crate) struct NibblesAndBit;

impl Codes for NibblesAndBit {
    const WORDS: usize = 5;
    const MIDDLE: u8 = 16;
    type Dot<I: Isa> = I::FiveBit;

    fn pack(steps: &Steps, _: u8) -> [u32; 8] {
        let [a, b, c, d] = Nibbles::pack_low(steps);
        let high = (0..8).fold(0, |word, s| word | (steps[s] >> 4 & BIT) << s);
        [a, b, c, d, high, 0, 0, 0]
    }

    fn unpack(words: &[u32; 8], _: u8) -> Steps {
        let low = Nibbles::unpack(words, 0);
        std::array::from_fn(|s| low[s] | (words[4] >> s & BIT) << 4)
    }

    #[inline(always)]
    unsafe fn pair<I: Isa>(from: *const u8, stride: usize, w: usize) -> [I::V; 2] {
        // SAFETY: the caller's.
        unsafe {
            let [low, high] = Nibbles::vectors::<I>(from, stride, w);
            let (bits, mask) = (I::shr(I::load(from.add(4 * stride)), w as u32), I::splat(BIT << 4));
            [I::or(low, I::and(I::shl(bits, 4), mask)), I::or(high, I::and(bits, mask))]
        }
    }
}

/// Six bits: as [`Nibbles`], and [`Pairs`] of the high bits.
pub(crate) struct NibblesAndPair;

impl Codes for NibblesAndPair {
    const WORDS: usize = 6;
    const MIDDLE: u8 = 32;
    type Dot<I: Isa> = I::Narrow;

    fn pack(steps: &Steps, _: u8) -> [u32; 8] {
        let [a, b, c, d] = Nibbles::pack_low(steps);
        let high = Pairs::pack_low(&steps.map(|step| step >> 4));
        [a, b, c, d, high[0], high[1], 0, 0]
    }

    fn unpack(words: &[u32; 8], _: u8) -> Steps {
        let low = Nibbles::unpack(words, 0);
        std::array::from_fn(|s| low[s] | (words[4 + s / 4] >> (s % 4 * 2) & PAIR) << 4)
    }

    #[inline(always)]
    unsafe fn pair<I: Isa>(from: *const u8, stride: usize, w: usize) -> [I::V; 2] {
        // SAFETY: the caller's.
        unsafe {
            let [low, high] = Nibbles::vectors::<I>(from, stride, w);
            let pairs = Pairs::vectors::<I>(from.add(4 * stride), stride, w);
            [I::or(low, I::shl(pairs[0], 4)), I::or(high, I::shl(pairs[1], 4))]
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
    unsafe fn vectors<I: Isa>(from: *const u8, stride: usize, w: usize) -> [I::V; 2] {
        // SAFETY: the caller's.
        unsafe {
            let (a, b, mask) = (I::load(from), I::load(from.add(stride)), I::splat(PAIR));
            [I::and(I::shr(a, 2 * w as u32), mask), I::and(I::shr(b, 2 * w as u32), mask)]
        }
    }
}

impl Codes for Pairs {
    const WORDS: usize = 2;
    const MIDDLE: u8 = 2;
    type Dot<I: Isa> = I::FourBit;

    fn pack(steps: &Steps, _: u8) -> [u32; 8] {
        let [a, b] = Pairs::pack_low(steps);
        [a, b, 0, 0, 0, 0, 0, 0]
    }

    fn unpack(words: &[u32; 8], _: u8) -> Steps {
        std::array::from_fn(|s| words[s / 4] >> (s % 4 * 2) & PAIR)
    }

    #[inline(always)]
    unsafe fn pair<I: Isa>(from: *const u8, stride: usize, w: usize) -> [I::V; 2] {
        // SAFETY: the caller's.
        unsafe { Pairs::vectors::<I>(from, stride, w) }
    }
}

/// Three bits: as [`Pairs`], and a word with the third bits of step `s` at bit `s` of each byte.
pub(crate) struct PairsAndBit;

impl Codes for PairsAndBit {
    const WORDS: usize = 3;
    const MIDDLE: u8 = 4;
    type Dot<I: Isa> = I::FourBit;

    fn pack(steps: &Steps, _: u8) -> [u32; 8] {
        let [a, b] = Pairs::pack_low(steps);
        let high = (0..8).fold(0, |word, s| word | (steps[s] >> 2 & BIT) << s);
        [a, b, high, 0, 0, 0, 0, 0]
    }

    fn unpack(words: &[u32; 8], _: u8) -> Steps {
        let low = Pairs::unpack(words, 0);
        std::array::from_fn(|s| low[s] | (words[2] >> s & BIT) << 2)
    }

    #[inline(always)]
    unsafe fn pair<I: Isa>(from: *const u8, stride: usize, w: usize) -> [I::V; 2] {
        // SAFETY: the caller's.
        unsafe {
            let [low, high] = Pairs::vectors::<I>(from, stride, w);
            let (bits, mask) = (I::shr(I::load(from.add(2 * stride)), w as u32), I::splat(BIT << 2));
            [I::or(low, I::and(I::shl(bits, 2), mask)), I::or(high, I::and(I::shr(bits, 2), mask))]
        }
    }
}

/// Eight bits, a word for each step.
pub(crate) struct Bytes;

impl Codes for Bytes {
    const WORDS: usize = 8;
    const SIGNED: bool = true;
    const PREFETCH: bool = false;
    type Dot<I: Isa> = I::Wide;

    fn pack(steps: &Steps, sign: u8) -> [u32; 8] {
        steps.map(|step| step ^ u32::from_le_bytes([sign; 4]))
    }

    fn unpack(words: &[u32; 8], sign: u8) -> Steps {
        Bytes::pack(words, sign)
    }

    #[inline(always)]
    unsafe fn pair<I: Isa>(from: *const u8, stride: usize, w: usize) -> [I::V; 2] {
        // SAFETY: the caller's.
        unsafe { [I::load(from.add(w * stride)), I::load(from.add((w + 4) * stride))] }
    }
}

/// The signed bytes that sixteen codes stand for.
pub(crate) trait Table: 'static {
    const VALUES: [i8; 16];
}

/// Four bits, stored as [`Nibbles`], that stand for signed bytes.
pub(crate) struct Looked<T>(PhantomData<T>);

impl<T: Table> Codes for Looked<T> {
    const WORDS: usize = Nibbles::WORDS;
    const SIGNED: bool = true;
    type Dot<I: Isa> = I::Wide;

    fn pack(steps: &Steps, _: u8) -> [u32; 8] {
        Nibbles::pack(steps, 0)
    }

    fn unpack(words: &[u32; 8], _: u8) -> Steps {
        Nibbles::unpack(words, 0)
    }

    #[inline(always)]
    unsafe fn pair<I: Isa>(from: *const u8, stride: usize, w: usize) -> [I::V; 2] {
        let values = const { combined(T::VALUES, <I::Wide as Dot<I>>::SIGN) };
        // SAFETY: the caller's, and codes of four bits are places in the table.
        unsafe {
            let [low, high] = Nibbles::vectors::<I>(from, stride, w);
            [I::look_up(&values, low), I::look_up(&values, high)]
        }
    }
}

/// The values' bytes, combined with `sign` by exclusive or.
const fn combined(values: [i8; 16], sign: u8) -> [u8; 16] {
    let mut bytes = [0; 16];
    let mut i = 0;
    while i < 16 {
        bytes[i] = values[i] as u8 ^ sign;
        i += 1;
    }
    bytes
}
