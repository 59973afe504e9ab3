//! The ops of each instruction set: the same source, compiled with other processor features.

use chord_program::Activation;

use super::attention::{HeadGroup, Scratch, attend};
use super::math::glu;
use crate::simd::InstructionSet;

/// A gated or plain activation of a slice, see [`glu`].
type Glu = unsafe fn(&[f32], Option<&[f32]>, Activation, &mut [f32]);

/// What is compiled for one instruction set. All are `unsafe` because the processor must have the instructions.
#[derive(Clone, Copy)]
pub(crate) struct VectorOps {
    pub(crate) glu: Glu,
    /// See [`attend`], with keys and values as f32.
    pub(crate) attend_f32: unsafe fn(&HeadGroup<'_, f32>, &mut Scratch),
    /// The same with keys and values as f16.
    pub(crate) attend_f16: unsafe fn(&HeadGroup<'_, u16>, &mut Scratch),
}

macro_rules! instruction_set {
    ($module:ident, $isa:ty, $(#[$feature:meta])*) => {
        mod $module {
            use super::*;

            $(#[$feature])*
            unsafe fn glu_here(gate: &[f32], up: Option<&[f32]>, act: Activation, out: &mut [f32]) {
                // Each activation is a loop of its own.
                // SAFETY: the caller's promise.
                unsafe {
                    match act {
                        Activation::Silu => glu::<$isa>(gate, up, Activation::Silu, out),
                        Activation::GeluTanh => glu::<$isa>(gate, up, Activation::GeluTanh, out),
                        Activation::ReluSquared => glu::<$isa>(gate, up, Activation::ReluSquared, out),
                    }
                }
            }

            $(#[$feature])*
            unsafe fn attend_f32(heads: &HeadGroup<'_, f32>, scratch: &mut Scratch) {
                // SAFETY: the caller's promise.
                unsafe { attend::<$isa, f32>(heads, scratch) }
            }

            $(#[$feature])*
            unsafe fn attend_f16(heads: &HeadGroup<'_, u16>, scratch: &mut Scratch) {
                // SAFETY: the caller's promise.
                unsafe { attend::<$isa, u16>(heads, scratch) }
            }

            pub(super) const OPS: VectorOps = VectorOps { glu: glu_here, attend_f32, attend_f16 };
        }
    };
}

#[cfg(not(all(target_family = "wasm", target_feature = "simd128")))]
instruction_set!(scalar, crate::simd::scalar::Scalar,);
#[cfg(all(target_family = "wasm", target_feature = "simd128", not(target_feature = "relaxed-simd")))]
instruction_set!(simd128, crate::simd::wasm::Simd128,);
#[cfg(all(target_family = "wasm", target_feature = "relaxed-simd"))]
instruction_set!(relaxed_simd, crate::simd::wasm::RelaxedSimd,);
#[cfg(target_arch = "x86_64")]
instruction_set!(avx2, crate::simd::x86::Avx2, #[target_feature(enable = "avx2,fma,f16c")]);
#[cfg(target_arch = "x86_64")]
instruction_set!(
    avx512_vnni,
    crate::simd::x86::Avx512Vnni,
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
);
#[cfg(target_arch = "aarch64")]
instruction_set!(neon, crate::simd::neon::Neon, #[target_feature(enable = "neon")]);

/// The ops of an instruction set.
///
/// # Panics
/// If it is not one of [`InstructionSet::available`].
pub(crate) fn vector_ops(isa: InstructionSet) -> VectorOps {
    assert!(InstructionSet::available().contains(&isa), "this machine has no {isa}");
    match isa {
        #[cfg(not(all(target_family = "wasm", target_feature = "simd128")))]
        InstructionSet::Scalar => scalar::OPS,
        #[cfg(all(target_family = "wasm", target_feature = "simd128", not(target_feature = "relaxed-simd")))]
        InstructionSet::Simd128 => simd128::OPS,
        #[cfg(all(target_family = "wasm", target_feature = "relaxed-simd"))]
        InstructionSet::RelaxedSimd | InstructionSet::RelaxedDot => relaxed_simd::OPS,
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2 => avx2::OPS,
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512Vnni => avx512_vnni::OPS,
        #[cfg(target_arch = "aarch64")]
        InstructionSet::Neon | InstructionSet::NeonDot => neon::OPS,
        other => unreachable!("{other} is not available"),
    }
}
