//! A program compiled for a device: the places of its buffers and the dispatches of its ops, made once.

use std::ops::Range;

use chord_program::{
    BatchShape, BufferId, ExecError, MemoryPlan, OpKind, OutputName, PAGE_SLOTS, Program, Reuse, SlotId, TableId,
    Weight, WeightId, WeightRef,
};

use crate::Gpu;
use crate::fusion::{Fused, Fusion, fuse};
use crate::kernel::{Access, Activation, Binding, Dispatch, Kernels};
use crate::ops::OpContext;
use crate::ops::argmax::{self, Argmax};
use crate::ops::attention::{self, Attention};
use crate::ops::elementwise::{Elementwise, elementwise};
use crate::ops::embed::embed;
use crate::ops::gather::gather_rows;
use crate::ops::kv::{KvCache, kv_write};
use crate::ops::matmul::{MatMul, matmul};
use crate::ops::matmul_fused::{GatedPair, Siblings};
use crate::ops::norm::{layer_norm, rms_norm};
use crate::ops::rope::{Rope, rope};
use crate::ops::rotate_store::{HeadNorms, RotateStore, rotate_store};
use crate::resources::{Allocation, MemoryKind, Resources, UNUSED_BYTES};
use crate::weights::{self, DeviceWeight};

/// Offsets of bindings are multiples of this on every device.
const ALIGNMENT: u64 = 256;

/// What a plan is compiled against; shared by all plans of an executor.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) resources: Resources,
    /// Each weight's places: one, or one in each slot for a weight that is paged.
    pub(crate) weights: Vec<Vec<DeviceWeight>>,
    pub(crate) tables: Vec<Allocation>,
    pub(crate) caches: Vec<KvCache>,
    /// See `include/batch.wgsl`.
    pub(crate) batch: Allocation,
    /// Ids chosen for each output row.
    pub(crate) ids: Allocation,
    /// Each sequence's next id.
    pub(crate) next: Allocation,
}

/// How to compile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlanSettings {
    pub(crate) fusion: bool,
    pub(crate) attention_splits: Option<u32>,
    /// Every buffer keeps its own place, with a guard on both sides.
    pub(crate) traced: bool,
}

/// Dispatches of one op, or of several fused ones.
#[derive(Debug)]
pub(crate) struct Step {
    /// The op at whose place in the program this runs.
    pub(crate) op: usize,
    /// One entry, or for a step of a paged layer one for each slot.
    kernels: Vec<Kernels>,
    /// Multiplications for each row of the batch, roughly.
    pub(crate) work: u64,
}

/// A compiled program.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) arena: Allocation,
    pub(crate) layout: Layout,
    pub(crate) steps: Vec<Step>,
    /// Steps of each of the program's segments.
    pub(crate) segments: Vec<Range<usize>>,
    /// The greedy choice, where the program has logits.
    pub(crate) argmax: Option<[Dispatch; 2]>,
    /// Kept alive for the bind groups.
    _scratch: Option<Allocation>,
}

/// The places of buffers in the arena.
#[derive(Debug)]
pub(crate) struct Layout {
    offsets: Vec<Option<u64>>,
    sizes: Vec<u64>,
    total: u64,
}

/// Bytes on both sides of each buffer of a traced run.
pub(crate) const GUARD: u64 = ALIGNMENT;

impl Layout {
    fn new(program: &Program, groups: &[Fused], traced: bool) -> Self {
        if !traced {
            let touched: Vec<Vec<BufferId>> = groups.iter().map(|g| g.buffers(program)).collect();
            let plan = MemoryPlan::for_steps(program, ALIGNMENT, Reuse::Yes, &touched);
            return Layout { offsets: plan.offsets, sizes: plan.sizes, total: plan.total };
        }
        let plan = MemoryPlan::new(program, ALIGNMENT, Reuse::No);
        let mut total = GUARD;
        let offsets = plan.offsets.iter().zip(&plan.sizes).map(|(offset, size)| {
            offset.map(|_| {
                let at = total;
                total += size.next_multiple_of(ALIGNMENT) + GUARD;
                at
            })
        });
        let offsets = offsets.collect();
        Layout { offsets, sizes: plan.sizes, total }
    }

    /// First byte and number of bytes of a buffer that is not a batch input.
    pub(crate) fn range(&self, id: BufferId) -> Option<(u64, u64)> {
        Some((self.offsets[id.0 as usize]?, self.sizes[id.0 as usize]))
    }
}

/// The part of a plan that is known before anything is made on the device.
#[derive(Debug)]
pub(crate) struct Outline {
    groups: Vec<Fused>,
    layout: Layout,
}

