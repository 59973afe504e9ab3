//! What each pipeline of a model costs to compile: milliseconds and sizes, the slowest first.
//!
//! ```text
//! pipeline_times MODEL.gguf [--adapter NAME] [--without subgroups] [--rounds N] [--dump FOLDER]
//! ```
//!
//! Each pipeline is compiled anew once per round (switch off the driver's own cache on disk, if it has one); the median
//! is shown. `--dump` writes the WGSL that a browser would be given. No weights are uploaded.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use chord_gguf::read_header;
use chord_gpu::shader::Dialect;
use chord_gpu::{Gpu, GpuExecutor, GpuOptions, PlanOptions};
use chord_model::{BuildOptions, lower, needs};
use chord_program::KvType;

struct Arguments {
    model: PathBuf,
    gpu: GpuOptions,
    rounds: usize,
    dump: Option<PathBuf>,
}

fn arguments() -> Result<Arguments, String> {
    let mut gpu = GpuOptions { allow_software: true, ..GpuOptions::default() };
    let (mut model, mut rounds, mut dump) = (None, 5, None);
    let mut words = std::env::args();
    // The program's name.
    words.next();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--adapter" => gpu.adapter_name = Some(value()?),
            "--without" => gpu.disable_features.push(value()?),
            "--rounds" => rounds = value()?.parse().map_err(|e| format!("--rounds: {e}"))?,
            "--dump" => dump = Some(value()?.into()),
            _ if word.starts_with("--") => return Err(format!("unknown argument {word}")),
            _ => model = Some(word.into()),
        }
    }
    Ok(Arguments { model: model.ok_or("which model?")?, gpu, rounds, dump })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = arguments()?;
    let header = read_header(&std::fs::read(&arguments.model)?)?;
    if !needs(&header).is_empty() {
        return Err("the program of this model needs more than its header".into());
    }
    let build = BuildOptions { n_ctx: Some(256), kv_type: KvType::F16, n_seq_max: 1, max_batch: 128, max_outputs: 1 };
    let program = Arc::new(lower(&header, &build, None)?);
    let gpu = pollster::block_on(Gpu::request(arguments.gpu))?;
    let executor = pollster::block_on(GpuExecutor::new(&gpu, program, PlanOptions::default()))?;

    let mut rows = Vec::new();
    for (number, key) in executor.kernels().into_iter().enumerate() {
        let source = key.source();
        let [text, browser] =
            [Dialect::Native, Dialect::Browser].map(|dialect| executor.resources().wgsl(&source, dialect));
        let (text, browser) = (text?, browser?);
        // Where constants are fields of a uniform buffer, neither the pipeline nor `source` has any.
        let constants = &source.constants;
        let mut times: Vec<f64> = (0..arguments.rounds).map(|_| compile(&gpu, &text, constants)).collect();
        times.sort_by(f64::total_cmp);
        let stem = format!("{}-{number:02}", source.file.trim_end_matches(".wgsl").replace('/', "-"));
        if let Some(folder) = &arguments.dump {
            std::fs::create_dir_all(folder)?;
            std::fs::write(folder.join(format!("{stem}.wgsl")), &browser)?;
        }
        let defines: Vec<_> = source.defines.iter().map(|(name, text)| format!("{name}={text}")).collect();
        rows.push((times[times.len() / 2], stem, text.len(), defines.join(" ")));
    }
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!("{}: {} pipelines", gpu.adapter.name, rows.len());
    for (ms, stem, bytes, defines) in &rows {
        println!("{ms:8.1} ms  {bytes:6} bytes of WGSL  {stem}  {defines}");
    }
    println!("{:8.1} ms  together", rows.iter().map(|row| row.0).sum::<f64>());
    Ok(())
}

/// Milliseconds.
fn compile(gpu: &Gpu, text: &str, constants: &[(&str, f64)]) -> f64 {
    let checks = wgpu::ShaderRuntimeChecks {
        bounds_checks: false,
        force_loop_bounding: false,
        ..wgpu::ShaderRuntimeChecks::checked()
    };
    let source = wgpu::ShaderModuleDescriptor { label: None, source: wgpu::ShaderSource::Wgsl(text.into()) };
    let start = Instant::now();
    // SAFETY: the kernel is not run.
    let module = unsafe { gpu.device.create_shader_module_trusted(source, checks) };
    let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions { constants, zero_initialize_workgroup_memory: false },
        cache: None,
    });
    let ms = start.elapsed().as_secs_f64() * 1e3;
    drop(pipeline);
    ms
}
