//! Threads change how long a run takes, and nothing else.

mod support;

use chord_cpu::{ActivationType, CpuOptions};
use chord_model::BuildOptions;
use chord_program::{Executor, KvType};
use chord_testkit::Recipe;
use support::{executor_with, greedy, logits, lower};

const MODELS: [&str; 4] = ["llama.Q4_0", "gemma3.Q4_K", "olmoe.Q4_K", "qwen2.Q4_K"];

fn tokens(n: usize) -> Vec<u32> {
    (0..n as u32).map(|i| (i * 37 + 11) % 128).collect()
}

#[test]
fn results_are_the_same_bits_with_any_number_of_threads() {
    for name in MODELS {
        let file = Recipe::named(name).file();
        for activations in [ActivationType::F32, ActivationType::Q8, ActivationType::Q16, ActivationType::Mixed] {
            let run = |threads: usize| {
                let options = BuildOptions { n_ctx: Some(256), kv_type: KvType::F16, ..BuildOptions::default() };
                let options_cpu = CpuOptions { threads: Some(threads), activations, isa: None };
                let mut executor = executor_with(&file, lower(&file, &options), options_cpu);
                let prompt = tokens(75);
                let mut all = logits(&mut executor, 0, &prompt[..40]);
                all.extend(logits(&mut executor, 40, &prompt[40..41]));
                all.extend(logits(&mut executor, 41, &prompt[41..43]));
                all.extend(logits(&mut executor, 43, &prompt[43..]));
                // Enough positions for attention to be split by them, too.
                let (more, last) = (tokens(128), tokens(12));
                all.extend(logits(&mut executor, 75, &more[..64]));
                all.extend(logits(&mut executor, 139, &more[64..]));
                all.extend(logits(&mut executor, 203, &last[..1]));
                all.extend(logits(&mut executor, 204, &last[1..3]));
                executor.truncate(0, 0).expect("a fresh start");
                let bits: Vec<u32> = all.iter().map(|x| x.to_bits()).collect();
                (bits, greedy(&mut executor, &prompt[..20], 8))
            };
            let one = run(1);
            for threads in [2, 3, 5, 16] {
                assert!(one == run(threads), "{name}, {activations:?}, {threads} threads");
            }
        }
    }
}

#[test]
fn many_short_runs_and_executors_that_come_and_go() {
    let file = Recipe::named(MODELS[0]).file();
    let options = BuildOptions { n_ctx: Some(64), ..BuildOptions::default() };
    for round in 0..20 {
        let cpu = CpuOptions { threads: Some(2 + round % 3), activations: ActivationType::Q8, isa: None };
        let mut executor = executor_with(&file, lower(&file, &options), cpu);
        if round % 4 > 0 {
            assert_eq!(greedy(&mut executor, &tokens(5), 20).len(), 20);
        }
    }
}