impl Outline {
    /// Groups the ops and lays out their buffers.
    pub(crate) fn new(program: &Program, gpu: &Gpu, settings: PlanSettings) -> Self {
        let stackable = |weights: &[&Weight]| DeviceWeight::are_stackable(gpu, weights);
        let outline = |fusion| {
            let groups = fuse(program, fusion, &stackable);
            let layout = Layout::new(program, &groups, settings.traced);
            Outline { groups, layout }
        };
        let whole = outline(if settings.fusion { Fusion::ALL } else { Fusion::NONE });
        if settings.fusion && whole.layout.total > gpu.max_binding_bytes() {
            // The fused rotation needs one binding that covers several activations.
            return outline(Fusion { rotations: false, ..Fusion::ALL });
        }
        whole
    }

    /// Weights that must be adjacent.
    pub(crate) fn stacks(&self, program: &Program) -> Vec<Vec<WeightId>> {
        self.groups.iter().map(|g| g.stack(program)).filter(|stack| !stack.is_empty()).collect()
    }
}

impl Plan {
    /// Compiles `program`.
    ///
    /// # Errors
    /// [`ExecError::Unsupported`] for ops without a kernel, [`ExecError::OutOfMemory`], [`ExecError::Device`].
    pub(crate) fn new(
        program: &Program,
        device: &Device,
        settings: PlanSettings,
        outline: Outline,
    ) -> Result<Self, ExecError> {
        let Outline { groups, layout } = outline;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let arena = device.resources.buffer("activations", layout.total, usage, MemoryKind::Scratch)?;
        let scratch = match scratch_bytes(program, settings.attention_splits) {
            0 => None,
            bytes => {
                let usage = wgpu::BufferUsages::STORAGE;
                Some(device.resources.buffer("scratch", bytes, usage, MemoryKind::Scratch)?)
            }
        };
        let compiler = |slot| Compiler {
            program,
            device,
            settings,
            layout: &layout,
            arena: &arena,
            scratch: scratch.as_ref(),
            slot,
            ctx: OpContext { resources: &device.resources, batch: Binding::whole(Access::Read, &device.batch) },
        };
        let is_paged = |op: &usize| {
            let weights = program.ops[*op].kind.weights();
            weights.into_iter().any(|w| device.weights[w.weight.0 as usize].len() > 1)
        };
        let mut steps = Vec::with_capacity(groups.len());
        for group in &groups {
            let slots = if group.ops().iter().any(is_paged) { PAGE_SLOTS } else { 1 };
            let kernels = (0..slots).map(|slot| compiler(slot).group(group)).collect::<Result<_, _>>()?;
            steps.push(Step { op: group.place(), kernels, work: work(program, group) });
        }
        let argmax = compiler(0).argmax()?;
        let segments = program.segments.iter().map(|segment| {
            let first = steps.partition_point(|s| s.op < segment.ops.start);
            first..steps.partition_point(|s| s.op < segment.ops.end)
        });
        let segments = segments.collect();
        Ok(Plan { arena, layout, steps, segments, argmax, _scratch: scratch })
    }

    /// Bytes of weights that the dispatches for a batch bind, the greedy choice aside.
    pub(crate) fn weight_bytes(&self, shape: BatchShape) -> u64 {
        let chosen = self.steps.iter().filter_map(|step| step.kernels.first());
        chosen.flat_map(|kernels| kernels.select(shape)).map(|dispatch| dispatch.weight_bytes).sum()
    }

    /// Bytes that [`Plan::new`] allocates: activations, scratch, and [`Resources::unused`].
    pub(crate) fn bytes(program: &Program, settings: PlanSettings, outline: &Outline) -> u64 {
        outline.layout.total + scratch_bytes(program, settings.attention_splits) + UNUSED_BYTES
    }
}

impl Step {
    /// Records the dispatches, with the weights in `slot` if they are paged; returns how many.
    pub(crate) fn encode(&self, pass: &mut wgpu::ComputePass<'_>, shape: BatchShape, slot: usize) -> u64 {
        let Some(kernels) = self.kernels.get(slot).or(self.kernels.first()) else { return 0 };
        kernels.select(shape).iter().map(|dispatch| u64::from(dispatch.encode(pass, shape))).sum()
    }
}

/// Room that attention and the greedy choice share; they never run at the same time.
fn scratch_bytes(program: &Program, splits: Option<u32>) -> u64 {
    let attention = program.ops.iter().filter_map(|op| {
        let OpKind::Attention { slot, n_heads, .. } = op.kind else { return None };
        let slot = program.slot(slot);
        let splits = splits.unwrap_or_else(|| attention::default_splits(slot.capacity));
        Some(attention::scratch_bytes(n_heads, slot.v_dim, splits))
    });
    let argmax = match program.output(OutputName::Logits) {
        Some(_) => argmax::scratch_bytes(program.n_vocab, program.max_outputs),
        None => 0,
    };
    attention.max().unwrap_or(0).max(argmax)
}

