//! The bookkeeping of caches and the decode loop, on the fake executor.

use std::cell::RefCell;
use std::rc::Rc;

use pollster::block_on;

use crate::fake::{FakeExecutor, FakeState, N_VOCAB, continuation};
use crate::runner::Runner;
use crate::token_run::{Flow, RunEnd, RunObserver, RunReport, TokenRequest};
use crate::{CancelFlag, EngineError, PromptProgress, Sampling};

const SAMPLED: Sampling = Sampling { temperature: 1.0, ..Sampling::GREEDY };
/// Takes the path through logits and still chooses the best token.
const GREEDY_FROM_LOGITS: Sampling = Sampling { top_k: 1, ..SAMPLED };

fn runner(n_ctx: u32, n_seq: u32, max_batch: u32) -> (Runner, Rc<RefCell<FakeState>>) {
    let (executor, state) = FakeExecutor::with_state(n_ctx, n_seq, max_batch);
    (Runner::new(executor, || 0.0), state)
}

fn prompt(n: u32) -> Vec<u32> {
    (0..n).map(|i| (i * 7 + 3) % N_VOCAB).collect()
}

/// Stops after a number of tokens; raises the cancel flag after a number of tokens or chunks.
#[derive(Default)]
struct Script {
    stop_after: Option<usize>,
    cancel_after_tokens: Option<usize>,
    cancel_after_chunks: Option<usize>,
    cancel: CancelFlag,
    tokens: usize,
    progress: Vec<PromptProgress>,
}

impl RunObserver for Script {
    fn prompt(&mut self, progress: PromptProgress) {
        self.progress.push(progress);
        if self.cancel_after_chunks == Some(self.progress.len()) {
            self.cancel.cancel();
        }
    }
    fn token(&mut self, _: u32) -> Result<Flow, EngineError> {
        self.tokens += 1;
        if self.cancel_after_tokens == Some(self.tokens) {
            self.cancel.cancel();
        }
        Ok(if self.stop_after == Some(self.tokens) { Flow::Stop } else { Flow::Continue })
    }
}

fn run_script(runner: &mut Runner, request: TokenRequest<'_>, script: &mut Script) -> Result<RunReport, EngineError> {
    let cancel = script.cancel.clone();
    block_on(runner.generate(request, &cancel, script, &mut async || {}))
}

fn request(prompt: &[u32], max_tokens: u32, sampling: Sampling) -> TokenRequest<'_> {
    TokenRequest { sequence: 0, prompt, sampling, seed: 1, drawn: 0, max_tokens: Some(max_tokens) }
}

fn generate(runner: &mut Runner, prompt: &[u32], n: u32, sampling: Sampling) -> RunReport {
    run_script(runner, request(prompt, n, sampling), &mut Script::default()).unwrap()
}

/// The runner's record of the cache matches the executor's cache.
fn assert_books(runner: &Runner, state: &Rc<RefCell<FakeState>>) {
    assert_eq!(runner.cached(0), state.borrow().cache[0]);
}

#[test]
fn greedy_tokens_are_the_same_on_the_device_and_from_logits_however_ids_arrive() {
    for (sampling, in_bulk, late, max_batch) in [
        (Sampling::GREEDY, false, false, 64),
        (Sampling::GREEDY, true, false, 7),
        (Sampling::GREEDY, true, true, 1),
        (Sampling::GREEDY, false, true, 5),
        (GREEDY_FROM_LOGITS, false, false, 64),
        (GREEDY_FROM_LOGITS, false, true, 3),
    ] {
        let (mut runner, state) = runner(128, 1, max_batch);
        (state.borrow_mut().in_bulk, state.borrow_mut().late) = (in_bulk, late);
        let report = generate(&mut runner, &prompt(20), 30, sampling);
        assert_eq!(report.tokens, continuation(&prompt(20), 30));
        assert_eq!((report.end, report.reused), (RunEnd::Length, 0));
        assert_books(&runner, &state);
    }
}

