//! Which instruction sets there are, and which of them this machine has.

use std::fmt;

/// An instruction set that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InstructionSet {
    /// Plain Rust, for any processor.
    Scalar,
    /// WebAssembly's 128-bit vectors.
    Simd128,
    /// WebAssembly's 128-bit vectors with sums of two products of bytes.
    RelaxedSimd,
    /// The same with sums of four products of bytes.
    RelaxedDot,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// x86-64 with AVX-512 (F, BW, VL, VNNI).
    Avx512Vnni,
    /// 64-bit ARM.
    Neon,
    /// 64-bit ARM with products of bytes (`dotprod`).
    NeonDot,
}

impl InstructionSet {
    /// Those that this build has and this processor runs, the best one last as far as that is known. A build for
    /// WebAssembly has only the best ones of its target features: the loader has chosen the build.
    pub fn available() -> Vec<Self> {
        let mut sets = Vec::new();
        if cfg!(all(target_family = "wasm", target_feature = "relaxed-simd")) {
            sets.extend([InstructionSet::RelaxedDot, InstructionSet::RelaxedSimd]);
        } else if cfg!(all(target_family = "wasm", target_feature = "simd128")) {
            sets.push(InstructionSet::Simd128);
        } else {
            sets.push(InstructionSet::Scalar);
        }
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 =
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni");
            if avx2 {
                sets.push(InstructionSet::Avx2);
                if avx512 {
                    sets.push(InstructionSet::Avx512Vnni);
                }
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            sets.push(InstructionSet::Neon);
            if std::arch::is_aarch64_feature_detected!("dotprod") {
                sets.push(InstructionSet::NeonDot);
            }
        }
        sets
    }

    /// Those of which any may be the fastest: [`fastest`](crate::matmul::fastest) measures which. Only relaxed SIMD has
    /// more than one.
    pub fn rivals() -> Vec<Self> {
        let available = Self::available();
        let relaxed = |isa: &Self| matches!(isa, InstructionSet::RelaxedSimd | InstructionSet::RelaxedDot);
        match available.iter().filter(|isa| relaxed(isa)).count() {
            0 => vec![Self::best()],
            _ => available.into_iter().filter(relaxed).collect(),
        }
    }

    /// The one of this name, if this machine has it.
    pub fn named(name: &str) -> Option<Self> {
        Self::available().into_iter().find(|isa| isa.name() == name)
    }

    /// The fastest one here, as far as that is known without measuring.
    pub fn best() -> Self {
        Self::available().pop().unwrap_or(InstructionSet::Scalar)
    }

    /// Its name, e.g. `"relaxed-simd"`.
    pub const fn name(self) -> &'static str {
        match self {
            InstructionSet::Scalar => "scalar",
            InstructionSet::Simd128 => "simd128",
            InstructionSet::RelaxedSimd => "relaxed-simd",
            InstructionSet::RelaxedDot => "relaxed-dot",
            InstructionSet::Avx2 => "avx2",
            InstructionSet::Avx512Vnni => "avx512-vnni",
            InstructionSet::Neon => "neon",
            InstructionSet::NeonDot => "neon-dotprod",
        }
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
