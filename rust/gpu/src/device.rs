//! The device: which adapter, which optional features, which limits.

use std::sync::{Arc, Mutex};

use chord_program::ExecError;

use crate::pipelines::PipelinePool;

/// What to ask of the system's GPUs.
#[derive(Clone, Debug, Default)]
pub struct GpuOptions {
    /// Only an adapter whose name contains this, ignoring case (native only: a browser offers one adapter).
    pub adapter_name: Option<String>,
    /// Accept a GPU that is emulated on the CPU (SwiftShader, lavapipe).
    pub allow_software: bool,
    /// Features not to use even where the device has them: `subgroups`, `shader-f16`; and `software-kernels`, without
    /// which a software adapter runs the kernels of hardware, except for products.
    pub disable_features: Vec<String>,
    /// Lowers the largest binding, so that row splits can be tested on small matrices.
    pub max_binding_bytes: Option<u64>,
    /// In a browser: the page has added `subgroups` to the features that wgpu asks for, because wgpu 30 has no name for
    /// it there.
    pub web_subgroups: bool,
}

/// Optional features in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Features {
    /// Subgroup operations in shaders.
    pub subgroups: bool,
    /// `f16` in shaders.
    pub shader_f16: bool,
}

impl Features {
    /// Their WebGPU names.
    pub fn names(self) -> Vec<String> {
        [(self.subgroups, "subgroups"), (self.shader_f16, "shader-f16")]
            .into_iter()
            .filter(|(on, _)| *on)
            .map(|(_, name)| name.to_owned())
            .collect()
    }
}

/// The loss of the device and the first error outside of any error scope, as the device's callbacks report them.
#[derive(Debug, Default)]
pub(crate) struct Fault {
    state: Mutex<FaultState>,
}

#[derive(Debug, Default)]
struct FaultState {
    lost: Option<String>,
    error: Option<ExecError>,
    wakers: Vec<std::task::Waker>,
}

impl Fault {
    /// The loss of the device, or else the first uncaught error.
    pub(crate) fn check(&self) -> Result<(), ExecError> {
        let state = self.state.lock().expect("no panic while locked");
        match (&state.lost, &state.error) {
            (Some(reason), _) => Err(ExecError::DeviceLost(reason.clone())),
            (None, Some(error)) => Err(error.clone()),
            (None, None) => Ok(()),
        }
    }

    /// Wakes `waker` when something goes wrong.
    pub(crate) fn wake_on_fault(&self, waker: &std::task::Waker) {
        let mut state = self.state.lock().expect("no panic while locked");
        if !state.wakers.iter().any(|w| w.will_wake(waker)) {
            state.wakers.push(waker.clone());
        }
    }

    fn set(&self, change: impl FnOnce(&mut FaultState)) {
        let mut state = self.state.lock().expect("no panic while locked");
        change(&mut state);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(std::task::Waker::wake);
    }
}

/// An open device. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gpu {
    /// The adapter, as the system describes it.
    pub adapter: wgpu::AdapterInfo,
    /// The device.
    pub device: wgpu::Device,
    /// Its queue.
    pub queue: wgpu::Queue,
    /// Limits of the device; the largest binding is lowered if the options say so.
    pub limits: wgpu::Limits,
    /// Optional features in use.
    pub features: Features,
    /// A workgroup is computed as a loop over its lanes: kernels with few barriers and little code are chosen.
    pub lanes_are_a_loop: bool,
    pub(crate) pipelines: Arc<PipelinePool>,
    pub(crate) fault: Arc<Fault>,
}

impl Gpu {
    /// Opens the adapter that fits `options` best.
    ///
    /// # Errors
    /// [`ExecError::Device`] where no adapter fits, natively with the names of those found, or where the adapter gives
    /// no device.
    pub async fn request(options: GpuOptions) -> Result<Gpu, ExecError> {
        let instance = wgpu::Instance::new(instance_descriptor());
        let adapter = choose_adapter(&instance, &options).await?;
        Gpu::open(&adapter, &options).await
    }

