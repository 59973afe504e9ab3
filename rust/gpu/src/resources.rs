//! Everything made on the device, in typed pools that count: buffers, bind groups, pipelines.

use std::collections::HashMap;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use chord_program::{Counters, ExecError, MemoryUse};

use crate::Gpu;
use crate::constants;
use crate::device::device_error;
use crate::kernel::{Access, Binding, Dispatch, Grid, KernelSource};
pub use crate::pipelines::PipelineKey;
use crate::pipelines::PipelinePool;
use crate::shader::{Dialect, ShaderSet};

/// The kind of memory that a buffer's bytes are counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKind {
    /// Weights and tables.
    Weights,
    /// KV cache.
    Kv,
    /// Activations, batch, read-back.
    Scratch,
}

/// Counts since the executor was made.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) buffers: AtomicU64,
    pub(crate) bind_groups: AtomicU64,
    pub(crate) pipelines: AtomicU64,
    pub(crate) submits: AtomicU64,
    pub(crate) dispatches: AtomicU64,
    pub(crate) tokens: AtomicU64,
    pub(crate) readbacks_before_submit: AtomicU64,
    pub(crate) bytes_uploaded: AtomicU64,
    pub(crate) bytes_read_back: AtomicU64,
    weights: AtomicU64,
    kv: AtomicU64,
    scratch: AtomicU64,
}

impl Tally {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    fn bytes(&self, kind: MemoryKind) -> &AtomicU64 {
        match kind {
            MemoryKind::Weights => &self.weights,
            MemoryKind::Kv => &self.kv,
            MemoryKind::Scratch => &self.scratch,
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            buffers_created: get(&self.buffers),
            bind_groups_created: get(&self.bind_groups),
            pipelines_created: get(&self.pipelines),
            submits: get(&self.submits),
            dispatches: get(&self.dispatches),
            tokens: get(&self.tokens),
            readbacks_before_submit: get(&self.readbacks_before_submit),
            bytes_uploaded: get(&self.bytes_uploaded),
            bytes_read_back: get(&self.bytes_read_back),
        }
    }

    pub(crate) fn memory(&self) -> MemoryUse {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        MemoryUse { weights: get(&self.weights), kv: get(&self.kv), scratch: get(&self.scratch) }
    }
}

/// A buffer whose bytes are counted while it lives.
#[derive(Debug)]
pub struct Allocation {
    buffer: wgpu::Buffer,
    kind: MemoryKind,
    tally: Arc<Tally>,
}

impl Deref for Allocation {
    type Target = wgpu::Buffer;
    fn deref(&self) -> &wgpu::Buffer {
        &self.buffer
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        self.tally.bytes(self.kind).fetch_sub(self.buffer.size(), Ordering::Relaxed);
    }
}

/// Reports what an executor holds, even after it was dropped.
#[derive(Clone, Debug)]
pub struct MemoryWatch(Arc<Tally>);

impl MemoryWatch {
    /// Bytes of all buffers alive.
    pub fn memory(&self) -> MemoryUse {
        self.0.memory()
    }
}

#[cfg(not(target_arch = "wasm32"))]
type ScopeFuture = Pin<Box<dyn Future<Output = Option<wgpu::Error>> + Send>>;
#[cfg(target_arch = "wasm32")]
type ScopeFuture = Pin<Box<dyn Future<Output = Option<wgpu::Error>>>>;

/// The errors of something made, where they are not known yet: browsers report them later.
struct PendingScope {
    future: ScopeFuture,
    explain: Explain,
}

/// What was being made.
enum Explain {
    Buffer { what: String, bytes: u64 },
    Kernel { what: String },
}

impl Explain {
    fn error(self, error: &wgpu::Error) -> ExecError {
        match (self, error) {
            (Explain::Buffer { what, bytes }, wgpu::Error::OutOfMemory { .. }) => {
                ExecError::OutOfMemory { backend: "gpu", needed: bytes, what }
            }
            (Explain::Buffer { what, bytes }, error) => {
                ExecError::Device(format!("{what} ({bytes} bytes): {}", device_error(error)))
            }
            (Explain::Kernel { what }, error) => ExecError::Device(format!("{what}: {}", device_error(error))),
        }
    }
}

