//! What products with packed matrices must do, for one instruction set. Each check panics where it fails. They use
//! nothing but the public API, so that a WebAssembly engine can run them too.

use std::ops::Range;

use chord_cpu::InstructionSet;
use chord_cpu::matmul::{Activations, PackedMatrix, Precision};
use chord_gguf::GgmlType;
use chord_testkit::blocks::f16_places;

/// Pseudo-random numbers.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// Bell-shaped, with a standard deviation near 0.7.
    pub fn value(&mut self) -> f32 {
        (0..6).map(|_| self.bits() as f32 / (1u64 << 31) as f32 - 0.5).sum()
    }

    pub fn values(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.value()).collect()
    }
}

/// A matrix as the file stores it, and decoded.
pub struct Weights {
    pub ty: GgmlType,
    pub rows: usize,
    pub cols: usize,
    pub bytes: Vec<u8>,
    pub values: Vec<f32>,
}

impl Weights {
    pub fn new(ty: GgmlType, rows: usize, cols: usize, bytes: Vec<u8>) -> Self {
        let mut values = vec![0.0; rows * cols];
        chord_gguf::dequantize(ty, &bytes, &mut values).expect("whole rows");
        Weights { ty, rows, cols, bytes, values }
    }

    pub fn random(ty: GgmlType, rows: usize, cols: usize, random: &mut Random) -> Self {
        let bytes = chord_gguf::quantize(ty, &random.values(rows * cols)).expect("whole blocks");
        Weights::new(ty, rows, cols, bytes)
    }

    pub fn pack(&self, isa: InstructionSet) -> PackedMatrix {
        let mut matrix = PackedMatrix::new(self.ty, self.rows, self.cols, isa, "weights").expect("memory");
        matrix.write_rows(0, &self.bytes);
        matrix
    }
}

/// Codes times scales of activations with codes of `code_bytes` bytes, as [`Activations`] promises them.
pub fn rounded(x: &[f32], code_bytes: usize) -> Vec<f64> {
    let mut out = Vec::with_capacity(x.len());
    for block in x.chunks_exact(32) {
        let largest = block.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        out.extend(block.iter().map(|&x| {
            let inverse = if largest == 0.0 { 0.0 } else { 127.0 / largest };
            let first = (x * inverse).round_ties_even();
            let second = if code_bytes == 2 {
                ((x * inverse - first) * 256.0).round_ties_even().clamp(-127.0, 127.0)
            } else {
                0.0
            };
            let scale = largest / 127.0;
            f64::from(first) * f64::from(scale) + f64::from(second) * f64::from(scale / 256.0)
        }));
    }
    out
}

/// The form in which activations are multiplied.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// Codes of this many bytes.
    Bytes(usize),
    /// Unchanged.
    F32,
}

/// Every row's product with each token, `[n_tokens, rows]`, each with the sum of the terms' magnitudes.
pub fn products(weights: &Weights, x: &[f64]) -> Vec<(f64, f64)> {
    let mut out = Vec::new();
    for x in x.chunks_exact(weights.cols) {
        for row in weights.values.chunks_exact(weights.cols) {
            let terms = row.iter().zip(x).map(|(&w, x)| f64::from(w) * x);
            out.push(terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs())));
        }
    }
    out
}

/// Where either of two instruction sets may be chosen, the choice changes no bit: their sums of integers are exact, and
/// what follows is in the same order. Only builds for relaxed SIMD have such sets.
#[cfg(target_family = "wasm")]
pub fn rivals_agree_to_the_bit() {
    let rivals = InstructionSet::rivals();
    let mut random = Random::new(77);
    for ty in GgmlType::decodable().filter(|ty| ty.is_quantized()) {
        let weights = Weights::random(ty, 37, 768, &mut random);
        for (n_tokens, code_bytes) in [(1, 1), (1, 2), (7, 1), (7, 2)] {
            let x = random.values(n_tokens * weights.cols);
            let bits = |isa: InstructionSet| -> Vec<u32> {
                let out = multiply(&weights.pack(isa), &x, Form::Bytes(code_bytes), isa);
                out.iter().map(|value| value.to_bits()).collect()
            };
            let first = bits(rivals[0]);
            for &isa in &rivals[1..] {
                assert!(bits(isa) == first, "{ty}, {n_tokens} tokens, {code_bytes} bytes: {isa} gives other bits");
            }
        }
    }
}

