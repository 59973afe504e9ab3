//! Weights on their way from the file to the executor, through one reused window.

use chord_gguf::{Header, TensorInfo};
use chord_program::{Program, WeightId, WeightSink};

use crate::{CancelFlag, EngineError, LoadProgress, LoadStage, ReadAt};

/// Tensors closer together than this are read in one go, padding included.
const LARGEST_GAP: u64 = 4096;

/// Where in the file a weight lies.
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

/// Reads every weight once, in the order of the file, and hands it to the sink.
pub(crate) async fn stream(
    reader: &mut impl ReadAt,
    placed: &[Placed],
    window_bytes: u64,
    sink: &mut (impl WeightSink + ?Sized),
    progress: &mut dyn FnMut(LoadProgress),
    cancel: &CancelFlag,
) -> Result<(), EngineError> {
    let total = placed.iter().map(|p| p.n_bytes).sum();
    let mut loaded = 0;
    let mut bytes: Vec<u8> = Vec::new();
    progress(LoadProgress { stage: LoadStage::Weights, loaded, total });
    for window in Windows::new(placed, window_bytes) {
        if cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        bytes.resize(window.n_bytes as usize, 0);
        reader.read_at(window.offset, &mut bytes).await?;
        for part in &window.parts {
            sink.write(part.id, part.offset, part.of(&bytes))?;
            loaded += part.n_bytes;
        }
        progress(LoadProgress { stage: LoadStage::Weights, loaded, total });
    }
    Ok(sink.finish()?)
}

#[cfg(test)]
mod tests {
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
