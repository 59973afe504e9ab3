//! The kernels of each instruction set: the same source, compiled with other processor features.

use chord_gguf::quant::*;
use chord_gguf::{GgmlType, for_each_quantized};

use super::centring::{DotOf, Uncentred, bias, is_centred};
use super::codes::Codes;
use super::exact::{self, Bf16, F16, F32, Quantized};
use super::formats::Format;
use super::operands::Operands;
use super::panel::Panel;
use super::rounding::{TokenSlot, quantize_token};
use super::scales::Scales;
use super::unpack::Chunk;
use super::{centred_tiles, product, tiles};
use crate::simd::{Dot, InstructionSet, Isa};

/// Computes a product, on a processor that has the instruction set.
pub(crate) type Product = unsafe fn(&Operands);

/// What is compiled for one instruction set.
pub(crate) struct Kernels {
    pub(crate) isa: InstructionSet,
    /// Rows of a row block: MR.
    pub(crate) row_block_rows: usize,
    /// Tokens of a panel: NR.
    pub(crate) panel_tokens: usize,
    /// The number of tokens from which on codes of two bytes are stored as numbers of 16 bits.
    pub(crate) dot16_from: usize,
    /// See [`quantize_token`].
    pub(crate) quantize: unsafe fn(*const f32, usize, &TokenSlot),
    /// Products with unchanged activations; `None` for a type that has none.
    pub(crate) exact: fn(GgmlType) -> Option<Product>,
    /// Products with rounded activations; `None` for a type that has none.
    pub(crate) quantized: fn(GgmlType) -> Option<Product>,
    /// [`Dot::SIGN`] of signed weights.
    pub(crate) sign: u8,
}

macro_rules! quantized_product_of {
    (($ty:ident) $($name:ident $block:ident,)*) => {
        match $ty {
            $(GgmlType::$name => Some(quantized_product::<$block> as Product),)*
            _ => None,
        }
    };
}

macro_rules! exact_product_of {
    (($ty:ident) $($name:ident $block:ident,)*) => {
        match $ty {
            $(GgmlType::$name => Some(exact_product::<Quantized<$block>> as Product),)*
            _ => None,
        }
    };
}

