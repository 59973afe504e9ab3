//! Weights on their way from the file to the executor, through one reused window.

use chord_gguf::{Header, TensorInfo};
use chord_program::{ExecError, Program, WeightId, WeightSink};

use crate::clock::Clock;
use crate::{CancelFlag, EngineError, LoadProgress, LoadStage, ReadAt};

/// Tensors closer together than this are read in one go, padding included.
const LARGEST_GAP: u64 = 4096;

/// The position of a weight in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) id: WeightId,
    offset: u64,
    n_bytes: u64,
    row_bytes: u64,
}

/// The weights of a program in the order of the file.
pub(crate) fn place(program: &Program, header: &Header) -> Result<Vec<Placed>, EngineError> {
    let mut placed = Vec::with_capacity(program.weights.len());
    for (index, weight) in program.weights.iter().enumerate() {
        let found = header.tensor(&weight.name).filter(|info| info.n_bytes == weight.n_bytes());
        let Some(TensorInfo { offset, n_bytes, .. }) = found else {
            return Err(EngineError::Internal(format!("weight {} is not the tensor of the file", weight.name)));
        };
        let (id, row_bytes) = (WeightId(index as u32), weight.row_bytes());
        placed.push(Placed { id, offset: *offset, n_bytes: *n_bytes, row_bytes });
    }
    placed.sort_by_key(|p| p.offset);
    Ok(placed)
}

/// Whole rows of one weight inside a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) id: WeightId,
    /// From the start of the weight.
    pub(crate) offset: u64,
    /// From the start of the window.
    start: u64,
    pub(crate) n_bytes: u64,
}

impl Part {
    /// Its bytes in those of the window.
    pub(crate) fn of<'a>(&self, window: &'a [u8]) -> &'a [u8] {
        &window[self.start as usize..(self.start + self.n_bytes) as usize]
    }
}

/// One read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// In the file.
    pub(crate) offset: u64,
    pub(crate) n_bytes: u64,
    pub(crate) parts: Vec<Part>,
}

/// Cuts the weights into reads of at most `size` bytes (more where one row is longer), each of whole rows.
pub(crate) struct Windows<'a> {
    placed: &'a [Placed],
    size: u64,
    index: usize,
    /// Bytes of `placed[index]` that have been handed out.
    done: u64,
}

impl<'a> Windows<'a> {
    /// The reads of `placed`, which are in the order of the file.
    pub(crate) fn new(placed: &'a [Placed], size: u64) -> Self {
        Windows { placed, size, index: 0, done: 0 }
    }
}

impl Iterator for Windows<'_> {
    type Item = Window;

    fn next(&mut self) -> Option<Window> {
        let first = self.placed.get(self.index)?;
        let mut window = Window { offset: first.offset + self.done, n_bytes: 0, parts: Vec::new() };
        while let Some(weight) = self.placed.get(self.index) {
            let start = weight.offset + self.done - window.offset;
            let (gap, room) = (start.saturating_sub(window.n_bytes), self.size.saturating_sub(start));
            let left = weight.n_bytes - self.done;
            let mut n_bytes = left.min(room / weight.row_bytes * weight.row_bytes);
            if window.parts.is_empty() {
                n_bytes = n_bytes.max(weight.row_bytes.min(left));
            }
            if n_bytes == 0 || gap > LARGEST_GAP {
                break;
            }
            window.parts.push(Part { id: weight.id, offset: self.done, start, n_bytes });
            window.n_bytes = start + n_bytes;
            self.done += n_bytes;
            if self.done == weight.n_bytes {
                (self.index, self.done) = (self.index + 1, 0);
            }
        }
        Some(window)
    }
}

/// Makes the window as long as one read. A single row may be longer than the requested window, and in a 32-bit build
/// longer than memory can be.
pub(crate) fn resize(bytes: &mut Vec<u8>, n_bytes: u64) -> Result<(), EngineError> {
    let refused =
        || ExecError::OutOfMemory { backend: "cpu", needed: n_bytes, what: "the window of a load".to_owned() };
    let len = usize::try_from(n_bytes).map_err(|_| refused())?;
    bytes.try_reserve_exact(len.saturating_sub(bytes.len())).map_err(|_| refused())?;
    bytes.resize(len, 0);
    Ok(())
}

