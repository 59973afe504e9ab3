//! Why a file is refused.

use crate::GgmlType;

/// Why a header is refused. Offsets are bytes from the start of the file and point at the field that is wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error, serde::Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum GgufError {
    /// The file does not start with `GGUF`.
    #[error("not a GGUF file: {}", start_of_another(*found))]
    BadMagic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// A version of the format that this crate does not read.
    #[error(
        "GGUF version {found} at byte 4 is not supported, expected 2 or 3{}",
        if *big_endian { " (the file is big-endian: convert it to little-endian)" } else { "" }
    )]
    UnsupportedVersion {
        /// The version in the file.
        found: u32,
        /// Whether the bytes read the other way round are a known version.
        big_endian: bool,
    },
    /// The file ends before the header does.
    #[error("the file is cut off: {what} at byte {offset} needs {needed} bytes, the file has {available} from there")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Where it begins.
        offset: u64,
        /// Bytes it needs at least.
        needed: u64,
        /// Bytes from there to the end of the file.
        available: u64,
    },
    /// A count is larger than any real file's.
    #[error("{what} at byte {offset} is {count}, at most {limit} are accepted")]
    CountTooLarge {
        /// What is counted.
        what: &'static str,
        /// Where the count is.
        offset: u64,
        /// The count in the file.
        count: u64,
        /// The most that is accepted.
        limit: u64,
    },
    /// A string is longer than any real file's.
    #[error("the length of {what} at byte {offset} is {length} bytes, at most {limit} are accepted")]
    StringTooLong {
        /// What the string is.
        what: &'static str,
        /// Where the length is.
        offset: u64,
        /// The length in the file.
        length: u64,
        /// The most that is accepted.
        limit: u64,
    },
    /// The header is longer than any real file's.
    #[error("the header continues past byte {offset}, at most {limit} bytes are read")]
    HeaderTooLong {
        /// Where reading stopped.
        offset: u64,
        /// The limit.
        limit: u64,
    },
    /// A key, a name or a text is not UTF-8.
    #[error("{what} at byte {offset} is not UTF-8")]
    InvalidUtf8 {
        /// What the string is.
        what: &'static str,
        /// The first byte that is wrong.
        offset: u64,
    },
    /// A metadata key of length 0.
    #[error("the metadata key at byte {offset} is empty")]
    EmptyKey {
        /// Where the key's length is.
        offset: u64,
    },
    /// The same key twice.
    #[error("metadata key {key:?} occurs again at byte {offset}")]
    DuplicateKey {
        /// The key.
        key: String,
        /// Where the second entry begins.
        offset: u64,
    },
    /// A value type that is not in the format's list.
    #[error("metadata key {key:?} has unknown value type {found} at byte {offset}")]
    UnknownValueType {
        /// The key.
        key: String,
        /// Where the type id is.
        offset: u64,
        /// The id.
        found: u32,
    },
    /// An array whose elements are arrays. No real file has one.
    #[error("metadata key {key:?} is an array of arrays at byte {offset}, which is not supported")]
    NestedArray {
        /// The key.
        key: String,
        /// Where the element type is.
        offset: u64,
    },
    /// A truth value that is neither 0 nor 1.
    #[error("metadata key {key:?} has a truth value of {found} at byte {offset}, expected 0 or 1")]
    InvalidBool {
        /// The key.
        key: String,
        /// Where the byte is.
        offset: u64,
        /// The byte.
        found: u8,
    },
    /// `general.alignment` is not a `u32`.
    #[error("metadata key `general.alignment` at byte {offset} is of type {found}, expected u32")]
    AlignmentType {
        /// Where the value's type is.
        offset: u64,
        /// The type in the file.
        found: &'static str,
    },
    /// `general.alignment` is not a power of two between 1 and [`crate::limits::MAX_ALIGNMENT`].
    #[error("`general.alignment` at byte {offset} is {found}, expected a power of two from 1 to {limit}")]
    BadAlignment {
        /// Where the value is.
        offset: u64,
        /// The alignment in the file.
        found: u64,
        /// The largest accepted.
        limit: u64,
    },
    /// A tensor name of length 0.
    #[error("the tensor name at byte {offset} is empty")]
    EmptyTensorName {
        /// Where the name's length is.
        offset: u64,
    },
    /// The same tensor name twice.
    #[error("tensor {tensor:?} occurs again at byte {offset}")]
    DuplicateTensor {
        /// The name.
        tensor: String,
        /// Where the second entry begins.
        offset: u64,
    },
    /// No extents, or more than ggml has.
    #[error("tensor {tensor:?} has {found} dimensions at byte {offset}, expected 1 to {limit}")]
    BadDimensionCount {
        /// The tensor.
        tensor: String,
        /// Where the count is.
        offset: u64,
        /// The count.
        found: u32,
        /// The most accepted.
        limit: u32,
    },
    /// An extent of 0.
    #[error("tensor {tensor:?} has dimension {index} of size 0 at byte {offset}")]
    ZeroDimension {
        /// The tensor.
        tensor: String,
        /// Where the extent is.
        offset: u64,
        /// Which extent.
        index: u32,
    },
    /// A type id that is unknown, or of a format that ggml has removed.
    #[error("tensor {tensor:?} has unknown type {found} at byte {offset}")]
    UnknownTensorType {
        /// The tensor.
        tensor: String,
        /// Where the id is.
        offset: u64,
        /// The id.
        found: u32,
    },
    /// Rows that are not whole blocks.
    #[error("tensor {tensor:?} at byte {offset} has rows of {cols} elements, {ty} needs a multiple of {block}")]
    PartialBlock {
        /// The tensor.
        tensor: String,
        /// Where its first extent is.
        offset: u64,
        /// Its type.
        ty: GgmlType,
        /// Elements per row.
        cols: u64,
        /// Elements per block.
        block: u64,
    },
    /// The extents multiply to more than 2^63 − 1 elements, or more than 2^63 − 1 bytes.
    #[error("tensor {tensor:?} at byte {offset} has dimensions {dims:?}, whose product is too large")]
    SizeOverflow {
        /// The tensor.
        tensor: String,
        /// Where its first extent is.
        offset: u64,
        /// Its extents.
        dims: Vec<u64>,
    },
    /// A data offset that is not a multiple of the alignment.
    #[error("tensor {tensor:?} has data offset {found} at byte {offset}, expected a multiple of {alignment}")]
    MisalignedTensor {
        /// The tensor.
        tensor: String,
        /// Where the data offset is.
        offset: u64,
        /// The data offset, from the start of the data section.
        found: u64,
        /// The alignment of the file.
        alignment: u64,
    },
    /// Data that ends past the end of the file.
    #[error(
        "tensor {tensor:?} ({ty} {dims:?}) needs {needed} bytes from byte {start}, the file has {available} from there \
         (entry at byte {offset})"
    )]
    TensorPastEnd {
        /// The tensor.
        tensor: String,
        /// Where its data offset is in the header.
        offset: u64,
        /// Its type.
        ty: GgmlType,
        /// Its extents.
        dims: Vec<u64>,
        /// Where its data begins (saturated if it cannot be counted).
        start: u64,
        /// Bytes that type and extents require.
        needed: u64,
        /// Bytes from there to the end of the file.
        available: u64,
    },
    /// Data that reaches into the next tensor's: the bytes in the file don't fit type and extents.
    #[error(
        "tensor {tensor:?} ({ty} {dims:?}) needs {needed} bytes, but {next:?} begins after {available} \
         (entry at byte {offset})"
    )]
    TensorOverlap {
        /// The tensor.
        tensor: String,
        /// Where its data offset is in the header.
        offset: u64,
        /// Its type.
        ty: GgmlType,
        /// Its extents.
        dims: Vec<u64>,
        /// Bytes that type and extents require.
        needed: u64,
        /// Bytes from its start to the start of the next tensor.
        available: u64,
        /// The tensor whose data comes next.
        next: String,
    },
    /// More bytes than type, extents and padding explain before the next tensor.
    #[error(
        "tensor {tensor:?} ({ty} {dims:?}) needs {needed} bytes with padding, the file has {available} before {next:?} \
         (entry at byte {offset})"
    )]
    TensorGap {
        /// The tensor before the gap.
        tensor: String,
        /// Where its data offset is in the header.
        offset: u64,
        /// Its type.
        ty: GgmlType,
        /// Its extents.
        dims: Vec<u64>,
        /// Bytes that type and extents require, with padding.
        needed: u64,
        /// Bytes from its start to what comes next.
        available: u64,
        /// The tensor whose data comes next.
        next: String,
    },
    /// The first tensor's data does not begin where the data section does.
    #[error(
        "the data of the first tensor, {tensor:?}, begins {found} bytes into the data section, expected 0 (entry at byte {offset})"
    )]
    LeadingGap {
        /// The tensor with the lowest data offset.
        tensor: String,
        /// Where its data offset is in the header.
        offset: u64,
        /// Its data offset.
        found: u64,
    },
    /// [`crate::HeaderReader::feed`] was called after it had given the header or an error.
    #[error("the header reader is finished and takes no more bytes")]
    Finished,
}