/// The product, between sentinels that must survive.
pub fn multiply(matrix: &PackedMatrix, x: &[f32], form: Form, isa: InstructionSet) -> Vec<f32> {
    const SENTINEL: f32 = 12_345.0;
    let n_tokens = x.len() / matrix.cols();
    let (mut acts, precision) = match form {
        Form::Bytes(code_bytes) => (Activations::with_bytes(isa, code_bytes), Precision::Rounded),
        Form::F32 => (Activations::new(isa), Precision::F32),
    };
    acts.fill(x, n_tokens, matrix.cols(), precision == Precision::Rounded, precision == Precision::F32);
    let (rows, stride) = (matrix.rows(), matrix.rows() + 3);
    let mut out = vec![SENTINEL; n_tokens * stride + 16];
    let row_blocks = matrix.row_blocks(0..rows);
    // Each row block on its own, the last one first, as threads might take them.
    for row_block in row_blocks.rev() {
        // SAFETY: every token has `stride` numbers, after 8 others.
        unsafe {
            matrix.multiply(&acts, precision, 0..rows, row_block..row_block + 1, out.as_mut_ptr().add(8), stride)
        };
    }
    let mut found = Vec::new();
    for (i, value) in out.into_iter().enumerate() {
        let inside = i >= 8 && i < 8 + n_tokens * stride && (i - 8) % stride < rows;
        if inside {
            found.push(value);
        } else {
            assert_eq!(value, SENTINEL, "{} {rows} rows: {i} was written", matrix.ty());
        }
    }
    found
}

/// Rows come back from a packed matrix as they went in, whatever their bits, and decode as the file's do.
pub fn rows_read_back(isa: InstructionSet) {
    let mut random = Random::new(1);
    for ty in GgmlType::decodable() {
        for (rows, cols) in [(1, 256), (33, 512), (31, 768)] {
            let n_bytes = rows * ty.row_bytes(cols as u64).expect("whole blocks") as usize;
            let bytes: Vec<u8> = (0..n_bytes).map(|_| random.bits() as u8).collect();
            let mut matrix = PackedMatrix::new(ty, rows, cols, isa, "weights").expect("memory");
            let row_bytes = n_bytes / rows;
            // In two pieces, the later one first.
            let half = rows / 2;
            matrix.write_rows(half, &bytes[half * row_bytes..]);
            matrix.write_rows(0, &bytes[..half * row_bytes]);
            let mut row = vec![0; row_bytes];
            let (mut decoded, mut expected) = (vec![0.0; cols], vec![0.0; cols]);
            for (r, bytes) in bytes.chunks_exact(row_bytes).enumerate() {
                matrix.read_row(r, &mut row);
                assert_eq!(row, bytes, "{isa} {ty}: row {r} of {rows}");
                matrix.decode_row(r, &mut decoded);
                chord_gguf::dequantize(ty, bytes, &mut expected).expect("a whole row");
                assert!(decoded.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()), "{isa} {ty}: row {r}");
            }
        }
    }
}

