//! Slots: room that several layers share, one at a time. Each layer's weights have their own offsets in the same few
//! buffers.

use std::sync::Arc;

use chord_program::{ExecError, Program, WeightId};

use super::device::{DeviceWeight, Plane, plane_bytes};
use crate::{Allocation, Gpu, MemoryKind, Resources};

/// Offsets of bindings are multiples of this on every device.
const ALIGNMENT: u64 = 256;

/// The weights of a layer as they lie on the device: those of a stack together.
pub(crate) type Groups = Vec<Vec<WeightId>>;

/// The groups of a segment's `own` weights, in the order in which they are placed.
pub(crate) fn groups(own: &[WeightId], stacks: &[Vec<WeightId>]) -> Groups {
    let stacked: Groups = stacks.iter().filter(|stack| stack.iter().all(|id| own.contains(id))).cloned().collect();
    let alone = own.iter().filter(|id| !stacked.iter().flatten().any(|other| other == *id)).map(|id| vec![*id]);
    let alone: Groups = alone.collect();
    stacked.into_iter().chain(alone).collect()
}

/// Bytes of the buffers that make up a slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotLayout {
    buffers: Vec<u64>,
}

impl SlotLayout {
    /// Room for the planes of one layer.
    pub(crate) fn new(gpu: &Gpu, program: &Program, groups: &Groups) -> Result<Self, ExecError> {
        let mut end = End::default();
        let mut buffers = Vec::new();
        for group in groups {
            let weights: Vec<_> = group.iter().map(|id| program.weight(*id)).collect();
            for bytes in plane_bytes(gpu, &weights)? {
                end.take(bytes, gpu.limits.max_buffer_size);
                buffers.resize(end.buffer + 1, 0);
                buffers[end.buffer] = end.offset;
            }
        }
        Ok(SlotLayout { buffers })
    }

    /// Room for either of the two.
    pub(crate) fn or(mut self, other: &SlotLayout) -> Self {
        self.buffers.resize(self.buffers.len().max(other.buffers.len()), 0);
        self.buffers.iter_mut().zip(&other.buffers).for_each(|(a, b)| *a = (*a).max(*b));
        self
    }

    /// Bytes of all buffers together.
    pub(crate) fn bytes(&self) -> u64 {
        self.buffers.iter().sum()
    }

    /// Allocates the buffers.
    pub(crate) fn allocate(&self, resources: &Resources) -> Result<Slot, ExecError> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let buffer = |bytes: &u64| resources.buffer("page", *bytes, usage, MemoryKind::Weights).map(Arc::new);
        Ok(Slot { buffers: self.buffers.iter().map(buffer).collect::<Result<_, _>>()? })
    }
}

/// One slot.
#[derive(Debug)]
pub(crate) struct Slot {
    buffers: Vec<Arc<Allocation>>,
}

impl Slot {
    /// The weights of one layer in this slot, each with its id.
    pub(crate) fn place(
        &self,
        gpu: &Gpu,
        program: &Program,
        groups: &Groups,
    ) -> Result<Vec<(WeightId, DeviceWeight)>, ExecError> {
        let mut end = End::default();
        let mut placed = Vec::new();
        for group in groups {
            let weights: Vec<_> = group.iter().map(|id| program.weight(*id)).collect();
            let members = DeviceWeight::place(gpu, &weights, |bytes| {
                let offset = end.take(bytes, gpu.limits.max_buffer_size);
                let buffer = self.buffers.get(end.buffer).cloned();
                let buffer = buffer.ok_or_else(|| ExecError::Device("a slot smaller than its layer".to_owned()))?;
                Ok(Plane { buffer, offset, bytes })
            })?;
            placed.extend(group.iter().copied().zip(members));
        }
        Ok(placed)
    }
}

/// Where the next plane goes.
#[derive(Debug, Default)]
struct End {
    buffer: usize,
    offset: u64,
}

impl End {
    /// Takes room for a plane in `self.buffer`, or in the next one if that would grow beyond `limit`; returns its
    /// offset there.
    fn take(&mut self, bytes: u64, limit: u64) -> u64 {
        let size = bytes.next_multiple_of(ALIGNMENT);
        if self.offset > 0 && self.offset + size > limit {
            (self.buffer, self.offset) = (self.buffer + 1, 0);
        }
        let at = self.offset;
        self.offset += size;
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_aligned_and_continue_in_another_buffer() {
        let mut end = End::default();
        assert_eq!((end.take(100, 1024), end.buffer), (0, 0));
        assert_eq!((end.take(500, 1024), end.buffer), (256, 0));
        assert_eq!((end.take(300, 1024), end.buffer), (0, 1));
        assert_eq!((end.take(2000, 1024), end.buffer), (0, 2));
    }

    #[test]
    fn a_slot_has_room_for_the_larger_of_two() {
        let (a, b) = (SlotLayout { buffers: vec![512, 256] }, SlotLayout { buffers: vec![768] });
        assert_eq!(a.or(&b), SlotLayout { buffers: vec![768, 256] });
    }

    #[test]
    fn stacks_of_a_layer_stay_together() {
        let ids = |ids: &[u32]| ids.iter().map(|id| WeightId(*id)).collect::<Vec<_>>();
        let found = groups(&ids(&[1, 2, 3, 4]), &[ids(&[2, 4]), ids(&[7, 8])]);
        assert_eq!(found, [ids(&[2, 4]), ids(&[1]), ids(&[3])]);
    }
}
