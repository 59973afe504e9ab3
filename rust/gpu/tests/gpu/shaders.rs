//! Every kernel that the tests' programs use, in every variant, validated by naga; and written to
//! `$CHORD_SHADER_DUMP` for a browser's compiler.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chord_gguf::GgmlType;
use chord_gpu::shader::Dialect;
use chord_gpu::weights::types;
use chord_gpu::{Gpu, PipelineKey, PlanOptions, Resources};
use chord_program::KvType;

use crate::models::recipe;
use crate::setup::{VARIANTS, gpu_without};
use crate::{mutations, ops};

/// Kernels of the op programs and of tiny models, both cache types, with and without optional features.
fn kernels(gpu: &Gpu, mut see: impl FnMut(&Resources, PipelineKey)) {
    for model in mutations::programs().into_iter().chain(ops::shapes()) {
        let executor = model.on_gpu(gpu, PlanOptions::default()).expect("a program the GPU runs");
        executor.kernels().into_iter().for_each(|key| see(executor.resources(), key));
    }
    let llamas = types().map(|ty| if ty == GgmlType::F32 { "llama".to_owned() } else { format!("llama.{ty}") });
    for name in llamas.chain(["gemma3.Q4_K".to_owned()]) {
        for (kv, splits) in [(KvType::F32, 1), (KvType::F16, 4)] {
            let (_, model) = recipe(&name, kv, 16);
            let options = PlanOptions { attention_splits: Some(splits), ..PlanOptions::default() };
            let executor = model.on_gpu(gpu, options);
            executor.kernels().into_iter().for_each(|key| see(executor.resources(), key));
        }
    }
}

#[test]
fn every_variant_is_valid() {
    let dump = std::env::var_os("CHORD_SHADER_DUMP").map(PathBuf::from);
    let mut seen = BTreeMap::new();
    for disabled in VARIANTS {
        let gpu = gpu_without(disabled);
        kernels(&gpu, |resources, key| {
            let source = key.source();
            let native = resources.wgsl(&source, Dialect::Native).expect("a kernel that expands");
            let browser = resources.wgsl(&source, Dialect::Browser).expect("a kernel that expands");
            let number = seen.len();
            seen.entry((source.file, native, browser)).or_insert((number, key));
        });
    }
    assert!(seen.len() > 40, "{} kernels", seen.len());
    for ((file, native, browser), (number, key)) in &seen {
        validate(file, native, key);
        if let Some(folder) = &dump {
            let stem = format!("{}-{number:03}", file.trim_end_matches(".wgsl").replace('/', "-"));
            std::fs::create_dir_all(folder).expect("a folder for the shaders");
            std::fs::write(folder.join(format!("{stem}.wgsl")), native).expect("a file");
            std::fs::write(folder.join(format!("{stem}.browser.wgsl")), browser).expect("a file");
        }
    }
    println!("{} kernels are valid", seen.len());
}

fn validate(file: &str, text: &str, key: &PipelineKey) {
    let module = naga::front::wgsl::parse_str(text).unwrap_or_else(|e| panic!("{file}: {}", e.emit_to_string(text)));
    let capabilities = naga::valid::Capabilities::SUBGROUP
        | naga::valid::Capabilities::SHADER_FLOAT16
        | naga::valid::Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities)
        .validate(&module)
        .unwrap_or_else(|e| panic!("{file}: {}", e.emit_to_string(text)));
    let entry = &module.entry_points[0];
    assert_eq!((module.entry_points.len(), entry.name.as_str()), (1, "main"), "{file}");
    let lanes: u32 = entry.workgroup_size.iter().product();
    assert!(lanes <= 256, "{file}: {lanes} invocations, 256 work everywhere");
    check_bindings(file, &module, key);
    let mut layouter = naga::proc::Layouter::default();
    layouter.update(module.to_ctx()).expect("a module with sizes");
    let shared: u32 = module
        .global_variables
        .iter()
        .filter(|(_, v)| v.space == naga::AddressSpace::WorkGroup)
        .map(|(_, v)| layouter[v.ty].size)
        .sum();
    assert!(shared <= 16_384, "{file}: {shared} bytes of workgroup memory, 16,384 work everywhere");
}

/// The bindings that the Rust side declares are those of the shader.
fn check_bindings(file: &str, module: &naga::Module, key: &PipelineKey) {
    use chord_gpu::Access;
    let storage = key.bindings().iter().filter(|access| **access != Access::Uniform).count();
    assert!(storage <= 8, "{file}: {storage} storage buffers, 8 work everywhere");
    for (_, variable) in module.global_variables.iter() {
        let Some(binding) = &variable.binding else { continue };
        assert_eq!(binding.group, 0, "{file}");
        let declared = key.bindings().get(binding.binding as usize).copied();
        let found = match variable.space {
            naga::AddressSpace::Uniform => Access::Uniform,
            naga::AddressSpace::Storage { access } if access.contains(naga::StorageAccess::STORE) => Access::ReadWrite,
            _ => Access::Read,
        };
        assert_eq!(declared, Some(found), "{file}: binding {} ({:?})", binding.binding, variable.name);
    }
}
