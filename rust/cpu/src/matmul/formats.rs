//! The quantized types: which packing each has, and how a block of the file is taken apart and put together.

use chord_gguf::quant::*;

use super::codes::{Codes, EightBits, FiveBits, FourBitTable, FourBits, Quads, SixBits, Table, ThreeBits, TwoBits};
use super::scales::{
    EightBitScales, F16Scale, F16ScaleAndMin, FourBitScales, Scales, SignedSixBitScales, SixBitScales,
};

/// A block of the file, taken apart. Numbers that a format does not have are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Fields {
    /// For each block of 32 columns.
    pub(crate) codes: [Quads; 8],
    pub(crate) words: [u32; 4],
    pub(crate) f16s: [u16; 2],
}

/// A quantized type, by its block of the file.
pub(crate) trait Format: Block + 'static {
    type Codes: Codes;
    type Scales: Scales;

    fn split(&self) -> Fields;
    fn join(fields: &Fields) -> Self;
}

/// Bytes that a file block of `F` takes when packed.
pub(crate) const fn file_block_bytes<F: Format>() -> usize {
    let codes = F::Codes::WORDS * F::Scales::BLOCKS * 4;
    codes + F::Scales::WORDS * 4 + F::Scales::F16S * 2
}

fn bits(f16: F16Le) -> u16 {
    u16::from_le_bytes(f16.0)
}

