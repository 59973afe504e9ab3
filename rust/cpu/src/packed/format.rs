//! The quantized types: which packing each has, and how a block of the file is taken apart and put together.

use chord_gguf::quant::*;

use super::codes::{Bytes, Codes, Looked, Nibbles, NibblesAndBit, NibblesAndPair, Pairs, PairsAndBit, Steps, Table};
use super::scales::{Affine, EightBit, FourBit, Scales, SignedSixBit, SixBit, Symmetric};

/// A block of the file, taken apart. Numbers that a format does not have are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Unit {
    /// For each block of 32 columns.
    pub(crate) codes: [Steps; 8],
    pub(crate) words: [u32; 4],
    pub(crate) halves: [u16; 2],
}

/// A quantized type, by its block of the file: as many columns as a unit of its scales.
pub(crate) trait Format: Block + 'static {
    type Codes: Codes;
    type Scales: Scales;

    fn split(&self) -> Unit;
    fn join(unit: &Unit) -> Self;
}

/// Bytes in a row that `F` takes for a unit.
pub(crate) const fn unit_bytes<F: Format>() -> usize {
    let codes = F::Codes::WORDS * F::Scales::BLOCKS * 4;
    codes + F::Scales::WORDS * 4 + F::Scales::HALVES * 2
}

fn bits(half: F16Le) -> u16 {
    u16::from_le_bytes(half.0)
}

fn half(bits: u16) -> F16Le {
    F16Le(bits.to_le_bytes())
}

/// Little-endian words of bytes.
fn words<const BYTES: usize, const WORDS: usize>(bytes: [u8; BYTES]) -> [u32; WORDS] {
    std::array::from_fn(|w| u32::from_le_bytes(std::array::from_fn(|b| bytes[4 * w + b])))
}

fn bytes<const WORDS: usize, const BYTES: usize>(words: [u32; WORDS]) -> [u8; BYTES] {
    std::array::from_fn(|b| words[b / 4].to_le_bytes()[b % 4])
}

/// Bits `0` to `3` of `bits` in the lowest bits of four bytes.
fn spread(bits: u32) -> u32 {
    (bits & 1) | (bits & 2) << 7 | (bits & 4) << 14 | (bits & 8) << 21
}

/// The other way round.
fn gather(word: u32) -> u32 {
    (word & 1) | (word >> 7 & 2) | (word >> 14 & 4) | (word >> 21 & 8)
}

fn split_fives(qs: [u8; 16], qh: [u8; 4]) -> Steps {
    let (low, high) = (words::<16, 4>(qs), u32::from_le_bytes(qh));
    std::array::from_fn(|s| (low[s % 4] >> (s / 4 * 4) & 0x0f0f_0f0f) | spread(high >> (4 * s)) << 4)
}

fn join_fives(steps: &Steps) -> ([u8; 16], [u8; 4]) {
    let low = std::array::from_fn(|w| (steps[w] & 0x0f0f_0f0f) | (steps[w + 4] & 0x0f0f_0f0f) << 4);
    let high = (0..8).fold(0, |high, s| high | gather(steps[s] >> 4) << (4 * s));
    (bytes::<4, 16>(low), high.to_le_bytes())
}

macro_rules! small {
    ($block:ident, $codes:ty, $scales:ty, |$b:ident| $split:expr, |$u:ident| $join:expr) => {
        impl Format for $block {
            type Codes = $codes;
            type Scales = $scales;

            fn split(&self) -> Unit {
                let $b = self;
                let (steps, halves) = $split;
                let mut unit = Unit { halves, ..Unit::default() };
                unit.codes[0] = steps;
                unit
            }

            fn join($u: &Unit) -> Self {
                $join
            }
        }
    };
}

