//! How the codes of 32 columns are packed into words, and how vectors of them are unpacked.
//!
//! A *quad* is four neighbouring columns: one 32-bit lane of a row. A block of 32 columns is eight quads, packed into
//! fewer words where codes have fewer than eight bits. Each word is stored for all rows of a row block side by side.
//!
//! What is multiplied can differ from what is stored: [`FourBitTable`] stores four bits and multiplies signed bytes.

use std::marker::PhantomData;

use crate::simd::{Dot, Isa};

/// The eight quads of a block of one row, four codes to a word.
pub(crate) type Quads = [u32; 8];

/// A packing of codes.
pub(crate) trait Codes: 'static {
    /// Words for a block of one row.
    const WORDS: usize;
    /// Whether codes are unpacked to signed bytes, combined with [`Dot::SIGN`] by exclusive or: they are stored in this
    /// form, or looked up in a table of this form.
    const SIGNED: bool = false;
    /// The middle of unsigned codes: half of how many there are.
    const MIDDLE: u8 = 0;
    /// Whether unpacking takes so long that the processor would not load the next codes in time by itself: they are
    /// prefetched, [`AHEAD`] bytes ahead.
    const PREFETCH: bool = true;
    /// Whether [`Codes::pair`] shifts by a number that depends on `w`: loops over `w` are written out, because a shift
    /// by a number that the compiler does not know takes several instructions.
    const SHIFTS_BY_WORD: bool = false;
    /// How they are multiplied.
    type Dot<I: Isa>: Dot<I>;

    /// Packs the quads of one row; the first [`Codes::WORDS`] of what it returns count. `sign` is [`Dot::SIGN`] of
    /// [`Isa::Dot8`], for types that store it.
    fn pack(quads: &Quads, sign: u8) -> [u32; 8];

    /// The inverse of [`Codes::pack`].
    fn unpack(words: &[u32; 8], sign: u8) -> Quads;

    /// Quads `w` and `w + 4` of a block, `w` less than four, for a vector of rows. The words of a row are `stride`
    /// bytes apart.
    ///
    /// # Safety
    /// The processor has `I`, and the words can be read.
    unsafe fn pair<I: Isa>(from: *const u8, stride: usize, w: usize) -> [I::V; 2];

    /// All quads of a block: see [`Codes::pair`].
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn block<I: Isa>(from: *const u8, stride: usize) -> [I::V; 8] {
        // SAFETY: the caller's promise.
        unsafe {
            let mut quads = [I::splat(0); 8];
            let mut w = 0;
            while w < 4 {
                [quads[w], quads[w + 4]] = Self::pair::<I>(from, stride, w);
                w += 1;
            }
            quads
        }
    }
}

/// How far ahead of what it reads a product with one token prefetches, in bytes.
pub(crate) const AHEAD: usize = 6144;

const LOW: u32 = 0x0f0f_0f0f;
const PAIR: u32 = 0x0303_0303;
const BIT: u32 = 0x0101_0101;

/// Four bits: word `w` holds quad `w` in the low nibbles of its bytes and quad `w + 4` in the high ones, as Q4_0
/// stores them.
pub(crate) struct FourBits;

impl FourBits {
    fn pack_low(quads: &Quads) -> [u32; 4] {
        std::array::from_fn(|w| (quads[w] & LOW) | (quads[w + 4] & LOW) << 4)
    }

    #[inline(always)]
    unsafe fn vectors<I: Isa>(from: *const u8, stride: usize, w: usize) -> [I::V; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let (word, mask) = (I::load(from.add(w * stride)), I::splat(LOW));
            [I::and(word, mask), I::and(I::shr_16(word, 4), mask)]
        }
    }
}

impl Codes for FourBits {
    const WORDS: usize = 4;
    const MIDDLE: u8 = 8;
    type Dot<I: Isa> = I::Dot4;

    fn pack(quads: &Quads, _: u8) -> [u32; 8] {
        let [a, b, c, d] = FourBits::pack_low(quads);
        [a, b, c, d, 0, 0, 0, 0]
    }

