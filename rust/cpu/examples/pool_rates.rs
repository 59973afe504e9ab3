//! What a run of a pool and a barrier in it cost: `cargo run --release -p chord-cpu --example pool_rates`.

use std::time::Instant;

use chord_cpu::Pool;
use chord_cpu::pool::Worker;

fn main() {
    const BARRIERS: usize = 10_000;
    const RUNS: usize = 1_000;
    for n_threads in 1..=std::thread::available_parallelism().map_or(2, usize::from) {
        let mut pool = Pool::spawn(n_threads).expect("threads");
        let mut barriers = |n: usize| {
            let start = Instant::now();
            pool.run(&|worker: &Worker<'_>| (0..n).try_for_each(|_| worker.barrier())).expect("no panic");
            start.elapsed().as_secs_f64()
        };
        let mut of_barriers: Vec<f64> = (0..9).map(|_| barriers(BARRIERS) * 1e9 / BARRIERS as f64).collect();
        let mut of_runs: Vec<f64> = (0..RUNS).map(|_| barriers(1) * 1e9).collect();
        let median = |times: &mut Vec<f64>| {
            times.sort_unstable_by(f64::total_cmp);
            times[times.len() / 2]
        };
        let (barrier, run) = (median(&mut of_barriers), median(&mut of_runs));
        println!("{n_threads} threads: {barrier:.0} ns a barrier, {run:.0} ns a run");
    }
}