small!(BlockQ4_0, Nibbles, Symmetric<8>, |b| (split_fives(b.qs, [0; 4]), [bits(b.d), 0]), |u| BlockQ4_0 {
    d: half(u.halves[0]),
    qs: join_fives(&u.codes[0]).0
});
small!(BlockQ4_1, Nibbles, Affine, |b| (split_fives(b.qs, [0; 4]), [bits(b.d), bits(b.m)]), |u| BlockQ4_1 {
    d: half(u.halves[0]),
    m: half(u.halves[1]),
    qs: join_fives(&u.codes[0]).0
});
small!(BlockQ5_0, NibblesAndBit, Symmetric<16>, |b| (split_fives(b.qs, b.qh), [bits(b.d), 0]), |u| {
    let (qs, qh) = join_fives(&u.codes[0]);
    BlockQ5_0 { d: half(u.halves[0]), qh, qs }
});
small!(BlockQ5_1, NibblesAndBit, Affine, |b| (split_fives(b.qs, b.qh), [bits(b.d), bits(b.m)]), |u| {
    let (qs, qh) = join_fives(&u.codes[0]);
    BlockQ5_1 { d: half(u.halves[0]), m: half(u.halves[1]), qh, qs }
});
small!(BlockQ8_0, Bytes, Symmetric<0>, |b| (words::<32, 8>(b.qs.map(|q| q as u8)), [bits(b.d), 0]), |u| {
    BlockQ8_0 { d: half(u.halves[0]), qs: bytes::<8, 32>(u.codes[0]).map(|q| q as i8) }
});

/// The values of IQ4_NL.
pub(crate) struct Iq4Nl;

impl Table for Iq4Nl {
    const VALUES: [i8; 16] = IQ4_NL_VALUES;
}

small!(BlockIQ4_NL, Looked<Iq4Nl>, Symmetric<0>, |b| (split_fives(b.qs, [0; 4]), [bits(b.d), 0]), |u| BlockIQ4_NL {
    d: half(u.halves[0]),
    qs: join_fives(&u.codes[0]).0
});

/// Where the bits of step `s` of block `b` lie: word and shift.
type Place = fn(b: usize, s: usize) -> (usize, usize);

/// Nibbles of Q4_K and Q5_K.
const PAIRED: Place = |b, s| (b / 2 * 8 + s, b % 2 * 4);
/// Low pairs of Q2_K and Q3_K, and high pairs of Q6_K.
const QUARTERS: Place = |b, s| (b / 4 * 8 + s, b % 4 * 2);
/// Nibbles of Q6_K.
const HALVES: Place = |b, s| (b / 4 * 16 + b % 2 * 8 + s, b % 4 / 2 * 4);
/// High bits of Q3_K and Q5_K.
const SINGLE: Place = |b, s| (s, b);

/// Adds to `codes`, from bit `to` on, the bits that `mask` leaves of the words.
#[inline(always)]
fn take<const N: usize>(codes: &mut [Steps; 8], words: [u32; N], place: Place, mask: u32, to: usize) {
    for (b, steps) in codes.iter_mut().enumerate() {
        for (s, step) in steps.iter_mut().enumerate() {
            let (word, shift) = place(b, s);
            *step |= (words[word] >> shift & mask) << to;
        }
    }
}

/// The other way round.
#[inline(always)]
fn give<const N: usize>(codes: &[Steps; 8], place: Place, mask: u32, from: usize) -> [u32; N] {
    let mut words = [0; N];
    for (b, steps) in codes.iter().enumerate() {
        for (s, step) in steps.iter().enumerate() {
            let (word, shift) = place(b, s);
            words[word] |= (step >> from & mask) << shift;
        }
    }
    words
}

const NIBBLE: u32 = 0x0f0f_0f0f;
const PAIR: u32 = 0x0303_0303;
const BIT: u32 = 0x0101_0101;

fn pad<const N: usize>(words: [u32; N]) -> [u32; 4] {
    std::array::from_fn(|w| if w < N { words[w] } else { 0 })
}

fn unpad<const N: usize>(words: [u32; 4]) -> [u32; N] {
    std::array::from_fn(|w| words[w])
}

impl Format for BlockQ2_K {
    type Codes = Pairs;
    type Scales = FourBit;

    fn split(&self) -> Unit {
        let mut codes = [[0; 8]; 8];
        take(&mut codes, words::<64, 16>(self.qs), QUARTERS, PAIR, 0);
        Unit { codes, words: words::<16, 4>(self.scales), halves: [bits(self.d), bits(self.dmin)] }
    }

