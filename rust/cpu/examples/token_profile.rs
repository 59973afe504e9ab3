//! Where the time of a decoded token goes, by kind of step: how long the calling thread works on its share and how long
//! it waits for others, in µs a token, and how fast it reads weights.
//!
//! `cargo run --release -p chord-cpu --example token_profile -- MODEL [threads] [positions before] [tokens]`

use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use chord_cpu::{CpuExecutor, CpuOptions};
use chord_model::BuildOptions;
use chord_program::{Batch, Executor, KvType, Want, WeightId, WeightSink};
use chord_testkit::GgufFile;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let model = args.get(1).expect("a model's file");
    let number = |i: usize, default: usize| args.get(i).map_or(default, |n| n.parse().expect("a number"));
    let (threads, before, n) = (number(2, 1), number(3, 32), number(4, 64));

    let file = GgufFile::open(Path::new(model));
    let n_ctx = Some((before + n + 1) as u32);
    let options = BuildOptions { n_ctx, kv_type: KvType::F16, ..BuildOptions::default() };
    let program = Arc::new(chord_model::lower(&file.header, &options, None).expect("the model can be lowered"));
    let cpu = CpuOptions { threads: Some(threads), ..CpuOptions::default() };
    let mut executor = CpuExecutor::new(Arc::clone(&program), cpu).expect("memory for the model");
    for (id, weight) in program.weights.iter().enumerate() {
        executor.write(WeightId(id as u32), 0, file.tensor_bytes(&weight.name)).expect("the weight fits");
    }
    executor.finish().expect("all weights are there");

    let prompt: Vec<u32> = (0..before as u32).map(|i| (i * 7919 + 13) % program.n_vocab).collect();
    for (index, ids) in prompt.chunks(program.max_batch as usize).enumerate() {
        let start = (index * program.max_batch as usize) as u32;
        let pos: Vec<u32> = (start..).take(ids.len()).collect();
        let is_last = start as usize + ids.len() == before;
        let (rows, want) = if is_last { (1, Want::Ids) } else { (0, Want::Nothing) };
        let out_rows = [ids.len() as u32 - 1];
        let batch = Batch { ids, pos: &pos, seq: &vec![0; ids.len()], out_rows: &out_rows[..rows] };
        executor.enqueue_prefill(&batch, want).expect("a valid batch");
    }
    ids(&mut executor, 1);
    executor.start_profile();
    let began = Instant::now();
    executor.enqueue_decode(0, n as u32).expect("room for the tokens");
    ids(&mut executor, n);
    let all = began.elapsed().as_secs_f64() * 1e6 / n as f64;

    let profile = executor.take_profile();
    println!(
        "{threads} threads, {n} tokens after {before}: {all:.0} µs each; work and waits of thread 0 in µs a token"
    );
    println!("{:<34} {:>6} {:>9} {:>9} {:>8}", "", "steps", "work", "wait", "GB/s");
    let per_token = |time: std::time::Duration| time.as_secs_f64() * 1e6 / n as f64;
    let mut sums = [0.0; 2];
    for (kind, times) in &profile {
        let (work, wait) = (per_token(times.work), per_token(times.wait));
        let rate = times.weight_bytes as f64 / times.work.as_secs_f64() / 1e9;
        let rate = if times.weight_bytes > 0 { format!("{rate:.1}") } else { String::new() };
        println!("{kind:<34} {:>6} {work:>9.1} {wait:>9.1} {rate:>8}", times.steps / n as u64);
        sums = [sums[0] + work, sums[1] + wait];
    }
    println!("{:<34} {:>6} {:>9.1} {:>9.1}", "together", "", sums[0], sums[1]);
}

fn ids(executor: &mut CpuExecutor, n: usize) {
    let (mut ids, mut cx) = (Vec::new(), Context::from_waker(Waker::noop()));
    while ids.len() < n {
        if let Poll::Ready(result) = executor.poll_ids(&mut cx, &mut ids) {
            result.expect("ids");
        }
    }
}
