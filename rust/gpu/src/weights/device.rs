//! One weight tensor on the device.

use std::ops::Range;
use std::sync::Arc;

use chord_gguf::GgmlType;
use chord_program::{ExecError, Weight};

use super::{Layout, repack};
use crate::{Access, Allocation, Binding, Gpu, MemoryKind, Resources};

/// Bytes repacked between two uploads: bounds the staging memory, however large the window is.
const STAGING_BYTES: u64 = 1 << 20;

/// A range of a buffer that holds one plane of consecutive rows.
#[derive(Clone, Debug)]
pub(crate) struct Plane {
    pub(crate) buffer: Arc<Allocation>,
    /// A multiple of 256.
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

impl Plane {
    fn binding(&self) -> Binding {
        let bytes = self.bytes.next_multiple_of(4).max(4);
        let whole = Binding::whole(Access::Read, &self.buffer);
        Binding { offset: self.offset, bytes, weight_bytes: self.bytes, ..whole }
    }
}

/// Consecutive rows of a weight, small enough for one binding per plane.
#[derive(Debug)]
pub struct WeightPart {
    /// Rows of the tensor, numbered through all experts.
    pub rows: Range<u32>,
    /// Where its first row lies in the planes, which it may share with other weights.
    first: u32,
    codes: Plane,
    scales: Option<Plane>,
}

impl WeightPart {
    /// Where a row of the tensor lies in the planes, in rows.
    pub fn place_of(&self, row: u32) -> u32 {
        row - self.rows.start + self.first
    }

    /// The planes `codes` and `scales`, in this order. Types without scales bind their codes twice, so that all
    /// kernels have the same bindings.
    pub fn bindings(&self) -> [Binding; 2] {
        let codes = self.codes.binding();
        let again = || Binding { weight_bytes: 0, ..codes.clone() };
        let scales = self.scales.as_ref().map_or_else(again, Plane::binding);
        [codes, scales]
    }
}

/// A weight tensor on the device, `[rows, cols]`, in parts.
#[derive(Debug)]
pub struct DeviceWeight {
    name: String,
    layout: Layout,
    parts: Vec<WeightPart>,
    /// Rows of all experts.
    n_rows: u32,
    rows_written: u32,
    staging: Vec<u8>,
}

impl DeviceWeight {
    /// Room for `weight`.
    ///
    /// # Errors
    /// [`ExecError::Unsupported`] for a type without kernels, [`ExecError::OutOfMemory`].
    pub fn new(resources: &Resources, weight: &Weight) -> Result<Self, ExecError> {
        let mut placed = DeviceWeight::stacked(resources, &[weight])?;
        placed.pop().ok_or_else(|| ExecError::Device("a weight without a place".to_owned()))
    }

    /// Room for several weights, their rows one after the other in the same planes, so that one dispatch can take them
    /// all. They must be [stackable](DeviceWeight::are_stackable); a single weight always is, if need be in parts.
    ///
    /// # Errors
    /// As [`DeviceWeight::new`], and [`ExecError::Device`] for weights that are not stackable.
    pub fn stacked(resources: &Resources, weights: &[&Weight]) -> Result<Vec<Self>, ExecError> {
        let name = weights.iter().map(|w| w.name.as_str()).collect::<Vec<_>>().join("+");
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        DeviceWeight::place(&resources.gpu, weights, |bytes| {
            let buffer = resources.buffer(&name, bytes, usage, MemoryKind::Weights)?;
            Ok(Plane { buffer: Arc::new(buffer), offset: 0, bytes })
        })
    }

    /// [`DeviceWeight::stacked`], asking for the planes in the order of [`plane_bytes`].
    pub(crate) fn place(
        gpu: &Gpu,
        weights: &[&Weight],
        mut plane: impl FnMut(u64) -> Result<Plane, ExecError>,
    ) -> Result<Vec<Self>, ExecError> {
        let (layout, ranges) = ranges(gpu, weights)?;
        let mut parts = Vec::with_capacity(ranges.len());
        for rows in ranges {
            let n_rows = u64::from(rows.end - rows.start);
            let codes = plane(n_rows * layout.code_bytes)?;
            let scales = (layout.scale_bytes > 0).then(|| plane(n_rows * layout.scale_bytes)).transpose()?;
            parts.push(WeightPart { rows, first: 0, codes, scales });
        }
        if let [weight] = weights {
            return Ok(vec![DeviceWeight::empty(weight, layout, rows_of(weight)?, parts)]);
        }
        let mut first = 0;
        let members = weights.iter().map(|weight| {
            let n_rows = rows_of(weight)?;
            let WeightPart { codes, scales, .. } = &parts[0];
            let part = WeightPart { rows: 0..n_rows, first, codes: codes.clone(), scales: scales.clone() };
            first += n_rows;
            Ok(DeviceWeight::empty(weight, layout, n_rows, vec![part]))
        });
        members.collect()
    }

