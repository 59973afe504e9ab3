//! Measures of the distance between a result and the reference's.

use std::fmt;

use crate::golden::{Chat, Golden};

/// Whole model, f32 activations, f32 KV cache: largest NMSE of the logits.
pub const NMSE_F32_KV: f64 = 1e-6;
/// Whole model, f32 activations, f16 KV cache: largest NMSE of the logits.
pub const NMSE_F16_KV: f64 = 1e-5;
/// With f32 activations the choice must agree wherever the reference's margin is above this.
pub const MARGIN: f32 = 0.02;
/// With 8-bit activations the choice must agree wherever the reference's margin is above this.
pub const MARGIN_INT8: f32 = 0.1;

/// Normalised mean squared error: `Σ (expected − actual)² / Σ expected²`, in f64.
///
/// 0 where both are all zero. Infinite where only the expected values are, and where the result is not finite while
/// the expectation is, so that NaN never passes for small.
///
/// # Panics
/// If the lengths differ.
pub fn nmse(expected: &[f32], actual: &[f32]) -> f64 {
    assert_eq!(expected.len(), actual.len(), "expected and actual values differ in number");
    Energy::of(expected, actual, 0.0, 0.0).nmse()
}

/// [`nmse`] over rows of `n_cols`, with each row's mean subtracted first: soft-max does not see a constant added to a
/// row of logits.
///
/// # Panics
/// If the lengths differ or are not whole rows.
pub fn nmse_of_rows(expected: &[f32], actual: &[f32], n_cols: usize) -> f64 {
    compare_logits(expected, actual, n_cols).nmse
}

/// Squares summed over a row or several.
#[derive(Clone, Copy, Debug, Default)]
struct Energy {
    error: f64,
    expected: f64,
}

impl Energy {
    fn of(expected: &[f32], actual: &[f32], expected_mean: f64, actual_mean: f64) -> Self {
        let mut energy = Energy::default();
        for (&e, &a) in expected.iter().zip(actual) {
            let (e, a) = (f64::from(e) - expected_mean, f64::from(a) - actual_mean);
            energy.error += (e - a) * (e - a);
            energy.expected += e * e;
        }
        energy
    }

    fn of_centred_row(expected: &[f32], actual: &[f32]) -> Self {
        Energy::of(expected, actual, mean(expected), mean(actual))
    }

    fn add(&mut self, row: Energy) {
        self.error += row.error;
        self.expected += row.expected;
    }

    fn nmse(self) -> f64 {
        if self.error == 0.0 {
            0.0
        } else if self.error.is_finite() && self.expected > 0.0 {
            self.error / self.expected
        } else {
            f64::INFINITY
        }
    }
}

fn mean(row: &[f32]) -> f64 {
    row.iter().map(|&v| f64::from(v)).sum::<f64>() / row.len().max(1) as f64
}

/// The index of the largest value, the first of equals. NaN is never the largest.
fn argmax(row: &[f32]) -> u32 {
    let mut best = 0;
    for (index, &value) in row.iter().enumerate() {
        if value > row[best] || row[best].is_nan() {
            best = index;
        }
    }
    best as u32
}

/// A position where the choice differs although the reference's margin is above the limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArgmaxMismatch {
    /// The position, or the row where positions are not known.
    pub position: usize,
    /// The reference's choice.
    pub expected: u32,
    /// Ours.
    pub found: u32,
    /// The reference's margin.
    pub margin: f32,
}

/// How logits compare with the reference's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogitsReport {
    /// NMSE over all rows that were compared, each with its mean subtracted.
    pub nmse: f64,
    /// Rows whose logits were compared.
    pub rows: usize,
    /// The row with the largest NMSE (its position, if positions are known), and that NMSE.
    pub worst_row: Option<(usize, f64)>,
    /// Largest difference of a logit.
    pub max_difference: f32,
    /// Logits that are NaN or infinite.
    pub non_finite: usize,
    /// Positions whose choice was compared.
    pub choices: usize,
    /// Choices that differ although the margin is above the limit.
    pub argmax_mismatches: Vec<ArgmaxMismatch>,
    /// Choices that differ where the margin is at most the limit.
    pub close_calls: usize,
}

impl LogitsReport {
    /// Whether all logits are finite, the NMSE is at most `max_nmse`, and no choice differs above the margin.
    pub fn is_within(&self, max_nmse: f64) -> bool {
        self.nmse <= max_nmse && self.non_finite == 0 && self.argmax_mismatches.is_empty()
    }

    /// # Panics
    /// With the whole report, unless [`LogitsReport::is_within`] `max_nmse`.
    #[track_caller]
    pub fn assert_within(&self, max_nmse: f64, what: &str) {
        assert!(self.is_within(max_nmse), "{what}: {self} (NMSE limit {max_nmse:e})");
    }
}