/// Products with rounded activations are exact but for f32 scales and sums, and close to those with unrounded ones:
/// within an NMSE of 5e-4 with codes of one byte, of 1e-8 with two.
pub fn rounded_products_are_right(isa: InstructionSet, code_bytes: usize, shapes: &[(usize, usize)], tokens: &[usize]) {
    let limit = if code_bytes == 1 { 5e-4 } else { 1e-8 };
    let mut random = Random::new(2);
    for &ty in GgmlType::QUANTIZED {
        for &(rows, cols) in shapes {
            if ty.row_bytes(cols as u64).is_none() {
                continue;
            }
            let weights = Weights::random(ty, rows, cols, &mut random);
            let matrix = weights.pack(isa);
            for &n_tokens in tokens {
                let x = random.values(n_tokens * cols);
                let expected = products(&weights, &rounded(&x, code_bytes));
                let found = multiply(&matrix, &x, Form::Bytes(code_bytes), isa);
                assert_eq!(found.len(), expected.len());
                for (i, (found, (expected, size))) in found.iter().zip(&expected).enumerate() {
                    // Offsets are subtracted afterwards: sums of unsigned codes are up to four times as large.
                    let error = (f64::from(*found) - expected).abs();
                    assert!(
                        error <= 1e-6 * size,
                        "{isa} {ty} [{rows}, {cols}] × {n_tokens}: element {i} is {found}, not {expected} (terms of {size})"
                    );
                }
                let exact = products(&weights, &x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
                let nmse = nmse(&exact, &found);
                assert!(rows * n_tokens < 30 || nmse <= limit, "{isa} {ty} [{rows}, {cols}] × {n_tokens}: {nmse:e}");
            }
        }
    }
}

/// Products with unchanged activations are exact but for f32 sums.
pub fn f32_products_are_right(isa: InstructionSet, shapes: &[(usize, usize)], tokens: &[usize]) {
    let mut random = Random::new(3);
    for ty in GgmlType::decodable() {
        for &(rows, cols) in shapes {
            if ty.row_bytes(cols as u64).is_none() {
                continue;
            }
            let weights = Weights::random(ty, rows, cols, &mut random);
            let matrix = weights.pack(isa);
            for &n_tokens in tokens {
                let x = random.values(n_tokens * cols);
                let expected = products(&weights, &x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
                let found = multiply(&matrix, &x, Form::F32, isa);
                for (i, (found, (expected, size))) in found.iter().zip(&expected).enumerate() {
                    let error = (f64::from(*found) - expected).abs();
                    assert!(
                        error <= 1e-6 * size,
                        "{isa} {ty} [{rows}, {cols}] × {n_tokens}: element {i} is {found}, not {expected} (terms of {size})"
                    );
                }
            }
        }
    }
}

/// The largest codes times the largest activations, of either sign: nothing saturates.
pub fn extremes_do_not_saturate(isa: InstructionSet) {
    let (rows, cols) = (17, 512);
    for &ty in GgmlType::QUANTIZED {
        for fill in [0xff, 0x7f, 0x80, 0x00] {
            let mut bytes = vec![fill; rows * ty.row_bytes(cols as u64).expect("whole blocks") as usize];
            for block in bytes.chunks_exact_mut(ty.block_bytes() as usize) {
                for at in f16_places(ty) {
                    block[at..at + 2].copy_from_slice(&[0x00, 0x3c]); // 1.0
                }
            }
            let weights = Weights::new(ty, rows, cols, bytes);
            let matrix = weights.pack(isa);
            for signs in [[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]] {
                for (n_tokens, code_bytes) in [(1, 1), (5, 1), (1, 2), (5, 2)] {
                    let x: Vec<f32> = (0..n_tokens * cols).map(|i| signs[i % 2]).collect();
                    let expected = products(&weights, &rounded(&x, code_bytes));
                    let found = multiply(&matrix, &x, Form::Bytes(code_bytes), isa);
                    for (found, (expected, size)) in found.iter().zip(&expected) {
                        assert!(
                            (f64::from(*found) - expected).abs() <= 1e-6 * size.max(1.0),
                            "{isa} {ty} of {fill:#x} × {signs:?}: {found}, not {expected}"
                        );
                    }
                }
            }
        }
    }
}

/// Activations that are not finite make products NaN, and zeros make zeros.
pub fn bad_activations_are_seen(isa: InstructionSet) {
    let mut random = Random::new(4);
    let weights = Weights::random(GgmlType::Q4_0, 20, 64, &mut random);
    let matrix = weights.pack(isa);
    for (n_tokens, form) in [1, 3].into_iter().flat_map(|n| [(n, Form::Bytes(1)), (n, Form::Bytes(2))]) {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = random.values(n_tokens * 64);
            x[40] = bad;
            let found = multiply(&matrix, &x, form, isa);
            assert!(found[..20].iter().all(|y| y.is_nan()), "{isa}: {bad} gives {:?}", &found[..20]);
            assert!(found[20..].iter().all(|y| y.is_finite()), "{isa}: {bad} reaches other tokens");
        }
        for small in [0.0, -0.0, 1e-40] {
            let found = multiply(&matrix, &vec![small; n_tokens * 64], form, isa);
            assert!(found.iter().all(|y| y.abs() < 1e-30), "{isa}: {small:e} gives {found:?}");
        }
    }
}

/// A row with a scale that is not finite makes its own products NaN and no others, until it is written again.
pub fn bad_weights_are_seen(isa: InstructionSet) {
    let (rows, cols, bad_row) = (40, 512, 21);
    let mut random = Random::new(6);
    for &ty in GgmlType::QUANTIZED {
        let weights = Weights::random(ty, rows, cols, &mut random);
        let row_bytes = weights.bytes.len() / rows;
        let good = &weights.bytes[bad_row * row_bytes..][..row_bytes];
        let places = f16_places(ty).into_iter().flat_map(|at| [at, row_bytes - ty.block_bytes() as usize + at]);
        for (at, bits) in places.zip([0x7c00u16, 0xfc00, 0x7e01, 0xfe00]) {
            let mut bad = good.to_vec();
            bad[at..at + 2].copy_from_slice(&bits.to_le_bytes());
            let mut matrix = weights.pack(isa);
            matrix.write_rows(bad_row, &bad);
            let mut row = vec![0; row_bytes];
            matrix.read_row(bad_row, &mut row);
            assert_eq!(row, bad, "{isa} {ty}");
            for (n_tokens, form) in [1, 5].into_iter().flat_map(|n| [(n, Form::Bytes(2)), (n, Form::F32)]) {
                let x = random.values(n_tokens * cols);
                let expected = multiply(&weights.pack(isa), &x, form, isa);
                let found = multiply(&matrix, &x, form, isa);
                for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    let is_right = if i % rows == bad_row { found.is_nan() } else { found == expected };
                    assert!(is_right, "{isa} {ty}, {bits:#x}: {found}, row {} of token {}", i % rows, i / rows);
                }
                let mut mended = weights.pack(isa);
                mended.write_rows(bad_row, &bad);
                mended.write_rows(bad_row, good);
                assert_eq!(multiply(&mended, &x, form, isa), expected, "{isa} {ty}");
            }
        }
    }
}

