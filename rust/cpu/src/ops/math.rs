//! Exponentials and the activations made from them, a vector at a time.

use chord_program::Activation;

use crate::simd::Float;

/// eˣ with a relative error of at most 1e-7. Below −87 and above 88 that of −87 and of 88, so that nothing overflows;
/// NaN for NaN.
///
/// # Safety
/// The processor has `I`.
#[inline(always)]
pub(crate) unsafe fn exp<I: Float>(x: I::F) -> I::F {
    /// Adding this rounds to an integer and leaves the integer, plus the bias of an exponent, in the lowest bits.
    const ROUND: f32 = 12_582_912.0 + 127.0;
    /// ln 2 in two parts; the first has few enough bits for its multiples to be exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    /// 1 / n! from 7! down to 2!.
    const TERMS: [f32; 6] = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5];
    // SAFETY: the caller's promise.
    unsafe {
        let splat = |value: f32| I::splat_f32(value);
        let x = I::min(splat(88.0), I::max(splat(-87.0), x));
        let rounded = I::mul_add(x, splat(std::f32::consts::LOG2_E), splat(ROUND));
        let n = I::sub(rounded, splat(ROUND));
        let r = I::mul_add(n, splat(-LN_2[0]), x);
        let r = I::mul_add(n, splat(-LN_2[1]), r);
        let mut sum = splat(TERMS[0]);
        for term in &TERMS[1..] {
            sum = I::mul_add(sum, r, splat(*term));
        }
        // 1 + (r + r² · sum)
        let rest = I::mul_add(I::mul(r, r), sum, r);
        let power = I::as_f32(I::shl(I::bits(rounded), 23));
        I::mul(I::add(rest, splat(1.0)), power)
    }
}

/// `x / (1 + e^−s)`.
#[inline(always)]
unsafe fn times_sigmoid<I: Float>(x: I::F, s: I::F) -> I::F {
    // SAFETY: the caller's promise.
    unsafe {
        let one = I::splat_f32(1.0);
        I::div(x, I::add(one, exp::<I>(I::mul(s, I::splat_f32(-1.0)))))
    }
}

/// An activation of a vector.
///
/// # Safety
/// The processor has `I`.
#[inline(always)]
pub(crate) unsafe fn activate<I: Float>(x: I::F, act: Activation) -> I::F {
    /// 2 √(2/π): `½ (1 + tanh u)` is the sigmoid of `2u`.
    const TWICE: f32 = 1.595_769;
    // SAFETY: the caller's promise.
    unsafe {
        match act {
            Activation::Silu => times_sigmoid::<I>(x, x),
            Activation::GeluTanh => {
                let cubic = I::mul_add(I::mul(x, x), I::splat_f32(TWICE * 0.044715), I::splat_f32(TWICE));
                times_sigmoid::<I>(x, I::mul(x, cubic))
            }
            Activation::ReluSquared => {
                let positive = I::max(I::splat_f32(0.0), x);
                I::mul(positive, positive)
            }
        }
    }
}

/// `out = act(gate) · up`, or `act(gate)` without `up`. Lengths are equal.
///
/// # Safety
/// The processor has `I`.
#[inline(always)]
pub(crate) unsafe fn glu<I: Float>(gate: &[f32], up: Option<&[f32]>, act: Activation, out: &mut [f32]) {
    // SAFETY: the caller's promise; whole vectors lie inside of the slices.
    unsafe {
        let whole = out.len() / I::LANES * I::LANES;
        for i in (0..whole).step_by(I::LANES) {
            let mut value = activate::<I>(I::load_f32(gate[i..].as_ptr()), act);
            if let Some(up) = up {
                value = I::mul(value, I::load_f32(up[i..].as_ptr()));
            }
            I::store_f32(out[i..].as_mut_ptr(), value);
        }
        // The rest, one number in every lane: the result for a number does not depend on its position.
        for i in whole..out.len() {
            let mut value = activate::<I>(I::splat_f32(gate[i]), act);
            if let Some(up) = up {
                value = I::mul(value, I::splat_f32(up[i]));
            }
            let mut lanes = [0.0; 16];
            I::store_f32(lanes.as_mut_ptr(), value);
            out[i] = lanes[0];
        }
    }
}
