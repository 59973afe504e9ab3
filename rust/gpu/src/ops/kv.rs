//! The KV cache: one buffer of keys and one of values for each slot.

use chord_program::{ExecError, KvSlot, KvType};

use super::OpContext;
use crate::{Access, Activation, Allocation, Binding, Grid, KernelSource, Kernels, MemoryKind, Resources};

/// Keys and values of one slot, `[seq][kv_head][position % capacity][dim]` each.
#[derive(Debug)]
pub struct KvCache {
    slot: KvSlot,
    ty: KvType,
    k: Allocation,
    v: Allocation,
}

impl KvCache {
    /// Room for `n_seq` sequences.
    ///
    /// # Errors
    /// [`ExecError::Unsupported`] for head sizes that are not a multiple of 4, [`ExecError::OutOfMemory`], also for a
    /// cache beyond the largest binding.
    pub fn new(resources: &Resources, slot: &KvSlot, ty: KvType, n_seq: u32) -> Result<Self, ExecError> {
        let unsupported = |what: String| Err(ExecError::Unsupported { backend: "gpu", what });
        let positions = u64::from(n_seq) * u64::from(slot.n_kv_heads) * u64::from(slot.capacity);
        let allocate = |dim: u32, part: &str| {
            let bytes = positions * u64::from(dim) * ty.bytes();
            if !dim.is_multiple_of(4) {
                return unsupported(format!("KV heads of {dim} columns, not a multiple of 4, in {}", slot.name));
            }
            if bytes > resources.gpu.max_binding_bytes() {
                let what = format!("{} of {}, more than one binding: use a smaller context", part, slot.name);
                return Err(ExecError::OutOfMemory { backend: "gpu", needed: bytes, what });
            }
            let usage = wgpu::BufferUsages::STORAGE;
            resources.buffer(&format!("{} {part}", slot.name), bytes, usage, MemoryKind::Kv)
        };
        Ok(KvCache { slot: slot.clone(), ty, k: allocate(slot.k_dim, "keys")?, v: allocate(slot.v_dim, "values")? })
    }

    /// The slot whose keys and values the cache holds.
    pub fn slot(&self) -> &KvSlot {
        &self.slot
    }

    /// Keys and values.
    pub fn bindings(&self, access: Access) -> [Binding; 2] {
        [Binding::whole(access, &self.k), Binding::whole(access, &self.v)]
    }

    /// `source` with the defines and constants that `include/kv.wgsl` needs.
    pub fn specialise(&self, source: KernelSource) -> KernelSource {
        source
            .flag("KV_F16", self.ty == KvType::F16)
            .define("N_KV_HEADS", format!("{}u", self.slot.n_kv_heads))
            .constant("CAPACITY", self.slot.capacity)
    }
}

/// Stores `k` and `v` of the batch at their positions.
pub fn kv_write(ctx: &OpContext<'_>, k: &Activation, v: &Activation, cache: &KvCache) -> Result<Kernels, ExecError> {
    let slot = cache.slot();
    let (k_quads, v_quads) = (slot.k_dim / 4, slot.v_dim / 4);
    let source = cache
        .specialise(KernelSource::new("ops/kv_write.wgsl"))
        .constant("K_QUADS", k_quads)
        .constant("V_QUADS", v_quads);
    let mut bindings = vec![ctx.batch.clone(), k.binding(), v.binding()];
    bindings.extend(cache.bindings(Access::ReadWrite));
    let grid = Grid::elements(k.rows, slot.n_kv_heads * (k_quads + v_quads), 64);
    Ok(Kernels::always(vec![ctx.resources.dispatch(&source, &bindings, grid)?]))
}