fn work(program: &Program, group: &Fused) -> u64 {
    group.ops().into_iter().map(|index| program.ops[index].kind.multiplications(program)).sum()
}

/// Why no plan of `program` can be made on any device: an op or a block type without a kernel.
pub fn missing_kernel(program: &Program) -> Option<String> {
    let op = program.ops.iter().find_map(|op| op_without_kernel(&op.kind));
    let weight = program.weights.iter().find(|w| weights::Layout::new(w.ty, w.cols).is_none());
    let op = op.map(|op| format!("the gpu executor has no kernel for {op}"));
    op.or_else(|| weight.map(|w| format!("the gpu executor has no kernel for {} of {} columns", w.ty, w.cols)))
}

/// The part of an op for which there is no kernel.
fn op_without_kernel(kind: &OpKind) -> Option<&'static str> {
    match kind {
        OpKind::MatMulId { .. } | OpKind::Route { .. } | OpKind::CombineExperts { .. } => Some(kind.name()),
        OpKind::Attention { sinks, .. } => sinks.as_ref().map(|_| "attention with sinks"),
        OpKind::Embed { .. }
        | OpKind::RmsNorm { .. }
        | OpKind::LayerNorm { .. }
        | OpKind::MatMul { .. }
        | OpKind::Add { .. }
        | OpKind::Rope { .. }
        | OpKind::KvWrite { .. }
        | OpKind::Glu { .. }
        | OpKind::Act { .. }
        | OpKind::GatherRows { .. }
        | OpKind::SoftCap { .. }
        | OpKind::Scale { .. } => None,
    }
}

/// Compiles ops one by one.
struct Compiler<'a> {
    program: &'a Program,
    device: &'a Device,
    settings: PlanSettings,
    layout: &'a Layout,
    arena: &'a Allocation,
    scratch: Option<&'a Allocation>,
    /// The slot from which paged weights are bound.
    slot: usize,
    ctx: OpContext<'a>,
}

