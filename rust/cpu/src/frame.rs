//! The buffers of one run: places in one arena.

use std::ops::Range;

use chord_program::{BatchShape, BufferClass, BufferId, ExecError, MemoryPlan, Program, Reuse};

use crate::weights::zeroed;

/// Activations of a batch. Values of u32 are stored as their bits.
pub(crate) struct Frame {
    arena: Vec<f32>,
    /// First element of each buffer.
    starts: Vec<usize>,
    /// Elements of each buffer in the current batch.
    lens: Vec<usize>,
}

impl Frame {
    /// A frame for batches of any size, where buffers that are never alive together share memory.
    pub(crate) fn shared(program: &Program) -> Result<Self, ExecError> {
        let plan = MemoryPlan::new(program, 64, Reuse::Yes);
        let starts = plan.offsets.iter().map(|offset| offset.unwrap_or(0) as usize / 4).collect();
        let arena = zeroed(plan.total / 4, "activations")?;
        Ok(Frame { arena, starts, lens: vec![0; program.buffers.len()] })
    }

    /// A frame for one batch, where every buffer keeps its values.
    pub(crate) fn separate(program: &Program, shape: BatchShape) -> Result<Self, ExecError> {
        let lens = lens(program, shape);
        let mut starts = Vec::with_capacity(lens.len());
        let total = lens.iter().fold(0, |next, len| {
            starts.push(next);
            next + len
        });
        Ok(Frame { arena: zeroed(total as u64, "traced activations")?, starts, lens })
    }

    /// Sets the sizes for a batch.
    pub(crate) fn resize(&mut self, program: &Program, shape: BatchShape) {
        self.lens = lens(program, shape);
    }

    pub(crate) fn bytes(&self) -> u64 {
        4 * self.arena.len() as u64
    }

    fn range(&self, id: BufferId) -> Range<usize> {
        let start = self.starts[id.0 as usize];
        start..start + self.lens[id.0 as usize]
    }

    /// A buffer's values.
    pub(crate) fn get(&self, id: BufferId) -> &[f32] {
        &self.arena[self.range(id)]
    }

    /// An op's inputs, and its output to be written. They never overlap: the plan keeps them apart.
    pub(crate) fn split<const N: usize>(&mut self, inputs: [BufferId; N], out: BufferId) -> ([&[f32]; N], &mut [f32]) {
        let ranges = inputs.map(|id| self.range(id));
        let out = self.range(out);
        let (before, rest) = self.arena.split_at_mut(out.start);
        let (middle, after) = rest.split_at_mut(out.len());
        let (before, after) = (&*before, &*after);
        let inputs = ranges.map(|range| {
            if range.end <= out.start { &before[range] } else { &after[range.start - out.end..range.end - out.end] }
        });
        (inputs, middle)
    }
}

fn lens(program: &Program, shape: BatchShape) -> Vec<usize> {
    let len = |buffer: &chord_program::Buffer| match buffer.class {
        BufferClass::Input => 0,
        _ => buffer.rows.resolve(shape.n_tokens, shape.n_outputs) * buffer.cols as usize,
    };
    program.buffers.iter().map(len).collect()
}
