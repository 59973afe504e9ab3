//! Rotary positions beyond the length that a model was first trained for: what the metadata says, as the reference
//! reads it, and the tables that follow from it.

use chord_program::RopeTable;

use crate::ModelError;
use crate::keys::{Keys, MAX_CTX};

/// YaRN's ramp begins at the pair that turns this often within the original length ...
const BETA_FAST: f32 = 32.0;
/// ... and ends at the one that turns this often.
const BETA_SLOW: f32 = 1.0;
/// Real files have at most 64, and attention factors near 1.
const MAX_FACTOR: f64 = 1e6;
/// Real files have at most 1e9.
const MAX_THETA: f64 = 1e12;

/// The base of the frequencies under `name`, if the file has one. Zero means absent.
pub(crate) fn theta(keys: &Keys<'_>, name: &str) -> Result<Option<f64>, ModelError> {
    Ok(keys.optional_number(name, 0.0, MAX_THETA)?.filter(|&theta| theta > 0.0))
}

/// Values of YaRN keys that are ignored, unless they equal the ones in use: see [`Yarn`].
pub(crate) fn notes(keys: &Keys<'_>) -> Vec<String> {
    // Each key with the value in use, and the value that llama.cpp writes where the key is not set.
    let unread = [
        ("rope.scaling.yarn_beta_fast", BETA_FAST, None),
        ("rope.scaling.yarn_beta_slow", BETA_SLOW, None),
        ("rope.scaling.yarn_ext_factor", 1.0, Some(-1.0)),
        ("rope.scaling.yarn_log_multiplier", 0.0, None),
    ];
    if !matches!(keys.optional_text("rope.scaling.type"), Ok(Some("yarn"))) {
        return Vec::new();
    }
    let others = unread.into_iter().filter_map(|(name, holds, unset)| {
        let found = keys.get(name)?.as_f64()? as f32;
        let is_other = found != holds && Some(found) != unset;
        is_other.then(|| format!("{} = {found} is ignored; {holds} is used, as in llama.cpp", keys.key(name)))
    });
    others.collect()
}

/// How the rotation is stretched beyond the length that it was first trained for.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RopeScaling {
    /// The divisor of positions (`rope.scaling.factor`); 1 without scaling.
    pub factor: f64,
    /// Factor on cosines and sines (`rope.scaling.attn_factor`), of every type of scaling.
    pub attn_factor: f64,
    /// The ramp of YaRN; without it every pair is stretched alike.
    pub yarn: Option<Yarn>,
}

/// YaRN: fast pairs keep their frequency, slow ones are stretched, with a ramp between them
/// (<https://arxiv.org/abs/2309.00071>).
///
/// The reference reads `rope.scaling.yarn_beta_fast`, `yarn_beta_slow`, `yarn_ext_factor`, `yarn_attn_factor` and
/// `yarn_log_multiplier` for a few architectures, none of which is supported yet. For all others it uses its defaults
/// whatever the file says, and so does this crate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Yarn {
    /// Positions first trained for (`rope.scaling.original_context_length`).
    pub n_ctx_orig: u32,
    /// Turns within the original length of the last pair that keeps its frequency.
    pub beta_fast: f32,
    /// Turns within the original length of the first pair that is stretched in full.
    pub beta_slow: f32,
}

impl RopeScaling {
    /// Reads the keys of any architecture. A factor or a length of zero means absent.
    pub(crate) fn from_keys(keys: &Keys<'_>, n_ctx_train: u32) -> Result<Self, ModelError> {
        // Early files have only `rope.scale_linear`. It does not replace a factor of zero.
        let name = if keys.get("rope.scaling.factor").is_some() { "rope.scaling.factor" } else { "rope.scale_linear" };
        let factor = keys.optional_number(name, 0.0, MAX_FACTOR)?;
        let attn_factor = keys.optional_number("rope.scaling.attn_factor", 0.0, MAX_FACTOR)?;
        let n_ctx_orig = keys.optional_count("rope.scaling.original_context_length", MAX_CTX)?;
        let or_one = |factor: Option<f64>| factor.filter(|&f| f > 0.0).unwrap_or(1.0);
        let linear = RopeScaling { factor: or_one(factor), attn_factor: or_one(attn_factor), yarn: None };
        let name = "rope.scaling.type";
        match keys.optional_text(name)? {
            None | Some("linear") => Ok(linear),
            Some("none") => Ok(RopeScaling { factor: 1.0, ..linear }),
            Some("yarn") => Ok(RopeScaling { yarn: Some(Yarn::new(n_ctx_orig.unwrap_or(n_ctx_train))), ..linear }),
            Some(other) => Err(ModelError::UnsupportedValue { key: keys.key(name), value: other.to_owned() }),
        }
    }

    /// The table of layers whose positions are divided by `divisor`: [`RopeScaling::factor`], or 1 for layers that are
    /// not stretched. `factors` divide the frequencies of the `n_rot / 2` pairs beforehand.
    pub fn table(&self, theta: f64, n_rot: u32, divisor: f64, factors: Option<&[f32]>) -> RopeTable {
        let Some(yarn) = self.yarn else {
            return RopeTable { magnitude: self.attn_factor, ..RopeTable::new(theta, n_rot, divisor, factors) };
        };
        let mut table = RopeTable::new(theta, n_rot, 1.0, factors);
        for (freq, kept) in table.inv_freq.iter_mut().zip(yarn.kept(theta, n_rot)) {
            *freq *= (1.0 - kept) / divisor + kept;
        }
        // With a factor below 1, layers divided by it do not grow; those with another divisor grow relative to them.
        table.magnitude = self.attn_factor * growth(self.factor.max(1.0)) * growth(divisor) / growth(self.factor);
        table
    }
}

/// How much longer queries and keys become where positions are divided by `divisor`.
fn growth(divisor: f64) -> f64 {
    1.0 + 0.1 * divisor.ln()
}

impl Yarn {
    fn new(n_ctx_orig: u32) -> Self {
        Yarn { n_ctx_orig, beta_fast: BETA_FAST, beta_slow: BETA_SLOW }
    }

    /// For each pair the share of its frequency that is kept, from 1 for fast ones to 0 for slow ones.
    fn kept(self, theta: f64, n_rot: u32) -> impl Iterator<Item = f64> {
        let low = self.pair_of_turns(self.beta_fast, theta, n_rot).floor().max(0.0);
        let high = self.pair_of_turns(self.beta_slow, theta, n_rot).ceil().min(n_rot as f32 - 1.0);
        let width = (high - low).max(0.001);
        (0..n_rot / 2).map(move |pair| f64::from(1.0 - ((pair as f32 - low) / width).clamp(0.0, 1.0)))
    }

    /// The pair, as a fraction, that turns `turns` times within the original length. In f32, because the reference
    /// rounds the result to whole pairs.
    fn pair_of_turns(self, turns: f32, theta: f64, n_rot: u32) -> f32 {
        let turns_of_first = self.n_ctx_orig as f32 / (turns * 2.0 * std::f32::consts::PI);
        n_rot as f32 * turns_of_first.ln() / (2.0 * (theta as f32).ln())
    }
}