impl Compiler<'_> {
    fn group(&self, group: &Fused) -> Result<Kernels, ExecError> {
        match *group {
            Fused::Single(op) => self.op(op),
            Fused::MatMulAdd { matmul, add } => self.matmul_add(matmul, add),
            Fused::RotateStore { norms, ropes, kv_write } => self.rotate_store(norms, ropes, kv_write),
            Fused::Gated { gate, up, glu } => self.gated(gate, up, glu),
            Fused::Siblings { .. } => self.siblings(&group.ops()),
        }
    }

    fn activation(&self, id: BufferId) -> Result<Activation, ExecError> {
        let buffer = self.program.buffer(id);
        let (offset, bytes) = self.layout.range(id).ok_or_else(|| ExecError::Unsupported {
            backend: "gpu",
            what: format!("{:?} as an activation", buffer.name),
        })?;
        if bytes > self.device.resources.gpu.max_binding_bytes() {
            let what = format!("a buffer {:?} larger than a binding: use a smaller batch", buffer.name);
            return Err(ExecError::OutOfMemory { backend: "gpu", needed: bytes, what });
        }
        let arena: &wgpu::Buffer = self.arena;
        Ok(Activation { buffer: arena.clone(), offset, bytes, rows: buffer.rows, cols: buffer.cols })
    }

    fn weight(&self, weight: &WeightRef) -> &DeviceWeight {
        let places = &self.device.weights[weight.weight.0 as usize];
        &places[self.slot.min(places.len() - 1)]
    }

    fn vector(&self, weight: &WeightRef) -> Result<Binding, ExecError> {
        self.weight(weight).vector()
    }

    fn table(&self, id: TableId) -> Binding {
        Binding::whole(Access::Read, &self.device.tables[id.0 as usize])
    }

    fn cache(&self, id: SlotId) -> &KvCache {
        &self.device.caches[id.0 as usize]
    }

    /// The room that attention and the greedy choice share.
    fn scratch(&self) -> Binding {
        match self.scratch {
            Some(scratch) => Binding::whole(Access::ReadWrite, scratch),
            // Nothing is written there: keys in a single part need no room.
            None => Binding { bytes: 16, ..Binding::whole(Access::ReadWrite, self.arena) },
        }
    }

    /// Kernels read the batch inputs from the batch itself, so an op must use those and no others.
    fn check_batch_inputs(&self, kind: &OpKind) -> Result<(), ExecError> {
        match kind.batch_inputs().into_iter().find(|(id, input)| *id != self.program.inputs[*input as usize]) {
            Some((id, _)) => {
                let what = format!("{:?} in place of a batch input", self.program.buffer(id).name);
                Err(ExecError::Unsupported { backend: "gpu", what })
            }
            None => Ok(()),
        }
    }

    fn op(&self, index: usize) -> Result<Kernels, ExecError> {
        let op = &self.program.ops[index];
        let ctx = &self.ctx;
        let pointwise = |kind: Elementwise, inputs: &[BufferId]| {
            let inputs = inputs.iter().map(|id| self.activation(*id)).collect::<Result<Vec<_>, _>>()?;
            elementwise(ctx, kind, &inputs.iter().collect::<Vec<_>>(), &self.activation(op.out())?)
        };
        if let Some(what) = op_without_kernel(&op.kind) {
            return self.unsupported(what);
        }
        self.check_batch_inputs(&op.kind)?;
        match &op.kind {
            OpKind::Embed { weight, scale, .. } => {
                embed(ctx, self.weight(weight), weight.rows.clone(), *scale, &self.activation(op.out())?)
            }
            OpKind::RmsNorm { x, weight, group, eps } => {
                let weight = weight.as_ref().map(|w| self.vector(w)).transpose()?;
                rms_norm(ctx, &self.activation(*x)?, weight, *group, *eps, &self.activation(op.out())?)
            }
            OpKind::LayerNorm { x, weight, bias, eps } => {
                let bias = bias.as_ref().map(|b| self.vector(b)).transpose()?;
                let weight = self.vector(weight)?;
                layer_norm(ctx, &self.activation(*x)?, weight, bias, *eps, &self.activation(op.out())?)
            }
            OpKind::MatMul { .. } => self.matmul(index, None, op.out()),
            OpKind::Add { a, b, scale } => pointwise(Elementwise::Add { factor: *scale }, &[*a, *b]),
            OpKind::Rope { x, table, head_dim, pairing, .. } => {
                let op = Rope {
                    x: &self.activation(*x)?,
                    table: self.table(*table),
                    n_rot: self.program.table(*table).cols(),
                    head_dim: *head_dim,
                    pairing: *pairing,
                    out: &self.activation(op.out())?,
                };
                rope(ctx, &op)
            }
            OpKind::KvWrite { k, v, slot, .. } => {
                kv_write(ctx, &self.activation(*k)?, &self.activation(*v)?, self.cache(*slot))
            }
            OpKind::Attention { q, slot, n_heads, scale, mask, soft_cap, .. } => {
                let cache = self.cache(*slot);
                let splits = self.settings.attention_splits;
                let op = Attention {
                    q: &self.activation(*q)?,
                    cache,
                    n_heads: *n_heads,
                    scale: *scale,
                    mask: *mask,
                    soft_cap: *soft_cap,
                    out: &self.activation(op.out())?,
                    scratch: self.scratch(),
                    splits: splits.unwrap_or_else(|| attention::default_splits(cache.slot().capacity)),
                };
                attention::attention(ctx, &op)
            }
            OpKind::Glu { gate, up, act } => pointwise(Elementwise::Glu(*act), &[*gate, *up]),
            OpKind::Act { x, act } => pointwise(Elementwise::Act(*act), &[*x]),
            OpKind::GatherRows { x, .. } => gather_rows(ctx, &self.activation(*x)?, &self.activation(op.out())?),
            OpKind::SoftCap { x, cap } => pointwise(Elementwise::SoftCap { cap: *cap }, &[*x]),
            OpKind::Scale { x, scale } => pointwise(Elementwise::Scale { factor: *scale }, &[*x]),
            OpKind::MatMulId { .. } | OpKind::Route { .. } | OpKind::CombineExperts { .. } => {
                self.unsupported(op.kind.name())
            }
        }
    }

    fn unsupported<T>(&self, what: &str) -> Result<T, ExecError> {
        Err(ExecError::Unsupported { backend: "gpu", what: what.to_owned() })
    }

    /// The matmul at `index`, written to `out`, with an optional residual `(buffer, factor on the product)`.
    fn matmul(&self, index: usize, residual: Option<(BufferId, f32)>, out: BufferId) -> Result<Kernels, ExecError> {
        let OpKind::MatMul { x, weight, bias, scale } = &self.program.ops[index].kind else {
            return self.unsupported("a fused op that is not a matmul");
        };
        let residual = match residual {
            Some((id, factor)) => Some((self.activation(id)?, factor)),
            None => None,
        };
        let op = MatMul {
            x: &self.activation(*x)?,
            weight: self.weight(weight),
            rows: weight.rows.clone(),
            bias: bias.as_ref().map(|b| self.weight(b)),
            scale: *scale,
            residual: residual.as_ref().map(|(a, factor)| (a, *factor)),
            out: &self.activation(out)?,
        };
        matmul(&self.ctx, &op)
    }

    fn matmul_add(&self, index: usize, add: usize) -> Result<Kernels, ExecError> {
        let op = &self.program.ops[add];
        let OpKind::Add { a, scale, .. } = op.kind else {
            return self.unsupported("a fused op that is not an add");
        };
        self.matmul(index, Some((a, scale)), op.out())
    }

    /// Input and weight of the plain product at `index`.
    fn product(&self, index: usize) -> Result<(Activation, &DeviceWeight), ExecError> {
        let OpKind::MatMul { x, weight, .. } = &self.program.ops[index].kind else {
            return self.unsupported("a fused op that is not a matmul");
        };
        Ok((self.activation(*x)?, self.weight(weight)))
    }

    fn gated(&self, gate: usize, up: usize, glu: usize) -> Result<Kernels, ExecError> {
        let op = &self.program.ops[glu];
        let OpKind::Glu { act, .. } = op.kind else {
            return self.unsupported("a fused op that is not a glu");
        };
        let ((x, gate), (_, up)) = (self.product(gate)?, self.product(up)?);
        GatedPair { x: &x, gate, up, act, out: &self.activation(op.out())? }.kernels(&self.ctx)
    }

    fn siblings(&self, products: &[usize]) -> Result<Kernels, ExecError> {
        let parts = products.iter().map(|op| self.product(*op)).collect::<Result<Vec<_>, _>>()?;
        let outs = products.iter().map(|op| self.activation(self.program.ops[*op].out()));
        let outs = outs.collect::<Result<Vec<_>, _>>()?;
        let op = Siblings {
            x: &parts[0].0,
            weights: parts.iter().map(|(_, weight)| *weight).collect(),
            outs: outs.iter().collect(),
        };
        op.kernels(&self.ctx)
    }

    fn rotate_store(
        &self,
        norms: Option<[usize; 2]>,
        ropes: [usize; 2],
        kv_write: usize,
    ) -> Result<Kernels, ExecError> {
        let ops = &self.program.ops;
        let [q_rope, k_rope] = ropes.map(|op| &ops[op]);
        let (OpKind::Rope { x: q, table, pairing, .. }, OpKind::Rope { x: k, .. }, OpKind::KvWrite { v, slot, .. }) =
            (&q_rope.kind, &k_rope.kind, &ops[kv_write].kind)
        else {
            return self.unsupported("a fused group that is not a rotation");
        };
        [&q_rope.kind, &k_rope.kind, &ops[kv_write].kind].into_iter().try_for_each(|op| self.check_batch_inputs(op))?;
        let (mut q, mut k, mut head_norms) = (*q, *k, None);
        if let Some(norms) = norms {
            let [
                OpKind::RmsNorm { x: q_in, weight: Some(q_weight), eps: q_eps, .. },
                OpKind::RmsNorm { x: k_in, weight: Some(k_weight), eps: k_eps, .. },
            ] = norms.map(|op| &ops[op].kind)
            else {
                return self.unsupported("a fused group whose norms are none");
            };
            (q, k) = (*q_in, *k_in);
            let weights = [self.vector(q_weight)?, self.vector(k_weight)?];
            head_norms = Some(HeadNorms { weights, eps: [*q_eps, *k_eps] });
        }
        let op = RotateStore {
            q: &self.activation(q)?,
            k: &self.activation(k)?,
            v: &self.activation(*v)?,
            out: &self.activation(q_rope.out())?,
            norms: head_norms,
            table: self.table(*table),
            n_rot: self.program.table(*table).cols(),
            pairing: *pairing,
            cache: self.cache(*slot),
        };
        rotate_store(&self.ctx, &op)
    }

    fn argmax(&self) -> Result<Option<[Dispatch; 2]>, ExecError> {
        let Some(logits) = self.program.output(OutputName::Logits) else { return Ok(None) };
        let op = Argmax {
            logits: &self.activation(logits)?,
            scratch: self.scratch(),
            ids: Binding::whole(Access::ReadWrite, &self.device.ids),
            next: Binding::whole(Access::ReadWrite, &self.device.next),
            batch: Binding::whole(Access::ReadWrite, &self.device.batch),
        };
        argmax::argmax(&self.ctx, &op).map(Some)
    }
}
