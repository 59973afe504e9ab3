//! Two real models against the reference's numbers: a short prefix by default, everything with `CHORD_FULL=1`.

mod support;

use std::time::Instant;

use chord_program::KvType;
use chord_testkit::compare::{MARGIN, NMSE_F16_KV, NMSE_F32_KV};
use chord_testkit::{Golden, Trace};
use support::{compare_logits, compare_trace, executor, greedy, lower, open, options};

fn is_full() -> bool {
    std::env::var_os("CHORD_FULL").is_some_and(|value| value == "1")
}

/// Logits and choices of the golden's first `quick` positions, or of all.
fn check_logits(name: &str, quick: usize, kv_types: &[(KvType, f64)]) {
    let golden = Golden::named(name);
    let file = open(&golden.model);
    let n = if is_full() { golden.tokens.len() } else { quick };
    for &(kv_type, limit) in kv_types {
        let mut executor = executor(&file, lower(&file, &options(kv_type, golden.n_ctx)));
        let start = Instant::now();
        let report = compare_logits(&mut executor, &golden, n, 64);
        println!("{name}, {kv_type:?} KV, {n} positions in {:.1?}: {report}", start.elapsed());
        assert!(report.rows > 0, "{name}: none of the first {n} positions has stored logits");
        report.assert_within(limit, &format!("{name}, {kv_type:?} KV"));
    }
}

fn check_greedy(name: &str, quick: usize) {
    let golden = Golden::named(name);
    let file = open(&golden.model);
    let mut executor = executor(&file, lower(&file, &options(KvType::F32, golden.n_ctx)));
    for chat in &golden.chats {
        let n = if is_full() { chat.greedy.len() } else { quick.min(chat.greedy.len()) };
        let start = Instant::now();
        let found = greedy(&mut executor, &chat.tokens, n);
        println!("{name}: {n} tokens after {} in {:.1?}", chat.tokens.len(), start.elapsed());
        let mut report = chat.compare_greedy(&found, MARGIN);
        report.required = report.required.min(n);
        assert!(report.is_ok(), "{name}, {:?}: {report:?}", chat.prompt);
    }
}

/// The reference looks GELU up in a table of half-precision values; ours is exact. Rounded in the same way, our Gemma
/// activations come within 4e-7 of the reference's; left as they are, within this.
const NMSE_GELU_TABLE: f64 = 2e-6;

fn check_trace(name: &str, limit: f64) {
    let golden = Golden::named(name);
    let file = open(&golden.model);
    let mut executor = executor(&file, lower(&file, &options(KvType::F32, golden.n_ctx)));
    let compared = compare_trace(&mut executor, &Trace::load(&golden.trace_path()));
    let worst = compared.iter().max_by(|a, b| a.2.total_cmp(&b.2)).expect("buffers with the reference's names");
    println!("{name}: {} buffers, worst {} {:.2e}", compared.len(), worst.1, worst.2);
    for (op, buffer, nmse) in &compared {
        assert!(*nmse <= limit, "{name}: op {op} ({buffer}): NMSE {nmse:e}");
    }
}

const BOTH: [(KvType, f64); 2] = [(KvType::F32, NMSE_F32_KV), (KvType::F16, NMSE_F16_KV)];

#[test]
fn smollm2_logits() {
    check_logits("smollm2-135m-instruct.q4_1", 64, &BOTH);
}

#[test]
fn smollm2_greedy() {
    check_greedy("smollm2-135m-instruct.q4_1", 12);
}

#[test]
#[ignore = "needs the larger set of results: CHORD_GOLDEN"]
fn smollm2_trace() {
    check_trace("smollm2-135m-instruct.q4_1", NMSE_F32_KV);
}

#[test]
#[ignore = "needs the larger set of results: CHORD_GOLDEN"]
fn gemma3_logits() {
    check_logits("gemma-3-270m.q4_k_m", 16, &BOTH);
}

#[test]
#[ignore = "needs the larger set of results: CHORD_GOLDEN"]
fn gemma3_greedy() {
    check_greedy("gemma-3-270m.q4_k_m", 8);
}

#[test]
#[ignore = "needs the larger set of results: CHORD_GOLDEN"]
fn gemma3_trace() {
    check_trace("gemma-3-270m.q4_k_m", NMSE_GELU_TABLE);
}

/// 1,455 tokens, all of them only with `CHORD_FULL=1`.
#[test]
#[ignore = "needs the larger set of results: CHORD_GOLDEN"]
fn smollm2_long() {
    check_logits("smollm2-long", 16, &BOTH[..1]);
}

/// 1,427 tokens, beyond the window of 512.
#[test]
#[ignore = "needs the larger set of results: CHORD_GOLDEN"]
fn gemma3_long() {
    check_logits("gemma-3-long", 16, &BOTH[..1]);
}
