//! Several products in one dispatch.

use chord_gguf::GgmlType;
use chord_gpu::ops::matmul_fused::{GatedPair, Siblings};
use chord_gpu::weights::DeviceWeight;
use chord_program::{Activation as NonLinearity, Weight};

use crate::setup::{Bench, Call, Comparison, Numbers, all_variants, random_rows, usual_scale};

const COLS: u32 = 256;
const TOKENS: u32 = 5;

/// Stacked weights of so many rows, with their values.
struct Stack {
    weights: Vec<DeviceWeight>,
    rows: Vec<Vec<Vec<f32>>>,
}

impl Stack {
    fn new(bench: &Bench, ty: GgmlType, n_rows: &[u32]) -> Self {
        let weight = |rows: &u32| Weight { name: format!("w{rows}"), ty, cols: COLS, rows: *rows, experts: 1 };
        let weights: Vec<Weight> = n_rows.iter().map(weight).collect();
        let mut on_device =
            DeviceWeight::stacked(&bench.resources, &weights.iter().collect::<Vec<_>>()).expect("weights that fit");
        let mut values = Vec::new();
        for (weight, on_device) in weights.iter().zip(&mut on_device) {
            let bytes = random_rows(ty, COLS, weight.rows, usual_scale);
            on_device.write(&bench.gpu, 0, &bytes).expect("all rows");
            assert!(on_device.is_complete());
            let rows = bytes.chunks_exact(weight.row_bytes() as usize).map(|bytes| {
                let mut row = vec![0.0; COLS as usize];
                chord_gguf::dequantize(ty, bytes, &mut row).expect("whole rows");
                row
            });
            values.push(rows.collect());
        }
        Stack { weights: on_device, rows: values }
    }
}

/// Product and the sum of its terms' magnitudes.
fn dot(w: &[f32], x: &[f32]) -> (f64, f64) {
    let products = || w.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x));
    (products().sum(), products().map(f64::abs).sum())
}

fn activate(act: NonLinearity, x: f64) -> f64 {
    match act {
        NonLinearity::Silu => x / (1.0 + (-x).exp()),
        NonLinearity::GeluTanh => {
            0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
        }
        NonLinearity::ReluSquared => x.max(0.0).powi(2),
    }
}

#[test]
fn gated_pairs_match() {
    let bench = Bench::new();
    for (ty, act, n_rows) in [(GgmlType::Q4_K, NonLinearity::Silu, 67), (GgmlType::Q4_1, NonLinearity::GeluTanh, 8)] {
        let stack = Stack::new(&bench, ty, &[n_rows, n_rows]);
        let x: Vec<f32> = Numbers::new(5).take((TOKENS * COLS) as usize).iter().map(|v| v * 4.0).collect();
        for variant in all_variants(&bench.gpu) {
            let call = Call { n_rows: TOKENS, x: &x, out_cols: &[n_rows], ..Call::default() };
            let found = &bench.run(&call, |ctx, frame| {
                let [gate, up] = &stack.weights[..] else { unreachable!("two weights") };
                let pair = GatedPair { x: &frame.x, gate, up, act, out: &frame.outs[0] };
                vec![pair.dispatch(ctx, variant).expect("a kernel")]
            })[0];
            let mut comparison = Comparison::default();
            for (token, x) in x.chunks_exact(COLS as usize).enumerate() {
                for row in 0..n_rows as usize {
                    let (gate, gate_size) = dot(&stack.rows[0][row], x);
                    let (up, up_size) = dot(&stack.rows[1][row], x);
                    let expected = activate(act, gate) * up;
                    let at = token * n_rows as usize + row;
                    comparison.add(expected, found[at], (1.0 + gate_size) * (1.0 + up_size));
                }
            }
            comparison.check(&format!("{ty} {act:?} of {n_rows} rows, {variant:?}"));
        }
    }
    bench.dump_kernels("gated");
}

#[test]
fn siblings_match() {
    let bench = Bench::new();
    for (ty, n_rows) in [(GgmlType::Q5_0, &[67, 9, 33][..]), (GgmlType::Q6_K, &[20, 65])] {
        let stack = Stack::new(&bench, ty, n_rows);
        let x = Numbers::new(5).take((TOKENS * COLS) as usize);
        for variant in all_variants(&bench.gpu) {
            let call = Call { n_rows: TOKENS, x: &x, out_cols: n_rows, ..Call::default() };
            let found = bench.run(&call, |ctx, frame| {
                let siblings = Siblings {
                    x: &frame.x,
                    weights: stack.weights.iter().collect(),
                    outs: frame.outs.iter().collect(),
                };
                vec![siblings.dispatch(ctx, variant).expect("a kernel")]
            });
            let mut comparison = Comparison::default();
            for (rows, found) in stack.rows.iter().zip(&found) {
                for (token, x) in x.chunks_exact(COLS as usize).enumerate() {
                    for (row, w) in rows.iter().enumerate() {
                        let (expected, size) = dot(w, x);
                        comparison.add(expected, found[token * rows.len() + row], 1.0 + size);
                    }
                }
            }
            comparison.check(&format!("{ty} of {n_rows:?} rows, {variant:?}"));
        }
    }
    bench.dump_kernels("siblings");
}

#[test]
fn weights_that_are_not_neighbours_are_refused() {
    let bench = Bench::new();
    let stack = Stack::new(&bench, GgmlType::Q8_0, &[4, 4, 4]);
    let [a, b, c] = &stack.weights[..] else { unreachable!("three weights") };
    assert!(a.is_followed_by(b) && b.is_followed_by(c));
    assert!(!a.is_followed_by(c) && !b.is_followed_by(a));
    let x = vec![0.0; COLS as usize];
    let call = Call { n_rows: 1, x: &x, out_cols: &[4], ..Call::default() };
    bench.run(&call, |ctx, frame| {
        let act = NonLinearity::Silu;
        assert!(GatedPair { x: &frame.x, gate: a, up: c, act, out: &frame.outs[0] }.kernels(ctx).is_err());
        let outs = vec![&frame.outs[0], &frame.outs[0]];
        assert!(Siblings { x: &frame.x, weights: vec![a, c], outs }.kernels(ctx).is_err());
        Vec::new()
    });
    let [long, wide] = [(4, 512), (5, 256)].map(|(rows, cols)| {
        let name = format!("{rows}x{cols}");
        Weight { name, ty: GgmlType::Q8_0, cols, rows, experts: 1 }
    });
    assert!(DeviceWeight::are_stackable(&bench.gpu, &[&wide, &wide]));
    assert!(!DeviceWeight::are_stackable(&bench.gpu, &[&wide, &long]));
    assert!(!DeviceWeight::are_stackable(&bench.gpu, &[]));
}
