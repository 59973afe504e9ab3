//! Kernels: their source, bindings and grid, and a dispatch of one.
//!
//! A kernel's bindings are numbered in the order they are listed, all in group 0. Activations share one buffer, and a
//! buffer cannot be bound as read-only and read-write in one dispatch, so every activation is declared
//! `var<storage, read_write>`, even where it is only read. Weights, KV cache and the batch are `read` where a kernel
//! only reads them.

use std::num::NonZeroU64;

use chord_program::{BatchShape, Rows};

/// A kernel and everything that changes its code. Equal sources share a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelSource {
    /// File below `shaders/`.
    pub file: &'static str,
    /// Defines, see [`crate::shader`].
    pub defines: Vec<(&'static str, String)>,
    /// Values of the file's `override` constants.
    pub constants: Vec<(&'static str, f64)>,
}

impl KernelSource {
    /// The file without any define or constant.
    pub fn new(file: &'static str) -> Self {
        KernelSource { file, defines: Vec::new(), constants: Vec::new() }
    }

    /// With `name` standing for `text`.
    pub fn define(mut self, name: &'static str, text: impl ToString) -> Self {
        self.defines.push((name, text.to_string()));
        self
    }

    /// With `name` defined as 1 or 0.
    pub fn flag(self, name: &'static str, on: bool) -> Self {
        self.define(name, u8::from(on))
    }

    /// With the `override` constant `name` set.
    pub fn constant(mut self, name: &'static str, value: impl Into<f64>) -> Self {
        self.constants.push((name, value.into()));
        self
    }

    /// With `name` standing for the WGSL expression that gives the number of rows of this batch (needs
    /// `include/batch.wgsl`).
    pub fn define_rows(self, name: &'static str, rows: Rows) -> Self {
        let text = match rows {
            Rows::Fixed(n) => format!("{n}u"),
            Rows::Tokens(times) => format!("(batch.n_tokens * {times}u)"),
            Rows::Outputs(times) => format!("(batch.n_outputs * {times}u)"),
        };
        self.define(name, text)
    }

    /// With the numbers from which `include/rows.wgsl` computes the rows of this batch.
    pub fn constant_rows(self, rows: Rows) -> Self {
        match rows {
            Rows::Fixed(n) => self.constant("ROWS_FIXED", n),
            Rows::Tokens(times) => self.constant("ROWS_PER_TOKEN", times),
            Rows::Outputs(times) => self.constant("ROWS_PER_OUTPUT", times),
        }
    }
}

/// How a kernel uses a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// `var<storage, read>`
    Read,
    /// `var<storage, read_write>`
    ReadWrite,
    /// `var<uniform>`
    Uniform,
}

impl Access {
    pub(crate) fn binding_type(self) -> wgpu::BindingType {
        let ty = match self {
            Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
            Access::ReadWrite => wgpu::BufferBindingType::Storage { read_only: false },
            Access::Uniform => wgpu::BufferBindingType::Uniform,
        };
        wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None }
    }
}

/// A range of a buffer as a kernel sees it.
#[derive(Clone, Debug)]
pub struct Binding {
    /// How it is declared.
    pub access: Access,
    /// The buffer.
    pub buffer: wgpu::Buffer,
    /// First byte, a multiple of 256.
    pub offset: u64,
    /// Bytes, at least 4.
    pub bytes: u64,
    /// Bytes of weights among them that no other binding of the same dispatch has.
    pub weight_bytes: u64,
}

impl Binding {
    /// A whole buffer.
    pub fn whole(access: Access, buffer: &wgpu::Buffer) -> Self {
        Binding { access, buffer: buffer.clone(), offset: 0, bytes: buffer.size(), weight_bytes: 0 }
    }

    pub(crate) fn resource(&self) -> wgpu::BindingResource<'_> {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &self.buffer,
            offset: self.offset,
            size: NonZeroU64::new(self.bytes),
        })
    }
}

/// Where an activation lies: `[rows, cols]` of f32 or u32, row-major, rows contiguous.
#[derive(Clone, Debug)]
pub struct Activation {
    /// The arena.
    pub buffer: wgpu::Buffer,
    /// First byte.
    pub offset: u64,
    /// Bytes at the largest batch.
    pub bytes: u64,
    /// Rows of a batch.
    pub rows: Rows,
    /// Columns.
    pub cols: u32,
}

impl Activation {
    /// The binding, read-write like every activation.
    pub fn binding(&self) -> Binding {
        Binding {
            access: Access::ReadWrite,
            buffer: self.buffer.clone(),
            offset: self.offset,
            bytes: self.bytes.next_multiple_of(4).max(4),
            weight_bytes: 0,
        }
    }
}

/// Number of workgroups: `⌈⌈rows / row_tile⌉ · per_tile / per_group⌉`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    rows: Rows,
    row_tile: u32,
    per_tile: u64,
    per_group: u64,
}

