//! What this machine can do at most, with a given number of threads: bytes streamed from memory, and products of 8-bit
//! numbers added up in registers. `cargo run --release -p chord-cpu --example ceilings -- 1 2` prints a line of JSON
//! for each number of threads; `npm run bench -- --ceilings` shows them beside a tab's.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

/// Read by each thread: more than caches hold.
const STREAM_BYTES: usize = 256 << 20;
/// Sums that don't wait for one another.
const SUMS: usize = 12;
/// Products added to each sum.
const ROUNDS: usize = 60_000_000;
/// Passes, of which the best counts: whatever disturbs one makes it slower.
const PASSES: usize = 5;

fn main() {
    let counts = std::env::args().skip(1).map(|word| word.parse().expect("numbers of threads"));
    let dot = Dot::best();
    for n_threads in counts {
        let stream = stream_seconds(n_threads);
        let seconds = best_of(n_threads, || dot.run(ROUNDS));
        let macs = (ROUNDS * SUMS * dot.macs() * n_threads) as f64;
        println!(
            r#"{{"where":"native, {dot:?}","threads":{n_threads},"streamGBs":{:.2},"dotGMACs":{:.1}}}"#,
            (STREAM_BYTES * n_threads) as f64 / stream / 1e9,
            macs / seconds / 1e9,
        );
    }
}

/// Each thread reads memory of its own.
fn stream_seconds(n_threads: usize) -> f64 {
    best_of_prepared(
        n_threads,
        || vec![1u64; STREAM_BYTES / 8],
        |data| {
            let sums = data.chunks_exact(16).fold([0u64; 16], |mut sums, chunk| {
                sums.iter_mut().zip(chunk).for_each(|(sum, value)| *sum ^= value);
                sums
            });
            black_box(sums);
        },
    )
}

fn best_of(n_threads: usize, work: impl Fn() + Sync) -> f64 {
    best_of_prepared(n_threads, || (), |()| work())
}

/// Seconds until every thread is done with the same work, all starting together: the best of all passes.
fn best_of_prepared<T>(n_threads: usize, prepare: impl Fn() -> T + Sync, work: impl Fn(&T) + Sync) -> f64 {
    let barrier = Barrier::new(n_threads + 1);
    std::thread::scope(|scope| {
        for _ in 0..n_threads {
            scope.spawn(|| {
                let prepared = prepare();
                for _ in 0..PASSES {
                    barrier.wait();
                    work(&prepared);
                    barrier.wait();
                }
            });
        }
        let pass = || {
            barrier.wait();
            let started = Instant::now();
            barrier.wait();
            started.elapsed().as_secs_f64()
        };
        (0..PASSES).map(|_| pass()).fold(f64::INFINITY, f64::min)
    })
}

/// The best instruction of this CPU for products of 8-bit numbers.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "each CPU family has its own")]
enum Dot {
    Avx512Vnni,
    Avx2,
    Neon,
    Scalar,
}

impl Dot {
    #[cfg(target_arch = "x86_64")]
    fn best() -> Self {
        if is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512bw") {
            Dot::Avx512Vnni
        } else if is_x86_feature_detected!("avx2") {
            Dot::Avx2
        } else {
            Dot::Scalar
        }
    }

    #[cfg(target_arch = "aarch64")]
    fn best() -> Self {
        Dot::Neon
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn best() -> Self {
        Dot::Scalar
    }

    /// Multiplications of one such instruction, or of the few that replace it.
    fn macs(self) -> usize {
        match self {
            Dot::Avx512Vnni => 64,
            Dot::Avx2 => 32,
            Dot::Neon => 16,
            Dot::Scalar => 1,
        }
    }

    fn run(self, rounds: usize) {
        match self {
            // SAFETY: `best` found the features.
            #[cfg(target_arch = "x86_64")]
            Dot::Avx512Vnni => unsafe { x86::avx512_vnni(rounds) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Dot::Avx2 => unsafe { x86::avx2(rounds) },
            #[cfg(target_arch = "aarch64")]
            Dot::Neon => neon(rounds),
            _ => scalar(rounds),
        }
    }
}

fn scalar(rounds: usize) {
    let mut sums = [0i32; SUMS];
    for round in 0..rounds {
        let (a, b) = (black_box(round as i8), 3i8);
        sums.iter_mut().for_each(|sum| *sum = sum.wrapping_add(i32::from(a) * i32::from(b)));
    }
    black_box(sums);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::SUMS;
    use std::arch::x86_64::*;
    use std::hint::black_box;

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn avx512_vnni(rounds: usize) {
        let (a, b) = (black_box(_mm512_set1_epi8(7)), black_box(_mm512_set1_epi8(-3)));
        let mut sums = [_mm512_setzero_si512(); SUMS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_dpbusd_epi32(*sum, a, b);
            }
        }
        black_box(sums);
    }

    /// Three instructions for what newer CPUs do in one.
    #[target_feature(enable = "avx2")]
    pub(super) fn avx2(rounds: usize) {
        let (mut a, b) = (black_box(_mm256_set1_epi8(7)), black_box(_mm256_set1_epi8(-3)));
        let ones = _mm256_set1_epi16(1);
        let mut sums = [_mm256_setzero_si256(); SUMS];
        for _ in 0..rounds {
            // Otherwise the product is the same every time, and is computed once.
            a = black_box(a);
            for sum in &mut sums {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones));
            }
        }
        black_box(sums);
    }
}

/// Widening products, which every such CPU has.
#[cfg(target_arch = "aarch64")]
fn neon(rounds: usize) {
    use std::arch::aarch64::*;
    // SAFETY: NEON is part of the architecture.
    unsafe {
        let (mut a, b) = (black_box(vdupq_n_s8(7)), black_box(vdupq_n_s8(-3)));
        let mut sums = [vdupq_n_s32(0); SUMS];
        for _ in 0..rounds {
            a = black_box(a);
            for sum in &mut sums {
                let low = vmull_s8(vget_low_s8(a), vget_low_s8(b));
                *sum = vpadalq_s16(*sum, vmlal_high_s8(low, a, b));
            }
        }
        black_box(sums);
    }
}
