//! The first bytes of a file, through the header's reader, tokenizer, template and lowering.

#![no_main]

use chord_engine::{CancelFlag, DeviceFacts, GpuFacts, Inspection, LoadOptions, Verdict, inspect};
use chord_fuzz::{ZeroFilled, memory, one_thread};
use chord_gguf::{GgufError, Header, HeaderReader, Status};
use libfuzzer_sys::fuzz_target;
use pollster::block_on;

/// A file that is long enough for the tensors of any header.
const LONG: u64 = 1 << 45;

/// Bytes that may be held at once where `n` were read: what the reader keeps of them, twice while it grows, two windows
/// of 8 MiB, and a MiB for all that is made of a small header.
const fn most_bytes(n: usize) -> usize {
    (17 << 20) + 2 * n
}

/// Bytes that may be made of one byte of input: entries of hash tables, instructions of templates, ops of layers.
const EXPANSION: usize = 256;

fuzz_target!(|data: &[u8]| {
    let pieces = data.first().map_or(1, |byte| usize::from(*byte) + 1);
    let data = data.get(1..).unwrap_or_default();
    let ((), peak) = memory::peak(|| {
        let whole = read(data, usize::MAX);
        let in_pieces = read(data, pieces);
        match (&whole, &in_pieces) {
            (Ok(whole), Ok(parts)) => assert_eq!(whole.data_offset, parts.data_offset),
            (Err(whole), Err(parts)) => {
                assert_eq!((whole.code(), whole.to_string()), (parts.code(), parts.to_string()))
            }
            _ => panic!("read whole: {:?}, in pieces of {pieces}: {:?}", whole.err(), in_pieces.err()),
        }
    });
    assert!(peak <= 2 * most_bytes(data.len()), "{peak} bytes for a header of {}", data.len());
    for len in [data.len() as u64, LONG] {
        let (read, peak) = memory::peak(|| judge(data, len));
        let most = most_bytes(read as usize) + EXPANSION * data.len();
        assert!(peak <= most, "{peak} bytes were held at once, {read} read, {} given, {most} allowed", data.len());
    }
});

fn read(data: &[u8], piece: usize) -> Result<Header, GgufError> {
    let mut reader = HeaderReader::new(data.len() as u64);
    loop {
        let start = reader.position() as usize;
        let end = data.len().min(start.saturating_add(piece));
        if let Status::Done(header) = reader.feed(&data[start..end])? {
            return Ok(header);
        }
        assert!(end < data.len(), "the reader asks for more than the file has");
    }
}

/// Judges a file that goes on with zeros; returns how far it was read.
fn judge(start: &[u8], len: u64) -> u64 {
    let mut end_of_reads = 0;
    let mut look = |options: &LoadOptions, device: &DeviceFacts| -> Option<Inspection> {
        let mut file = ZeroFilled { start, len, end_of_reads };
        let found = block_on(inspect(&mut file, options, device, &CancelFlag::new())).ok();
        end_of_reads = file.end_of_reads;
        found
    };
    if let Some(found) = look(&one_thread(), &DeviceFacts::default()) {
        check(&found, &mut look);
    }
    end_of_reads
}

fn check(found: &Inspection, look: &mut impl FnMut(&LoadOptions, &DeviceFacts) -> Option<Inspection>) {
    if let Verdict::Unsupported { code, why } = &found.verdict {
        assert!(!code.is_empty() && !why.is_empty());
        return;
    }
    assert_eq!(found.verdict, Verdict::Fits, "no limit was given");
    let memory = found.memory.expect("a model that fits has a size");
    let needed = memory.weights + memory.kv + memory.scratch;

    // With room for half of it, what the verdict offers must be true.
    let gpu = GpuFacts { max_buffer_bytes: needed, max_binding_bytes: needed, is_software: false };
    let device = DeviceFacts { gpu: Some(gpu), cpu_bytes: Some(needed / 2) };
    let options = LoadOptions { max_gpu_bytes: Some(needed / 2), ..LoadOptions::default() };
    match look(&options, &device).expect("it was read before").verdict {
        Verdict::Fits => panic!("{needed} bytes fit into half of them"),
        Verdict::FitsWithContext { n_ctx } => {
            let shorter = LoadOptions { n_ctx: Some(n_ctx), ..options };
            assert_eq!(look(&shorter, &device).expect("it was read before").verdict, Verdict::Fits);
        }
        Verdict::Pages { resident_layers, paged_layers, bytes_per_token } => {
            assert!(paged_layers > 0 && bytes_per_token > 0, "{resident_layers} layers held, {paged_layers} paged");
        }
        Verdict::Unsupported { code, .. } => assert_eq!(code, "out-of-memory"),
    }
}
