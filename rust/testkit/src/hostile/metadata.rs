//! Keys and values.

use chord_gguf::ValueType;

use super::{FileBuilder, Refusal, refusal};

const TWO_TO_THE_60: u64 = 1 << 60;

/// A file with one entry, which is to follow.
fn one_entry() -> FileBuilder {
    FileBuilder::new(3, 0, 1)
}

/// Ends a file whose error comes before its end, with enough bytes for small counts to be believed.
fn with_tail(mut file: FileBuilder) -> FileBuilder {
    file.zeros(64);
    file
}

pub(super) fn empty_key() -> Refusal {
    let mut file = one_entry();
    let places = file.key("", ValueType::U32);
    refusal(with_tail(file), "empty-key", places.entry, &[&places.entry])
}

pub(super) fn key_length_2_to_the_60() -> Refusal {
    let mut file = one_entry();
    file.u64(TWO_TO_THE_60);
    refusal(with_tail(file), "string-too-long", 24, &[&TWO_TO_THE_60, &65_535])
}

/// One more wraps to 0.
pub(super) fn key_length_all_ones() -> Refusal {
    let mut file = one_entry();
    file.u64(u64::MAX);
    refusal(with_tail(file), "string-too-long", 24, &[&u64::MAX])
}

pub(super) fn key_past_the_end() -> Refusal {
    let mut file = one_entry();
    file.u64(1000);
    refusal(with_tail(file), "truncated", 32, &[&"needs 1000 bytes", &"has 64 from there"])
}

pub(super) fn key_not_utf8() -> Refusal {
    let mut file = one_entry();
    let places = file.key(b"general.\xff", ValueType::U32);
    refusal(with_tail(file), "invalid-utf8", places.key + 8, &[&"metadata key"])
}

pub(super) fn duplicate_key() -> Refusal {
    let mut file = FileBuilder::new(3, 0, 3);
    file.number("llama.block_count", 2);
    file.number("llama.context_length", 2);
    let second = file.number("llama.block_count", 3);
    refusal(with_tail(file), "duplicate-key", second.entry, &[&"llama.block_count"])
}

pub(super) fn unknown_value_type() -> Refusal {
    let mut file = one_entry();
    file.text("general.name");
    let place = file.here();
    file.u32(13);
    refusal(with_tail(file), "unknown-value-type", place, &[&"general.name", &13])
}

pub(super) fn value_type_all_ones() -> Refusal {
    let mut file = one_entry();
    file.text("general.name");
    let place = file.here();
    file.u32(u32::MAX);
    refusal(with_tail(file), "unknown-value-type", place, &[&"general.name", &u32::MAX])
}

pub(super) fn number_cut() -> Refusal {
    let mut file = one_entry();
    let places = file.key("general.size", ValueType::U64);
    file.zeros(5);
    refusal(file, "truncated", places.value, &[&"needs 8 bytes", &"has 5 from there"])
}

pub(super) fn string_length_2_to_the_60() -> Refusal {
    let mut file = one_entry();
    let places = file.key("general.name", ValueType::String);
    file.u64(TWO_TO_THE_60);
    refusal(with_tail(file), "string-too-long", places.value, &[&TWO_TO_THE_60])
}

pub(super) fn string_length_all_ones() -> Refusal {
    let mut file = one_entry();
    let places = file.key("general.name", ValueType::String);
    file.u64(u64::MAX);
    refusal(with_tail(file), "string-too-long", places.value, &[&u64::MAX])
}

pub(super) fn string_past_the_end() -> Refusal {
    let mut file = one_entry();
    let places = file.key("general.name", ValueType::String);
    file.u64(65);
    refusal(with_tail(file), "truncated", places.value + 8, &[&"needs 65 bytes", &"has 64 from there"])
}

pub(super) fn string_not_utf8() -> Refusal {
    let mut file = one_entry();
    let places = file.key("general.name", ValueType::String);
    file.text(b"caf\xe9");
    refusal(with_tail(file), "invalid-utf8", places.value + 8 + 3, &[&"metadata string"])
}

pub(super) fn array_of_arrays() -> Refusal {
    let mut file = one_entry();
    let places = file.array("tokenizer.nested", ValueType::Array, 1);
    file.u32(ValueType::U32 as u32).u64(1).u32(7);
    refusal(with_tail(file), "nested-array", places.value, &[&"tokenizer.nested"])
}

