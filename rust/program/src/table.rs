//! Tables computed on the host in f64 and stored as f32, because WGSL's `sin` and `cos` are too coarse.

use std::collections::TryReserveError;

/// A host-made table, `[n_ctx, cols]` f32.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Table {
    /// Cosines and sines of rotary position embeddings.
    Rope(RopeTable),
}

/// Row `p` holds `cos, sin` pairs of the angles `p · inv_freq[i]`, times `magnitude`.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeTable {
    /// Angle per position of each pair, `[n_rot / 2]`.
    pub inv_freq: Vec<f64>,
    /// Factor on cosine and sine (YaRN's and LongRoPE's attention factor; 1 for most models).
    pub magnitude: f64,
}

impl RopeTable {
    /// Standard frequencies `theta^(−2i / n_rot)`, each divided by `scale` and by its factor, if there are any.
    pub fn new(theta: f64, n_rot: u32, scale: f64, factors: Option<&[f32]>) -> Self {
        let inv_freq = (0..n_rot / 2)
            .map(|i| {
                let factor = factors.map_or(1.0, |f| f64::from(f[i as usize]));
                theta.powf(-2.0 * f64::from(i) / f64::from(n_rot)) / (scale * factor)
            })
            .collect();
        RopeTable { inv_freq, magnitude: 1.0 }
    }

    /// Columns rotated in each head.
    pub fn n_rot(&self) -> u32 {
        2 * self.inv_freq.len() as u32
    }

    /// Appends the row of one position: `cos₀, sin₀, cos₁, sin₁, …`.
    pub fn push_row(&self, position: u32, out: &mut Vec<f32>) {
        for freq in &self.inv_freq {
            let (sin, cos) = (f64::from(position) * freq).sin_cos();
            out.extend([(cos * self.magnitude) as f32, (sin * self.magnitude) as f32]);
        }
    }
}

impl Table {
    /// Columns.
    pub fn cols(&self) -> u32 {
        match self {
            Table::Rope(rope) => rope.n_rot(),
        }
    }

    /// Rows `0..n_rows`, row-major.
    ///
    /// # Errors
    /// If memory cannot be had.
    pub fn rows(&self, n_rows: u32) -> Result<Vec<f32>, TryReserveError> {
        let mut out = Vec::new();
        out.try_reserve_exact((n_rows as usize).saturating_mul(self.cols() as usize))?;
        match self {
            Table::Rope(rope) => (0..n_rows).for_each(|position| rope.push_row(position, &mut out)),
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_zero_turns_nothing() {
        let table = RopeTable::new(10_000.0, 8, 1.0, None);
        assert_eq!(Table::Rope(table).rows(1).unwrap(), [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn factors_and_scale_divide_the_frequency() {
        let plain = RopeTable::new(10_000.0, 4, 1.0, None);
        let scaled = RopeTable::new(10_000.0, 4, 2.0, Some(&[1.0, 4.0]));
        assert_eq!(scaled.inv_freq, [plain.inv_freq[0] / 2.0, plain.inv_freq[1] / 8.0]);
    }
}
