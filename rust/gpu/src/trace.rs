//! A run op by op: each output is read back and visited before the next op runs.

use chord_program::{BatchShape, BufferId, ExecError, Program, TraceVisitor};

use crate::plan::{Device, GUARD, Plan};

/// The contents of unwritten memory: a NaN, so that reading it is detected.
const UNWRITTEN: u32 = 0x7fc0_dead;

/// Runs every step of an unfused, guarded `plan` on the batch already on the device.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn run(
    program: &Program,
    device: &Device,
    plan: &Plan,
    shape: BatchShape,
    visit: &mut TraceVisitor<'_>,
) -> Result<(), ExecError> {
    let mut staging = crate::readback::StagingPool::default();
    for step in &plan.steps {
        let outputs: Vec<BufferId> = program.ops[step.op].outputs.clone();
        for id in &outputs {
            fill(device, plan, *id);
        }
        let mut encoder = device.resources.gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            step.encode(&mut pass, shape, 0);
        }
        device.resources.gpu.queue.submit([encoder.finish()]);
        for id in outputs {
            let words = read(device, plan, id, &mut staging)?;
            let buffer = program.buffer(id);
            let n = buffer.rows.resolve(shape.n_tokens, shape.n_outputs) * buffer.cols as usize;
            let guard = GUARD as usize / 4;
            let (before, rest) = words.split_at(guard);
            let (values, after) = rest.split_at(n);
            if let Some(index) = before.iter().chain(after).position(|word| *word != UNWRITTEN) {
                let op = program.ops[step.op].kind.name();
                let what = format!("op {} ({op}) wrote outside of {:?}, at word {index}", step.op, buffer.name);
                return Err(ExecError::Device(what));
            }
            if !buffer.is_u32 {
                visit(step.op, id, bytemuck::cast_slice(values))?;
            }
        }
    }
    device.resources.gpu.fault.check()
}

/// A browser cannot wait for the device.
#[cfg(target_arch = "wasm32")]
pub(crate) fn run(
    _program: &Program,
    _device: &Device,
    _plan: &Plan,
    _shape: BatchShape,
    _visit: &mut TraceVisitor<'_>,
) -> Result<(), ExecError> {
    let _ = (UNWRITTEN, GUARD, BufferId(0));
    Err(ExecError::Unsupported { backend: "gpu", what: "a trace in a browser, which cannot wait".to_owned() })
}

/// Offset and bytes of a buffer with its guards.
#[cfg(not(target_arch = "wasm32"))]
fn guarded(plan: &Plan, id: BufferId) -> (u64, u64) {
    let (offset, bytes) = plan.layout.range(id).unwrap_or((GUARD, 0));
    (offset - GUARD, bytes + 2 * GUARD)
}

#[cfg(not(target_arch = "wasm32"))]
fn fill(device: &Device, plan: &Plan, id: BufferId) {
    let (offset, bytes) = guarded(plan, id);
    let pattern = vec![UNWRITTEN; bytes as usize / 4];
    device.resources.gpu.queue.write_buffer(&plan.arena, offset, bytemuck::cast_slice(&pattern));
}

#[cfg(not(target_arch = "wasm32"))]
fn read(
    device: &Device,
    plan: &Plan,
    id: BufferId,
    staging: &mut crate::readback::StagingPool,
) -> Result<Vec<u32>, ExecError> {
    let gpu = &device.resources.gpu;
    let (offset, bytes) = guarded(plan, id);
    let buffer = staging.take(&device.resources, bytes)?;
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    encoder.copy_buffer_to_buffer(&plan.arena, offset, &buffer, 0, bytes);
    let submission = gpu.queue.submit([encoder.finish()]);
    let readback = crate::readback::Readback::start(buffer, bytes, submission);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match readback.poll(&mut cx, gpu) {
        std::task::Poll::Ready(result) => result?,
        std::task::Poll::Pending => return Err(ExecError::Device("a native read-back did not wait".to_owned())),
    }
    let mut words = Vec::new();
    readback.take(staging, &mut words)?;
    Ok(words)
}