/// Describes a file that begins with `found`, and what its user can do.
fn start_of_another(found: [u8; 4]) -> String {
    let known = match &found {
        [0xef, 0xbb, 0xbf, b'<'] => Some(WEB_PAGE),
        _ if is_markup(found) => Some(WEB_PAGE),
        b"vers" => Some("it is the text that Git LFS keeps in place of a large file; download the file itself"),
        b"ggml" | b"ggjt" | b"ggla" | b"ggmf" | b"lmgg" | b"tjgg" | b"algg" | b"fmgg" => {
            Some("it is of a format older than GGUF; take a newer file of this model")
        }
        b"FUGG" => Some("its bytes are in the order of big-endian machines, which is not supported"),
        [b'P', b'K', 3 | 5, _] => Some("it is a ZIP archive; unpack it first"),
        [0x1f, 0x8b, ..] => Some("it is compressed by gzip; unpack it first"),
        [0, 0, 0, 0] => Some("it begins with zeros, as files do whose download did not finish"),
        [b'{' | b'[', ..] => Some("it is JSON text, as a server sends it for an error; look at the file's address"),
        _ => None,
    };
    if let Some(known) = known {
        return known.to_owned();
    }
    let text: String = found.iter().map(|&byte| if byte.is_ascii_graphic() { char::from(byte) } else { '.' }).collect();
    format!("it begins with `{text}`, `GGUF` was expected")
}

