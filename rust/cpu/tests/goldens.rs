//! Small random models of every architecture and block type against the reference's numbers.

mod support;

use chord_program::KvType;
use chord_testkit::compare::{NMSE_F16_KV, NMSE_F32_KV};
use chord_testkit::{GgufFile, Golden, Trace, architecture_recipes, recipes};
use support::{compare_logits, compare_trace, executor, lower, options};

fn check(name: &str, file: &GgufFile, golden: &Golden) {
    for (kv_type, limit) in [(KvType::F32, NMSE_F32_KV), (KvType::F16, NMSE_F16_KV)] {
        let mut executor = executor(file, lower(file, &options(kv_type, golden.n_ctx)));
        // Batches of one, of a few and of all tokens take different paths through the matrix products.
        for chunk in [golden.tokens.len(), 7, 1] {
            let report = compare_logits(&mut executor, golden, golden.tokens.len(), chunk);
            println!("{name}, {kv_type:?} KV, {chunk} at once: {report}");
            report.assert_within(limit, &format!("{name}, {kv_type:?} KV, {chunk} at once"));
        }
    }
}

fn check_trace(name: &str, file: &GgufFile, n_ctx: u32, trace: &Trace) {
    let program = lower(file, &options(KvType::F32, n_ctx));
    let n_layer = program.slots.len();
    let compared = compare_trace(&mut executor(file, program), trace);
    for (op, buffer, nmse) in &compared {
        assert!(*nmse <= NMSE_F32_KV, "{name}: op {op} ({buffer}): NMSE {nmse:e}");
    }
    // Q, K, V, attention, both residuals, network and its norm or parts in each layer, and the two results.
    assert!(compared.len() >= 8 * n_layer + 2, "{name}: only {} buffers have the reference's names", compared.len());
}

/// Every recipe but those that the reference ran with a YaRN ramp other than the file's.
#[test]
fn recipes_match() {
    for recipe in recipes().into_iter().filter(|recipe| recipe.betas.is_none()) {
        check(&recipe.name, &recipe.file(), &recipe.golden());
    }
}

/// Every buffer that has the reference's name.
#[test]
fn activations_of_every_architecture_match() {
    for recipe in architecture_recipes() {
        check_trace(&recipe.name, &recipe.file(), recipe.golden().n_ctx, &recipe.trace());
    }
}

/// Models of the larger set. Each has matrices of several types.
#[test]
#[ignore = "needs the larger set of results: CHORD_GOLDEN"]
fn tiny_models_match() {
    for name in ["llama.Q3_K_M", "llama.Q5_K_M"] {
        let golden = Golden::named(&format!("tiny/{name}"));
        check(name, &GgufFile::open(&golden.model_path()), &golden);
    }
    // These have stored activations too.
    for name in [
        "llama.Q4_K_M",
        "llama-mha.Q4_K_M",
        "llama-tied.Q4_K_M",
        "gemma3.Q4_K_M",
        "qwen2.Q4_K_M",
        "olmo2.Q4_K_M",
        "olmoe.Q4_K_M",
    ] {
        let golden = Golden::named(&format!("tiny/{name}"));
        let file = GgufFile::open(&golden.model_path());
        check(name, &file, &golden);
        check_trace(name, &file, golden.n_ctx, &Trace::load(&golden.trace_path()));
    }
}