    fn unpack(words: &[u32; 8], _: u8) -> Quads {
        std::array::from_fn(|s| words[s % 4] >> (s / 4 * 4) & LOW)
    }

    #[inline(always)]
    unsafe fn pair<I: Isa>(from: *const u8, stride: usize, w: usize) -> [I::V; 2] {
        // SAFETY: the caller's promise.
        unsafe { FourBits::vectors::<I>(from, stride, w) }
    }
}

/// Five bits: as [`FourBits`], and a word with the fifth bits of quad `s` at bit `s` of each byte.
pub(crate) struct FiveBits;

impl Codes for FiveBits {
    const WORDS: usize = 5;
    const MIDDLE: u8 = 16;
    const SHIFTS_BY_WORD: bool = true;
    type Dot<I: Isa> = I::Dot5;

    fn pack(quads: &Quads, _: u8) -> [u32; 8] {
        let [a, b, c, d] = FourBits::pack_low(quads);
        let high = (0..8).fold(0, |word, s| word | (quads[s] >> 4 & BIT) << s);
        [a, b, c, d, high, 0, 0, 0]
    }

    fn unpack(words: &[u32; 8], _: u8) -> Quads {
        let low = FourBits::unpack(words, 0);
        std::array::from_fn(|s| low[s] | (words[4] >> s & BIT) << 4)
    }

    #[inline(always)]
    unsafe fn pair<I: Isa>(from: *const u8, stride: usize, w: usize) -> [I::V; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let [low, high] = FourBits::vectors::<I>(from, stride, w);
            let (bits, mask) = (I::shr(I::load(from.add(4 * stride)), w as u32), I::splat(BIT << 4));
            [I::or(low, I::and(I::shl(bits, 4), mask)), I::or(high, I::and(bits, mask))]
        }
    }
}

/// Six bits: as [`FourBits`], and [`TwoBits`] of the high bits.
pub(crate) struct SixBits;

impl Codes for SixBits {
    const WORDS: usize = 6;
    const MIDDLE: u8 = 32;
    const SHIFTS_BY_WORD: bool = true;
    type Dot<I: Isa> = I::Dot7;

    fn pack(quads: &Quads, _: u8) -> [u32; 8] {
        let [a, b, c, d] = FourBits::pack_low(quads);
        let high = TwoBits::pack_low(&quads.map(|quad| quad >> 4));
        [a, b, c, d, high[0], high[1], 0, 0]
    }

    fn unpack(words: &[u32; 8], _: u8) -> Quads {
        let low = FourBits::unpack(words, 0);
        std::array::from_fn(|s| low[s] | (words[4 + s / 4] >> (s % 4 * 2) & PAIR) << 4)
    }

    #[inline(always)]
    unsafe fn pair<I: Isa>(from: *const u8, stride: usize, w: usize) -> [I::V; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let [low, high] = FourBits::vectors::<I>(from, stride, w);
            let pairs = TwoBits::vectors::<I>(from.add(4 * stride), stride, w);
            [I::or(low, I::shl(pairs[0], 4)), I::or(high, I::shl(pairs[1], 4))]
        }
    }
}

/// Two bits: word `w` holds quads `4 · w` to `4 · w + 3`, two bits of each byte for each quad, from the low bits up.
pub(crate) struct TwoBits;

impl TwoBits {
    fn pack_low(quads: &Quads) -> [u32; 2] {
        std::array::from_fn(|w| (0..4).fold(0, |word, i| word | (quads[4 * w + i] & PAIR) << (2 * i)))
    }

    #[inline(always)]
    unsafe fn vectors<I: Isa>(from: *const u8, stride: usize, w: usize) -> [I::V; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let (a, b, mask) = (I::load(from), I::load(from.add(stride)), I::splat(PAIR));
            [I::and(I::shr(a, 2 * w as u32), mask), I::and(I::shr(b, 2 * w as u32), mask)]
        }
    }
}

impl Codes for TwoBits {
    const WORDS: usize = 2;
    const MIDDLE: u8 = 2;
    const SHIFTS_BY_WORD: bool = true;
    type Dot<I: Isa> = I::Dot4;

