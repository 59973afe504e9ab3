//! The header reader against files made by hand, against files cut and fed in pieces, and against mutations.

use chord_gguf::{GgufError, Header, HeaderReader, Status, read_header};
use chord_testkit::hostile::{accepts, rejects};
use proptest::prelude::*;

/// Feeds `file` in pieces of the given lengths, the last one repeated.
fn read_in_pieces(file: &[u8], lengths: &[usize]) -> Result<Header, GgufError> {
    let mut reader = HeaderReader::new(file.len() as u64);
    let mut start = 0;
    for i in 0.. {
        assert_eq!(reader.position(), start as u64, "the position is where the next piece begins");
        let length = lengths[i.min(lengths.len() - 1)];
        let end = file.len().min(start + length);
        match reader.feed(&file[start..end])? {
            Status::Done(header) => {
                assert!(reader.position() > start as u64 || length == 0);
                assert!(matches!(reader.feed(&[]), Err(GgufError::Finished)));
                return Ok(header);
            }
            Status::NeedMore => assert!(end < file.len(), "the reader asks for more than the file has"),
        }
        start = end;
    }
    unreachable!()
}

/// Lengths from 0 to 40 and a few longer ones, different for each seed.
fn random_lengths(seed: u64) -> Vec<usize> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    let mut lengths: Vec<usize> =
        (0..200).map(|_| if next() % 16 == 0 { next() % 5000 } else { next() % 41 }).collect();
    lengths.push(1);
    lengths
}

#[test]
fn there_are_as_many_cases_as_promised() {
    assert!(rejects().len() >= 45 && accepts().len() >= 10, "{} and {}", rejects().len(), accepts().len());
}

#[test]
fn every_reject_is_refused_with_its_code_place_and_numbers() {
    for reject in rejects() {
        let error = read_header(&reject.bytes).expect_err(reject.name);
        assert_eq!(error.code(), reject.code, "{}: {error}", reject.name);
        assert_eq!(error.offset(), Some(reject.offset), "{}: {error}", reject.name);
        for part in &reject.message {
            assert!(error.to_string().contains(part), "{}: {part:?} is not in {error}", reject.name);
        }
    }
}

#[test]
fn every_kind_of_error_is_provoked() {
    // One needs a larger file than is worth keeping (`memory.rs`), the other a misuse of the reader (below).
    let elsewhere = ["header-too-long", "finished"];
    let source = include_str!("../src/error.rs");
    let codes = source.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next());
    let mut n = 0;
    for code in codes.filter(|code| !elsewhere.contains(code)) {
        n += 1;
        assert!(rejects().iter().any(|reject| reject.code == code), "no file provokes {code}");
    }
    assert!(n >= 25, "the codes are not where this test looks for them");
}

#[test]
fn every_accept_is_accepted() {
    for accept in accepts() {
        let header = read_header(&accept.bytes).unwrap_or_else(|error| panic!("{}: {error}", accept.name));
        assert_eq!(header.file_len, accept.bytes.len() as u64);
        (accept.check)(&header);
    }
}

#[test]
fn pieces_of_any_size_give_the_same_result() {
    let files =
        rejects().into_iter().map(|r| (r.name, r.bytes)).chain(accepts().into_iter().map(|a| (a.name, a.bytes)));
    for (name, file) in files {
        let whole = read_header(&file);
        assert_eq!(read_in_pieces(&file, &[1]), whole, "{name} byte by byte");
        for seed in 1..20 {
            assert_eq!(read_in_pieces(&file, &random_lengths(seed)), whole, "{name} in pieces, seed {seed}");
        }
    }
}

#[test]
fn a_file_cut_at_any_byte_is_refused() {
    for accept in accepts().iter().filter(|accept| accept.bytes.len() < 5000) {
        let whole = read_header(&accept.bytes).unwrap();
        // The padding after the last tensor, or after the header of a file without tensors, may be missing.
        let end = whole.tensors.iter().map(|tensor| tensor.offset + tensor.n_bytes).max();
        let mut reader = HeaderReader::new(accept.bytes.len() as u64);
        assert!(matches!(reader.feed(&accept.bytes), Ok(Status::Done(_))));
        let needed = end.unwrap_or(reader.position()) as usize;
        for cut in 0..accept.bytes.len() {
            let result = read_header(&accept.bytes[..cut]);
            if cut >= needed {
                assert!(result.is_ok(), "{} cut at {cut}", accept.name);
                continue;
            }
            let error = result.expect_err(accept.name);
            assert!(matches!(error.code(), "truncated" | "tensor-past-end"), "{} cut at {cut}: {error}", accept.name);
        }
    }
}

#[test]
fn the_reader_waits_for_bytes_that_the_file_still_has() {
    for accept in accepts() {
        let mut whole = HeaderReader::new(accept.bytes.len() as u64);
        assert!(matches!(whole.feed(&accept.bytes), Ok(Status::Done(_))));
        let mut reader = HeaderReader::new(accept.bytes.len() as u64);
        let header_len = whole.position() as usize;
        assert_eq!(reader.feed(&accept.bytes[..header_len - 1]), Ok(Status::NeedMore), "{}", accept.name);
        assert!(
            matches!(reader.feed(&accept.bytes[header_len - 1..header_len]), Ok(Status::Done(_))),
            "{}",
            accept.name
        );
    }
}