/// Bytes of the buffer behind [`Resources::unused`].
pub(crate) const UNUSED_BYTES: u64 = 260;

/// The pools of one executor.
pub struct Resources {
    /// The device.
    pub gpu: Gpu,
    shaders: ShaderSet,
    pub(crate) tally: Arc<Tally>,
    pipelines: Arc<PipelinePool>,
    /// Values of kernels' constants, where they are not part of the pipeline.
    constants: Mutex<HashMap<Vec<u32>, Allocation>>,
    /// The buffer behind [`Resources::unused`].
    unused: Mutex<Option<Allocation>>,
    scopes: Mutex<Vec<PendingScope>>,
    /// In tests: the allocation that fails, counted from 0.
    fail_allocation: Option<u64>,
}

impl Resources {
    /// Empty pools.
    pub fn new(gpu: &Gpu, shaders: ShaderSet) -> Self {
        // Kernels from replaced shaders are not shared.
        let pipelines = if shaders.is_stock() { gpu.pipelines.clone() } else { Arc::default() };
        Resources {
            gpu: gpu.clone(),
            shaders,
            tally: Arc::default(),
            pipelines,
            constants: Mutex::default(),
            unused: Mutex::default(),
            scopes: Mutex::default(),
            fail_allocation: None,
        }
    }

    /// Makes the allocation number `n` (from 0) fail as if memory had run out.
    pub fn fail_allocation(mut self, n: u64) -> Self {
        self.fail_allocation = Some(n);
        self
    }

    /// A buffer of `bytes` (rounded up to a multiple of 4), zeroed.
    ///
    /// # Errors
    /// [`ExecError::OutOfMemory`], or [`ExecError::Device`] for what the device refuses otherwise; at once or, in a
    /// browser, from [`Resources::settle`].
    pub fn buffer(
        &self,
        what: &str,
        bytes: u64,
        usage: wgpu::BufferUsages,
        kind: MemoryKind,
    ) -> Result<Allocation, ExecError> {
        let size = bytes.next_multiple_of(4).max(4);
        let refuse = || ExecError::OutOfMemory { backend: "gpu", needed: size, what: what.to_owned() };
        let number = self.tally.buffers.fetch_add(1, Ordering::Relaxed);
        if size > self.gpu.limits.max_buffer_size || self.fail_allocation == Some(number) {
            return Err(refuse());
        }
        let device = &self.gpu.device;
        let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let buffer =
            device.create_buffer(&wgpu::BufferDescriptor { label: Some(what), size, usage, mapped_at_creation: false });
        self.tally.bytes(kind).fetch_add(size, Ordering::Relaxed);
        let allocation = Allocation { buffer, kind, tally: self.tally.clone() };
        for scope in [validation, memory] {
            self.watch(Box::pin(scope.pop()), Explain::Buffer { what: what.to_owned(), bytes: size })?;
        }
        Ok(allocation)
    }

