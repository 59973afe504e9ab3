//! Rates of products with packed matrices, on one thread: for each instruction set and type, billions of products per
//! second with 1 and 128 tokens, and bytes of weights per second with one.
//!
//! `cargo run --release -p chord-cpu --example matmul_rates -- [rows] [cols] [instruction set]`

use std::time::{Duration, Instant};

use chord_cpu::InstructionSet;
use chord_cpu::matmul::{Activations, PackedMatrix, Precision};
use chord_gguf::GgmlType;

fn main() {
    let mut args = std::env::args().skip(1);
    let rows = args.next().map_or(1536, |rows| rows.parse().expect("a number of rows"));
    let cols = args.next().map_or(1536, |cols| cols.parse().expect("a number of columns"));
    let wanted = args.next();
    println!("[{rows}, {cols}]; medians of 7, one thread; 8-bit activations, in brackets f32");
    println!("{:<12} {:<5} {:>20} {:>10} {:>20}", "", "", "GMAC/s, 1 token", "GB/s", "GMAC/s, 128 tokens");
    for isa in InstructionSet::available() {
        if wanted.as_deref().is_some_and(|wanted| wanted != isa.name()) {
            continue;
        }
        for ty in GgmlType::decodable() {
            if ty.row_bytes(cols as u64).is_none() {
                continue;
            }
            let matrix = matrix(ty, rows, cols, isa);
            let precisions: &[Precision] = match matrix.multiplies(Precision::Rounded) {
                true => &[Precision::Rounded, Precision::F32],
                false => &[Precision::F32],
            };
            let [one, many] = [1, 128].map(|n_tokens| {
                let rates: Vec<f64> = precisions.iter().map(|&p| rate(&matrix, isa, n_tokens, p)).collect();
                rates
            });
            let cell = |rates: &[f64]| match rates {
                [eight, single] => format!("{eight:.1} ({single:.1})"),
                _ => format!("({:.1})", rates[0]),
            };
            let gigabytes = one[0] * matrix.bytes() as f64 / (rows * cols) as f64;
            println!("{isa:<12} {ty:<5} {:>20} {gigabytes:>10.1} {:>20}", cell(&one), cell(&many));
        }
    }
}

fn matrix(ty: GgmlType, rows: usize, cols: usize, isa: InstructionSet) -> PackedMatrix {
    let mut matrix = PackedMatrix::new(ty, rows, cols, isa, "weights").expect("memory");
    let values: Vec<f32> = (0..cols).map(|i| (i as f32 * 0.7).sin()).collect();
    let row = chord_gguf::quantize(ty, &values).expect("whole blocks");
    for r in 0..rows {
        matrix.write_rows(r, &row);
    }
    matrix
}

/// GMAC/s.
fn rate(matrix: &PackedMatrix, isa: InstructionSet, n_tokens: usize, precision: Precision) -> f64 {
    let (rows, cols) = (matrix.rows(), matrix.cols());
    let x: Vec<f32> = (0..n_tokens * cols).map(|i| (i as f32 * 0.3).cos()).collect();
    let mut acts = Activations::new(isa);
    acts.fill(&x, n_tokens, cols, precision == Precision::Rounded, precision == Precision::F32);
    let mut out = vec![0.0; n_tokens * rows];
    let mut run = || {
        // SAFETY: `out` is [n_tokens, rows].
        unsafe { matrix.multiply(&acts, precision, 0..rows, matrix.row_blocks(0..rows), out.as_mut_ptr(), rows) };
    };
    let start = Instant::now();
    run();
    let repeats = (Duration::from_millis(15).as_nanos() / start.elapsed().as_nanos().max(1)).max(1) as u32;
    let mut times: Vec<Duration> = (0..7)
        .map(|_| {
            let start = Instant::now();
            (0..repeats).for_each(|_| run());
            start.elapsed() / repeats
        })
        .collect();
    times.sort();
    (n_tokens * rows * cols) as f64 / times[3].as_nanos() as f64
}
