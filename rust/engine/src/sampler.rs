//! From logits to the next token.
//!
//! The chain, in this order: repetition penalty, top-k, top-p, min-p, temperature, draw. Temperature comes last, so
//! that what top-p and min-p cut away does not depend on it (the reference's order).

use std::cmp::Ordering;

use crate::rng::uniform;
use crate::{EngineError, Sampling};

/// A token that may be drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Candidate {
    id: u32,
    logit: f32,
}

/// Best first; the lower id among equals.
fn best_first(a: &Candidate, b: &Candidate) -> Ordering {
    b.logit.total_cmp(&a.logit).then(a.id.cmp(&b.id))
}

/// Draws tokens for one request. Draw `n` depends on the seed, `n`, the logits and the recent tokens, and on nothing
/// else.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    seed: u64,
    drawn: u32,
    candidates: Vec<Candidate>,
}

impl Sampler {
    /// A sampler at its first draw.
    pub fn new(sampling: Sampling, seed: u64) -> Result<Self, EngineError> {
        sampling.check()?;
        Ok(Sampler { sampling, seed, drawn: 0, candidates: Vec::new() })
    }

    /// The sampler after `drawn` draws, for an answer that goes on.
    pub(crate) fn after(self, drawn: u32) -> Self {
        Sampler { drawn, ..self }
    }

    /// Chooses from `logits` `[n_vocab]`, given the tokens so far. Logits that are not finite are an error.
    pub fn sample(&mut self, logits: &[f32], history: &[u32]) -> Result<u32, EngineError> {
        if let Some(id) = logits.iter().position(|logit| !logit.is_finite()) {
            return Err(EngineError::BadLogits { token: id as u32, value: logits[id] });
        }
        self.candidates.clear();
        self.candidates.extend((0..).zip(logits).map(|(id, &logit)| Candidate { id, logit }));
        if self.sampling.has_penalty() {
            self.penalize(history);
        }
        let number = self.drawn;
        self.drawn += 1;
        if self.sampling.temperature == 0.0 {
            let best = self.candidates.iter().min_by(|a, b| best_first(a, b));
            return best.map(|c| c.id).ok_or(EngineError::Internal("no logits to choose from".into()));
        }
        self.keep_top_k();
        self.keep_top_p();
        self.keep_min_p();
        Ok(self.draw(uniform(self.seed, number)))
    }

    fn penalize(&mut self, history: &[u32]) {
        let recent = &history[history.len().saturating_sub(self.sampling.repeat_last_n as usize)..];
        for (index, &id) in recent.iter().enumerate() {
            let seen_before = recent[..index].contains(&id);
            if let Some(candidate) = self.candidates.get_mut(id as usize).filter(|_| !seen_before) {
                let penalty = self.sampling.repeat_penalty as f32;
                candidate.logit =
                    if candidate.logit > 0.0 { candidate.logit / penalty } else { candidate.logit * penalty };
            }
        }
    }

    fn keep_top_k(&mut self) {
        let k = self.sampling.top_k as usize;
        if k > 0 && k < self.candidates.len() {
            self.candidates.select_nth_unstable_by(k - 1, best_first);
            self.candidates.truncate(k);
            self.candidates.sort_unstable_by(best_first);
        }
    }

    /// Sorts only as many candidates as it takes to reach the probability: a vocabulary of 262,144 is never sorted
    /// whole unless its distribution is flat.
    fn keep_top_p(&mut self) {
        const FIRST_SORTED: usize = 64;
        if self.sampling.top_p >= 1.0 {
            return;
        }
        let max = self.max_logit();
        let weight = |c: &Candidate| f64::from(c.logit - max).exp();
        let enough = self.sampling.top_p * self.candidates.iter().map(weight).sum::<f64>();
        let (mut sorted, mut reached) = (0, 0.0);
        let mut step = FIRST_SORTED;
        while sorted < self.candidates.len() {
            let rest = &mut self.candidates[sorted..];
            let n = step.min(rest.len());
            if n < rest.len() {
                rest.select_nth_unstable_by(n - 1, best_first);
            }
            rest[..n].sort_unstable_by(best_first);
            for index in sorted..sorted + n {
                reached += weight(&self.candidates[index]);
                if reached >= enough {
                    self.candidates.truncate(index + 1);
                    return;
                }
            }
            sorted += n;
            step *= 4;
        }
    }

    fn keep_min_p(&mut self) {
        if self.sampling.min_p > 0.0 {
            let floor = self.max_logit() + self.sampling.min_p.ln() as f32;
            self.candidates.retain(|c| c.logit >= floor);
        }
    }

    fn max_logit(&self) -> f32 {
        self.candidates.iter().map(|c| c.logit).fold(f32::NEG_INFINITY, f32::max)
    }