    /// A dispatch of `source` with `bindings` in the order of their numbers.
    ///
    /// # Errors
    /// [`ExecError::Device`] for a kernel that the device refuses, at once or, in a browser, from
    /// [`Resources::settle`].
    pub fn dispatch(&self, source: &KernelSource, bindings: &[Binding], grid: Grid) -> Result<Dispatch, ExecError> {
        let device = &self.gpu.device;
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let as_uniform = self.gpu.lanes_are_a_loop && !source.constants.is_empty();
        let made = self.pipelines.get(&self.gpu, &self.shaders, source, bindings, as_uniform)?;
        Tally::add(&self.tally.pipelines, u64::from(made.is_new));
        let mut bindings = bindings.to_vec();
        if as_uniform {
            bindings.push(self.constants(&constants::pack(source, &made.kernel.constants)?)?);
        }
        let entries: Vec<_> = bindings
            .iter()
            .zip(0..)
            .map(|(b, binding)| wgpu::BindGroupEntry { binding, resource: b.resource() })
            .collect();
        let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(source.file),
            layout: &made.kernel.layouts.bind_group,
            entries: &entries,
        });
        Tally::add(&self.tally.bind_groups, 1);
        let what = format!("kernel {} {:?}", source.file, source.defines);
        self.watch(Box::pin(scope.pop()), Explain::Kernel { what })?;
        let weight_bytes = bindings.iter().map(|binding| binding.weight_bytes).sum();
        Ok(Dispatch { pipeline: made.kernel.pipeline, bind_group, grid, weight_bytes })
    }

    /// A uniform buffer of these words. Most layers of a model share one.
    fn constants(&self, words: &[u32]) -> Result<Binding, ExecError> {
        let mut pool = self.constants.lock().expect("no panic while locked");
        if let Some(buffer) = pool.get(words) {
            return Ok(Binding::whole(Access::Uniform, buffer));
        }
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let buffer = self.buffer("constants", 4 * words.len() as u64, usage, MemoryKind::Scratch)?;
        self.gpu.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(words));
        let binding = Binding::whole(Access::Uniform, &buffer);
        pool.insert(words.to_vec(), buffer);
        Ok(binding)
    }

    /// Two placeholders for bindings that a kernel declares but does not use. They do not overlap, as a device requires
    /// of bindings that may be written.
    pub(crate) fn unused(&self) -> Result<[Binding; 2], ExecError> {
        let mut pool = self.unused.lock().expect("no panic while locked");
        if pool.is_none() {
            *pool = Some(self.buffer("unused", UNUSED_BYTES, wgpu::BufferUsages::STORAGE, MemoryKind::Scratch)?);
        }
        let buffer: &wgpu::Buffer = pool.as_ref().expect("just made");
        let whole = Binding::whole(Access::ReadWrite, buffer);
        Ok([0, 256].map(|offset| Binding { offset, bytes: 4, ..whole.clone() }))
    }

    /// A view of the memory held that outlives the pools.
    pub fn watch_memory(&self) -> MemoryWatch {
        MemoryWatch(self.tally.clone())
    }

    /// Bytes held by the buffers made here.
    pub fn memory(&self) -> MemoryUse {
        self.tally.memory()
    }

    /// The kernels made so far, by any executor of this device.
    pub fn pipeline_keys(&self) -> Vec<PipelineKey> {
        self.pipelines.keys()
    }

    /// The WGSL of a kernel, as a device of that dialect gets it.
    pub fn wgsl(&self, source: &KernelSource, dialect: Dialect) -> Result<String, ExecError> {
        self.shaders.expand(source.file, &source.defines, dialect)
    }

    /// Waits until everything made so far is known to be good.
    ///
    /// # Errors
    /// The failure of something made, or the loss of the device.
    pub async fn settle(&self) -> Result<(), ExecError> {
        std::future::poll_fn(|cx| self.poll_settled(cx)).await
    }

    /// Ready once everything made so far is known to be good, or something is known to have failed.
    pub fn poll_settled(&self, cx: &mut Context<'_>) -> Poll<Result<(), ExecError>> {
        let mut scopes = self.scopes.lock().expect("no panic while locked");
        while let Some(scope) = scopes.last_mut() {
            let Poll::Ready(error) = scope.future.as_mut().poll(cx) else { return Poll::Pending };
            let scope = scopes.pop().expect("just seen");
            if let Some(error) = error {
                return Poll::Ready(Err(scope.explain.error(&error)));
            }
        }
        Poll::Ready(self.gpu.fault.check())
    }

    /// Reads the result of an error scope: now if it is there (native), otherwise in [`Resources::poll_settled`].
    fn watch(&self, mut future: ScopeFuture, explain: Explain) -> Result<(), ExecError> {
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(None) => Ok(()),
            Poll::Ready(Some(error)) => Err(explain.error(&error)),
            Poll::Pending => {
                self.scopes.lock().expect("no panic while locked").push(PendingScope { future, explain });
                Ok(())
            }
        }
    }
}

impl std::fmt::Debug for Resources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resources").field("counters", &self.tally.counters()).finish_non_exhaustive()
    }
}