/// Some rows of a matrix, from within a row block to within another, in two parts.
pub fn row_ranges_are_right(isa: InstructionSet) {
    let mut random = Random::new(5);
    let weights = Weights::random(GgmlType::Q5_0, 100, 96, &mut random);
    let matrix = weights.pack(isa);
    let x = random.values(3 * 96);
    let whole = multiply(&matrix, &x, Form::Bytes(1), isa);
    let mut acts = Activations::new(isa);
    acts.fill(&x, 3, 96, true, true);
    for rows in [0..100, 5..37, 40..41, 16..32, 63..100] {
        let n = rows.len();
        let row_blocks = matrix.row_blocks(rows.clone());
        let middle = row_blocks.start + row_blocks.len() / 2;
        let mut out = vec![f32::INFINITY; 3 * n];
        for row_blocks in [row_blocks.start..middle, middle..row_blocks.end] {
            // SAFETY: `out` is [3, n].
            unsafe { matrix.multiply(&acts, Precision::Rounded, rows.clone(), row_blocks, out.as_mut_ptr(), n) };
        }
        for t in 0..3 {
            let expected: Vec<u32> = whole[t * 100..][rows.clone()].iter().map(|y| y.to_bits()).collect();
            let found: Vec<u32> = out[t * n..][..n].iter().map(|y| y.to_bits()).collect();
            assert_eq!(found, expected, "{isa}: rows {rows:?} of token {t}");
        }
    }
}

/// Selections of rows that together are all rows of the result. Products have the bits that they would have if the
/// selected rows were copied to a matrix of their own, and no others are written.
pub fn selected_rows_are_right(isa: InstructionSet) {
    let mut random = Random::new(7);
    let (rows, cols, n) = (33, 544, 42);
    let weights = Weights::random(GgmlType::Q4_1, rows, cols, &mut random);
    let matrix = weights.pack(isa);
    let x = random.values(n * cols);
    // A gap and what is in it; rows in no order, as experts choose them.
    let gaps = [0..0, 0..7, 5..40, 30..42, 0..42];
    let of_gap = |gap: Range<usize>| [(0..gap.start).chain(gap.end..n).collect(), gap.collect::<Vec<_>>()];
    let shuffled: Vec<usize> = (0..n).map(|i| i * 11 % n).collect();
    let in_no_order = [shuffled[..5].to_vec(), shuffled[5..].to_vec()];
    let selections = gaps.into_iter().map(of_gap).chain([in_no_order]).flatten().filter(|rows| !rows.is_empty());
    for (selected, rows_per_input, bytes) in
        selections.flat_map(|rows| [(1, 1), (3, 1), (3, 2)].map(|(shared, bytes)| (rows.clone(), shared, bytes)))
    {
        let copies: Vec<f32> =
            selected.iter().flat_map(|row| &x[row / rows_per_input * cols..][..cols]).copied().collect();
        let products = multiply(&matrix, &copies, Form::Bytes(bytes), isa);
        let mut expected = vec![f32::INFINITY; n * rows];
        for (row, products) in selected.iter().zip(products.chunks_exact(rows)) {
            expected[row * rows..][..rows].copy_from_slice(products);
        }
        let mut out = vec![f32::INFINITY; n * rows];
        let mut acts = Activations::with_bytes(isa, bytes);
        let filler = acts.prepare(selected.iter().copied(), rows_per_input, cols, true, false);
        // SAFETY: `x` has all rows, `out` is [n, rows], and there are no other threads.
        unsafe {
            filler.fill(x.as_ptr(), 0..filler.n_panels());
            matrix.multiply(&acts, Precision::Rounded, 0..rows, matrix.row_blocks(0..rows), out.as_mut_ptr(), rows);
        }
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&out), bits(&expected), "{isa}: {selected:?}, {rows_per_input} for each input, {bytes} bytes");
    }
}

fn nmse(expected: &[(f64, f64)], found: &[f32]) -> f64 {
    let error: f64 = expected.iter().zip(found).map(|((e, _), &f)| (e - f64::from(f)).powi(2)).sum();
    error / expected.iter().map(|(e, _)| e.powi(2)).sum::<f64>()
}