const WEB_PAGE: &str =
    "it is a web page, perhaps the one about the file or one to log in; the address of the file itself is needed";

/// True for the start of HTML or XML, white space before it included.
fn is_markup(found: [u8; 4]) -> bool {
    let start = found.trim_ascii_start();
    let of_a_tag = |&byte: &u8| byte.is_ascii_alphabetic() || b"!?-".contains(&byte);
    start.split_first().is_none_or(|(&first, rest)| first == b'<' && rest.iter().all(of_a_tag))
}

impl GgufError {
    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        match self {
            GgufError::BadMagic { .. } => "bad-magic",
            GgufError::UnsupportedVersion { .. } => "unsupported-version",
            GgufError::Truncated { .. } => "truncated",
            GgufError::CountTooLarge { .. } => "count-too-large",
            GgufError::StringTooLong { .. } => "string-too-long",
            GgufError::HeaderTooLong { .. } => "header-too-long",
            GgufError::InvalidUtf8 { .. } => "invalid-utf8",
            GgufError::EmptyKey { .. } => "empty-key",
            GgufError::DuplicateKey { .. } => "duplicate-key",
            GgufError::UnknownValueType { .. } => "unknown-value-type",
            GgufError::NestedArray { .. } => "nested-array",
            GgufError::InvalidBool { .. } => "invalid-bool",
            GgufError::AlignmentType { .. } => "alignment-type",
            GgufError::BadAlignment { .. } => "bad-alignment",
            GgufError::EmptyTensorName { .. } => "empty-tensor-name",
            GgufError::DuplicateTensor { .. } => "duplicate-tensor",
            GgufError::BadDimensionCount { .. } => "bad-dimension-count",
            GgufError::ZeroDimension { .. } => "zero-dimension",
            GgufError::UnknownTensorType { .. } => "unknown-tensor-type",
            GgufError::PartialBlock { .. } => "partial-block",
            GgufError::SizeOverflow { .. } => "size-overflow",
            GgufError::MisalignedTensor { .. } => "misaligned-tensor",
            GgufError::TensorPastEnd { .. } => "tensor-past-end",
            GgufError::TensorOverlap { .. } => "tensor-overlap",
            GgufError::TensorGap { .. } => "tensor-gap",
            GgufError::LeadingGap { .. } => "leading-gap",
            GgufError::Finished => "finished",
        }
    }

    /// The byte of the file that the error points at.
    pub const fn offset(&self) -> Option<u64> {
        match self {
            GgufError::BadMagic { .. } => Some(0),
            GgufError::UnsupportedVersion { .. } => Some(4),
            GgufError::Truncated { offset, .. }
            | GgufError::CountTooLarge { offset, .. }
            | GgufError::StringTooLong { offset, .. }
            | GgufError::HeaderTooLong { offset, .. }
            | GgufError::InvalidUtf8 { offset, .. }
            | GgufError::EmptyKey { offset }
            | GgufError::DuplicateKey { offset, .. }
            | GgufError::UnknownValueType { offset, .. }
            | GgufError::NestedArray { offset, .. }
            | GgufError::InvalidBool { offset, .. }
            | GgufError::AlignmentType { offset, .. }
            | GgufError::BadAlignment { offset, .. }
            | GgufError::EmptyTensorName { offset }
            | GgufError::DuplicateTensor { offset, .. }
            | GgufError::BadDimensionCount { offset, .. }
            | GgufError::ZeroDimension { offset, .. }
            | GgufError::UnknownTensorType { offset, .. }
            | GgufError::PartialBlock { offset, .. }
            | GgufError::SizeOverflow { offset, .. }
            | GgufError::MisalignedTensor { offset, .. }
            | GgufError::TensorPastEnd { offset, .. }
            | GgufError::TensorOverlap { offset, .. }
            | GgufError::TensorGap { offset, .. }
            | GgufError::LeadingGap { offset, .. } => Some(*offset),
            GgufError::Finished => None,
        }
    }
}
