//! Limits. Each is well above what real files contain and low enough that a hostile file is
//! refused before it costs anything.

/// Metadata entries. Real files have 20 to 70.
pub const MAX_METADATA: u64 = 4_096;
/// Tensors. Large mixture-of-experts language models have about 1,200, video models about 4,000.
pub const MAX_TENSORS: u64 = 8_192;
/// Bytes of a metadata key: the format's own limit. Real keys stay under 80.
pub const MAX_KEY_BYTES: u64 = 65_535;
/// Bytes of a string value. The longest in real files is an embedded `tokenizer.json` of 17 MB.
pub const MAX_STRING_BYTES: u64 = 32 << 20;
/// Bytes of a string in an array. The longest real vocabulary piece is about 1,000 bytes.
pub const MAX_ARRAY_STRING_BYTES: u64 = 65_536;
/// Elements of an array. The longest real ones are merge lists of about 515,000.
pub const MAX_ARRAY_ELEMENTS: u64 = 4 << 20;
/// Bytes of a tensor name. The format's limit is 64; diffusion models go up to 127.
pub const MAX_TENSOR_NAME_BYTES: u64 = 256;
/// Dimensions of a tensor, as in ggml.
pub const MAX_DIMENSIONS: u32 = 4;
/// Largest `general.alignment`. Real files use 32, rarely 64 or 4,096.
pub const MAX_ALIGNMENT: u64 = 1 << 20;
/// Bytes of a whole header. The largest real ones are about 20 MB, twice that with an embedded `tokenizer.json`.
pub const MAX_HEADER_BYTES: u64 = 64 << 20;
/// Alignment of a file that gives none.
pub const DEFAULT_ALIGNMENT: u64 = 32;
/// Fewest bytes of a metadata entry: length and one byte of the key, type, one byte of value.
pub const MIN_METADATA_BYTES: u64 = 8 + 1 + 4 + 1;
/// Fewest bytes of a directory entry: length and one byte of the name, dimension count, one extent, type, offset.
pub const MIN_TENSOR_BYTES: u64 = 8 + 1 + 4 + 8 + 4 + 8;
