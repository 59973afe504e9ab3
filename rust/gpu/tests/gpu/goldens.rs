//! Whole models against the reference's logits.

use chord_gpu::weights::types;
use chord_gpu::{GpuOptions, PlanOptions, missing_kernel};
use chord_program::KvType;
use chord_testkit::compare::{NMSE_F16_KV, NMSE_F32_KV};
use chord_testkit::{architecture_recipes, type_recipes};

use crate::models::{ModelFile, build, check_activations, recipe, run_golden};
use crate::setup::{VARIANTS, gpu_without, options, request};

/// Every architecture that runs on the device, with its variants, and a llama in each block type that has kernels.
fn all() -> Vec<String> {
    let mut names = Vec::new();
    for recipe in architecture_recipes().into_iter().chain(type_recipes()) {
        // Experts have no kernels yet.
        let runs = recipe.architecture != "olmoe" && types().any(|ty| ty == recipe.ty);
        let program = build(recipe.golden().n_ctx, KvType::F32, 48);
        let program = ModelFile::of(recipe.file(), &program).program;
        assert_eq!(missing_kernel(&program).is_none(), runs, "{}", recipe.name);
        names.extend(runs.then_some(recipe.name));
    }
    names
}

/// One of each family, for what does not depend on the block type.
const FAMILIES: [&str; 2] = ["llama.Q4_K", "gemma3.Q4_K"];

fn check(names: &[&str], kv: KvType, limit: f64, chunk: usize, options: PlanOptions) {
    for name in names {
        let (golden, model) = recipe(name, kv, 48);
        for disabled in VARIANTS {
            let mut executor = model.on_gpu(&gpu_without(disabled), options.clone());
            let report = run_golden(&mut executor, &golden, usize::MAX, chunk);
            println!("{name} {kv:?} without {disabled:?}: {report}");
            report.assert_within(limit, name);
        }
    }
}

#[test]
fn recipes_match_with_an_f32_cache() {
    let names = all();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    check(&names, KvType::F32, NMSE_F32_KV, 48, PlanOptions::default());
}

#[test]
fn recipes_match_with_an_f16_cache() {
    check(&FAMILIES, KvType::F16, NMSE_F16_KV, 48, PlanOptions::default());
}

#[test]
fn recipes_match_token_by_token() {
    check(&FAMILIES, KvType::F32, NMSE_F32_KV, 1, PlanOptions::default());
}

#[test]
fn recipes_match_in_odd_chunks() {
    check(&FAMILIES, KvType::F32, NMSE_F32_KV, 7, PlanOptions::default());
}

#[test]
fn recipes_match_token_by_token_with_split_keys() {
    let options = PlanOptions { attention_splits: Some(3), ..PlanOptions::default() };
    check(&FAMILIES, KvType::F32, NMSE_F32_KV, 1, options);
}

#[test]
fn recipes_match_with_weights_split_over_bindings() {
    // The embedding, tied or not, is larger than this; the cache of a layer is not.
    for (name, most) in [("llama.F16", 40 * 1024), ("llama-tied", 20 * 1024)] {
        let (golden, model) = recipe(name, KvType::F32, 16);
        let embedding = model.program.weights.iter().find(|w| w.name == "token_embd.weight").map(|w| w.n_bytes());
        assert!(embedding > Some(most), "{name} has nothing to split");
        let gpu = request(GpuOptions { max_binding_bytes: Some(most), ..options() });
        let mut executor = model.on_gpu(&gpu, PlanOptions::default());
        let report = run_golden(&mut executor, &golden, usize::MAX, 16);
        println!("{name}, split: {report}");
        report.assert_within(NMSE_F32_KV, name);
    }
}

#[test]
fn activations_match() {
    for recipe in architecture_recipes().into_iter().filter(|recipe| recipe.architecture != "olmoe") {
        let model = ModelFile::of(recipe.file(), &build(recipe.golden().n_ctx, KvType::F32, 48));
        check_activations(&recipe.name, &model, &recipe.trace(), NMSE_F32_KV);
    }
}

/// The host makes all rotation tables in the same way, so that one model of each architecture is enough here.
/// `rust/cpu/tests/golden_rope.rs` has every scaling.
#[test]
fn stretched_rotations_match() {
    let gpu = gpu_without(&[]);
    for (name, chunk) in [("llama-yarn-attn-factor", 1), ("qwen2-yarn", 48), ("olmo2-yarn", 48), ("gemma3-yarn", 48)] {
        let (golden, model) = recipe(name, KvType::F32, 48);
        let mut executor = model.on_gpu(&gpu, PlanOptions::default());
        let report = run_golden(&mut executor, &golden, usize::MAX, chunk);
        println!("{name}, {chunk} at once: {report}");
        report.assert_within(NMSE_F32_KV, name);
    }
}