#[test]
fn the_prompt_is_computed_in_chunks_and_progress_says_so() {
    let (mut runner, state) = runner(128, 1, 8);
    let mut script = Script::default();
    run_script(&mut runner, request(&prompt(20), 1, Sampling::GREEDY), &mut script).unwrap();
    assert_eq!(state.borrow().prefills, [4, 8, 8]);
    assert_eq!(script.progress.iter().map(|p| p.processed).collect::<Vec<_>>(), [4, 12, 20]);
    assert!(script.progress.iter().all(|p| p.total == 20 && p.cached == 0));
}

#[test]
fn a_second_turn_computes_only_what_is_new() {
    for sampling in [Sampling::GREEDY, GREEDY_FROM_LOGITS] {
        let (mut runner, state) = runner(256, 1, 16);
        let first = generate(&mut runner, &prompt(20), 10, sampling);
        let mut turn = prompt(20);
        turn.extend(&first.tokens);
        turn.extend([5, 6, 7]);
        let computed = state.borrow().computed;
        let second = generate(&mut runner, &turn, 10, sampling);
        // The last token of the first turn was chosen and never computed.
        assert_eq!(second.reused, 29);
        assert_eq!(second.tokens, continuation(&turn, 10));
        assert_eq!(state.borrow().computed - computed, 4 + 9);
        assert_books(&runner, &state);
    }
}

#[test]
fn a_prompt_that_departs_from_the_cache_is_cut_there() {
    let (mut runner, state) = runner(256, 1, 16);
    generate(&mut runner, &prompt(20), 10, Sampling::GREEDY);
    let mut other = prompt(12);
    other.extend([1, 1, 1]);
    let report = generate(&mut runner, &other, 8, Sampling::GREEDY);
    assert_eq!((report.reused, report.tokens), (12, continuation(&other, 8)));
    assert_books(&runner, &state);
}

#[test]
fn the_same_prompt_again_computes_its_last_token_only() {
    let (mut runner, state) = runner(256, 1, 16);
    let first = generate(&mut runner, &prompt(20), 5, Sampling::GREEDY);
    let again = generate(&mut runner, &prompt(20), 5, Sampling::GREEDY);
    assert_eq!((again.reused, &again.tokens), (19, &first.tokens));
    assert_books(&runner, &state);
}

#[test]
fn a_sequence_starts_afresh_where_a_ring_has_lost_what_a_cut_needs() {
    let (mut runner, state) = runner(256, 1, 16);
    generate(&mut runner, &prompt(20), 10, Sampling::GREEDY);
    state.borrow_mut().floor = 15;
    let mut other = prompt(12);
    other.extend([1, 1, 1]);
    let report = generate(&mut runner, &other, 8, Sampling::GREEDY);
    assert_eq!((report.reused, report.tokens), (0, continuation(&other, 8)));
    assert_books(&runner, &state);
}

#[test]
fn steps_ahead_stay_within_the_limit_and_their_surplus_is_cut_off() {
    for stop_after in 1..=9 {
        for in_bulk in [false, true] {
            let (mut runner, state) = runner(256, 1, 16);
            state.borrow_mut().in_bulk = in_bulk;
            let mut script = Script { stop_after: Some(stop_after), ..Script::default() };
            let report = run_script(&mut runner, request(&prompt(20), 50, Sampling::GREEDY), &mut script).unwrap();
            assert_eq!(report.end, RunEnd::Stopped);
            assert_eq!(report.tokens, continuation(&prompt(20), stop_after));
            assert!(state.borrow().most_ahead <= crate::LOOK_AHEAD as usize);
            assert!(state.borrow().most_ahead > 1, "nothing ran ahead");
            assert_books(&runner, &state);
            // The cache holds the prompt and the tokens that the caller has seen.
            let mut seen = prompt(20);
            seen.extend(&report.tokens);
            assert!(seen.starts_with(runner.cached(0)));
            assert!(runner.cached(0).len() >= 20 + stop_after - 1);
            seen.push(9);
            assert_eq!(generate(&mut runner, &seen, 6, Sampling::GREEDY).tokens, continuation(&seen, 6));
        }
    }
}

