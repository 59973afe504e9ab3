//! What an executor allocates besides its plan: weights, tables, caches, batch.

use chord_program::{ExecError, Program, Weight, WeightId};

use crate::Gpu;
use crate::ops::kv::KvCache;
use crate::plan::Device;
use crate::resources::{MemoryKind, Resources};
use crate::weights::{DeviceWeight, Groups, groups, plane_bytes};

/// Allocates tables, caches and batch; `weights` have their places already.
pub(super) fn make_device(
    program: &Program,
    resources: Resources,
    weights: Vec<Vec<DeviceWeight>>,
) -> Result<Device, ExecError> {
    let gpu = resources.gpu.clone();
    let storage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
    let mut tables = Vec::with_capacity(program.tables.len());
    for table in &program.tables {
        let bytes = u64::from(program.n_ctx) * u64::from(table.cols()) * 4;
        let out_of_memory = || {
            let what = format!("a table of {} positions: use a smaller context", program.n_ctx);
            ExecError::OutOfMemory { backend: "gpu", needed: bytes, what }
        };
        if bytes > gpu.max_binding_bytes() {
            return Err(out_of_memory());
        }
        let buffer = resources.buffer("table", bytes, storage, MemoryKind::Weights)?;
        let rows = table.rows(program.n_ctx).map_err(|_| out_of_memory())?;
        gpu.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(&rows));
        tables.push(buffer);
    }
    let caches = program
        .slots
        .iter()
        .map(|slot| KvCache::new(&resources, slot, program.kv_type, program.n_seq_max))
        .collect::<Result<Vec<_>, _>>()?;
    let batch_words = 4 + 3 * u64::from(program.max_batch) + u64::from(program.max_outputs);
    let batch = resources.buffer("batch", 4 * batch_words, storage, MemoryKind::Scratch)?;
    let copied = storage | wgpu::BufferUsages::COPY_SRC;
    let ids = resources.buffer("chosen ids", 4 * u64::from(program.max_outputs), copied, MemoryKind::Scratch)?;
    let next = resources.buffer("next ids", 4 * u64::from(program.n_seq_max), copied, MemoryKind::Scratch)?;
    Ok(Device { resources, weights, tables, caches, batch, ids, next })
}

/// Room for the weights in `held`, those of a stack together; the others get no place yet.
pub(super) fn make_weights(
    program: &Program,
    resources: &Resources,
    held: &[WeightId],
    stacks: &[Vec<WeightId>],
) -> Result<Vec<Vec<DeviceWeight>>, ExecError> {
    let mut places: Vec<Vec<DeviceWeight>> = program.weights.iter().map(|_| Vec::new()).collect();
    for group in groups(held, stacks) {
        let weights: Vec<&Weight> = group.iter().map(|id| program.weight(*id)).collect();
        for (id, weight) in group.iter().zip(DeviceWeight::stacked(resources, &weights)?) {
            places[id.0 as usize].push(weight);
        }
    }
    Ok(places)
}

/// Bytes that [`make_weights`] allocates.
pub(super) fn weight_bytes(program: &Program, gpu: &Gpu, groups: &Groups) -> Result<u64, ExecError> {
    let planes = groups.iter().map(|group| {
        let weights: Vec<&Weight> = group.iter().map(|id| program.weight(*id)).collect();
        Ok(plane_bytes(gpu, &weights)?.iter().map(|bytes| bytes.next_multiple_of(4)).sum::<u64>())
    });
    planes.sum()
}

/// The ids of all weights.
pub(super) fn all_weights(program: &Program) -> Vec<WeightId> {
    (0..program.weights.len() as u32).map(WeightId).collect()
}