#[test]
fn a_failed_reader_stays_finished() {
    let mut reader = HeaderReader::new(24);
    assert!(matches!(reader.feed(b"nope"), Err(GgufError::BadMagic { found: [b'n', b'o', b'p', b'e'] })));
    assert_eq!(reader.feed(b"GGUF"), Err(GgufError::Finished));
    assert_eq!((GgufError::Finished.code(), GgufError::Finished.offset()), ("finished", None));
}

#[test]
fn a_file_of_another_kind_is_named_in_words() {
    let message = |start: &[u8]| HeaderReader::new(64).feed(start).unwrap_err().to_string();
    for page in [&b"<!DOCTYPE html>"[..], b"<html>", b"<HEAD>", b"<?xml ", b"\xef\xbb\xbf<html>", b"\n\n <!doctype"] {
        assert!(message(page).contains("it is a web page"), "{}: {}", page.escape_ascii(), message(page));
    }
    let others: [(&[u8], &str); 8] = [
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b"tjgg", "older than GGUF"),
        (b"FUGG", "big-endian"),
        (b"PK\x03\x04", "ZIP"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (&[0; 24], "download did not finish"),
        (b"{\"error\":", "JSON"),
        (b"\x89PNG", "it begins with `.PNG`"),
    ];
    for (start, said) in others {
        let message = message(start);
        assert!(message.starts_with("not a GGUF file: ") && message.contains(said), "{message}");
        assert!(!message.contains("0x") && !message.contains('['), "{message}");
    }
}

#[test]
fn metadata_getters_name_key_and_types() {
    let accept = accepts().into_iter().find(|accept| accept.name == "every_scalar_type").unwrap();
    let header = read_header(&accept.bytes).unwrap();
    let metadata = &header.metadata;
    assert_eq!(metadata.u32("u8"), Ok(200));
    assert_eq!(metadata.opt_f32("absent"), Ok(None));
    let text = |error: chord_gguf::MetadataError| (error.code(), error.to_string());
    let missing = text(metadata.u32("absent").unwrap_err());
    assert_eq!(missing, ("metadata-missing", "metadata key `absent` is missing (expected u32)".to_owned()));
    let wrong = text(metadata.str("u32").unwrap_err());
    assert_eq!(wrong, ("metadata-wrong-type", "metadata key `u32` is of type u32, expected string".to_owned()));
    let range = text(metadata.u32("u64").unwrap_err());
    assert_eq!(range.0, "metadata-out-of-range");
    assert!(range.1.contains(&u64::MAX.to_string()), "{}", range.1);
    let negative = text(metadata.u32("i32").unwrap_err());
    assert!(negative.1.contains("-3"), "{}", negative.1);
}

/// A valid file, with some bytes changed, some inserted and some removed.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let files: Vec<Vec<u8>> = accepts().into_iter().map(|accept| accept.bytes).filter(|b| b.len() < 20_000).collect();
    // Numbers at which counts, lengths and offsets go wrong.
    let edge = prop_oneof![
        Just(0u64),
        Just(1),
        Just(1 << 31),
        Just(1 << 32),
        Just(1 << 60),
        Just(1 << 63),
        Just(u64::MAX),
        Just(u64::MAX - 31),
        any::<u64>(),
        0u64..300,
    ];
    let change = prop_oneof![
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| (at, vec![byte], 1)),
        (any::<prop::sample::Index>(), edge).prop_map(|(at, number)| (at, number.to_le_bytes().to_vec(), 8)),
        (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..20), 0usize..20),
    ];
    (prop::sample::select(files), prop::collection::vec(change, 1..5)).prop_map(|(mut file, changes)| {
        for (at, bytes, replaced) in changes {
            let start = at.index(file.len() + 1);
            let end = file.len().min(start + replaced);
            file.splice(start..end, bytes);
        }
        file
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutations_never_panic_and_pieces_agree(file in mutated(), seed in any::<u64>()) {
        let whole = read_header(&file);
        // As text: a mutation may make a NaN, which is not equal to itself.
        let text = |header: &_| format!("{header:?}");
        prop_assert_eq!(text(&read_in_pieces(&file, &random_lengths(seed))), text(&whole));
        match whole {
            Ok(header) => for tensor in &header.tensors {
                prop_assert!(tensor.offset + tensor.n_bytes <= header.file_len);
                prop_assert_eq!(header.tensor(&tensor.name), Some(tensor));
            },
            Err(error) => prop_assert!(error.offset().is_some_and(|offset| offset <= file.len() as u64)),
        }
    }

    #[test]
    fn random_bytes_never_panic(tail in prop::collection::vec(any::<u8>(), 0..400), n in 0u64..4) {
        let mut file = b"GGUF\x03\0\0\0".to_vec();
        file.extend(n.to_le_bytes());
        file.extend((n / 2).to_le_bytes());
        file.extend(tail);
        let _ = read_header(&file);
    }
}