fn f16(bits: u16) -> F16Le {
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

/// The inverse of [`spread`].
fn gather(word: u32) -> u32 {
    (word & 1) | (word >> 7 & 2) | (word >> 14 & 4) | (word >> 21 & 8)
}

fn split_fives(qs: [u8; 16], qh: [u8; 4]) -> Quads {
    let (low, high) = (words::<16, 4>(qs), u32::from_le_bytes(qh));
    std::array::from_fn(|s| (low[s % 4] >> (s / 4 * 4) & 0x0f0f_0f0f) | spread(high >> (4 * s)) << 4)
}

fn join_fives(quads: &Quads) -> ([u8; 16], [u8; 4]) {
    let low = std::array::from_fn(|w| (quads[w] & 0x0f0f_0f0f) | (quads[w + 4] & 0x0f0f_0f0f) << 4);
    let high = (0..8).fold(0, |high, s| high | gather(quads[s] >> 4) << (4 * s));
    (bytes::<4, 16>(low), high.to_le_bytes())
}

macro_rules! small {
    ($block:ident, $codes:ty, $scales:ty, |$b:ident| $split:expr, |$u:ident| $join:expr) => {
        impl Format for $block {
            type Codes = $codes;
            type Scales = $scales;

            fn split(&self) -> Fields {
                let $b = self;
                let (quads, f16s) = $split;
                let mut fields = Fields { f16s, ..Fields::default() };
                fields.codes[0] = quads;
                fields
            }

            fn join($u: &Fields) -> Self {
                $join
            }
        }
    };
}

small!(BlockQ4_0, FourBits, F16Scale<8>, |b| (split_fives(b.qs, [0; 4]), [bits(b.d), 0]), |u| BlockQ4_0 {
    d: f16(u.f16s[0]),
    qs: join_fives(&u.codes[0]).0
});
small!(BlockQ4_1, FourBits, F16ScaleAndMin, |b| (split_fives(b.qs, [0; 4]), [bits(b.d), bits(b.m)]), |u| BlockQ4_1 {
    d: f16(u.f16s[0]),
    m: f16(u.f16s[1]),
    qs: join_fives(&u.codes[0]).0
});
small!(BlockQ5_0, FiveBits, F16Scale<16>, |b| (split_fives(b.qs, b.qh), [bits(b.d), 0]), |u| {
    let (qs, qh) = join_fives(&u.codes[0]);
    BlockQ5_0 { d: f16(u.f16s[0]), qh, qs }
});
small!(BlockQ5_1, FiveBits, F16ScaleAndMin, |b| (split_fives(b.qs, b.qh), [bits(b.d), bits(b.m)]), |u| {
    let (qs, qh) = join_fives(&u.codes[0]);
    BlockQ5_1 { d: f16(u.f16s[0]), m: f16(u.f16s[1]), qh, qs }
});
small!(BlockQ8_0, EightBits, F16Scale<0>, |b| (words::<32, 8>(b.qs.map(|q| q as u8)), [bits(b.d), 0]), |u| {
    BlockQ8_0 { d: f16(u.f16s[0]), qs: bytes::<8, 32>(u.codes[0]).map(|q| q as i8) }
});

/// The values of IQ4_NL.
pub(crate) struct Iq4Nl;

impl Table for Iq4Nl {
    const VALUES: [i8; 16] = IQ4_NL_VALUES;
}

small!(BlockIQ4_NL, FourBitTable<Iq4Nl>, F16Scale<0>, |b| (split_fives(b.qs, [0; 4]), [bits(b.d), 0]), |u| {
    BlockIQ4_NL { d: f16(u.f16s[0]), qs: join_fives(&u.codes[0]).0 }
});

/// Where the bits of quad `s` of block `b` are: word and shift.
type BitPlace = fn(b: usize, s: usize) -> (usize, usize);

/// Nibbles of Q4_K and Q5_K.
const PAIRED: BitPlace = |b, s| (b / 2 * 8 + s, b % 2 * 4);
/// Low pairs of Q2_K and Q3_K, and high pairs of Q6_K.
const QUARTERS: BitPlace = |b, s| (b / 4 * 8 + s, b % 4 * 2);
/// Nibbles of Q6_K.
const NIBBLES_OF_Q6: BitPlace = |b, s| (b / 4 * 16 + b % 2 * 8 + s, b % 4 / 2 * 4);
/// High bits of Q3_K and Q5_K.
const SINGLE: BitPlace = |b, s| (s, b);

/// Adds bits of the words, as `mask` selects them, to `codes` from bit `to` on.
#[inline(always)]
fn extract<const N: usize>(codes: &mut [Quads; 8], words: [u32; N], place: BitPlace, mask: u32, to: usize) {
    for (b, quads) in codes.iter_mut().enumerate() {
        for (s, quad) in quads.iter_mut().enumerate() {
            let (word, shift) = place(b, s);
            *quad |= (words[word] >> shift & mask) << to;
        }
    }
}

/// The inverse of [`extract`].
#[inline(always)]
fn insert<const N: usize>(codes: &[Quads; 8], place: BitPlace, mask: u32, from: usize) -> [u32; N] {
    let mut words = [0; N];
    for (b, quads) in codes.iter().enumerate() {
        for (s, quad) in quads.iter().enumerate() {
            let (word, shift) = place(b, s);
            words[word] |= (quad >> from & mask) << shift;
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
    type Codes = TwoBits;
    type Scales = FourBitScales;

    fn split(&self) -> Fields {
        let mut codes = [[0; 8]; 8];
        extract(&mut codes, words::<64, 16>(self.qs), QUARTERS, PAIR, 0);
        Fields { codes, words: words::<16, 4>(self.scales), f16s: [bits(self.d), bits(self.dmin)] }
    }

    fn join(fields: &Fields) -> Self {
        BlockQ2_K {
            scales: bytes(fields.words),
            qs: bytes::<16, 64>(insert(&fields.codes, QUARTERS, PAIR, 0)),
            d: f16(fields.f16s[0]),
            dmin: f16(fields.f16s[1]),
        }
    }
}

impl Format for BlockQ3_K {
    type Codes = ThreeBits;
    type Scales = SignedSixBitScales;

    fn split(&self) -> Fields {
        let mut codes = [[0; 8]; 8];
        extract(&mut codes, words::<64, 16>(self.qs), QUARTERS, PAIR, 0);
        extract(&mut codes, words::<32, 8>(self.hmask), SINGLE, BIT, 2);
        Fields { codes, words: pad(words::<12, 3>(self.scales)), f16s: [bits(self.d), 0] }
    }

    fn join(fields: &Fields) -> Self {
        BlockQ3_K {
            hmask: bytes::<8, 32>(insert(&fields.codes, SINGLE, BIT, 2)),
            qs: bytes::<16, 64>(insert(&fields.codes, QUARTERS, PAIR, 0)),
            scales: bytes::<3, 12>(unpad(fields.words)),
            d: f16(fields.f16s[0]),
        }
    }
}

impl Format for BlockQ4_K {
    type Codes = FourBits;
    type Scales = SixBitScales;

    fn split(&self) -> Fields {
        let mut codes = [[0; 8]; 8];
        extract(&mut codes, words::<128, 32>(self.qs), PAIRED, NIBBLE, 0);
        Fields { codes, words: pad(words::<12, 3>(self.scales)), f16s: [bits(self.d), bits(self.dmin)] }
    }

    fn join(fields: &Fields) -> Self {
        BlockQ4_K {
            d: f16(fields.f16s[0]),
            dmin: f16(fields.f16s[1]),
            scales: bytes::<3, 12>(unpad(fields.words)),
            qs: bytes::<32, 128>(insert(&fields.codes, PAIRED, NIBBLE, 0)),
        }
    }
}

impl Format for BlockQ5_K {
    type Codes = FiveBits;
    type Scales = SixBitScales;

    fn split(&self) -> Fields {
        let mut codes = [[0; 8]; 8];
        extract(&mut codes, words::<128, 32>(self.qs), PAIRED, NIBBLE, 0);
        extract(&mut codes, words::<32, 8>(self.qh), SINGLE, BIT, 4);
        Fields { codes, words: pad(words::<12, 3>(self.scales)), f16s: [bits(self.d), bits(self.dmin)] }
    }

    fn join(fields: &Fields) -> Self {
        BlockQ5_K {
            d: f16(fields.f16s[0]),
            dmin: f16(fields.f16s[1]),
            scales: bytes::<3, 12>(unpad(fields.words)),
            qh: bytes::<8, 32>(insert(&fields.codes, SINGLE, BIT, 4)),
            qs: bytes::<32, 128>(insert(&fields.codes, PAIRED, NIBBLE, 0)),
        }
    }
}

impl Format for BlockQ6_K {
    type Codes = SixBits;
    type Scales = EightBitScales;

    fn split(&self) -> Fields {
        let mut codes = [[0; 8]; 8];
        extract(&mut codes, words::<128, 32>(self.ql), NIBBLES_OF_Q6, NIBBLE, 0);
        extract(&mut codes, words::<64, 16>(self.qh), QUARTERS, PAIR, 4);
        Fields { codes, words: words::<16, 4>(self.scales.map(|s| s as u8)), f16s: [bits(self.d), 0] }
    }

    fn join(fields: &Fields) -> Self {
        BlockQ6_K {
            ql: bytes::<32, 128>(insert(&fields.codes, NIBBLES_OF_Q6, NIBBLE, 0)),
            qh: bytes::<16, 64>(insert(&fields.codes, QUARTERS, PAIR, 4)),
            scales: bytes::<4, 16>(fields.words).map(|s| s as i8),
            d: f16(fields.f16s[0]),
        }
    }
}
