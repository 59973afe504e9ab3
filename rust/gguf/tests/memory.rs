//! A file, refused or not, costs at most 1 MiB more than twice the bytes seen, at every moment.

use chord_gguf::{GgmlType, HeaderReader, Status, ValueType, limits};
use chord_testkit::FileBuilder;
use chord_testkit::allocations::{Counting, live, peak, reset_peak};
use chord_testkit::hostile::{accepts, rejects};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Reads `file` in pieces and checks the peak after each; `true` if it was accepted.
fn check(name: &str, file: &[u8], piece: usize) -> bool {
    let base = live();
    let mut reader = HeaderReader::new(file.len() as u64);
    loop {
        reset_peak();
        let start = reader.position() as usize;
        let end = file.len().min(start + piece);
        let result = reader.feed(&file[start..end]);
        let used = peak() - base;
        let limit = 2 * end + (1 << 20);
        assert!(used <= limit, "{name} in pieces of {piece}: {used} bytes used, {end} seen, {limit} allowed");
        match result {
            Ok(Status::NeedMore) => assert!(end < file.len(), "{name}: the reader asks for more than the file has"),
            Ok(Status::Done(_)) => return true,
            Err(_) => return false,
        }
    }
}

fn many_small_entries() -> FileBuilder {
    let mut file = FileBuilder::new(3, 0, limits::MAX_METADATA);
    for i in 0..limits::MAX_METADATA - 1 {
        file.key(format!("{i:x}"), ValueType::U8);
        file.raw(&[0]);
    }
    file
}

fn many_small_arrays() -> FileBuilder {
    let mut file = FileBuilder::new(3, 0, limits::MAX_METADATA);
    for i in 0..limits::MAX_METADATA - 1 {
        file.array(&format!("{i:x}"), ValueType::String, 1);
        file.text("");
    }
    file
}

fn many_small_tensors() -> FileBuilder {
    let mut file = FileBuilder::new(3, limits::MAX_TENSORS, 0);
    for i in 0..limits::MAX_TENSORS {
        file.tensor(format!("{i:x}"), &[1], GgmlType::I8, i * 32);
    }
    file
}

fn many_strings(length: usize) -> FileBuilder {
    let n = (24 << 20) / (length + 8);
    let mut file = FileBuilder::new(3, 0, 2);
    file.array("tokenizer.ggml.tokens", ValueType::String, n as u64);
    for _ in 0..n {
        file.text(vec![b'x'; length]);
    }
    file
}

fn many_numbers() -> FileBuilder {
    let mut file = FileBuilder::new(3, 0, 2);
    file.array("tokenizer.ggml.scores", ValueType::F64, limits::MAX_ARRAY_ELEMENTS);
    file.zeros(8 * limits::MAX_ARRAY_ELEMENTS as usize);
    file
}

fn one_long_string() -> FileBuilder {
    let mut file = FileBuilder::new(3, 0, 2);
    file.string("tokenizer.huggingface.json", &"x".repeat(24 << 20));
    file
}

fn header_past_the_limit() -> FileBuilder {
    let mut file = FileBuilder::new(3, 0, 4);
    let text = "x".repeat(limits::MAX_STRING_BYTES as usize - 100);
    for key in ["a", "b", "c"] {
        file.string(key, &text);
    }
    file
}

// One test, so that nothing else allocates meanwhile.
#[test]
fn memory_stays_below_twice_the_bytes_seen_and_one_mebibyte() {
    for reject in rejects() {
        for piece in [1, 4096, 1 << 24] {
            assert!(!check(reject.name, &reject.bytes, piece));
        }
    }
    for accept in accepts() {
        for piece in [1, 4096, 1 << 24] {
            assert!(check(accept.name, &accept.bytes, piece));
        }
    }
    // Each is refused at its very end, when everything before it is in memory.
    let large: [(&str, FileBuilder); 8] = [
        ("many small entries", many_small_entries()),
        ("many small arrays", many_small_arrays()),
        ("many small tensors", many_small_tensors()),
        ("many empty strings", many_strings(0)),
        ("many short strings", many_strings(5)),
        ("many long strings", many_strings(65_536)),
        ("many numbers", many_numbers()),
        ("one long string", one_long_string()),
    ];
    for (name, file) in large {
        for piece in [1000, 1 << 20, 1 << 30] {
            assert!(!check(name, &file.bytes, piece));
        }
    }
    let file = header_past_the_limit();
    assert!(!check("a header past the limit", &file.bytes, 1 << 20));
    let error = chord_gguf::read_header(&file.bytes).unwrap_err();
    assert_eq!(error.code(), "header-too-long");
    assert!(error.offset().unwrap() <= limits::MAX_HEADER_BYTES);
}
