//! The tensor directory, and the data that it promises.

use chord_gguf::GgmlType::{self, F16, F32, F64, Q4_0, Q4_K};

use super::{FileBuilder, Refusal, refusal};
use chord_gguf::writer::TensorPlaces;

/// A tensor for [`file_of`]: name, extents, type, data offset.
type Entry<'a> = (&'a str, &'a [u64], GgmlType, u64);

/// A file with these tensors and `data` bytes of data.
fn file_of(tensors: &[Entry<'_>], data: usize) -> (FileBuilder, Vec<TensorPlaces>) {
    let mut file = FileBuilder::new(3, tensors.len() as u64, 1);
    file.string("general.architecture", "llama");
    let places = tensors.iter().map(|&(name, dims, ty, offset)| file.tensor(name, dims, ty, offset)).collect();
    file.pad(32).zeros(data);
    (file, places)
}

/// A file with one tensor that is refused at `field` of its entry.
fn one(
    entry: Entry<'_>,
    data: usize,
    code: &'static str,
    field: fn(&TensorPlaces) -> u64,
    message: &[&dyn ToString],
) -> Refusal {
    let (file, places) = file_of(&[entry], data);
    refusal(file, code, field(&places[0]), message)
}

pub(super) fn empty_tensor_name() -> Refusal {
    one(("", &[32], F32, 0), 128, "empty-tensor-name", |p| p.entry, &[])
}

pub(super) fn tensor_name_too_long() -> Refusal {
    let name = "n".repeat(257);
    one((&name, &[32], F32, 0), 128, "string-too-long", |p| p.entry, &[&257, &256])
}

pub(super) fn tensor_name_length_2_to_the_60() -> Refusal {
    let mut file = FileBuilder::new(3, 1, 0);
    file.u64(1 << 60).zeros(256);
    refusal(file, "string-too-long", 24, &[&(1u64 << 60)])
}

pub(super) fn tensor_name_not_utf8() -> Refusal {
    let mut file = FileBuilder::new(3, 1, 0);
    let places = file.tensor(b"blk.\x80", &[32], F32, 0);
    file.pad(32).zeros(128);
    refusal(file, "invalid-utf8", places.name + 4, &[&"tensor name"])
}

pub(super) fn duplicate_tensor() -> Refusal {
    let tensors: [Entry<'_>; 3] = [("a", &[8], F32, 0), ("b", &[8], F32, 32), ("a", &[8], F32, 64)];
    let (file, places) = file_of(&tensors, 96);
    refusal(file, "duplicate-tensor", places[2].entry, &[&"\"a\""])
}

pub(super) fn no_dimensions() -> Refusal {
    one(("scalar", &[], F32, 0), 32, "bad-dimension-count", |p| p.count, &[&"scalar", &"0 dimensions"])
}

pub(super) fn five_dimensions() -> Refusal {
    one(("deep", &[2; 5], F32, 0), 128, "bad-dimension-count", |p| p.count, &[&"deep", &"5 dimensions", &"to 4"])
}

pub(super) fn dimension_count_all_ones() -> Refusal {
    let (mut file, places) = file_of(&[("deep", &[32], F32, 0)], 128);
    file.bytes[places[0].count as usize..][..4].fill(0xff);
    refusal(file, "bad-dimension-count", places[0].count, &[&"deep", &u32::MAX])
}

pub(super) fn first_dimension_zero() -> Refusal {
    one(("none", &[0, 4], F32, 0), 0, "zero-dimension", |p| p.dims, &[&"none"])
}

pub(super) fn second_dimension_zero() -> Refusal {
    one(("none", &[32, 0], F32, 0), 0, "zero-dimension", |p| p.dims + 8, &[&"none", &"dimension 1"])
}

pub(super) fn elements_overflow() -> Refusal {
    let dims = [1 << 32, 1 << 32];
    one(("huge", &dims, F32, 0), 64, "size-overflow", |p| p.dims, &[&"huge", &4_294_967_296u64])
}

/// The product of the extents is 0 in 64 bits.
pub(super) fn elements_wrap_to_zero() -> Refusal {
    let dims = [1 << 16, 1 << 16, 1 << 16, 1 << 16];
    one(("huge", &dims, F32, 0), 64, "size-overflow", |p| p.dims, &[&"huge", &65_536])
}

/// The elements can be counted, their bytes are 16 in 64 bits.
pub(super) fn bytes_overflow() -> Refusal {
    one(("huge", &[(1 << 61) + 2], F64, 0), 64, "size-overflow", |p| p.dims, &[&"huge"])
}

/// More elements than ggml's signed numbers hold, in fewer bytes.
pub(super) fn elements_past_63_bits() -> Refusal {
    one(("huge", &[1 << 63], Q4_0, 0), 64, "size-overflow", |p| p.dims, &[&"huge", &(1u64 << 63)])
}

/// Fewer elements, in more bytes than ggml's signed numbers hold.
pub(super) fn bytes_past_63_bits() -> Refusal {
    one(("huge", &[1 << 62], F16, 0), 64, "size-overflow", |p| p.dims, &[&"huge", &(1u64 << 62)])
}

pub(super) fn unknown_tensor_type() -> Refusal {
    let (mut file, places) = file_of(&[("odd", &[32], F32, 0)], 128);
    file.bytes[places[0].ty as usize] = 99;
    refusal(file, "unknown-tensor-type", places[0].ty, &[&"odd", &99])
}

/// Q4_2, which ggml dropped.
pub(super) fn removed_tensor_type() -> Refusal {
    let (mut file, places) = file_of(&[("odd", &[32], F32, 0)], 128);
    file.bytes[places[0].ty as usize] = 4;
    refusal(file, "unknown-tensor-type", places[0].ty, &[&"odd", &"type 4 "])
}

pub(super) fn part_of_a_k_block() -> Refusal {
    one(
        ("blk.0.attn_q.weight", &[576, 2], Q4_K, 0),
        1296,
        "partial-block",
        |p| p.dims,
        &[&"blk.0.attn_q.weight", &576, &256],
    )
}

/// All elements together would be a whole block.
pub(super) fn part_of_a_block_per_row() -> Refusal {
    one(("narrow", &[16, 2], Q4_0, 0), 32, "partial-block", |p| p.dims, &[&"narrow", &16, &32])
}

pub(super) fn misaligned_data() -> Refusal {
    one(("crooked", &[8], F32, 4), 64, "misaligned-tensor", |p| p.offset, &[&"crooked", &"data offset 4 ", &32])
}

pub(super) fn misaligned_for_a_larger_alignment() -> Refusal {
    let mut file = FileBuilder::new(3, 2, 1);
    file.number("general.alignment", 64);
    file.tensor("a", &[8], F32, 0);
    let second = file.tensor("b", &[8], F32, 32);
    file.pad(64).zeros(64);
    refusal(file, "misaligned-tensor", second.offset, &[&"\"b\"", &32, &64])
}

pub(super) fn data_past_the_end() -> Refusal {
    let entry: Entry<'_> = ("far", &[8], F32, 1 << 60);
    one(entry, 64, "tensor-past-end", |p| p.offset, &[&"far", &"needs 32 bytes", &"has 0 from there"])
}

/// The first lies within the file, with room after it.
pub(super) fn second_tensor_past_the_end() -> Refusal {
    let tensors: [Entry<'_>; 2] = [("near", &[8], F32, 0), ("far", &[8], F32, 1 << 40)];
    let (file, places) = file_of(&tensors, 96);
    refusal(file, "tensor-past-end", places[1].offset, &[&"far", &"needs 32 bytes", &"has 0 from there"])
}

/// Start of the data plus offset is near 0 in 64 bits.
pub(super) fn data_offset_wraps() -> Refusal {
    let entry: Entry<'_> = ("around", &[8], F32, u64::MAX - 31);
    one(entry, 64, "tensor-past-end", |p| p.offset, &[&"around", &"needs 32 bytes"])
}

/// The most that can be counted: its padded end is past 2^63.
pub(super) fn data_of_2_to_the_63_bytes() -> Refusal {
    let elements = (1u64 << 61) - 1;
    let entry: Entry<'_> = ("vast", &[elements], F32, 0);
    one(entry, 64, "tensor-past-end", |p| p.offset, &[&"vast", &(elements * 4), &64])
}

/// The sizes of both together wrap to a small number.
pub(super) fn sum_of_sizes_wraps() -> Refusal {
    let elements = (1u64 << 61) - 8;
    let tensors: [Entry<'_>; 3] =
        [("a", &[elements], F32, 0), ("b", &[elements], F32, elements * 4), ("c", &[8], F32, elements * 8)];
    let (file, places) = file_of(&tensors, 64);
    refusal(file, "tensor-past-end", places[0].offset, &[&"\"a\"", &(elements * 4), &64])
}

pub(super) fn data_cut_by_one_byte() -> Refusal {
    let entry: Entry<'_> = ("short", &[32], F32, 0);
    one(entry, 127, "tensor-past-end", |p| p.offset, &[&"short", &"needs 128 bytes", &"has 127 from there"])
}

/// A download that ended with the header.
pub(super) fn no_data() -> Refusal {
    let mut file = FileBuilder::new(3, 1, 0);
    let places = file.tensor("token_embd.weight", &[32, 4], Q4_0, 0);
    refusal(file, "tensor-past-end", places.offset, &[&"token_embd.weight", &"needs 72 bytes", &"has 0 from there"])
}

/// 16 bytes a block instead of 18, with the next tensor right after them.
pub(super) fn q4_0_without_scales() -> Refusal {
    let tensors: [Entry<'_>; 2] = [("blk.0.ffn_up.weight", &[256, 4], Q4_0, 0), ("output_norm.weight", &[8], F32, 512)];
    let (file, places) = file_of(&tensors, 544);
    let message: [&dyn ToString; 4] = [&"blk.0.ffn_up.weight", &"Q4_0 [256, 4]", &"needs 576 bytes", &"after 512"];
    refusal(file, "tensor-overlap", places[0].offset, &message)
}

/// The data is that of `[256, 8]`.
pub(super) fn q4_0_bytes_of_larger_dims() -> Refusal {
    let tensors: [Entry<'_>; 2] =
        [("blk.0.ffn_up.weight", &[256, 4], Q4_0, 0), ("output_norm.weight", &[8], F32, 1152)];
    let (file, places) = file_of(&tensors, 1184);
    let message: [&dyn ToString; 4] = [&"blk.0.ffn_up.weight", &"Q4_0 [256, 4]", &"needs 576 bytes", &"has 1152"];
    refusal(file, "tensor-gap", places[0].offset, &message)
}

pub(super) fn f16_data_called_f32() -> Refusal {
    let tensors: [Entry<'_>; 2] = [("a", &[64], F32, 0), ("b", &[64], F16, 128)];
    let (file, places) = file_of(&tensors, 256);
    refusal(file, "tensor-overlap", places[0].offset, &[&"\"a\"", &"needs 256 bytes", &"after 128", &"\"b\""])
}

pub(super) fn two_tensors_at_one_place() -> Refusal {
    let tensors: [Entry<'_>; 3] = [("a", &[8], F32, 0), ("b", &[8], F32, 32), ("c", &[8], F32, 32)];
    let (file, places) = file_of(&tensors, 96);
    refusal(file, "tensor-overlap", places[1].offset, &[&"\"b\"", &"needs 32 bytes", &"after 0", &"\"c\""])
}

/// Out of order in the directory: the later entry lies first and reaches into the earlier one.
pub(super) fn data_overlaps_by_padding() -> Refusal {
    let tensors: [Entry<'_>; 2] = [("b", &[8], F32, 32), ("a", &[9], F32, 0)];
    let (file, places) = file_of(&tensors, 64);
    refusal(file, "tensor-overlap", places[1].offset, &[&"\"a\"", &"needs 36 bytes", &"after 32", &"\"b\""])
}

pub(super) fn gap_between_tensors() -> Refusal {
    let tensors: [Entry<'_>; 2] = [("a", &[8], F32, 0), ("b", &[8], F32, 64)];
    let (file, places) = file_of(&tensors, 96);
    refusal(file, "tensor-gap", places[0].offset, &[&"\"a\"", &"needs 32 bytes", &"has 64", &"\"b\""])
}

pub(super) fn gap_before_the_data() -> Refusal {
    one(("late", &[8], F32, 32), 64, "leading-gap", |p| p.offset, &[&"late", &"32 bytes into"])
}