#[test]
fn no_step_is_enqueued_beyond_the_tokens_wanted() {
    for n in 0..8 {
        let (mut runner, state) = runner(256, 1, 64);
        let report = generate(&mut runner, &prompt(20), n, Sampling::GREEDY);
        assert_eq!(report.tokens, continuation(&prompt(20), n as usize));
        assert_eq!(state.borrow().computed, 20 + n.saturating_sub(1) as usize);
        assert_books(&runner, &state);
        let report = generate(&mut runner, &prompt(21), n, GREEDY_FROM_LOGITS);
        assert_eq!(report.tokens.len(), n as usize);
        assert_books(&runner, &state);
    }
}

#[test]
fn a_full_context_ends_the_run() {
    for sampling in [Sampling::GREEDY, GREEDY_FROM_LOGITS] {
        let (mut runner, state) = runner(24, 1, 16);
        let report = generate(&mut runner, &prompt(20), 50, sampling);
        assert_eq!(report.end, RunEnd::Length);
        assert_eq!(report.tokens, continuation(&prompt(20), 5), "the fifth token needs no position");
        assert_books(&runner, &state);
        assert_eq!(generate(&mut runner, &prompt(24), 50, sampling).tokens.len(), 1);
    }
}

#[test]
fn prompts_that_cannot_be_run_are_refused_with_both_numbers() {
    let (mut runner, _) = runner(24, 1, 16);
    let error = run_script(&mut runner, request(&prompt(25), 1, SAMPLED), &mut Script::default()).unwrap_err();
    assert_eq!(error.code(), "prompt-too-long");
    assert!(error.to_string().contains("25") && error.to_string().contains("24"), "{error}");
    let error = run_script(&mut runner, request(&[], 1, SAMPLED), &mut Script::default()).unwrap_err();
    assert_eq!(error.code(), "empty-prompt");
    let error = run_script(&mut runner, request(&[1, 64], 1, SAMPLED), &mut Script::default()).unwrap_err();
    assert_eq!(error.code(), "invalid-argument");
    let other = TokenRequest { sequence: 1, ..request(&[1], 1, SAMPLED) };
    assert_eq!(run_script(&mut runner, other, &mut Script::default()).unwrap_err().code(), "invalid-argument");
}

#[test]
fn a_run_can_be_cancelled_between_tokens() {
    for sampling in [Sampling::GREEDY, GREEDY_FROM_LOGITS] {
        let (mut runner, state) = runner(256, 1, 16);
        let mut script = Script { cancel_after_tokens: Some(3), ..Script::default() };
        let report = run_script(&mut runner, request(&prompt(20), 50, sampling), &mut script).unwrap();
        assert_eq!((report.end, report.tokens), (RunEnd::Cancelled, continuation(&prompt(20), 3)));
        assert_books(&runner, &state);
        assert_eq!(generate(&mut runner, &prompt(20), 9, sampling).tokens, continuation(&prompt(20), 9));
    }
}

#[test]
fn a_run_can_be_cancelled_between_chunks_and_keeps_those_that_are_done() {
    for sampling in [Sampling::GREEDY, GREEDY_FROM_LOGITS] {
        let (mut runner, state) = runner(256, 1, 8);
        let mut script = Script { cancel_after_chunks: Some(2), ..Script::default() };
        let report = run_script(&mut runner, request(&prompt(80), 50, sampling), &mut script).unwrap();
        assert_eq!((report.end, report.tokens), (RunEnd::Cancelled, vec![]));
        assert_books(&runner, &state);
        assert_eq!(runner.cached(0), &prompt(80)[..16]);
        let report = generate(&mut runner, &prompt(80), 9, sampling);
        assert_eq!((report.reused, report.tokens), (16, continuation(&prompt(80), 9)));
    }
}

