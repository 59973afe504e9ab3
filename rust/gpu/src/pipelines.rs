//! Pipelines of one device, made once and shared by all executors on it: the model reuses those of the self-test.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use chord_program::ExecError;

use crate::Gpu;
use crate::constants::{Constant, UNIFORM};
use crate::kernel::{Access, Binding, KernelSource};
use crate::shader::{Dialect, ShaderSet};

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
    fn new(source: &KernelSource, bindings: &[Binding], as_uniform: bool) -> Self {
        let mut defines = source.defines.clone();
        defines.sort();
        let mut constants: Vec<_> = source.constants.iter().map(|(n, v)| (*n, v.to_bits())).collect();
        constants.sort();
        let mut bindings: Vec<_> = bindings.iter().map(|b| b.access).collect();
        if as_uniform {
            // The values are not part of the code.
            defines.push((UNIFORM, bindings.len().to_string()));
            bindings.push(Access::Uniform);
            constants.clear();
        }
        PipelineKey { file: source.file, defines, constants, bindings }
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

/// How the bindings of a kernel are declared to the device.
#[derive(Debug)]
pub(crate) struct Layouts {
    pub(crate) bind_group: wgpu::BindGroupLayout,
    pipeline: wgpu::PipelineLayout,
}

/// A compiled kernel.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    pub(crate) pipeline: wgpu::ComputePipeline,
    pub(crate) layouts: Arc<Layouts>,
    /// What its uniform buffer of constants holds.
    pub(crate) constants: Arc<[Constant]>,
}

/// A kernel from the pool.
pub(crate) struct Made {
    pub(crate) kernel: Kernel,
    /// It was compiled now.
    pub(crate) is_new: bool,
}

/// The pipelines of a device.
#[derive(Debug, Default)]
pub(crate) struct PipelinePool {
    layouts: Mutex<HashMap<Vec<Access>, Arc<Layouts>>>,
    kernels: Mutex<HashMap<PipelineKey, Kernel>>,
}

impl PipelinePool {
    /// The kernels made so far.
    pub(crate) fn keys(&self) -> Vec<PipelineKey> {
        self.kernels.lock().expect("no panic while locked").keys().cloned().collect()
    }

    /// The kernel of `source` for these bindings; `as_uniform` appends a uniform buffer with its constants.
    ///
    /// # Errors
    /// [`ExecError::Device`] for a shader that cannot be expanded. The device's error scopes report what it refuses.
    pub(crate) fn get(
        &self,
        gpu: &Gpu,
        shaders: &ShaderSet,
        source: &KernelSource,
        bindings: &[Binding],
        as_uniform: bool,
    ) -> Result<Made, ExecError> {
        let key = PipelineKey::new(source, bindings, as_uniform);
        let mut pool = self.kernels.lock().expect("no panic while locked");
        if let Some(kernel) = pool.get(&key) {
            return Ok(Made { kernel: kernel.clone(), is_new: false });
        }
        let layouts = self.layouts(gpu, &key.bindings);
        let (pipeline, constants) = compile(gpu, shaders, &key, &layouts)?;
        let kernel = Kernel { pipeline, layouts, constants: constants.into() };
        pool.insert(key, kernel.clone());
        Ok(Made { kernel, is_new: true })
    }

    fn layouts(&self, gpu: &Gpu, bindings: &[Access]) -> Arc<Layouts> {
        let mut pool = self.layouts.lock().expect("no panic while locked");
        if let Some(layouts) = pool.get(bindings) {
            return layouts.clone();
        }
        let device = &gpu.device;
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
}

fn compile(
    gpu: &Gpu,
    shaders: &ShaderSet,
    key: &PipelineKey,
    layouts: &Layouts,
) -> Result<(wgpu::ComputePipeline, Vec<Constant>), ExecError> {
    let (text, fields) = shaders.expand_with_constants(key.file, &key.defines, Dialect::HERE)?;
    let source = wgpu::ShaderModuleDescriptor { label: Some(key.file), source: wgpu::ShaderSource::Wgsl(text.into()) };
    let checks = wgpu::ShaderRuntimeChecks {
        bounds_checks: false,
        force_loop_bounding: false,
        ..wgpu::ShaderRuntimeChecks::checked()
    };
    // SAFETY: the kernels are ours. Every index is bounded by the grid, the shapes they were specialised for, and
    // batch values that the host checked; every loop ends. Tests run them against sentinels on both sides. Browsers
    // ignore these settings and check.
    let module = unsafe { gpu.device.create_shader_module_trusted(source, checks) };
    let constants: Vec<_> = key.constants.iter().map(|(name, bits)| (*name, f64::from_bits(*bits))).collect();
    let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
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
    Ok((pipeline, fields))
}
