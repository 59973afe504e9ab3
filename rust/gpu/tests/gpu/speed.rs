//! A prompt must be faster than decoding, because all its tokens are known. Only with `CHORD_FULL=1`: other work on the
//! machine disturbs timings.

use std::time::Instant;

use chord_gpu::PlanOptions;
use chord_program::{Executor, KvType, Want};

use crate::models::{ModelFile, build, golden_and_model};
use crate::setup::{Tokens, all_ids, gpu};

const PROMPT: u32 = 128;
const DECODED: u32 = 32;
const ROUNDS: usize = 3;

#[test]
fn a_prompt_runs_at_three_times_the_speed_of_single_tokens() {
    if std::env::var_os("CHORD_FULL").is_none_or(|value| value != "1") {
        println!("the speed of prompts is measured with CHORD_FULL=1");
        return;
    }
    let (golden, path) = golden_and_model("smollm2-135m-instruct.q4_1");
    let model = ModelFile::open(&path, &build(512, KvType::F16, PROMPT));
    let mut executor = model.on_gpu(&gpu(), PlanOptions::default());
    let prompt = Tokens::of_ids(0, &golden.tokens[..PROMPT as usize]).with_outputs(&[PROMPT - 1]);
    let (mut prefill, mut decode) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        executor.truncate(0, 0).expect("a cut to nothing");
        let start = Instant::now();
        executor.enqueue_prefill(&prompt.batch(), Want::Ids).expect("the prompt");
        all_ids(&mut executor).expect("an id");
        prefill.push(f64::from(PROMPT) / start.elapsed().as_secs_f64());
        let start = Instant::now();
        executor.enqueue_decode(0, DECODED).expect("room");
        all_ids(&mut executor).expect("ids");
        decode.push(f64::from(DECODED) / start.elapsed().as_secs_f64());
    }
    // The fastest of each: other work on the machine can only slow them down.
    let [prefill, decode] = [prefill, decode].map(|rates| rates.into_iter().fold(0.0, f64::max));
    println!("prefill {prefill:.1} tok/s, decode {decode:.1} tok/s, {:.2} times", prefill / decode);
    assert!(prefill >= 3.0 * decode, "prefill {prefill:.1} tok/s, decode {decode:.1} tok/s");
}