/// Most workgroups along one dimension that every device allows.
const MAX_PER_DIMENSION: u64 = 65_535;

impl Grid {
    /// Always `groups` workgroups.
    pub fn fixed(groups: u32) -> Self {
        Grid { rows: Rows::Fixed(1), row_tile: 1, per_tile: u64::from(groups), per_group: 1 }
    }
    /// `groups` workgroups for each row.
    pub fn per_row(rows: Rows, groups: u32) -> Self {
        Grid { rows, row_tile: 1, per_tile: u64::from(groups), per_group: 1 }
    }
    /// `groups` workgroups for each started tile of `row_tile` rows.
    pub fn tiles(rows: Rows, row_tile: u32, groups: u32) -> Self {
        Grid { rows, row_tile, per_tile: u64::from(groups), per_group: 1 }
    }
    /// A workgroup for each started `per_group` elements of `[rows, cols]`.
    pub fn elements(rows: Rows, cols: u32, per_group: u32) -> Self {
        Grid { rows, row_tile: 1, per_tile: u64::from(cols), per_group: u64::from(per_group) }
    }

    /// Workgroups for a batch.
    pub fn workgroups(self, shape: BatchShape) -> u64 {
        let rows = self.rows.resolve(shape.n_tokens, shape.n_outputs) as u64;
        (rows.div_ceil(u64::from(self.row_tile)) * self.per_tile).div_ceil(self.per_group)
    }

    /// The same as `(x, y)`, both within every device's limit. `x · y` may exceed the count by less than `y`: kernels
    /// take `workgroup_index` of `include/grid.wgsl` and stop past the end.
    pub fn dimensions(self, shape: BatchShape) -> (u32, u32) {
        let count = self.workgroups(shape);
        let y = count.div_ceil(MAX_PER_DIMENSION).max(1);
        (count.div_ceil(y) as u32, y as u32)
    }
}

/// One dispatch, made once and encoded for every batch.
#[derive(Clone, Debug)]
pub struct Dispatch {
    pub(crate) pipeline: wgpu::ComputePipeline,
    pub(crate) bind_group: wgpu::BindGroup,
    pub(crate) grid: Grid,
    /// Bytes of the weights that are bound.
    pub(crate) weight_bytes: u64,
}

impl Dispatch {
    /// Records the dispatch; false if the batch leaves it nothing to do.
    pub fn encode(&self, pass: &mut wgpu::ComputePass<'_>, shape: BatchShape) -> bool {
        let (x, y) = self.grid.dimensions(shape);
        if x == 0 {
            return false;
        }
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bind_group, &[]);
        pass.dispatch_workgroups(x, y, 1);
        true
    }
}

/// The dispatches of one op: different ones for few rows and for many.
#[derive(Clone, Debug)]
pub struct Kernels {
    rows: Rows,
    /// By ascending limit of rows.
    choices: Vec<(u32, Vec<Dispatch>)>,
}

impl Kernels {
    /// The same dispatches for every batch.
    pub fn always(dispatches: Vec<Dispatch>) -> Self {
        Kernels { rows: Rows::Fixed(1), choices: vec![(u32::MAX, dispatches)] }
    }

    /// For a batch with `n` of `rows`, the first choice whose limit is at least `n`; the last limit is `u32::MAX`.
    pub fn by_rows(rows: Rows, choices: Vec<(u32, Vec<Dispatch>)>) -> Self {
        debug_assert!(choices.is_sorted_by_key(|c| c.0) && choices.last().is_some_and(|c| c.0 == u32::MAX));
        Kernels { rows, choices }
    }

    /// The dispatches for a batch.
    pub fn select(&self, shape: BatchShape) -> &[Dispatch] {
        let n = self.rows.resolve(shape.n_tokens, shape.n_outputs) as u64;
        self.choices.iter().find(|(limit, _)| n <= u64::from(*limit)).map_or(&[], |(_, dispatches)| dispatches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: BatchShape = BatchShape { n_tokens: 5, n_outputs: 2 };

    #[test]
    fn grids_count_rows_tiles_and_elements() {
        assert_eq!(Grid::fixed(3).workgroups(SHAPE), 3);
        assert_eq!(Grid::per_row(Rows::T, 7).workgroups(SHAPE), 35);
        assert_eq!(Grid::tiles(Rows::T, 4, 3).workgroups(SHAPE), 6);
        assert_eq!(Grid::elements(Rows::R, 100, 64).workgroups(SHAPE), 4);
        assert_eq!(Grid::per_row(Rows::T, 7).workgroups(BatchShape { n_tokens: 0, n_outputs: 0 }), 0);
    }

    #[test]
    fn grids_beyond_one_dimension_become_two() {
        let (x, y) = Grid::fixed(200_003).dimensions(SHAPE);
        assert!(x <= 65_535 && u64::from(x) * u64::from(y) >= 200_003);
        assert!(u64::from(x) * u64::from(y) - 200_003 < u64::from(y));
    }
}