    async fn open(adapter: &wgpu::Adapter, options: &GpuOptions) -> Result<Gpu, ExecError> {
        let disabled = |name: &str| options.disable_features.iter().any(|f| f == name);
        let info = adapter.get_info();
        let offered = adapter.features();
        let mut required = wgpu::Features::empty();
        if !disabled("shader-f16") {
            required |= offered & wgpu::Features::SHADER_F16;
        }
        if !disabled("subgroups") && !cfg!(target_arch = "wasm32") {
            required |= offered & wgpu::Features::SUBGROUP;
        }
        let features = Features {
            subgroups: required.contains(wgpu::Features::SUBGROUP) || (options.web_subgroups && !disabled("subgroups")),
            shader_f16: required.contains(wgpu::Features::SHADER_F16),
        };
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("chord"),
            required_features: required,
            required_limits: adapter.limits(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let (device, queue) = adapter
            .request_device(&descriptor)
            .await
            .map_err(|e| ExecError::Device(format!("adapter {:?} gave no device: {e}", info.name)))?;
        let fault = Arc::new(Fault::default());
        watch(&device, &fault);
        let mut limits = device.limits();
        if let Some(bytes) = options.max_binding_bytes {
            limits.max_storage_buffer_binding_size = limits.max_storage_buffer_binding_size.min(bytes);
        }
        let lanes_are_a_loop = is_software(&info) && !disabled("software-kernels");
        Ok(Gpu { adapter: info, device, queue, limits, features, lanes_are_a_loop, pipelines: Arc::default(), fault })
    }

    /// True for a GPU that is emulated on the CPU.
    pub fn is_software(&self) -> bool {
        is_software(&self.adapter)
    }

    /// Largest range of a buffer that one binding may cover, in bytes: a multiple of 256.
    pub fn max_binding_bytes(&self) -> u64 {
        self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size) / 256 * 256
    }
}

fn instance_descriptor() -> wgpu::InstanceDescriptor {
    // The driver's own validation layers are for wgpu's developers; wgpu checks every call itself.
    wgpu::InstanceDescriptor {
        flags: wgpu::InstanceFlags::empty(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    }
}

fn is_software(info: &wgpu::AdapterInfo) -> bool {
    info.device_type == wgpu::DeviceType::Cpu
}

/// Records loss and uncaught errors in `fault` instead of panicking.
fn watch(device: &wgpu::Device, fault: &Arc<Fault>) {
    let lost = fault.clone();
    device.set_device_lost_callback(move |reason, message| {
        lost.set(|state| state.lost = Some(format!("{reason:?}: {message}")));
    });
    let errors = fault.clone();
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        errors.set(|state| {
            state.error.get_or_insert_with(|| device_error(&error));
        });
    }));
}

/// The [`ExecError`] for a wgpu error.
pub(crate) fn device_error(error: &wgpu::Error) -> ExecError {
    match error {
        wgpu::Error::OutOfMemory { .. } => {
            ExecError::OutOfMemory { backend: "gpu", needed: 0, what: "an allocation of the driver".to_owned() }
        }
        other => ExecError::Device(other.to_string()),
    }
}

#[cfg(not(target_arch = "wasm32"))]
async fn choose_adapter(instance: &wgpu::Instance, options: &GpuOptions) -> Result<wgpu::Adapter, ExecError> {
    let adapters = instance.enumerate_adapters(wgpu::Backends::all()).await;
    let rank = |info: &wgpu::AdapterInfo| match info.device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu | wgpu::DeviceType::Other => 2,
        wgpu::DeviceType::Cpu => 3,
    };
    let fits = |info: &wgpu::AdapterInfo| {
        let named =
            options.adapter_name.as_ref().is_none_or(|name| info.name.to_lowercase().contains(&name.to_lowercase()));
        named && (options.allow_software || !is_software(info))
    };
    let found: Vec<String> = adapters.iter().map(|a| a.get_info().name).collect();
    adapters.into_iter().filter(|a| fits(&a.get_info())).min_by_key(|a| rank(&a.get_info())).ok_or_else(|| {
        let wanted = options.adapter_name.as_deref().unwrap_or("any");
        let kind = if options.allow_software { "" } else { "hardware " };
        ExecError::Device(format!("no {kind}GPU adapter fits (wanted {wanted:?}, found {found:?})"))
    })
}

#[cfg(target_arch = "wasm32")]
async fn choose_adapter(instance: &wgpu::Instance, options: &GpuOptions) -> Result<wgpu::Adapter, ExecError> {
    let request =
        wgpu::RequestAdapterOptions { power_preference: wgpu::PowerPreference::HighPerformance, ..Default::default() };
    // wgpu's own message lists the back ends of other platforms, which does not help a user.
    let adapter = instance
        .request_adapter(&request)
        .await
        .map_err(|_| ExecError::Device("the browser offers no WebGPU adapter".to_owned()))?;
    if !options.allow_software && is_software(&adapter.get_info()) {
        return Err(ExecError::Device("the browser offers only a software WebGPU adapter".to_owned()));
    }
    Ok(adapter)
}
