//! The first 24 bytes.

use super::{FileBuilder, Refusal, refusal};

const TWO_TO_THE_60: u64 = 1 << 60;

fn raw(bytes: &[u8]) -> FileBuilder {
    FileBuilder { bytes: bytes.to_vec() }
}

pub(super) fn empty_file() -> Refusal {
    refusal(raw(b""), "truncated", 0, &[&"needs 4 bytes", &"has 0 from there"])
}

pub(super) fn three_bytes() -> Refusal {
    refusal(raw(b"GGU"), "truncated", 0, &[&"needs 4 bytes", &"has 3 from there"])
}

/// What a server sends if the address is wrong.
pub(super) fn web_page() -> Refusal {
    refusal(raw(b"<!DOCTYPE html><html><body>Not Found</body></html>"), "bad-magic", 0, &[&"not a GGUF file"])
}

/// GGJT, the format before GGUF.
pub(super) fn older_format() -> Refusal {
    refusal(raw(b"tjgg\x03\0\0\0\0\x7d\0\0\0\x10\0\0\0\x01\0\0"), "bad-magic", 0, &[&"GGUF"])
}

pub(super) fn reversed_magic() -> Refusal {
    let mut file = FileBuilder::new(3, 0, 0);
    file.bytes[..4].reverse();
    refusal(file, "bad-magic", 0, &[&"GGUF"])
}

fn version(version: u32) -> Refusal {
    refusal(FileBuilder::new(version, 0, 0), "unsupported-version", 4, &[&format!("version {version} "), &"2 or 3"])
}

pub(super) fn version_0() -> Refusal {
    version(0)
}

pub(super) fn version_1() -> Refusal {
    version(1)
}

pub(super) fn version_4() -> Refusal {
    version(4)
}

pub(super) fn big_endian() -> Refusal {
    let mut file = raw(b"GGUF");
    file.raw(&3u32.to_be_bytes()).raw(&0u64.to_be_bytes()).raw(&0u64.to_be_bytes());
    refusal(file, "unsupported-version", 4, &[&"big-endian"])
}

pub(super) fn cut_in_the_tensor_count() -> Refusal {
    let mut file = FileBuilder::new(3, 1, 1);
    file.bytes.truncate(15);
    refusal(file, "truncated", 8, &[&"needs 8 bytes", &"has 7 from there"])
}

pub(super) fn cut_in_the_metadata_count() -> Refusal {
    let mut file = FileBuilder::new(3, 0, 1);
    file.bytes.truncate(16);
    refusal(file, "truncated", 16, &[&"needs 8 bytes", &"has 0 from there"])
}

pub(super) fn tensor_count_2_to_the_60() -> Refusal {
    let mut file = FileBuilder::new(3, TWO_TO_THE_60, 0);
    file.zeros(64);
    refusal(file, "count-too-large", 8, &[&TWO_TO_THE_60, &8192])
}

pub(super) fn tensor_count_all_ones() -> Refusal {
    refusal(FileBuilder::new(3, u64::MAX, 0), "count-too-large", 8, &[&u64::MAX])
}

/// Below the limit, but the file has no room for as many entries.
pub(super) fn tensor_count_past_the_end() -> Refusal {
    let mut file = FileBuilder::new(3, 8000, 0);
    file.zeros(100);
    refusal(file, "truncated", 16, &[&(8000 * 33), &108])
}

pub(super) fn metadata_count_2_to_the_60() -> Refusal {
    let mut file = FileBuilder::new(3, 0, TWO_TO_THE_60);
    file.zeros(64);
    refusal(file, "count-too-large", 16, &[&TWO_TO_THE_60, &4096])
}

pub(super) fn metadata_count_all_ones() -> Refusal {
    refusal(FileBuilder::new(3, 0, u64::MAX), "count-too-large", 16, &[&u64::MAX])
}

pub(super) fn metadata_count_past_the_end() -> Refusal {
    let mut file = FileBuilder::new(3, 0, 4000);
    file.zeros(100);
    refusal(file, "truncated", 24, &[&(4000 * 14), &100])
}
