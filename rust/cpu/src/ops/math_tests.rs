use chord_program::Activation;

use crate::ops::dispatch::vector_ops;
use crate::ops::math::exp;
use crate::reference;
use crate::simd::{Float, InstructionSet};

fn values(from: f32, to: f32, n: usize) -> Vec<f32> {
    (0..n).map(|i| from + (to - from) * i as f32 / (n - 1) as f32).collect()
}

/// Relative error of the scalar instantiation; the others differ by a rounding.
#[test]
fn exponentials_are_right_to_the_last_bits() {
    let mut worst = 0.0f64;
    for &x in &values(-86.9, 87.9, 200_001) {
        // SAFETY: every processor has plain Rust.
        let [found, ..] = unsafe { exp::<crate::simd::scalar::Scalar>([x; 4]) };
        let expected = f64::from(x).exp();
        worst = worst.max(((f64::from(found) - expected) / expected).abs());
    }
    println!("largest relative error {worst:e}");
    assert!(worst <= 1e-7, "{worst:e}");
    let at = |x: f32| {
        // SAFETY: as above.
        unsafe { exp::<crate::simd::scalar::Scalar>(crate::simd::scalar::Scalar::max([x; 4], [x; 4]))[0] }
    };
    assert_eq!(at(0.0), 1.0);
    assert!(at(f32::NEG_INFINITY) < 1e-37 && at(f32::INFINITY).is_finite() && at(f32::NAN).is_nan());
}

#[test]
fn activations_of_every_instruction_set_match_the_definitions() {
    for isa in InstructionSet::available() {
        let ops = vector_ops(isa);
        for act in [Activation::Silu, Activation::GeluTanh, Activation::ReluSquared] {
            for n in [1, 15, 16, 17, 1001] {
                let (gate, up) = (values(-4.0, 12.0, n.max(2)), values(3.0, -1.0, n.max(2)));
                let (gate, up) = (&gate[..n], &up[..n]);
                let mut found = vec![f32::NAN; n];
                // SAFETY: the instruction set is available.
                unsafe { (ops.glu)(gate, Some(up), act, &mut found) };
                let error = chord_testkit::nmse(&reference::glu(gate, up, act), &found);
                assert!(error <= 1e-12, "{isa}, {act:?}, {n}: {error:e}");
                // SAFETY: as above.
                unsafe { (ops.glu)(gate, None, act, &mut found) };
                let error = chord_testkit::nmse(&reference::act(gate, act), &found);
                assert!(error <= 1e-12, "{isa}, {act:?}, {n}: {error:e}");
            }
        }
    }
}
