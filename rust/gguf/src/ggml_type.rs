//! The tensor types that a file can name: number, name and block size of each.

use std::fmt;
use std::str::FromStr;

macro_rules! ggml_types {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $elems:literal, $bytes:literal;)*) => {
        /// How a tensor's elements are stored: plain numbers, or blocks of quantized ones.
        ///
        /// The number of each variant is its id in the file. All types that a file may hold are known here, so that
        /// any valid file can be listed; [`GgmlType::can_dequantize`] says which of them this crate can decode.
        #[allow(non_camel_case_types)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        #[non_exhaustive]
        pub enum GgmlType {
            $($(#[$doc])* $name = $id,)*
        }

        impl GgmlType {
            /// Every known type, in the order of the ids.
            pub const ALL: &'static [GgmlType] = &[$(GgmlType::$name,)*];

            /// The type with this id, or `None` if the id is unknown or was retired.
            pub const fn from_id(id: u32) -> Option<Self> {
                match id {
                    $($id => Some(GgmlType::$name),)*
                    _ => None,
                }
            }

            /// The name that ggml uses, e.g. `"Q4_K"`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(GgmlType::$name => stringify!($name),)*
                }
            }

            /// Elements per block; 1 for plain numbers.
            pub const fn block_elems(self) -> u64 {
                match self {
                    $(GgmlType::$name => $elems,)*
                }
            }

            /// Bytes per block.
            pub const fn block_bytes(self) -> u64 {
                match self {
                    $(GgmlType::$name => $bytes,)*
                }
            }
        }
    };
}

// id, elements per block, bytes per block. Ids 4, 5, 31–33 and 36–38 belonged to formats that ggml has removed.
ggml_types! {
    /// 32-bit float.
    F32 = 0, 1, 4;
    /// 16-bit IEEE float.
    F16 = 1, 1, 2;
    /// 4-bit with an f16 scale.
    Q4_0 = 2, 32, 18;
    /// 4-bit with an f16 scale and an f16 minimum.
    Q4_1 = 3, 32, 20;
    /// 5-bit with an f16 scale.
    Q5_0 = 6, 32, 22;
    /// 5-bit with an f16 scale and an f16 minimum.
    Q5_1 = 7, 32, 24;
    /// 8-bit with an f16 scale.
    Q8_0 = 8, 32, 34;
    /// 8-bit with an f16 scale and the block's sum; an activation format, not stored in files.
    Q8_1 = 9, 32, 36;
    /// 2-bit super-block, 4-bit scales and minima.
    Q2_K = 10, 256, 84;
    /// 3-bit super-block, 6-bit scales.
    Q3_K = 11, 256, 110;
    /// 4-bit super-block, 6-bit scales and minima.
    Q4_K = 12, 256, 144;
    /// 5-bit super-block, 6-bit scales and minima.
    Q5_K = 13, 256, 176;
    /// 6-bit super-block, 8-bit scales.
    Q6_K = 14, 256, 210;
    /// 8-bit super-block; an activation format, not stored in files.
    Q8_K = 15, 256, 292;
    /// 2.06-bit codebook.
    IQ2_XXS = 16, 256, 66;
    /// 2.31-bit codebook.
    IQ2_XS = 17, 256, 74;
    /// 3.06-bit codebook.
    IQ3_XXS = 18, 256, 98;
    /// 1.56-bit codebook.
    IQ1_S = 19, 256, 50;
    /// 4-bit with a table of unevenly spaced values.
    IQ4_NL = 20, 32, 18;
    /// 3.44-bit codebook.
    IQ3_S = 21, 256, 110;
    /// 2.5-bit codebook.
    IQ2_S = 22, 256, 82;
    /// 4-bit super-block with a table of unevenly spaced values.
    IQ4_XS = 23, 256, 136;
    /// 8-bit signed integer.
    I8 = 24, 1, 1;
    /// 16-bit signed integer.
    I16 = 25, 1, 2;
    /// 32-bit signed integer.
    I32 = 26, 1, 4;
    /// 64-bit signed integer.
    I64 = 27, 1, 8;
    /// 64-bit float.
    F64 = 28, 1, 8;
    /// 1.75-bit codebook.
    IQ1_M = 29, 256, 56;
    /// The upper half of a 32-bit float.
    BF16 = 30, 1, 2;
    /// Ternary, 1.69 bits.
    TQ1_0 = 34, 256, 54;
    /// Ternary, 2.06 bits.
    TQ2_0 = 35, 256, 66;
    /// 4-bit float (E2M1) with a shared power-of-two scale.
    MXFP4 = 39, 32, 17;
    /// 4-bit float (E2M1), four 8-bit float scales to a block.
    NVFP4 = 40, 64, 36;
    /// One sign bit with an f16 scale.
    Q1_0 = 41, 128, 18;
    /// 2-bit with an f16 scale.
    Q2_0 = 42, 64, 18;
}