/// `n_bytes` zeros, for a tensor that is read whole.
pub(crate) fn zeroed(n_bytes: u64) -> Result<Vec<u8>, EngineError> {
    let mut bytes = Vec::new();
    resize(&mut bytes, n_bytes)?;
    Ok(bytes)
}

/// How long it took to bring weights to their place.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Moved {
    /// Milliseconds of waiting for the reader.
    pub(crate) read_ms: f64,
    /// Milliseconds in the sink.
    pub(crate) write_ms: f64,
}

/// Reads every weight once, in the order of the file, and hands it to the sink.
pub(crate) async fn stream(
    reader: &mut impl ReadAt,
    placed: &[Placed],
    window_bytes: u64,
    sink: &mut (impl WeightSink + ?Sized),
    clock: Clock,
    progress: &mut dyn FnMut(LoadProgress),
    cancel: &CancelFlag,
) -> Result<Moved, EngineError> {
    let total = placed.iter().map(|p| p.n_bytes).sum();
    let mut moved = Moved::default();
    let mut loaded = 0;
    let mut bytes: Vec<u8> = Vec::new();
    progress(LoadProgress { stage: LoadStage::Weights, loaded, total });
    for window in Windows::new(placed, window_bytes) {
        if cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        resize(&mut bytes, window.n_bytes)?;
        let began = clock();
        reader.read_at(window.offset, &mut bytes).await?;
        let there = clock();
        for part in &window.parts {
            sink.write(part.id, part.offset, part.of(&bytes))?;
            loaded += part.n_bytes;
        }
        moved.read_ms += there - began;
        moved.write_ms += clock() - there;
        progress(LoadProgress { stage: LoadStage::Weights, loaded, total });
    }
    let began = clock();
    sink.finish()?;
    moved.write_ms += clock() - began;
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn placed(id: u32, offset: u64, rows: u64, row_bytes: u64) -> Placed {
        Placed { id: WeightId(id), offset, n_bytes: rows * row_bytes, row_bytes }
    }

    fn cut(placed: &[Placed], size: u64) -> Vec<Window> {
        Windows::new(placed, size).collect()
    }

    #[test]
    fn windows_hold_whole_rows_and_cover_every_weight_once_and_in_order() {
        let weights = [placed(0, 64, 10, 18), placed(1, 256, 1, 100), placed(2, 384, 7, 144), placed(3, 9000, 3, 34)];
        for size in [1, 17, 18, 50, 100, 144, 400, 1000, 5000, 20_000] {
            let mut done = [0u64; 4];
            let mut position = 0;
            for window in cut(&weights, size) {
                assert!(window.offset >= position, "reads go forward");
                position = window.offset + window.n_bytes;
                assert!(window.n_bytes <= size || window.parts.len() == 1);
                for part in &window.parts {
                    let weight = weights[part.id.0 as usize];
                    assert_eq!(part.offset, done[part.id.0 as usize], "no gap");
                    assert_eq!(part.n_bytes % weight.row_bytes, 0, "whole rows");
                    assert_eq!(window.offset + part.start, weight.offset + part.offset, "the right bytes");
                    assert!(part.start + part.n_bytes <= window.n_bytes);
                    done[part.id.0 as usize] += part.n_bytes;
                }
            }
            assert_eq!(done, weights.map(|w| w.n_bytes), "size {size}");
        }
    }

    #[test]
    fn neighbours_share_a_read_and_distant_tensors_do_not() {
        let weights = [placed(0, 0, 1, 100), placed(1, 128, 1, 100), placed(2, 50_000, 1, 100)];
        let windows = cut(&weights, 1 << 20);
        assert_eq!(windows.iter().map(|w| (w.offset, w.n_bytes)).collect::<Vec<_>>(), [(0, 228), (50_000, 100)]);
    }

    /// Byte `i` of a generated file, which takes no memory.
    fn byte_at(i: u64) -> u8 {
        (i ^ i >> 8 ^ i >> 16 ^ i >> 24 ^ i >> 32) as u8
    }

    thread_local! {
        /// Milliseconds that have passed; only reads and writes take time.
        static NOW: Cell<f64> = const { Cell::new(0.0) };
    }

    fn pass(ms: f64) {
        NOW.set(NOW.get() + ms);
    }

    struct Generated(u64);

    impl ReadAt for Generated {
        fn len(&self) -> u64 {
            self.0
        }
        async fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), crate::ReadError> {
            assert!(offset + buf.len() as u64 <= self.0);
            pass(3.0);
            buf.iter_mut().zip(offset..).for_each(|(byte, i)| *byte = byte_at(i));
            Ok(())
        }
    }

    /// Compares the bytes that arrive with those of the file.
    struct Comparing<'a> {
        placed: &'a [Placed],
        seen: Vec<u64>,
    }

    impl WeightSink for Comparing<'_> {
        fn write(&mut self, id: WeightId, offset: u64, bytes: &[u8]) -> Result<(), ExecError> {
            let index = self.placed.iter().position(|p| p.id == id).unwrap();
            assert_eq!(offset, self.seen[index]);
            let place = self.placed[index].offset + offset;
            assert!(bytes.iter().zip(place..).all(|(byte, i)| *byte == byte_at(i)), "other bytes at {place}");
            self.seen[index] += bytes.len() as u64;
            pass(2.0);
            Ok(())
        }
        fn finish(&mut self) -> Result<(), ExecError> {
            pass(1.0);
            Ok(())
        }
    }

    #[test]
    fn weights_across_2_4_and_8_gib_and_beyond_get_their_own_bytes() {
        let places = [31, 32, 33, 35].map(|bits| (1u64 << bits) - 5 * 1000);
        let weights: Vec<Placed> = (0..).zip(places).map(|(id, offset)| placed(id, offset, 11, 1000)).collect();
        let mut sink = Comparing { placed: &weights, seen: vec![0; 4] };
        let mut last = None;
        let mut progress = |p: LoadProgress| last = Some((p.loaded, p.total));
        let moved = pollster::block_on(stream(
            &mut Generated(40 << 30),
            &weights,
            4096,
            &mut sink,
            || NOW.get(),
            &mut progress,
            &CancelFlag::new(),
        ))
        .unwrap();
        assert_eq!(sink.seen, [11_000; 4]);
        assert_eq!(last, Some((44_000, 44_000)));
        // Three windows of whole rows for each tensor.
        assert_eq!(moved, Moved { read_ms: 12.0 * 3.0, write_ms: 12.0 * 2.0 + 1.0 });
    }

    #[test]
    fn a_row_that_no_memory_holds_is_refused_with_its_size() {
        let row = 1u64 << 62;
        let weights = [placed(0, 64, 1, row)];
        let mut sink = Comparing { placed: &weights, seen: vec![0] };
        let error = pollster::block_on(stream(
            &mut Generated(u64::MAX),
            &weights,
            4096,
            &mut sink,
            || 0.0,
            &mut |_| (),
            &CancelFlag::new(),
        ))
        .unwrap_err();
        assert_eq!(error.code(), "out-of-memory");
        assert!(error.to_string().contains(&row.to_string()), "{error}");
    }

    #[test]
    fn offsets_beyond_four_gibibytes_stay_exact() {
        let far = 5u64 << 30;
        let weights = [placed(0, far, 1 << 20, 4096)];
        let windows = cut(&weights, 1 << 30);
        assert_eq!(windows.len(), 4);
        assert_eq!(windows[3].offset, far + (3u64 << 30));
        assert_eq!(windows[3].parts[0].offset, 3u64 << 30);
    }
}