/// An instruction set's kernels; those of another one for what does not depend on how bytes are multiplied, if named.
macro_rules! instruction_set {
    ($module:ident, $isa:ty, $set:ident, $vectors:literal, $tokens:literal, $(#[$feature:meta])*) => {
        mod $module {
            use super::*;

            type Sums<const T: usize> = [[<$isa as Isa>::F; $vectors]; T];
            type Columns = exact::Columns<<$isa as Isa>::F, $vectors>;

            $(#[$feature])*
            pub(super) unsafe fn quantize(x: *const f32, cols: usize, slot: &TokenSlot) {
                // SAFETY: the caller's promise.
                unsafe { quantize_token::<$isa>(x, cols, slot) }
            }

            $(#[$feature])*
            #[inline(never)]
            unsafe fn exact_tile<const T: usize>(columns: *const Columns, n: usize, acts: *const f32, sums: &mut Sums<T>) {
                // SAFETY: the caller's promise.
                unsafe { exact::tile::<$isa, $vectors, T>(columns, n, acts, sums) }
            }

            $(#[$feature])*
            unsafe fn exact_product<R: exact::Rows>(operands: &Operands) {
                // SAFETY: the caller's promise.
                unsafe {
                    exact::product::<$isa, R, $vectors, $tokens>(operands, exact_tile::<1>, exact_tile::<$tokens>)
                }
            }

            pub(super) fn exact(ty: GgmlType) -> Option<Product> {
                match ty {
                    GgmlType::F32 => Some(exact_product::<F32>),
                    GgmlType::F16 => Some(exact_product::<F16>),
                    GgmlType::BF16 => Some(exact_product::<Bf16>),
                    ty => for_each_quantized!(exact_product_of: ty),
                }
            }

            instruction_set!(rounded $isa, $set, $vectors, $tokens, $(#[$feature])*);
        }
    };
    ($module:ident, $isa:ty, $set:ident, $vectors:literal, $tokens:literal, else $other:ident) => {
        mod $module {
            use super::$other::{exact, quantize};
            use super::*;

            type Sums<const T: usize> = [[<$isa as Isa>::F; $vectors]; T];

            instruction_set!(rounded $isa, $set, $vectors, $tokens,);
        }
    };
    (rounded $isa:ty, $set:ident, $vectors:literal, $tokens:literal, $(#[$feature:meta])*) => {
        $(#[$feature])*
        #[inline(never)]
        unsafe fn unsigned<D: Dot<$isa>, const GROUPS: usize>(
            chunk: *const Chunk<$isa, $vectors>,
            n_blocks: usize,
            acts: Panel,
            sums: &mut Sums<$tokens>,
        ) {
            // SAFETY: the caller's promise.
            unsafe {
                tiles::tile::<$isa, D, $vectors, $tokens, GROUPS, true>(chunk, n_blocks, acts, sums)
            }
        }

        $(#[$feature])*
        #[inline(never)]
        unsafe fn signed<D: Dot<$isa>, const GROUPS: usize, const MIN: bool>(
            chunk: *const Chunk<$isa, $vectors>,
            n_blocks: usize,
            acts: Panel,
            sums: &mut Sums<$tokens>,
        ) {
            // SAFETY: the caller's promise.
            unsafe { tiles::tile::<$isa, D, $vectors, $tokens, GROUPS, MIN>(chunk, n_blocks, acts, sums) }
        }

        $(#[$feature])*
        #[inline(never)]
        unsafe fn centred<D: Dot<$isa>, const GROUPS: usize, const MIN: bool, const CENTRED: bool>(
            chunk: *const Chunk<$isa, $vectors>,
            n_blocks: usize,
            acts: Panel,
            sums: &mut Sums<$tokens>,
        ) {
            // SAFETY: the caller's promise.
            unsafe {
                centred_tiles::tile::<$isa, D, $vectors, $tokens, GROUPS, MIN, CENTRED>(chunk, n_blocks, acts, sums)
            }
        }

        $(#[$feature])*
        unsafe fn product_of<F: Format, D: Dot<$isa>, const PLANES: usize>(operands: &Operands) {
            let has_min = F::Scales::has_min(bias::<$isa, F, D>());
            let is_centred = is_centred::<$isa, F, D>();
            let tile = match (F::Codes::SIGNED, D::CENTRED, F::Scales::GROUPS, has_min, is_centred) {
                (true, _, 1, false, _) => signed::<D, 1, false>,
                (true, _, 1, true, _) => signed::<D, 1, true>,
                (true, _, _, false, _) => signed::<D, 2, false>,
                (true, _, _, true, _) => signed::<D, 2, true>,
                (_, true, 1, false, _) => centred::<D, 1, false, true>,
                (_, true, 1, true, false) => centred::<D, 1, true, false>,
                (_, true, 1, true, true) => centred::<D, 1, true, true>,
                (_, true, _, false, _) => centred::<D, 2, false, true>,
                (_, true, _, true, false) => centred::<D, 2, true, false>,
                (_, true, _, true, true) => unreachable!("no type of two groups has minima and such codes"),
                (_, false, 1, ..) => unsigned::<D, 1>,
                (_, false, ..) => unsigned::<D, 2>,
            };
            // SAFETY: the caller's promise.
            unsafe { product::product::<$isa, F, D, $vectors, $tokens, PLANES>(operands, tile) }
        }

        $(#[$feature])*
        unsafe fn quantized_product<F: Format>(operands: &Operands) {
            // SAFETY: the caller's promise; activations tell how they are stored.
            unsafe {
                if <$isa as Isa>::DOT16_FROM < usize::MAX && operands.acts.is_16_bit() {
                    product_of::<F, <$isa as Isa>::Dot16, 1>(operands)
                } else if <$isa as Isa>::LOOP && <$isa as Isa>::DOT16_FROM > 1 && operands.acts.n_planes() == 2 {
                    product_of::<F, Uncentred<DotOf<$isa, F>>, 2>(operands)
                } else {
                    product_of::<F, DotOf<$isa, F>, 1>(operands)
                }
            }
        }

        fn quantized(ty: GgmlType) -> Option<Product> {
            for_each_quantized!(quantized_product_of: ty)
        }

        pub(super) static KERNELS: Kernels = Kernels {
            isa: InstructionSet::$set,
            row_block_rows: $vectors * <$isa as Isa>::LANES,
            panel_tokens: $tokens,
            dot16_from: <$isa as Isa>::DOT16_FROM,
            quantize,
            exact,
            quantized,
            sign: <<$isa as Isa>::Dot8 as Dot<$isa>>::SIGN,
        };
    };
}

// Vectors in a row block and tokens in a panel: as many sums as there are registers for, see docs/decisions.
#[cfg(not(all(target_family = "wasm", target_feature = "simd128")))]
instruction_set!(scalar, crate::simd::scalar::Scalar, Scalar, 1, 4,);
#[cfg(all(target_family = "wasm", target_feature = "simd128", not(target_feature = "relaxed-simd")))]
instruction_set!(simd128, crate::simd::wasm::Simd128, Simd128, 4, 2,);
#[cfg(all(target_family = "wasm", target_feature = "relaxed-simd"))]
instruction_set!(relaxed_simd, crate::simd::wasm::RelaxedSimd, RelaxedSimd, 4, 2,);
#[cfg(all(target_family = "wasm", target_feature = "relaxed-simd"))]
instruction_set!(relaxed_dot, crate::simd::wasm::RelaxedDot, RelaxedDot, 4, 2, else relaxed_simd);
#[cfg(target_arch = "x86_64")]
instruction_set!(avx2, crate::simd::x86::Avx2, Avx2, 1, 4, #[target_feature(enable = "avx2,fma,f16c")]);
#[cfg(target_arch = "x86_64")]
instruction_set!(
    avx512_vnni,
    crate::simd::x86::Avx512Vnni,
    Avx512Vnni,
    1,
    8,
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
);
#[cfg(target_arch = "aarch64")]
instruction_set!(neon, crate::simd::neon::Neon, Neon, 2, 4, #[target_feature(enable = "neon")]);
#[cfg(target_arch = "aarch64")]
instruction_set!(neon_dot, crate::simd::neon::NeonDot, NeonDot, 2, 4, #[target_feature(enable = "neon,dotprod")]);

/// The kernels of an instruction set.
///
/// # Panics
/// If it is not one of [`InstructionSet::available`].
pub(crate) fn kernels(isa: InstructionSet) -> &'static Kernels {
    assert!(InstructionSet::available().contains(&isa), "this machine has no {isa}");
    match isa {
        #[cfg(not(all(target_family = "wasm", target_feature = "simd128")))]
        InstructionSet::Scalar => &scalar::KERNELS,
        #[cfg(all(target_family = "wasm", target_feature = "simd128", not(target_feature = "relaxed-simd")))]
        InstructionSet::Simd128 => &simd128::KERNELS,
        #[cfg(all(target_family = "wasm", target_feature = "relaxed-simd"))]
        InstructionSet::RelaxedSimd => &relaxed_simd::KERNELS,
        #[cfg(all(target_family = "wasm", target_feature = "relaxed-simd"))]
        InstructionSet::RelaxedDot => &relaxed_dot::KERNELS,
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2 => &avx2::KERNELS,
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512Vnni => &avx512_vnni::KERNELS,
        #[cfg(target_arch = "aarch64")]
        InstructionSet::Neon => &neon::KERNELS,
        #[cfg(target_arch = "aarch64")]
        InstructionSet::NeonDot => &neon_dot::KERNELS,
        other => unreachable!("{other} is not available"),
    }
}
