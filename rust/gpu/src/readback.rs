//! Reading results back without stopping the device: each result is copied to a staging buffer of its own, which is
//! mapped when the device has filled it and then returned to a pool.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use chord_program::ExecError;

use crate::Gpu;
use crate::resources::{Allocation, MemoryKind, Resources};

/// Staging buffers not in use.
#[derive(Debug, Default)]
pub(crate) struct StagingPool {
    idle: Vec<Allocation>,
}

impl StagingPool {
    /// A buffer of at least `bytes`: the smallest idle one that fits, or a new one.
    pub(crate) fn take(&mut self, resources: &Resources, bytes: u64) -> Result<Allocation, ExecError> {
        let fits = self.idle.iter().enumerate().filter(|(_, b)| b.size() >= bytes);
        if let Some((index, _)) = fits.min_by_key(|(_, b)| b.size()) {
            return Ok(self.idle.swap_remove(index));
        }
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        resources.buffer("read-back", bytes, usage, MemoryKind::Scratch)
    }

    /// Returns an unmapped buffer.
    pub(crate) fn give(&mut self, staging: Allocation) {
        self.idle.push(staging);
    }
}

#[derive(Debug, Default)]
struct ArrivalState {
    result: Option<Result<(), String>>,
    waker: Option<Waker>,
}

/// An event of the device. Clones wait for the same event; the task that polled last is woken.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    // Only native builds wait for a submission; a browser calls back.
    #[cfg_attr(target_arch = "wasm32", expect(dead_code))]
    submission: wgpu::SubmissionIndex,
    state: Arc<Mutex<ArrivalState>>,
}

/// A result that is being read back.
#[derive(Debug)]
pub(crate) struct Readback {
    staging: Allocation,
    bytes: u64,
    arrival: Arrival,
    /// The result is no longer needed.
    pub(crate) dropped: bool,
}

impl Arrival {
    /// The end of everything submitted so far; `submission` is the last of it.
    pub(crate) fn of_work(gpu: &Gpu, submission: wgpu::SubmissionIndex) -> Self {
        let arrival = Arrival { submission, state: Arc::default() };
        let note = arrival.note();
        gpu.queue.on_submitted_work_done(move || note(Ok(())));
        arrival
    }

    /// The callback for the device.
    fn note(&self) -> impl FnOnce(Result<(), String>) + use<> {
        let shared = self.state.clone();
        move |result| {
            let mut state = shared.lock().expect("no panic while locked");
            state.result = Some(result);
            let waker = state.waker.take();
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// True once the device has reported the event; does not wait.
    pub(crate) fn is_there(&self) -> bool {
        self.state.lock().expect("no panic while locked").result.is_some()
    }

    /// Ready once the device has reported the event. A native build waits for it; a browser wakes the task.
    pub(crate) fn poll(&self, cx: &mut Context<'_>, gpu: &Gpu) -> Poll<Result<(), ExecError>> {
        loop {
            {
                let mut state = self.state.lock().expect("no panic while locked");
                match &state.result {
                    Some(Ok(())) => return Poll::Ready(gpu.fault.check()),
                    Some(Err(error)) => {
                        let other = ExecError::Device(format!("reading a result: {error}"));
                        return Poll::Ready(gpu.fault.check().and(Err(other)));
                    }
                    None => state.waker = Some(cx.waker().clone()),
                }
            }
            gpu.fault.check()?;
            gpu.fault.wake_on_fault(cx.waker());
            #[cfg(target_arch = "wasm32")]
            return Poll::Pending;
            #[cfg(not(target_arch = "wasm32"))]
            self.wait(gpu)?;
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn wait(&self, gpu: &Gpu) -> Result<(), ExecError> {
        // Ends now and then, so that the loss of a device that never finishes its work is noticed.
        let timeout = Some(std::time::Duration::from_millis(500));
        match gpu.device.poll(wgpu::PollType::Wait { submission_index: Some(self.submission.clone()), timeout }) {
            Ok(_) | Err(wgpu::PollError::Timeout) => gpu.fault.check(),
            Err(error) => gpu.fault.check().and(Err(ExecError::Device(error.to_string()))),
        }
    }
}

impl Readback {
    /// Requests the first `bytes` of `staging`, which `submission` fills.
    pub(crate) fn start(staging: Allocation, bytes: u64, submission: wgpu::SubmissionIndex) -> Self {
        let arrival = Arrival { submission, state: Arc::default() };
        let note = arrival.note();
        staging.slice(..bytes).map_async(wgpu::MapMode::Read, move |result| note(result.map_err(|e| e.to_string())));
        Readback { staging, bytes, arrival, dropped: false }
    }

    /// True once the result is there; does not wait.
    pub(crate) fn has_arrived(&self) -> bool {
        self.arrival.is_there()
    }

    /// Ready once the result is there. A native build waits for the device; a browser wakes the task.
    pub(crate) fn poll(&self, cx: &mut Context<'_>, gpu: &Gpu) -> Poll<Result<(), ExecError>> {
        self.arrival.poll(cx, gpu)
    }

    /// Copies the arrived bytes to `out` and returns the buffer to the pool.
    pub(crate) fn take<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(
        self,
        pool: &mut StagingPool,
        out: &mut Vec<T>,
    ) -> Result<(), ExecError> {
        let view = self
            .staging
            .slice(..self.bytes)
            .get_mapped_range()
            .map_err(|e| ExecError::Device(format!("reading a result: {e}")))?;
        out.extend_from_slice(bytemuck::cast_slice(&view));
        drop(view);
        self.staging.unmap();
        pool.give(self.staging);
        Ok(())
    }
}
