//! Small random models of every architecture and storage type against the reference's numbers.

mod support;

use chord_program::KvType;
use support::{File, Nmse, all_logits, argmax, compare_trace, f64s, golden, json, options, u32s};

/// Logits and argmax of one model at one KV type.
fn check_logits(name: &str, kv_type: KvType, limit: f64) {
    let Some(golden) = golden() else { return };
    let tiny = golden.join("tiny");
    let expected = json(&tiny.join(format!("{name}.json")));
    let (tokens, margins) = (u32s(&expected["tokens"]), f64s(&expected["margin"]));
    let best = u32s(&expected["argmax"]);
    let n_ctx = expected["n_ctx"].as_u64().unwrap() as u32;
    let stored = std::fs::read(tiny.join(expected["logits"].as_str().unwrap())).unwrap();
    let stored: Vec<f32> = support::f32s(&stored);

    let file = File::open(&tiny.join(format!("{name}.gguf")));
    let mut executor = file.executor(file.lower(&options(kv_type, n_ctx)));
    let mut nmse = Nmse::default();
    let mut found_best = Vec::new();
    all_logits(&mut executor, &tokens, 64, |position, logits| {
        nmse.add_logits(&stored[position * logits.len()..][..logits.len()], logits);
        found_best.push(argmax(logits) as u32);
    });
    let nmse = nmse.value();
    println!("{name} {kv_type:?}: NMSE {nmse:.2e}");
    assert!(nmse <= limit, "{name} {kv_type:?}: NMSE {nmse:e} > {limit:e}");
    for (position, (&expected, &margin)) in best.iter().zip(&margins).enumerate() {
        assert!(margin <= 0.02 || found_best[position] == expected, "{name}: argmax at {position}");
    }
}

fn check(name: &str) {
    check_logits(name, KvType::F32, 1e-6);
    check_logits(name, KvType::F16, 1e-5);
    let Some(golden) = golden() else { return };
    let trace_path = golden.join(format!("tiny/{name}.trace.gguf"));
    if !trace_path.is_file() {
        return;
    }
    let file = File::open(&golden.join(format!("tiny/{name}.gguf")));
    let mut executor = file.executor(file.lower(&options(KvType::F32, 256)));
    let compared = compare_trace(&mut executor, &File::open(&trace_path));
    let worst = compared.iter().max_by(|a, b| a.2.total_cmp(&b.2)).expect("some buffer has a reference");
    println!("{name}: {} traced buffers, worst {} {:.2e}", compared.len(), worst.1, worst.2);
    for (op, buffer, nmse) in &compared {
        assert!(*nmse <= 1e-6, "{name}: op {op} {buffer}: NMSE {nmse:e}");
    }
    // At least norm, Q, K, V, attention, residual, network and output of each layer, and the two results.
    let layers = executor_layers(&file);
    assert!(compared.len() >= 8 * layers + 2, "only {} buffers have names that the reference knows", compared.len());
}

fn executor_layers(file: &File) -> usize {
    chord_model::Hyperparameters::from_header(&file.header).unwrap().n_layer as usize
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