impl fmt::Display for LogitsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NMSE {:.3e} over {} rows", self.nmse, self.rows)?;
        if let Some((row, nmse)) = self.worst_row {
            write!(f, ", worst {nmse:.3e} at {row}")?;
        }
        write!(f, ", largest difference {:.3e}", self.max_difference)?;
        if self.non_finite > 0 {
            write!(f, ", {} not finite", self.non_finite)?;
        }
        if self.choices > 0 {
            let wrong = self.argmax_mismatches.len();
            write!(f, ", {wrong} of {} choices wrong, {} too close to call", self.choices, self.close_calls)?;
        }
        if let Some(first) = self.argmax_mismatches.first() {
            let ArgmaxMismatch { position, expected, found, margin } = first;
            write!(f, " (first at {position}: {found} for {expected}, margin {margin})")?;
        }
        Ok(())
    }
}

/// Compares rows of logits, `[n_rows, n_vocab]`, with the reference's. The choice of each row is compared too, with
/// margins from the expected logits.
///
/// # Panics
/// If the lengths differ or are not whole rows.
pub fn compare_logits(expected: &[f32], actual: &[f32], n_vocab: usize) -> LogitsReport {
    assert_eq!(expected.len(), actual.len(), "expected and actual logits differ in number");
    assert!(n_vocab > 0 && expected.len().is_multiple_of(n_vocab), "logits are not whole rows of {n_vocab}");
    let mut measure = Measure::default();
    for (row, (expected, actual)) in expected.chunks(n_vocab).zip(actual.chunks(n_vocab)).enumerate() {
        let best = argmax(expected);
        let second = expected.iter().enumerate().filter(|&(i, _)| i as u32 != best).map(|(_, &v)| v);
        let margin = expected[best as usize] - second.fold(f32::NEG_INFINITY, f32::max);
        measure.row(row, expected, actual);
        measure.choice(row, best, margin, argmax(actual), MARGIN);
    }
    measure.report()
}

/// Compares a run over a golden's tokens with it, row by row as they come: choices at every position, logits at those
/// that the golden stores. Nothing larger than the golden's own logits is held.
#[derive(Clone, Debug)]
pub struct LogitsComparison<'a> {
    golden: &'a Golden,
    logits: Vec<f32>,
    margin: f32,
    measure: Measure,
}

impl<'a> LogitsComparison<'a> {
    /// For a run with f32 activations; see [`LogitsComparison::with_margin`].
    ///
    /// # Panics
    /// If the golden's logits cannot be read.
    pub fn new(golden: &'a Golden) -> Self {
        LogitsComparison { golden, logits: golden.logits(), margin: MARGIN, measure: Measure::default() }
    }

    /// Sets the margin above which choices must agree.
    pub fn with_margin(mut self, margin: f32) -> Self {
        self.margin = margin;
        self
    }

    /// Takes the logits after the token at `position`. Positions may come in any order, and some may be left out.
    ///
    /// # Panics
    /// If the position is not the golden's or the row is not as long as its vocabulary.
    pub fn row(&mut self, position: usize, logits: &[f32]) {
        let golden = self.golden;
        assert_eq!(logits.len(), golden.n_vocab, "the row at {position} is not as long as the vocabulary");
        let (expected, margin) = (golden.argmax[position], golden.margin[position]);
        self.measure.choice(position, expected, margin, argmax(logits), self.margin);
        match golden.positions.binary_search(&position) {
            Ok(row) => {
                let expected = &self.logits[row * golden.n_vocab..][..golden.n_vocab];
                self.measure.row(position, expected, logits);
            }
            Err(_) => self.measure.non_finite += logits.iter().filter(|v| !v.is_finite()).count(),
        }
    }

    /// Takes rows for the positions from `first` on, `[n_rows, n_vocab]`.
    ///
    /// # Panics
    /// As [`LogitsComparison::row`].
    pub fn rows(&mut self, first: usize, logits: &[f32]) {
        for (i, row) in logits.chunks(self.golden.n_vocab).enumerate() {
            self.row(first + i, row);
        }
    }

    /// The comparison of the rows so far.
    pub fn report(&self) -> LogitsReport {
        self.measure.report()
    }
}

#[derive(Clone, Debug, Default)]
struct Measure {
    energy: Energy,
    rows: usize,
    worst_row: Option<(usize, f64)>,
    max_difference: f32,
    non_finite: usize,
    choices: usize,
    mismatches: Vec<ArgmaxMismatch>,
    close_calls: usize,
}

impl Measure {
    fn row(&mut self, position: usize, expected: &[f32], actual: &[f32]) {
        let energy = Energy::of_centred_row(expected, actual);
        self.energy.add(energy);
        self.rows += 1;
        if self.worst_row.is_none_or(|(_, worst)| energy.nmse() > worst) {
            self.worst_row = Some((position, energy.nmse()));
        }
        for (e, a) in expected.iter().zip(actual) {
            self.max_difference = self.max_difference.max((e - a).abs());
            self.non_finite += usize::from(!a.is_finite());
        }
    }