pub(super) fn array_of_unknown_type() -> Refusal {
    let mut file = one_entry();
    let places = file.key("tokenizer.odd", ValueType::Array);
    file.u32(77).u64(1);
    refusal(with_tail(file), "unknown-value-type", places.value, &[&"tokenizer.odd", &77])
}

pub(super) fn array_count_2_to_the_60() -> Refusal {
    let mut file = one_entry();
    let places = file.array("tokenizer.ggml.tokens", ValueType::String, TWO_TO_THE_60);
    refusal(with_tail(file), "count-too-large", places.value + 4, &[&TWO_TO_THE_60])
}

/// 8 bytes times the count is 8 in 64 bits.
pub(super) fn array_count_whose_bytes_wrap() -> Refusal {
    let count = (1u64 << 61) + 1;
    let mut file = one_entry();
    let places = file.array("tokenizer.ggml.scores", ValueType::F64, count);
    refusal(with_tail(file), "count-too-large", places.value + 4, &[&count])
}

pub(super) fn array_past_the_end() -> Refusal {
    let mut file = one_entry();
    let places = file.array("tokenizer.ggml.scores", ValueType::F32, 17);
    refusal(with_tail(file), "truncated", places.value + 12, &[&"needs 68 bytes", &"has 64 from there"])
}

/// Each string takes at least the 8 bytes of its length.
pub(super) fn array_of_strings_past_the_end() -> Refusal {
    let mut file = one_entry();
    let places = file.array("tokenizer.ggml.tokens", ValueType::String, 1_000_000);
    refusal(with_tail(file), "truncated", places.value + 12, &[&8_000_000, &64])
}

pub(super) fn array_string_length_2_to_the_60() -> Refusal {
    let mut file = one_entry();
    file.array("tokenizer.ggml.tokens", ValueType::String, 2);
    let place = file.text("a").here();
    file.u64(TWO_TO_THE_60);
    refusal(with_tail(file), "string-too-long", place, &[&TWO_TO_THE_60, &65_536])
}

/// All its bytes are there.
pub(super) fn array_string_too_long() -> Refusal {
    let mut file = one_entry();
    file.array("tokenizer.ggml.tokens", ValueType::String, 2);
    let place = file.text("a").here();
    file.text(vec![b'x'; 65_537]);
    refusal(with_tail(file), "string-too-long", place, &[&65_537, &65_536])
}

pub(super) fn array_string_cut() -> Refusal {
    let mut file = one_entry();
    file.array("tokenizer.ggml.tokens", ValueType::String, 2);
    let place = file.text("a").here();
    file.u64(5).raw(b"four");
    refusal(file, "truncated", place + 8, &[&"needs 5 bytes", &"has 4 from there"])
}

pub(super) fn truth_value_of_2() -> Refusal {
    let mut file = one_entry();
    let places = file.key("tokenizer.ggml.add_bos_token", ValueType::Bool);
    file.raw(&[2]);
    refusal(with_tail(file), "invalid-bool", places.value, &[&"tokenizer.ggml.add_bos_token", &2])
}

pub(super) fn truth_value_in_an_array() -> Refusal {
    let mut file = one_entry();
    let places = file.array("gemma3.attention.is_global", ValueType::Bool, 5);
    file.raw(&[0, 1, 1, 255, 0]);
    let place = places.value + 12 + 3;
    refusal(with_tail(file), "invalid-bool", place, &[&"gemma3.attention.is_global", &255])
}

fn alignment(value: u32) -> Refusal {
    let mut file = one_entry();
    let places = file.number("general.alignment", value);
    let number = format!("is {value},");
    refusal(with_tail(file), "bad-alignment", places.value, &[&"general.alignment", &number])
}

pub(super) fn alignment_0() -> Refusal {
    alignment(0)
}

pub(super) fn alignment_not_a_power_of_two() -> Refusal {
    alignment(48)
}

pub(super) fn alignment_too_large() -> Refusal {
    alignment(1 << 21)
}

pub(super) fn alignment_of_64_bits() -> Refusal {
    let mut file = one_entry();
    let places = file.key("general.alignment", ValueType::U64);
    file.u64(32);
    refusal(with_tail(file), "alignment-type", places.ty, &[&"general.alignment", &"u64", &"u32"])
}

pub(super) fn alignment_as_text() -> Refusal {
    let mut file = one_entry();
    let places = file.string("general.alignment", "32");
    refusal(with_tail(file), "alignment-type", places.ty, &[&"general.alignment", &"string", &"u32"])
}
