//! Norms, rotation, addition, scaling and soft-cap of a row or of a part of one.

use chord_program::RopePairing;

/// `x / √(mean(x²) + eps) · weight`.
pub(crate) fn rms_norm(x: &[f32], weight: Option<&[f32]>, eps: f32, out: &mut [f32]) {
    let mean_square = sum_f64(x, |x| x * x) / x.len() as f64;
    let factor = (1.0 / (mean_square + f64::from(eps)).sqrt()) as f32;
    match weight {
        Some(weight) => {
            for ((out, x), w) in out.iter_mut().zip(x).zip(weight) {
                *out = x * factor * w;
            }
        }
        None => out.iter_mut().zip(x).for_each(|(out, x)| *out = x * factor),
    }
}

/// `(x − mean) / √(var + eps) · weight + bias`.
pub(crate) fn layer_norm(x: &[f32], weight: &[f32], bias: Option<&[f32]>, eps: f32, out: &mut [f32]) {
    let cols = weight.len();
    let mean = sum_f64(x, |x| x) / cols as f64;
    let variance = sum_f64(x, |x| (x - mean) * (x - mean)) / cols as f64;
    let factor = 1.0 / (variance + f64::from(eps)).sqrt();
    for ((out, &x), &w) in out.iter_mut().zip(x).zip(weight) {
        *out = ((f64::from(x) - mean) * factor) as f32 * w;
    }
    if let Some(bias) = bias {
        out.iter_mut().zip(bias).for_each(|(out, b)| *out += b);
    }
}

fn sum_f64(x: &[f32], f: impl Fn(f64) -> f64) -> f64 {
    let (chunks, rest) = x.as_chunks::<4>();
    let mut sums = [0.0f64; 4];
    for chunk in chunks {
        for lane in 0..4 {
            sums[lane] += f(f64::from(chunk[lane]));
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|&x| f(f64::from(x))).sum::<f64>()
}

/// Rotates pairs of columns of one head; `angles` holds the cosine and the sine of each pair's angle.
pub(crate) fn rope(x: &[f32], angles: &[f32], pairing: RopePairing, out: &mut [f32]) {
    out.copy_from_slice(x);
    let n_rot = angles.len();
    let (angles, _) = angles.as_chunks::<2>();
    match pairing {
        RopePairing::Interleaved => {
            let (pairs, _) = out[..n_rot].as_chunks_mut::<2>();
            for ([a, b], [cos, sin]) in pairs.iter_mut().zip(angles) {
                (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
            }
        }
        RopePairing::Halves => {
            let (low, high) = out[..n_rot].split_at_mut(n_rot / 2);
            for ((a, b), [cos, sin]) in low.iter_mut().zip(high).zip(angles) {
                (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
            }
        }
    }
}

/// `a + scale · b`.
pub(crate) fn add(a: &[f32], b: &[f32], scale: f32, out: &mut [f32]) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = a + scale * b;
    }
}

/// `cap · tanh(x / cap)`.
pub(crate) fn soft_cap(x: &[f32], cap: f32, out: &mut [f32]) {
    out.iter_mut().zip(x).for_each(|(out, x)| *out = cap * (x / cap).tanh());
}

/// `scale · x`.
pub(crate) fn scale(x: &[f32], scale: f32, out: &mut [f32]) {
    out.iter_mut().zip(x).for_each(|(out, x)| *out = scale * x);
}

/// `scale · product + bias`, in place.
pub(crate) fn scale_and_bias(out: &mut [f32], scale: f32, bias: Option<&[f32]>) {
    if scale != 1.0 {
        out.iter_mut().for_each(|out| *out *= scale);
    }
    if let Some(bias) = bias {
        out.iter_mut().zip(bias).for_each(|(out, b)| *out += b);
    }
}