    /// True if the weights have one type and one number of columns, and all rows together fit a binding.
    pub fn are_stackable(gpu: &Gpu, weights: &[&Weight]) -> bool {
        let Some(layout) = weights.first().and_then(|w| layout_of(w).ok()) else { return false };
        let alike = weights.iter().all(|w| w.ty == layout.ty && w.cols == layout.cols);
        let rows: u64 = weights.iter().map(|w| u64::from(w.rows) * u64::from(w.experts)).sum();
        alike && rows <= u64::from(rows_per_part(&layout, gpu.max_binding_bytes()))
    }

    /// True if the rows of `next` directly follow this weight's.
    pub fn is_followed_by(&self, next: &DeviceWeight) -> bool {
        match (&self.parts[..], &next.parts[..]) {
            ([a], [b]) => {
                let is_same = Arc::ptr_eq(&a.codes.buffer, &b.codes.buffer) && a.codes.offset == b.codes.offset;
                is_same && a.first + self.n_rows == b.first
            }
            _ => false,
        }
    }

    fn empty(weight: &Weight, layout: Layout, n_rows: u32, parts: Vec<WeightPart>) -> Self {
        DeviceWeight { name: weight.name.clone(), layout, parts, n_rows, rows_written: 0, staging: Vec::new() }
    }

    /// Rows of all experts together.
    pub fn n_rows(&self) -> u32 {
        self.n_rows
    }

    /// How its rows are laid out.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The tensor's parts, in the order of their rows.
    pub fn parts(&self) -> &[WeightPart] {
        &self.parts
    }

    /// The parts that hold `rows`, each after those of `rows` that it holds.
    pub fn parts_of(&self, rows: Range<u32>) -> impl Iterator<Item = (Range<u32>, &WeightPart)> {
        self.parts.iter().filter_map(move |part| {
            let start = rows.start.max(part.rows.start);
            let end = rows.end.min(part.rows.end);
            (start < end).then_some((start..end, part))
        })
    }

    /// A vector of f32 (norms, biases) as one binding of `cols` floats.
    ///
    /// # Errors
    /// [`ExecError::Unsupported`] for another type or shape.
    pub fn vector(&self) -> Result<Binding, ExecError> {
        match &self.parts[..] {
            [part] if self.layout.ty == GgmlType::F32 && self.n_rows == 1 && part.first == 0 => {
                let bytes = u64::from(self.layout.cols) * 4;
                Ok(Binding { bytes, weight_bytes: bytes, ..part.codes.binding() })
            }
            _ => Err(ExecError::Unsupported {
                backend: "gpu",
                what: format!("weight {} as a vector: {} of {} rows", self.name, self.layout.ty, self.n_rows),
            }),
        }
    }

    /// True once every row has been written.
    pub fn is_complete(&self) -> bool {
        self.rows_written == self.n_rows
    }

    /// Lets the rows be written again, from the first one on.
    pub(crate) fn restart(&mut self) {
        self.rows_written = 0;
    }

    /// Writes the next whole rows, as in the file, from byte `offset` of the tensor on.
    ///
    /// # Errors
    /// [`ExecError::BadWeight`] for bytes that are not the next whole rows.
    pub fn write(&mut self, gpu: &Gpu, offset: u64, bytes: &[u8]) -> Result<(), ExecError> {
        let row_bytes = self.layout.file_bytes;
        let bad = |what| ExecError::BadWeight { name: self.name.clone(), what };
        let expected = u64::from(self.rows_written) * row_bytes;
        if offset != expected {
            return Err(bad(format!("bytes at {offset}, expected at {expected}")));
        }
        let n_bytes = bytes.len() as u64;
        let left = u64::from(self.n_rows - self.rows_written) * row_bytes;
        if !n_bytes.is_multiple_of(row_bytes) || n_bytes > left {
            return Err(bad(format!("{n_bytes} bytes, expected whole rows of {row_bytes}, at most {left} bytes")));
        }
        let first = self.rows_written;
        let end = first + (n_bytes / row_bytes) as u32;
        let mut staging = std::mem::take(&mut self.staging);
        for (rows, part) in self.parts_of(first..end) {
            let start = u64::from(rows.start - first) * row_bytes;
            let stop = u64::from(rows.end - first) * row_bytes;
            self.upload(gpu, part, rows.start, &bytes[start as usize..stop as usize], &mut staging);
        }
        self.rows_written = end;
        // The staging memory is reused from window to window and freed with the last one.
        self.staging = if self.is_complete() { Vec::new() } else { staging };
        Ok(())
    }