#[test]
fn after_a_failed_or_dropped_run_the_next_one_is_right() {
    for fail_at in 1..8 {
        let (mut runner, state) = runner(256, 1, 8);
        state.borrow_mut().fail_at = Some(fail_at);
        let failed = run_script(&mut runner, request(&prompt(30), 9, Sampling::GREEDY), &mut Script::default());
        assert_eq!(failed.unwrap_err().code(), "device");
        let report = generate(&mut runner, &prompt(30), 9, Sampling::GREEDY);
        assert_eq!((report.reused, report.tokens), (0, continuation(&prompt(30), 9)));
        assert_books(&runner, &state);
    }

    for sampling in [Sampling::GREEDY, GREEDY_FROM_LOGITS] {
        for polls in 1..20 {
            let (mut runner, state) = runner(256, 1, 8);
            state.borrow_mut().late = true;
            {
                let (cancel, mut script) = (CancelFlag::new(), Script::default());
                let mut pause = async || {};
                let dropped = runner.generate(request(&[1; 30], 9, sampling), &cancel, &mut script, &mut pause);
                let mut dropped = std::pin::pin!(dropped);
                let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
                for _ in 0..polls {
                    if dropped.as_mut().poll(&mut cx).is_ready() {
                        break;
                    }
                }
            }
            let report = generate(&mut runner, &[1; 30], 9, sampling);
            assert_eq!(report.tokens, continuation(&[1; 30], 9));
            assert_books(&runner, &state);
        }
    }
}

#[test]
fn sequences_keep_their_caches_apart() {
    let (mut runner, _) = runner(256, 2, 8);
    generate(&mut runner, &prompt(20), 5, Sampling::GREEDY);
    let mut on_second = |tokens: &[u32]| {
        let request = TokenRequest { sequence: 1, ..request(tokens, 5, Sampling::GREEDY) };
        run_script(&mut runner, request, &mut Script::default()).unwrap()
    };
    let report = on_second(&prompt(12));
    assert_eq!((report.reused, report.tokens), (0, continuation(&prompt(12), 5)));
    assert_eq!(on_second(&prompt(20)).reused, 12);
}

#[test]
fn seeds_make_runs_reproducible() {
    let draw = |seed| {
        let (mut runner, _) = runner(256, 1, 8);
        let request = TokenRequest { seed, ..request(&[1, 2, 3], 40, SAMPLED) };
        run_script(&mut runner, request, &mut Script::default()).unwrap().tokens
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
}

#[test]
fn logits_that_are_not_numbers_end_the_run_with_an_error() {
    for poison in [f32::NAN, f32::INFINITY] {
        let (mut runner, state) = runner(256, 1, 8);
        state.borrow_mut().poison = Some(poison);
        let failed = run_script(&mut runner, request(&[1, 2, 3], 4, SAMPLED), &mut Script::default());
        assert!(matches!(failed, Err(EngineError::BadLogits { token: 3, .. })));
    }
}

#[test]
fn logits_of_all_positions_come_in_chunks() {
    let (mut runner, state) = runner(256, 1, 8);
    let tokens = prompt(21);
    let mut best = Vec::new();
    let mut on_rows = |first: usize, rows: &[f32]| {
        assert_eq!(first, best.len());
        for row in rows.chunks(N_VOCAB as usize) {
            best.push((0..N_VOCAB).max_by(|&a, &b| row[a as usize].total_cmp(&row[b as usize])).unwrap());
        }
        Ok(())
    };
    block_on(runner.logits(&tokens, &CancelFlag::new(), &mut on_rows, &mut async || {})).unwrap();
    let expected: Vec<u32> = (1..=21).map(|n| continuation(&tokens[..n], 1)[0]).collect();
    assert_eq!(best, expected);
    assert_eq!(state.borrow().prefills, [8, 8, 5]);
    assert_books(&runner, &state);
}