    fn pack(quads: &Quads, _: u8) -> [u32; 8] {
        let [a, b] = TwoBits::pack_low(quads);
        [a, b, 0, 0, 0, 0, 0, 0]
    }

    fn unpack(words: &[u32; 8], _: u8) -> Quads {
        std::array::from_fn(|s| words[s / 4] >> (s % 4 * 2) & PAIR)
    }

    #[inline(always)]
    unsafe fn pair<I: Isa>(from: *const u8, stride: usize, w: usize) -> [I::V; 2] {
        // SAFETY: the caller's promise.
        unsafe { TwoBits::vectors::<I>(from, stride, w) }
    }
}

/// Three bits: as [`TwoBits`], and a word with the third bits of quad `s` at bit `s` of each byte.
pub(crate) struct ThreeBits;

impl Codes for ThreeBits {
    const WORDS: usize = 3;
    const MIDDLE: u8 = 4;
    const SHIFTS_BY_WORD: bool = true;
    type Dot<I: Isa> = I::Dot4;

    fn pack(quads: &Quads, _: u8) -> [u32; 8] {
        let [a, b] = TwoBits::pack_low(quads);
        let high = (0..8).fold(0, |word, s| word | (quads[s] >> 2 & BIT) << s);
        [a, b, high, 0, 0, 0, 0, 0]
    }

    fn unpack(words: &[u32; 8], _: u8) -> Quads {
        let low = TwoBits::unpack(words, 0);
        std::array::from_fn(|s| low[s] | (words[2] >> s & BIT) << 2)
    }

    #[inline(always)]
    unsafe fn pair<I: Isa>(from: *const u8, stride: usize, w: usize) -> [I::V; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let [low, high] = TwoBits::vectors::<I>(from, stride, w);
            let (bits, mask) = (I::shr(I::load(from.add(2 * stride)), w as u32), I::splat(BIT << 2));
            [I::or(low, I::and(I::shl(bits, 2), mask)), I::or(high, I::and(I::shr(bits, 2), mask))]
        }
    }
}

/// Eight bits, a word for each quad.
pub(crate) struct EightBits;

impl Codes for EightBits {
    const WORDS: usize = 8;
    const SIGNED: bool = true;
    const PREFETCH: bool = false;
    type Dot<I: Isa> = I::Dot8;

    fn pack(quads: &Quads, sign: u8) -> [u32; 8] {
        quads.map(|quad| quad ^ u32::from_le_bytes([sign; 4]))
    }

    fn unpack(words: &[u32; 8], sign: u8) -> Quads {
        EightBits::pack(words, sign)
    }

    #[inline(always)]
    unsafe fn pair<I: Isa>(from: *const u8, stride: usize, w: usize) -> [I::V; 2] {
        // SAFETY: the caller's promise.
        unsafe { [I::load(from.add(w * stride)), I::load(from.add((w + 4) * stride))] }
    }
}

/// The signed bytes that sixteen codes stand for.
pub(crate) trait Table: 'static {
    const VALUES: [i8; 16];
}

/// Four bits, stored as [`FourBits`], that stand for signed bytes.
pub(crate) struct FourBitTable<T>(PhantomData<T>);

impl<T: Table> Codes for FourBitTable<T> {
    const WORDS: usize = FourBits::WORDS;
    const SIGNED: bool = true;
    type Dot<I: Isa> = I::Dot8;

    fn pack(quads: &Quads, _: u8) -> [u32; 8] {
        FourBits::pack(quads, 0)
    }

    fn unpack(words: &[u32; 8], _: u8) -> Quads {
        FourBits::unpack(words, 0)
    }

    #[inline(always)]
    unsafe fn pair<I: Isa>(from: *const u8, stride: usize, w: usize) -> [I::V; 2] {
        let values = const { combined(T::VALUES, <I::Dot8 as Dot<I>>::SIGN) };
        // SAFETY: the caller's promise; a code of four bits is an index into the table.
        unsafe {
            let [low, high] = FourBits::vectors::<I>(from, stride, w);
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