    /// The candidate at which the running sum of probabilities passes `u`.
    fn draw(&self, u: f64) -> u32 {
        let max = self.max_logit();
        let temperature = self.sampling.temperature;
        let weight = |c: &Candidate| (f64::from(c.logit - max) / temperature).exp();
        let mut left = u * self.candidates.iter().map(weight).sum::<f64>();
        for candidate in &self.candidates {
            left -= weight(candidate);
            if left < 0.0 {
                return candidate.id;
            }
        }
        // Rounding can leave a remainder beyond the last candidate.
        self.candidates.iter().rfind(|c| weight(c) > 0.0).map_or(0, |c| c.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RawNumber, SamplingEach};

    const LOGITS: [f32; 6] = [1.0, 3.0, 2.0, -1.0, 2.5, 0.0];

    fn draws(sampling: Sampling, seed: u64, n: u32) -> Vec<u32> {
        let mut sampler = Sampler::new(sampling, seed).unwrap();
        (0..n).map(|_| sampler.sample(&LOGITS, &[]).unwrap()).collect()
    }

    /// Probabilities by the definition: `exp(logit / temperature)` over the kept ids, normalized.
    fn softmax(kept: &[u32], temperature: f64) -> Vec<(u32, f64)> {
        let weights: Vec<f64> = kept.iter().map(|&id| (f64::from(LOGITS[id as usize]) / temperature).exp()).collect();
        let sum: f64 = weights.iter().sum();
        kept.iter().copied().zip(weights.iter().map(|w| w / sum)).collect()
    }

    /// Draws 20,000 times; `limit` is the chi-square value that one fair sampler in a thousand exceeds.
    fn assert_distribution(sampling: Sampling, kept: &[u32], limit: f64) {
        const N: u32 = 20_000;
        let drawn = draws(sampling, 42, N);
        assert!(drawn.iter().all(|id| kept.contains(id)), "drew a token that was cut away");
        let chi_square: f64 = softmax(kept, sampling.temperature)
            .iter()
            .map(|&(id, p)| {
                let expected = p * f64::from(N);
                (drawn.iter().filter(|&&d| d == id).count() as f64 - expected).powi(2) / expected
            })
            .sum();
        assert!(chi_square < limit, "chi-square {chi_square} for {sampling:?}");
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let base = Sampling { temperature: 1.0, ..Sampling::GREEDY };
        assert_distribution(base, &[0, 1, 2, 3, 4, 5], 20.5);
        assert_distribution(Sampling { temperature: 0.7, ..base }, &[0, 1, 2, 3, 4, 5], 20.5);
        assert_distribution(Sampling { top_k: 3, ..base }, &[1, 4, 2], 13.8);
        // Probabilities, best first: 0.455 (id 1), 0.276 (4), 0.167 (2), 0.062 (0), 0.023 (5), 0.008 (3).
        assert_distribution(Sampling { top_p: 0.7, ..base }, &[1, 4], 10.8);
        assert_distribution(Sampling { top_p: 0.75, temperature: 1.5, ..base }, &[1, 4, 2], 13.8);
        // exp(2.5 − 3) = 0.61, exp(2 − 3) = 0.37, exp(1 − 3) = 0.14 of the best.
        assert_distribution(Sampling { min_p: 0.3, ..base }, &[1, 4, 2], 13.8);
        assert_distribution(Sampling { min_p: 0.1, ..base }, &[0, 1, 2, 4], 16.3);
    }

    #[test]
    fn a_seed_gives_the_same_draws_again_and_another_seed_others() {
        let sampling = Sampling { temperature: 1.0, ..Sampling::GREEDY };
        assert_eq!(draws(sampling, 5, 50), draws(sampling, 5, 50));
        assert_ne!(draws(sampling, 5, 50), draws(sampling, 6, 50));
    }

    #[test]
    fn greedy_takes_the_lowest_id_among_the_best() {
        let mut sampler = Sampler::new(Sampling::GREEDY, 0).unwrap();
        assert_eq!(sampler.sample(&[0.0, 2.0, -1.0, 2.0], &[]).unwrap(), 1);
    }

    #[test]
    fn the_penalty_acts_once_per_token_on_the_last_n() {
        let sampling = Sampling { repeat_penalty: 1.5, repeat_last_n: 2, ..Sampling::GREEDY };
        let mut sampler = Sampler::new(sampling, 0).unwrap();
        // 3 / 1.5 = 2 < 2.5; a second division would not change the choice, but a missing one would.
        assert_eq!(sampler.sample(&LOGITS, &[1, 1]).unwrap(), 4);
        assert_eq!(sampler.sample(&LOGITS, &[1, 0, 0]).unwrap(), 1, "token 1 is out of reach");
        assert_eq!(sampler.sample(&[1.9, 2.5], &[1, 1]).unwrap(), 0);
        assert_eq!(sampler.sample(&[1.2, 2.5], &[1, 1]).unwrap(), 1, "penalized twice");
        assert_eq!(sampler.sample(&[-1.0, -1.2], &[0]).unwrap(), 1, "negative logits are multiplied");
    }

    #[test]
    fn logits_that_are_not_finite_are_an_error() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for sampling in [Sampling::GREEDY, Sampling { temperature: 1.0, ..Sampling::GREEDY }] {
                let error = Sampler::new(sampling, 0).unwrap().sample(&[0.0, value, 1.0], &[]).unwrap_err();
                assert_eq!(error.code(), "bad-logits");
            }
        }
    }

    #[test]
    fn a_top_p_of_0_leaves_only_the_most_likely_token() {
        let sampling = Sampling { temperature: 1.0, top_p: 0.0, ..Sampling::GREEDY };
        assert!(draws(sampling, 1, 100).iter().all(|&id| id == 1));
        assert!(sampling.is_plain_greedy(), "no logits need to be brought back for it");
        assert!(!Sampling { repeat_penalty: 1.1, ..sampling }.is_plain_greedy());
    }

    /// `base` with each field in turn at its bounds, and at values between them.
    fn each_field_changed(base: Sampling) -> impl Iterator<Item = (&'static str, Vec<Sampling>)> {
        Sampling::FIELDS.into_list().into_iter().map(move |field| {
            let with = |value: f64| {
                let mut given = serde_json::to_value(base).unwrap();
                given[field.name] = value.into();
                serde_json::from_value::<SamplingEach<RawNumber>>(given).unwrap().check().ok()
            };
            (field.name, [field.least, 0.1, 0.5, 1.0, 2.0, field.most].into_iter().filter_map(with).collect())
        })
    }

    fn draws_after(history: &[u32], sampling: Sampling) -> Vec<u32> {
        let mut sampler = Sampler::new(sampling, 42).unwrap();
        (0..100).map(|_| sampler.sample(&LOGITS, history).unwrap()).collect()
    }

    #[test]
    fn every_field_changes_some_draw() {
        let base = Sampling { temperature: 1.0, repeat_penalty: 2.0, ..Sampling::GREEDY };
        for (field, changed) in each_field_changed(base) {
            let has_effect = changed.iter().any(|&sampling| draws_after(&[1], sampling) != draws_after(&[1], base));
            assert!(has_effect, "{field} has no effect");
        }
    }

    #[test]
    fn what_the_device_chooses_alone_is_what_the_sampler_would_choose() {
        for base in [Sampling::GREEDY, Sampling { temperature: 1.0, top_p: 0.0, ..Sampling::GREEDY }] {
            let changed = each_field_changed(base).flat_map(|(_, changed)| changed);
            for sampling in changed.filter(Sampling::is_plain_greedy) {
                assert!(draws_after(&[1], sampling).iter().all(|&id| id == 1), "{sampling:?}");
            }
        }
    }

    #[test]
    fn numbers_out_of_range_make_no_sampler() {
        let sampling = Sampling { min_p: 1.5, ..Sampling::GREEDY };
        assert_eq!(Sampler::new(sampling, 0).unwrap_err().code(), "invalid-argument");
    }

    /// Top-k and top-p over a large vocabulary, against sorting it whole.
    #[test]
    fn large_vocabularies_keep_what_a_full_sort_would_keep() {
        let logits: Vec<f32> = (0..262_144u32).map(|i| (uniform(3, i) * 12.0) as f32).collect();
        let mut order: Vec<u32> = (0..logits.len() as u32).collect();
        order.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b)));
        let total: f64 = logits.iter().map(|&l| f64::from(l - 12.0).exp()).sum();
        for (top_k, top_p) in [(50, 1.0), (5000, 1.0), (0, 0.001), (0, 0.2), (1000, 0.5)] {
            let sampling = Sampling { temperature: 1.0, top_k, top_p, ..Sampling::GREEDY };
            let mut sampler = Sampler::new(sampling, 1).unwrap();
            sampler.sample(&logits, &[]).unwrap();
            let of: &[u32] = if top_k > 0 { &order[..top_k as usize] } else { &order };
            let weight = |id: u32| f64::from(logits[id as usize] - 12.0).exp();
            let sum = if top_k > 0 { of.iter().map(|&id| weight(id)).sum() } else { total };
            let mut reached = 0.0;
            let enough = |&&id: &&u32| {
                let more = reached < sum * top_p;
                reached += weight(id);
                more
            };
            let expected: Vec<u32> = of.iter().take_while(enough).copied().collect();
            let mut kept: Vec<u32> = sampler.candidates.iter().map(|c| c.id).collect();
            kept.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b)));
            // The sums are added in different orders; at the edge they may differ by one token.
            assert!(kept.len().abs_diff(expected.len()) <= 1, "{} kept, {} expected", kept.len(), expected.len());
            let n = kept.len().min(expected.len());
            assert_eq!(kept[..n], expected[..n]);
        }
    }
}
