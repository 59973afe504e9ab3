//! Vectors of 32-bit lanes: one small trait that the kernels of [`crate::matmul`] are written over, and an
//! implementation for each instruction set.
//!
//! A lane is a row of weights. Its four bytes, a quad, are four neighbouring columns of that row, and [`Dot`]
//! multiplies them with the same four activations in every lane, so that sums never cross lanes.

// Every function here rests on one promise of its caller: the processor has the instructions, and pointers are good for
// a whole vector.
#![allow(clippy::undocumented_unsafe_blocks)]

mod detect;
pub(crate) mod f16;
mod float;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
#[cfg(not(all(target_family = "wasm", target_feature = "simd128")))]
pub(crate) mod scalar;
#[cfg(target_family = "wasm")]
pub(crate) mod wasm;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

pub use detect::InstructionSet;
pub(crate) use float::Float;

/// Vectors of one instruction set. All functions are `unsafe` because the processor must have it; those with pointers
/// read or write a whole vector there, at any alignment.
pub(crate) trait Isa: Copy + 'static {
    /// 32-bit lanes in a vector.
    const LANES: usize;
    /// Whether kernels go through quads in a loop, or in unrolled code in which any quad might be the last. Compilers
    /// to WebAssembly reorder straight-line code sum by sum: without this the activations and codes of every quad would
    /// be alive until the last sum, on the engine's stack.
    const LOOP: bool = false;
    /// The number of tokens from which on activations of 16 bits are multiplied as such ([`Isa::Dot16`]), and not byte
    /// by byte.
    const DOT16_FROM: usize = usize::MAX;
    /// Integers or bytes.
    type V: Copy;
    /// `f32`.
    type F: Copy;
    /// Vectors that widen f16.
    type Widener: Copy;
    /// Whether widening f16 is faster where they are known to be finite.
    const FINITE_F16_IS_FASTER: bool = false;
    /// Products of weight codes of 0 to 15.
    type Dot4: Dot<Self>;
    /// Products of weight codes of 0 to 31.
    type Dot5: Dot<Self>;
    /// Products of weight codes of 0 to 127.
    type Dot7: Dot<Self>;
    /// Products of weights of eight bits.
    type Dot8: Dot<Self>;
    /// Products of any of these with activations of 16 bits; unused where [`Isa::DOT16_FROM`] is never reached.
    type Dot16: Dot<Self>;

    unsafe fn load(from: *const u8) -> Self::V;
    /// Hints that a cache line will be read, if the processor takes hints. Any address is allowed.
    #[inline(always)]
    fn prefetch(from: *const u8) {
        let _ = from;
    }
    unsafe fn splat(value: u32) -> Self::V;
    unsafe fn and(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn or(a: Self::V, b: Self::V) -> Self::V;
    /// Each lane shifted left by `n` bits, less than 32.
    unsafe fn shl(v: Self::V, n: u32) -> Self::V;
    /// Each lane shifted right by `n` bits, zeros coming in.
    unsafe fn shr(v: Self::V, n: u32) -> Self::V;
    /// The same, or by 16-bit lanes where that is faster: bits of the upper 16 may or may not reach the lower 16.
    #[inline(always)]
    unsafe fn shr_16(v: Self::V, n: u32) -> Self::V {
        // SAFETY: the caller's promise.
        unsafe { Self::shr(v, n) }
    }
    /// Each lane shifted right by `n` bits, copies of the sign coming in.
    unsafe fn sar(v: Self::V, n: u32) -> Self::V;
    /// For each byte of `at`, which is below 16, the byte of the table at that index.
    unsafe fn look_up(table: &[u8; 16], at: Self::V) -> Self::V;
    /// Sums of each lane, wrapping.
    unsafe fn add_i32(a: Self::V, b: Self::V) -> Self::V;
    /// Signed integers to `f32`.
    unsafe fn to_f32(v: Self::V) -> Self::F;
    /// The same bits as `f32`.
    unsafe fn as_f32(v: Self::V) -> Self::F;

    unsafe fn load_f32(from: *const f32) -> Self::F;
    unsafe fn store_f32(to: *mut f32, v: Self::F);
    /// Writes integers of −128 to 127 as bytes.
    unsafe fn store_i8(to: *mut i8, v: Self::V);
    /// Writes integers of −32,768 to 32,767 as 16 bits each.
    unsafe fn store_i16(to: *mut i16, v: Self::V);
    unsafe fn splat_f32(value: f32) -> Self::F;
    /// Widens one f16 for each lane; exact.
    unsafe fn load_f16(from: *const u8) -> Self::F;
    /// What [`Isa::load_finite_f16`] needs, to be made once for a loop.
    unsafe fn widener() -> Self::Widener;
    /// As [`Isa::load_f16`], for numbers that are neither infinite nor NaN.
    unsafe fn load_finite_f16(from: *const u8, widener: Self::Widener) -> Self::F;
    /// Widens one unsigned 16-bit integer for each lane.
    unsafe fn load_u16(from: *const u8) -> Self::V;
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F;
    /// `a · b + c`, rounded once or twice.
    unsafe fn mul_add(a: Self::F, b: Self::F, c: Self::F) -> Self::F;
}

/// The product of four weight codes and four activations in each lane, or of two.
pub(crate) trait Dot<I: Isa> {
    /// What the codes of signed weights must be combined with by exclusive or: `0x80` where the instruction multiplies
    /// unsigned codes (which are then 128 too large), else 0.
    const SIGN: u8;
    /// How many times `dot` may be called before its sums could overflow; at least 16 if they never do.
    const QUADS: usize = 16;
    /// Whether `dot` adds up each lane completely, so that its sums may begin with earlier ones instead of zeros.
    const IN_LANES: bool = true;
    /// How many operands a quad is split into: two where activations have 16 bits, bytes 0 and 2 first.
    const PARTS: usize = 1;
    /// Whether sums go on for a whole group of columns and may begin with [`Dot::start`], which subtracts the codes'
    /// middle: where large codes would overflow 16 bits, and where that saves minima. The final sums then fit; those of
    /// 16 bits wrap on the way, which does no harm.
    const CENTRED: bool = false;
    /// Weight codes made ready for `dot`.
    type Codes: Copy;
    /// Four activations, ready, for every lane.
    type Acts: Copy;

    unsafe fn codes(v: I::V) -> Self::Codes;
    /// Reads four signed bytes of −127 to 127, or two signed numbers of 16 bits.
    unsafe fn acts(from: *const i8) -> Self::Acts;
    /// One of the [`Dot::PARTS`] of four codes.
    #[inline(always)]
    unsafe fn part(codes: I::V, part: usize) -> I::V {
        let _ = part;
        codes
    }
    /// Adds `codes · acts` to sums of some kind, which begin as zeros but for [`Dot::IN_LANES`]; exact.
    unsafe fn dot(sum: I::V, codes: Self::Codes, acts: Self::Acts) -> I::V;

    /// Initial sums: `middle`, in both 16-bit numbers of a lane, times the two negated sums of activations in
    /// `neg_sums`.
    #[inline(always)]
    unsafe fn start(neg_sums: u32, middle: I::V) -> I::V {
        let _ = neg_sums;
        middle
    }

    /// The sum of each lane.
    #[inline(always)]
    unsafe fn total(sum: I::V) -> I::V {
        sum
    }
}
