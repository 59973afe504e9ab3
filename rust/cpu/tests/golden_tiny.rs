//! Small random models of every architecture and storage type against the reference's numbers.

mod support;

use chord_program::KvType;
use chord_testkit::compare::{NMSE_F16_KV, NMSE_F32_KV};
use chord_testkit::{Golden, Trace};
use support::{compare_logits, compare_trace, executor, lower, open, options};

fn check(name: &str) {
    let Some(golden) = Golden::find(&format!("tiny/{name}")) else { return };
    let Some(file) = open(&golden.model) else { return };
    for (kv_type, limit) in [(KvType::F32, NMSE_F32_KV), (KvType::F16, NMSE_F16_KV)] {
        let mut executor = executor(&file, lower(&file, &options(kv_type, golden.n_ctx)));
        // Batches of one, of a few and of all tokens take different paths through the matrix products.
        for chunk in [golden.tokens.len(), 7, 1] {
            let report = compare_logits(&mut executor, &golden, golden.tokens.len(), chunk);
            println!("{name}, {kv_type:?} KV, {chunk} at once: {report}");
            report.assert_within(limit, &format!("{name}, {kv_type:?} KV, {chunk} at once"));
        }
    }
    let trace_path = golden.trace_path();
    if !trace_path.is_file() {
        return;
    }
    let program = lower(&file, &options(KvType::F32, golden.n_ctx));
    let n_layer = program.slots.len();
    let compared = compare_trace(&mut executor(&file, program), &Trace::load(&trace_path));
    for (op, buffer, nmse) in &compared {
        assert!(*nmse <= NMSE_F32_KV, "{name}: op {op} ({buffer}): NMSE {nmse:e}");
    }
    // Q, K, V, attention, both residuals, network and its norm or parts in each layer, and the two results.
    assert!(compared.len() >= 8 * n_layer + 2, "{name}: only {} buffers have the reference's names", compared.len());
}

macro_rules! models {
    ($($test:ident = $name:literal,)*) => {
        $(#[test]
        fn $test() {
            check($name);
        })*
    };
}

models! {
    llama_f16 = "llama.F16",
    llama_bf16 = "llama.BF16",
    llama_q4_0 = "llama.Q4_0",
    llama_q4_1 = "llama.Q4_1",
    llama_q5_0 = "llama.Q5_0",
    llama_q5_1 = "llama.Q5_1",
    llama_q8_0 = "llama.Q8_0",
    llama_q2_k = "llama.Q2_K",
    llama_q3_k_m = "llama.Q3_K_M",
    llama_q4_k_m = "llama.Q4_K_M",
    llama_q5_k_m = "llama.Q5_K_M",
    llama_q6_k = "llama.Q6_K",
    llama_mha = "llama-mha.Q4_K_M",
    llama_tied = "llama-tied.Q4_K_M",
    gemma3 = "gemma3.Q4_K_M",
    qwen2 = "qwen2.Q4_K_M",
    olmo2 = "olmo2.Q4_K_M",
    olmoe = "olmoe.Q4_K_M",
}