    fn join(unit: &Unit) -> Self {
        BlockQ2_K {
            scales: bytes(unit.words),
            qs: bytes::<16, 64>(give(&unit.codes, QUARTERS, PAIR, 0)),
            d: half(unit.halves[0]),
            dmin: half(unit.halves[1]),
        }
    }
}

impl Format for BlockQ3_K {
    type Codes = PairsAndBit;
    type Scales = SignedSixBit;

    fn split(&self) -> Unit {
        let mut codes = [[0; 8]; 8];
        take(&mut codes, words::<64, 16>(self.qs), QUARTERS, PAIR, 0);
        take(&mut codes, words::<32, 8>(self.hmask), SINGLE, BIT, 2);
        Unit { codes, words: pad(words::<12, 3>(self.scales)), halves: [bits(self.d), 0] }
    }

    fn join(unit: &Unit) -> Self {
        BlockQ3_K {
            hmask: bytes::<8, 32>(give(&unit.codes, SINGLE, BIT, 2)),
            qs: bytes::<16, 64>(give(&unit.codes, QUARTERS, PAIR, 0)),
            scales: bytes::<3, 12>(unpad(unit.words)),
            d: half(unit.halves[0]),
        }
    }
}

impl Format for BlockQ4_K {
    type Codes = Nibbles;
    type Scales = SixBit;

    fn split(&self) -> Unit {
        let mut codes = [[0; 8]; 8];
        take(&mut codes, words::<128, 32>(self.qs), PAIRED, NIBBLE, 0);
        Unit { codes, words: pad(words::<12, 3>(self.scales)), halves: [bits(self.d), bits(self.dmin)] }
    }

    fn join(unit: &Unit) -> Self {
        BlockQ4_K {
            d: half(unit.halves[0]),
            dmin: half(unit.halves[1]),
            scales: bytes::<3, 12>(unpad(unit.words)),
            qs: bytes::<32, 128>(give(&unit.codes, PAIRED, NIBBLE, 0)),
        }
    }
}

impl Format for BlockQ5_K {
    type Codes = NibblesAndBit;
    type Scales = SixBit;

    fn split(&self) -> Unit {
        let mut codes = [[0; 8]; 8];
        take(&mut codes, words::<128, 32>(self.qs), PAIRED, NIBBLE, 0);
        take(&mut codes, words::<32, 8>(self.qh), SINGLE, BIT, 4);
        Unit { codes, words: pad(words::<12, 3>(self.scales)), halves: [bits(self.d), bits(self.dmin)] }
    }

    fn join(unit: &Unit) -> Self {
        BlockQ5_K {
            d: half(unit.halves[0]),
            dmin: half(unit.halves[1]),
            scales: bytes::<3, 12>(unpad(unit.words)),
            qh: bytes::<8, 32>(give(&unit.codes, SINGLE, BIT, 4)),
            qs: bytes::<32, 128>(give(&unit.codes, PAIRED, NIBBLE, 0)),
        }
    }
}

impl Format for BlockQ6_K {
    type Codes = NibblesAndPair;
    type Scales = EightBit;

    fn split(&self) -> Unit {
        let mut codes = [[0; 8]; 8];
        take(&mut codes, words::<128, 32>(self.ql), HALVES, NIBBLE, 0);
        take(&mut codes, words::<64, 16>(self.qh), QUARTERS, PAIR, 4);
        Unit { codes, words: words::<16, 4>(self.scales.map(|s| s as u8)), halves: [bits(self.d), 0] }
    }

    fn join(unit: &Unit) -> Self {
        BlockQ6_K {
            ql: bytes::<32, 128>(give(&unit.codes, HALVES, NIBBLE, 0)),
            qh: bytes::<16, 64>(give(&unit.codes, QUARTERS, PAIR, 4)),
            scales: bytes::<4, 16>(unit.words).map(|s| s as i8),
            d: half(unit.halves[0]),
        }
    }
}