    /// Uploads rows of one part; `first` is the number of the first one among the tensor's rows.
    fn upload(&self, gpu: &Gpu, part: &WeightPart, first: u32, rows: &[u8], staging: &mut Vec<u8>) {
        let layout = &self.layout;
        let mut at = u64::from(part.place_of(first));
        if layout.is_verbatim() && layout.file_bytes.is_multiple_of(4) {
            write(gpu, &part.codes, at * layout.code_bytes, rows);
            return;
        }
        let step = (STAGING_BYTES / layout.file_bytes).max(1);
        for piece in rows.chunks((step * layout.file_bytes) as usize) {
            staging.clear();
            repack::push_codes(layout, piece, staging);
            write(gpu, &part.codes, at * layout.code_bytes, staging);
            if let Some(scales) = &part.scales {
                staging.clear();
                repack::push_scales(layout, piece, staging);
                write(gpu, scales, at * layout.scale_bytes, staging);
            }
            at += piece.len() as u64 / layout.file_bytes;
        }
    }
}

fn layout_of(weight: &Weight) -> Result<Layout, ExecError> {
    Layout::new(weight.ty, weight.cols).ok_or_else(|| ExecError::Unsupported {
        backend: "gpu",
        what: format!("{} with {} columns (weight {})", weight.ty, weight.cols, weight.name),
    })
}

fn too_large(weight: &Weight, needed: u64) -> ExecError {
    ExecError::OutOfMemory { backend: "gpu", needed, what: format!("weight {}", weight.name) }
}

/// Rows of all experts.
fn rows_of(weight: &Weight) -> Result<u32, ExecError> {
    weight.rows.checked_mul(weight.experts).ok_or_else(|| too_large(weight, weight.n_bytes()))
}

fn write(gpu: &Gpu, plane: &Plane, offset: u64, bytes: &[u8]) {
    gpu.queue.write_buffer(&plane.buffer, plane.offset + offset, bytes);
}

/// The layout, and the rows of each part: one weight is split over bindings, several weights lie in one part.
fn ranges(gpu: &Gpu, weights: &[&Weight]) -> Result<(Layout, Vec<Range<u32>>), ExecError> {
    if let [weight] = weights {
        let layout = layout_of(weight)?;
        let part_rows = rows_per_part(&layout, gpu.max_binding_bytes());
        if part_rows == 0 {
            return Err(too_large(weight, layout.row_bytes()));
        }
        return Ok((layout, split_rows(rows_of(weight)?, part_rows).collect()));
    }
    if !DeviceWeight::are_stackable(gpu, weights) {
        return Err(ExecError::Device("weights that do not fit together were to be stacked".to_owned()));
    }
    let total = weights.iter().map(|w| w.rows * w.experts).sum();
    Ok((layout_of(weights[0])?, std::iter::once(0..total).collect()))
}

/// Bytes of the planes of weights that lie together, in the order in which [`DeviceWeight::place`] asks for them.
pub(crate) fn plane_bytes(gpu: &Gpu, weights: &[&Weight]) -> Result<Vec<u64>, ExecError> {
    let (layout, ranges) = ranges(gpu, weights)?;
    let planes = ranges.into_iter().flat_map(|rows| {
        let n_rows = u64::from(rows.end - rows.start);
        [n_rows * layout.code_bytes, n_rows * layout.scale_bytes]
    });
    Ok(planes.filter(|bytes| *bytes > 0).collect())
}

/// The most rows of which each plane fits a binding.
fn rows_per_part(layout: &Layout, max_binding_bytes: u64) -> u32 {
    let rows = max_binding_bytes / layout.code_bytes.max(layout.scale_bytes);
    u32::try_from(rows).unwrap_or(u32::MAX)
}

/// `n_rows` in as few and as even ranges of at most `limit` rows as possible.
fn split_rows(n_rows: u32, limit: u32) -> impl Iterator<Item = Range<u32>> {
    let parts = n_rows.div_ceil(limit).max(1);
    let rows = n_rows.div_ceil(parts);
    (0..parts).map(move |i| (i * rows).min(n_rows)..((i + 1) * rows).min(n_rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_all_rows_and_fit_a_binding() {
        for (ty, cols, rows) in
            [(GgmlType::Q8_0, 640, 262_144), (GgmlType::Q6_K, 4096, 128_256), (GgmlType::F32, 33, 7)]
        {
            let layout = Layout::new(ty, cols).unwrap();
            for limit in [128 << 20, 1 << 20, 65_536] {
                let part_rows = rows_per_part(&layout, limit);
                let parts: Vec<_> = split_rows(rows, part_rows).collect();
                assert_eq!(parts.first().map(|r| r.start), Some(0));
                assert_eq!(parts.last().map(|r| r.end), Some(rows));
                assert!(parts.windows(2).all(|w| w[0].end == w[1].start));
                for part in parts {
                    let n = u64::from(part.end - part.start);
                    assert!(n > 0 && n * layout.code_bytes <= limit && n * layout.scale_bytes <= limit);
                }
            }
        }
    }
}
