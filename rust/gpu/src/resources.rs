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
use crate::device::device_error;
use crate::kernel::{Access, Binding, Dispatch, Grid, KernelSource};
use crate::shader::{Dialect, ShaderSet};

/// What a buffer's bytes are counted as.
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

/// Tells what an executor holds, even after its end.
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

/// Errors of something made, not known yet: browsers answer later.
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

/// Everything that changes a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PipelineKey {
    file: &'static str,
    defines: Vec<(&'static str, String)>,
    /// Bits of the f64 values.
    constants: Vec<(&'static str, u64)>,
    bindings: Vec<Access>,
}

impl PipelineKey {
    fn new(source: &KernelSource, bindings: &[Binding]) -> Self {
        let mut defines = source.defines.clone();
        defines.sort();
        let mut constants: Vec<_> = source.constants.iter().map(|(n, v)| (*n, v.to_bits())).collect();
        constants.sort();
        PipelineKey { file: source.file, defines, constants, bindings: bindings.iter().map(|b| b.access).collect() }
    }

    /// The kernel this pipeline was made from.
    pub fn source(&self) -> KernelSource {
        let constants = self.constants.iter().map(|(n, v)| (*n, f64::from_bits(*v))).collect();
        KernelSource { file: self.file, defines: self.defines.clone(), constants }
    }

    /// How its bindings are declared, by number.
    pub fn bindings(&self) -> &[Access] {
        &self.bindings
    }
}

struct Layouts {
    bind_group: wgpu::BindGroupLayout,
    pipeline: wgpu::PipelineLayout,
}

/// The pools of one executor.
pub struct Resources {
    /// The device.
    pub gpu: Gpu,
    shaders: ShaderSet,
    pub(crate) tally: Arc<Tally>,
    layouts: Mutex<HashMap<Vec<Access>, Arc<Layouts>>>,
    pipelines: Mutex<HashMap<PipelineKey, wgpu::ComputePipeline>>,
    scopes: Mutex<Vec<PendingScope>>,
    /// Tests let the n-th allocation fail.
    fail_allocation: Option<u64>,
}

impl Resources {
    /// Empty pools.
    pub fn new(gpu: &Gpu, shaders: ShaderSet) -> Self {
        Resources {
            gpu: gpu.clone(),
            shaders,
            tally: Arc::default(),
            layouts: Mutex::default(),
            pipelines: Mutex::default(),
            scopes: Mutex::default(),
            fail_allocation: None,
        }
    }

    /// Lets the allocation number `n` (from 0) fail as if memory had run out.
    pub fn fail_allocation(mut self, n: u64) -> Self {
        self.fail_allocation = Some(n);
        self
    }

    /// A buffer of `bytes` (rounded up to a multiple of 4), zeroed.
    ///
    /// # Errors
    /// [`ExecError::OutOfMemory`], at once or, in a browser, from [`Resources::settle`].
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
        let key = PipelineKey::new(source, bindings);
        let layouts = self.layouts(&key.bindings);
        let pipeline = self.pipeline(key, &layouts)?;
        let entries: Vec<_> = bindings
            .iter()
            .zip(0..)
            .map(|(b, binding)| wgpu::BindGroupEntry { binding, resource: b.resource() })
            .collect();
        let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(source.file),
            layout: &layouts.bind_group,
            entries: &entries,
        });
        Tally::add(&self.tally.bind_groups, 1);
        let what = format!("kernel {} {:?}", source.file, source.defines);
        self.watch(Box::pin(scope.pop()), Explain::Kernel { what })?;
        Ok(Dispatch { pipeline, bind_group, grid })
    }

    /// A view of what is held that outlives the pools.
    pub fn watch_memory(&self) -> MemoryWatch {
        MemoryWatch(self.tally.clone())
    }

    /// Bytes held by the buffers made here.
    pub fn memory(&self) -> MemoryUse {
        self.tally.memory()
    }

    /// The kernels made so far.
    pub fn pipeline_keys(&self) -> Vec<PipelineKey> {
        self.pipelines.lock().expect("no panic while locked").keys().cloned().collect()
    }

    /// The WGSL of a kernel, as it is handed to a device of that dialect.
    pub fn wgsl(&self, source: &KernelSource, dialect: Dialect) -> Result<String, ExecError> {
        self.shaders.expand(source.file, &source.defines, dialect)
    }

    /// Waits for errors of everything made so far.
    pub async fn settle(&self) -> Result<(), ExecError> {
        std::future::poll_fn(|cx| self.poll_settled(cx)).await
    }

    /// Ready once everything made so far is known to be good, or something is known not to be.
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

    /// Takes the answer of an error scope now if it is there (native), or later.
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

    fn layouts(&self, bindings: &[Access]) -> Arc<Layouts> {
        let mut pool = self.layouts.lock().expect("no panic while locked");
        if let Some(layouts) = pool.get(bindings) {
            return layouts.clone();
        }
        let device = &self.gpu.device;
        let entries: Vec<_> = bindings
            .iter()
            .zip(0..)
            .map(|(access, binding)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: access.binding_type(),
                count: None,
            })
            .collect();
        let bind_group =
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
        let pipeline = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&bind_group)],
            ..Default::default()
        });
        let layouts = Arc::new(Layouts { bind_group, pipeline });
        pool.insert(bindings.to_vec(), layouts.clone());
        layouts
    }

    fn pipeline(&self, key: PipelineKey, layouts: &Layouts) -> Result<wgpu::ComputePipeline, ExecError> {
        let mut pool = self.pipelines.lock().expect("no panic while locked");
        if let Some(pipeline) = pool.get(&key) {
            return Ok(pipeline.clone());
        }
        let text = self.shaders.expand(key.file, &key.defines, Dialect::HERE)?;
        let source =
            wgpu::ShaderModuleDescriptor { label: Some(key.file), source: wgpu::ShaderSource::Wgsl(text.into()) };
        let checks = wgpu::ShaderRuntimeChecks {
            bounds_checks: false,
            force_loop_bounding: false,
            ..wgpu::ShaderRuntimeChecks::checked()
        };
        // SAFETY: the kernels are ours. Every index is bounded by the grid, the shapes they were specialised for, and
        // batch values that the host checked; every loop ends. Tests run them against sentinels on both sides. Browsers
        // ignore this and check.
        let module = unsafe { self.gpu.device.create_shader_module_trusted(source, checks) };
        let constants: Vec<_> = key.constants.iter().map(|(name, bits)| (*name, f64::from_bits(*bits))).collect();
        let pipeline = self.gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(key.file),
            layout: Some(&layouts.pipeline),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                // Kernels write workgroup memory before they read it.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        Tally::add(&self.tally.pipelines, 1);
        pool.insert(key, pipeline.clone());
        Ok(pipeline)
    }
}

impl std::fmt::Debug for Resources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resources").field("counters", &self.tally.counters()).finish_non_exhaustive()
    }
}