    fn choice(&mut self, position: usize, expected: u32, margin: f32, found: u32, limit: f32) {
        self.choices += 1;
        if expected == found {
            return;
        }
        if margin > limit {
            self.mismatches.push(ArgmaxMismatch { position, expected, found, margin });
        } else {
            self.close_calls += 1;
        }
    }

    fn report(&self) -> LogitsReport {
        LogitsReport {
            nmse: self.energy.nmse(),
            rows: self.rows,
            worst_row: self.worst_row,
            max_difference: self.max_difference,
            non_finite: self.non_finite,
            choices: self.choices,
            argmax_mismatches: self.mismatches.clone(),
            close_calls: self.close_calls,
        }
    }
}

/// How a greedy continuation compares with the reference's.
#[derive(Clone, Debug, PartialEq)]
pub struct GreedyReport {
    /// Steps that agree from the start on.
    pub equal: usize,
    /// Steps that must agree: all before the first whose margin is at most the limit.
    pub required: usize,
    /// The first step that differs: the reference's token and ours (`None` where ours has ended).
    pub first_difference: Option<(u32, Option<u32>)>,
}

impl GreedyReport {
    /// Whether every step that must agree does.
    pub fn is_ok(&self) -> bool {
        self.equal >= self.required
    }
}

impl Chat {
    /// Compares a greedy continuation: it must agree up to the first step whose margin is at most `margin`, from
    /// where on either choice is right and the texts may part. Tokens past the reference's are ignored.
    pub fn compare_greedy(&self, found: &[u32], margin: f32) -> GreedyReport {
        let required = self.margin.iter().position(|&m| m <= margin).unwrap_or(self.greedy.len());
        let equal = self.greedy.iter().zip(found).take_while(|(expected, found)| expected == found).count();
        let first_difference = self.greedy.get(equal).map(|&expected| (expected, found.get(equal).copied()));
        GreedyReport { equal, required, first_difference }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_added_to_a_row_is_not_an_error_of_logits() {
        let expected = [1.0, 2.0, 3.0, -1.0, 0.0, 4.0];
        let shifted = [11.0, 12.0, 13.0, -2.0, -1.0, 3.0];
        assert_eq!(nmse_of_rows(&expected, &shifted, 3), 0.0);
        assert!(nmse(&expected, &shifted) > 1.0);
    }

    #[test]
    fn nmse_is_the_ratio_of_squares() {
        assert_eq!(nmse(&[3.0, 4.0], &[3.0, 5.0]), 1.0 / 25.0);
        assert_eq!(nmse(&[0.0; 3], &[0.0; 3]), 0.0);
        assert_eq!(nmse(&[0.0; 3], &[0.0, 1e-9, 0.0]), f64::INFINITY);
    }

    #[test]
    fn nan_never_passes() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(nmse(&[1.0, 2.0], &[1.0, bad]), f64::INFINITY);
            let report = compare_logits(&[1.0, 2.0, 0.0, 1.0], &[1.0, 2.0, 0.0, bad], 2);
            assert_eq!(report.non_finite, 1);
            assert!(!report.is_within(f64::INFINITY));
        }
    }

    #[test]
    fn one_bad_row_is_named() {
        let expected: Vec<f32> = (0..300).map(|i| (i as f32 * 0.7).sin() * 5.0).collect();
        let mut actual = expected.clone();
        actual[217] += 0.3;
        let report = compare_logits(&expected, &actual, 100);
        assert_eq!(report.worst_row.unwrap().0, 2);
        assert!(report.nmse > 0.0 && (report.max_difference - 0.3).abs() < 1e-5);
    }

    #[test]
    fn choices_count_only_above_the_margin() {
        let expected = [1.0, 1.01, 0.0, 5.0, 1.0, 0.0];
        let actual = [1.01, 1.0, 0.0, 1.0, 5.0, 0.0];
        let report = compare_logits(&expected, &actual, 3);
        assert_eq!(report.close_calls, 1);
        let mismatch = ArgmaxMismatch { position: 1, expected: 0, found: 1, margin: 4.0 };
        assert_eq!(report.argmax_mismatches, [mismatch]);
    }

    #[test]
    fn greedy_texts_may_part_at_a_narrow_step() {
        let chat = Chat {
            prompt: String::new(),
            rendered: None,
            tokens: vec![1],
            greedy: vec![5, 6, 7, 8],
            margin: vec![1.0, 0.5, 0.01, 2.0],
            text: String::new(),
        };
        assert!(chat.compare_greedy(&[5, 6, 7, 8], MARGIN).is_ok());
        assert!(chat.compare_greedy(&[5, 6, 9, 9], MARGIN).is_ok());
        let early = chat.compare_greedy(&[5, 9, 7, 8], MARGIN);
        assert_eq!((early.is_ok(), early.first_difference), (false, Some((6, Some(9)))));
        assert!(!chat.compare_greedy(&[5], MARGIN).is_ok());
    }
}
