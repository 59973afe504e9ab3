//! Whole models against the reference's logits.

use chord_gpu::{GpuOptions, PlanOptions};
use chord_program::KvType;
use chord_testkit::RopeModel;
use chord_testkit::compare::{NMSE_F16_KV, NMSE_F32_KV};

use crate::models::{ModelFile, build, check_activations, golden_and_model, run_golden};
use crate::setup::{VARIANTS, gpu_without, options, request};

/// A llama in each type of weight that stays quantized on the device, without grouped heads and with tied embeddings;
/// and the other family.
const TINY: [&str; 13] = [
    "llama.F16",
    "llama.BF16",
    "llama.Q4_0",
    "llama.Q4_1",
    "llama.Q5_0",
    "llama.Q5_1",
    "llama.Q8_0",
    "llama.Q4_K_M",
    "llama.Q5_K_M",
    "llama.Q6_K",
    "llama-mha.Q4_K_M",
    "llama-tied.Q4_K_M",
    "gemma3.Q4_K_M",
];

/// One of each family, for what does not depend on the weights' types.
const FAMILIES: [&str; 2] = ["llama.Q4_K_M", "gemma3.Q4_K_M"];

fn check_tiny(names: &[&str], kv: KvType, limit: f64, chunk: usize, options: PlanOptions) {
    for name in names {
        let Some((golden, path)) = golden_and_model(&format!("tiny/{name}")) else { continue };
        let model = ModelFile::open(&path, &build(golden.n_ctx, kv, 48));
        for disabled in VARIANTS {
            let mut executor = model.on_gpu(&gpu_without(disabled), options.clone());
            let report = run_golden(&mut executor, &golden, usize::MAX, chunk);
            println!("{name} {kv:?} without {disabled:?}: {report}");
            report.assert_within(limit, name);
        }
    }
}

#[test]
fn tiny_models_match_with_an_f32_cache() {
    check_tiny(&TINY, KvType::F32, NMSE_F32_KV, 48, PlanOptions::default());
}

#[test]
fn tiny_models_match_with_an_f16_cache() {
    check_tiny(&FAMILIES, KvType::F16, NMSE_F16_KV, 48, PlanOptions::default());
}

#[test]
fn tiny_models_match_token_by_token() {
    check_tiny(&FAMILIES, KvType::F32, NMSE_F32_KV, 1, PlanOptions::default());
}

#[test]
fn tiny_models_match_in_odd_chunks() {
    check_tiny(&FAMILIES, KvType::F32, NMSE_F32_KV, 7, PlanOptions::default());
}

#[test]
fn tiny_models_match_token_by_token_with_split_keys() {
    let options = PlanOptions { attention_splits: Some(3), ..PlanOptions::default() };
    check_tiny(&FAMILIES, KvType::F32, NMSE_F32_KV, 1, options);
}

#[test]
fn tiny_models_match_with_weights_split_over_bindings() {
    for name in ["llama.F16", "llama-tied.Q4_K_M"] {
        let Some((golden, path)) = golden_and_model(&format!("tiny/{name}")) else { continue };
        let model = ModelFile::open(&path, &build(golden.n_ctx, KvType::F32, 16));
        // The embedding, tied or not, is larger than this; the cache of a layer is not.
        let most = 80 * 1024;
        let largest = model.program.weights.iter().map(|w| w.n_bytes()).max();
        assert!(largest > Some(most), "{name} has nothing to split");
        let gpu = request(GpuOptions { max_binding_bytes: Some(most), ..options() });
        let mut executor = model.on_gpu(&gpu, PlanOptions::default());
        let report = run_golden(&mut executor, &golden, usize::MAX, 16);
        println!("{name}, split: {report}");
        report.assert_within(NMSE_F32_KV, name);
    }
}

#[test]
fn tiny_activations_match() {
    for name in ["llama.Q4_K_M", "llama-mha.Q4_K_M", "llama-tied.Q4_K_M", "gemma3.Q4_K_M"] {
        let Some((golden, path)) = golden_and_model(&format!("tiny/{name}")) else { continue };
        let model = ModelFile::open(&path, &build(golden.n_ctx, KvType::F32, 48));
        check_activations(name, &model, &golden, NMSE_F32_KV);
    }
}

/// The host makes all tables of rotations in the same way, so that one model of each architecture is enough here.
/// `rust/cpu/tests/golden_rope.rs` has every scaling.
#[test]
fn stretched_rotations_match() {
    let gpu = gpu_without(&[]);
    for (name, chunk) in [("llama-yarn-attn-factor", 1), ("qwen2-yarn", 48), ("olmo2-yarn", 48), ("gemma3-yarn", 48)] {
        let (model, golden) = (RopeModel::named(name), RopeModel::named(name).golden());
        let model = ModelFile::of(model.file(), &build(golden.n_ctx, KvType::F32, 48));
        let mut executor = model.on_gpu(&gpu, PlanOptions::default());
        let report = run_golden(&mut executor, &golden, usize::MAX, chunk);
        println!("{name}, {chunk} at once: {report}");
        report.assert_within(NMSE_F32_KV, name);
    }
}