impl GgmlType {
    /// The id stored in files.
    pub const fn id(self) -> u32 {
        self as u32
    }

    /// Bytes of a row of `cols` elements; `None` if the row is not a whole number of blocks or the size overflows.
    pub const fn row_bytes(self, cols: u64) -> Option<u64> {
        if !cols.is_multiple_of(self.block_elems()) {
            return None;
        }
        (cols / self.block_elems()).checked_mul(self.block_bytes())
    }

    /// The types of plain numbers that [`crate::dequantize`] decodes.
    pub const FLOATS: &'static [GgmlType] = &[GgmlType::F32, GgmlType::F16, GgmlType::BF16];

    /// The quantized types that [`crate::dequantize`] decodes.
    pub const QUANTIZED: &'static [GgmlType] = crate::for_each_quantized!(types_of:);

    /// All types that [`crate::dequantize`] decodes.
    pub fn decodable() -> impl Iterator<Item = GgmlType> {
        Self::FLOATS.iter().chain(Self::QUANTIZED).copied()
    }

    /// Whether [`crate::dequantize`] decodes this type.
    pub fn can_dequantize(self) -> bool {
        Self::decodable().any(|ty| ty == self)
    }

    /// Whether this is one of [`GgmlType::QUANTIZED`].
    pub fn is_quantized(self) -> bool {
        Self::QUANTIZED.contains(&self)
    }
}

macro_rules! types_of {
    (() $($name:ident $block:ident,)*) => { &[$(GgmlType::$name,)*] };
}
use types_of;

impl fmt::Display for GgmlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Its name.
impl serde::Serialize for GgmlType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The text given to [`GgmlType::from_str`] names no known type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a known tensor type")]
pub struct UnknownTypeName(pub String);

impl FromStr for GgmlType {
    type Err = UnknownTypeName;

    /// Reads a name as [`GgmlType::name`] gives it; upper and lower case are the same.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|ty| ty.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownTypeName(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_round_trip() {
        for &ty in GgmlType::ALL {
            assert_eq!(GgmlType::from_id(ty.id()), Some(ty));
            assert_eq!(ty.name().parse(), Ok(ty));
            assert_eq!(ty.name().to_lowercase().parse(), Ok(ty));
        }
        for retired in [4, 5, 31, 32, 33, 36, 37, 38, 43, u32::MAX] {
            assert_eq!(GgmlType::from_id(retired), None);
        }
        assert!("Q4_2".parse::<GgmlType>().is_err());
    }

    #[test]
    fn rows_are_whole_blocks() {
        assert_eq!(GgmlType::Q4_K.row_bytes(512), Some(288));
        assert_eq!(GgmlType::Q4_K.row_bytes(576), None);
        assert_eq!(GgmlType::Q4_0.row_bytes(576), Some(324));
        assert_eq!(GgmlType::F64.row_bytes(1 << 62), None);
        assert_eq!(format!("{:>6}", GgmlType::Q6_K), "  Q6_K");
    }
}
