//! Decoding allocates nothing after the first tokens. Alone in its binary, since it counts every allocation of the
//! process, those of workers included.

mod support;

use chord_cpu::{ActivationType, CpuOptions};
use chord_program::{Batch, Executor, KvType, Want};
use chord_testkit::Recipe;
use chord_testkit::allocations::{Counting, count};
use support::{executor_with, lower, options, wait};

#[global_allocator]
static COUNTING: Counting = Counting;

/// One test, so that nothing else allocates meanwhile.
#[test]
fn decode_steps_allocate_nothing() {
    const PROMPT: usize = 5;
    for name in ["llama.Q4_K", "gemma3.Q4_K", "olmoe.Q4_K"] {
        for (threads, activations) in [(1, ActivationType::F32), (1, ActivationType::Mixed), (2, ActivationType::Mixed)]
        {
            let recipe = Recipe::named(name);
            let program = lower(&recipe.file(), &options(KvType::F16, 48));
            let mut executor =
                executor_with(&recipe.file(), program, CpuOptions { threads: Some(threads), activations, isa: None });
            let ids: Vec<u32> = (1..=PROMPT as u32).collect();
            let pos: Vec<u32> = (0..PROMPT as u32).collect();
            let batch = Batch { ids: &ids, pos: &pos, seq: &[0; PROMPT], out_rows: &[PROMPT as u32 - 1] };
            executor.enqueue_prefill(&batch, Want::Ids).expect("a valid batch");
            let mut chosen = Vec::with_capacity(48);
            let mut decode = |n: usize| {
                for _ in 0..n {
                    executor.enqueue_decode(0, 1).expect("room in the context");
                    wait(|cx| executor.poll_ids(cx, &mut chosen)).expect("an id");
                }
            };
            // Scratch memory of a token's size is allocated once.
            decode(2);
            let before = count();
            decode(30);
            let made = count() - before;
            assert_eq!(made, 0, "{name}, {threads} threads, {activations:?}: allocations in 30 tokens");
        }
    }
}
