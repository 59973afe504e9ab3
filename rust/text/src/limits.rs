//! Limits on a file's contents and on templates, with values of real files for comparison.

/// Tokens in a vocabulary. Gemma has 262,144.
pub const MAX_TOKENS: usize = 1 << 22;

/// Bytes of one token's text. GPT-2 and DeepSeek have tokens of 256 bytes (128 spaces, two bytes each).
pub const MAX_TOKEN_BYTES: usize = 4096;

/// Merge rules. Llama 3 has 280,147.
pub const MAX_MERGES: usize = 1 << 23;

/// Bytes of a chat template's source. The longest, with tool use, are some 20 KB.
pub const MAX_TEMPLATE_BYTES: usize = 256 << 10;

/// Bytes of rendered text.
pub const MAX_RENDERED_BYTES: usize = 16 << 20;

/// Bytes that a template may read and write on its way, all values together: each message passes through a handful
/// of concatenations and filters.
pub const MAX_TEMPLATE_WORK_BYTES: usize = 128 << 20;

/// Bytes of one value made by a template, such as `a + b` or a captured block.
pub const MAX_TEMPLATE_VALUE_BYTES: usize = MAX_RENDERED_BYTES;

/// Steps of the template engine for one rendering. A message takes some dozens to hundreds.
pub const TEMPLATE_FUEL: u64 = 1_000_000;
