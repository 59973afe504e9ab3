//! What the executor promises: order, batches, cuts, sequences, refusals.

mod support;

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use chord_cpu::{CpuExecutor, CpuOptions};
use chord_gguf::GgmlType;
use chord_model::BuildOptions;
use chord_program::{Batch, ExecError, Executor, KvType, Want, WeightId, WeightSink};
use support::{executor, greedy, logits, lower, open, wait};

const LLAMA: &str = "llama.Q4_0.gguf";
const GEMMA: &str = "gemma3.Q4_K_M.gguf";

/// A model of the goldens, small enough to run in milliseconds.
fn tiny(name: &str, change: impl FnOnce(&mut BuildOptions)) -> CpuExecutor {
    let file = open(name);
    let mut options = BuildOptions { n_ctx: Some(256), kv_type: KvType::F32, ..BuildOptions::default() };
    change(&mut options);
    executor(&file, lower(&file, &options))
}

fn tokens(n: usize) -> Vec<u32> {
    (0..n as u32).map(|i| (i * 37 + 11) % 512).collect()
}

fn prefill(executor: &mut CpuExecutor, ids: &[u32], start: u32, seq: u32, want: Want) -> Result<(), ExecError> {
    let pos: Vec<u32> = (start..).take(ids.len()).collect();
    let batch = Batch { ids, pos: &pos, seq: &vec![seq; ids.len()], out_rows: &[ids.len() as u32 - 1] };
    executor.enqueue_prefill(&batch, want)
}

fn all_ids(executor: &mut CpuExecutor) -> Vec<u32> {
    let mut ids = Vec::new();
    loop {
        let before = ids.len();
        wait(|cx| executor.poll_ids(cx, &mut ids)).expect("ids");
        if ids.len() == before {
            return ids;
        }
    }
}

#[test]
fn any_division_of_a_prompt_into_batches_gives_the_same_logits() {
    for name in [LLAMA, GEMMA] {
        let mut executor = tiny(name, |_| ());
        let prompt = tokens(40);
        let whole = logits(&mut executor, 0, &prompt);
        for chunk in [1, 2, 3, 5, 16, 39] {
            let mut parts = Vec::new();
            for start in (0..prompt.len()).step_by(chunk) {
                parts.extend(logits(&mut executor, start, &prompt[start..(start + chunk).min(prompt.len())]));
            }
            let error = chord_testkit::nmse(&whole, &parts);
            assert!(error <= 1e-10, "{name} in batches of {chunk}: {error:e}");
        }
    }
}

#[test]
fn decoding_equals_prefilling_what_was_decoded() {
    let mut executor = tiny(LLAMA, |_| ());
    let prompt = tokens(9);
    let decoded = greedy(&mut executor, &prompt, 12);
    let mut all = prompt.clone();
    for &id in &decoded {
        executor.truncate(0, 0).expect("a fresh start");
        let n_vocab = executor.program().n_vocab as usize;
        let logits = logits(&mut executor, 0, &all);
        let last = &logits[logits.len() - n_vocab..];
        assert_eq!(chord_cpu::reference::argmax(last), Some(id), "after {} tokens", all.len());
        all.push(id);
    }
    assert_eq!(executor.counters().tokens, 11);
}

#[test]
fn one_poll_runs_one_step() {
    let mut executor = tiny(LLAMA, |_| ());
    let prompt = tokens(12);
    prefill(&mut executor, &prompt[..6], 0, 0, Want::Nothing).unwrap();
    prefill(&mut executor, &prompt[6..], 6, 0, Want::Ids).unwrap();
    executor.enqueue_decode(0, 2).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let mut ids = Vec::new();
    assert_eq!(executor.counters().submits, 0, "nothing runs before it is polled");
    assert!(executor.poll_ids(&mut cx, &mut ids).is_pending(), "the first batch gives no id");
    for n in 1..=3 {
        assert_eq!(executor.poll_ids(&mut cx, &mut ids), Poll::Ready(Ok(())));
        assert_eq!((ids.len(), executor.counters().submits), (n, 1 + n as u64));
    }
    assert_eq!(executor.poll_ids(&mut cx, &mut ids), Poll::Ready(Ok(())));
    assert_eq!(ids.len(), 3, "nothing is outstanding");
}

#[test]
fn batches_that_want_nothing_run_when_polled() {
    let mut executor = tiny(LLAMA, |_| ());
    let prompt = tokens(12);
    prefill(&mut executor, &prompt[..6], 0, 0, Want::Nothing).unwrap();
    prefill(&mut executor, &prompt[6..], 6, 0, Want::Nothing).unwrap();
    assert!(all_ids(&mut executor).is_empty());
    assert_eq!(executor.counters().submits, 2);
    let after = logits(&mut executor, 12, &[5]);
    let mut prompt = prompt;
    prompt.push(5);
    let whole = logits(&mut executor, 0, &prompt);
    assert!(chord_testkit::nmse(&whole[12 * 512..], &after) <= 1e-10);
}

#[test]
fn a_cut_forgets_what_came_after() {
    for name in [LLAMA, GEMMA] {
        let mut executor = tiny(name, |_| ());
        let expected = greedy(&mut executor, &tokens(10), 5);
        executor.truncate(0, 10).expect("within the look-ahead");
        // Decode ahead, drop that, and continue differently from position 7 on.
        prefill(&mut executor, &[1, 2, 3], 10, 0, Want::Ids).unwrap();
        executor.enqueue_decode(0, 3).unwrap();
        executor.truncate(0, 7).expect("within the look-ahead");
        assert!(all_ids(&mut executor).is_empty(), "ids not polled are dropped");
        prefill(&mut executor, &tokens(10)[7..], 7, 0, Want::Ids).unwrap();
        executor.enqueue_decode(0, 4).unwrap();
        assert_eq!(all_ids(&mut executor), expected, "{name}");
    }
}

#[test]
fn a_cut_does_not_run_what_it_undoes() {
    let mut executor = tiny(LLAMA, |_| ());
    prefill(&mut executor, &tokens(4), 0, 0, Want::Ids).unwrap();
    executor.enqueue_decode(0, 50).unwrap();
    executor.truncate(0, 6).unwrap();
    assert_eq!(executor.counters().tokens, 2);
    assert!(matches!(executor.enqueue_decode(0, 1), Err(ExecError::BadBatch(_))), "the choice was cut off");
}

#[test]
fn sequences_interleave_without_touching_each_other() {
    for name in [LLAMA, GEMMA] {
        let mut executor = tiny(name, |o| o.n_seq_max = 3);
        let prompts = [tokens(5), tokens(23), vec![7, 7, 7]];
        let alone: Vec<Vec<u32>> = prompts
            .iter()
            .map(|prompt| {
                executor.truncate(0, 0).unwrap();
                greedy(&mut executor, prompt, 6)
            })
            .collect();
        executor.truncate(0, 0).unwrap();
        // All prompts in one batch, their tokens mixed; then decoding alternately.
        let mut mixed: Vec<(u32, u32, u32)> = (0..3u32)
            .flat_map(|s| prompts[s as usize].iter().enumerate().map(move |(p, &id)| (p as u32, s, id)))
            .collect();
        mixed.sort();
        let pos: Vec<u32> = mixed.iter().map(|m| m.0).collect();
        let seq: Vec<u32> = mixed.iter().map(|m| m.1).collect();
        let ids: Vec<u32> = mixed.iter().map(|m| m.2).collect();
        let last = |s: u32| mixed.iter().rposition(|m| m.1 == s).unwrap() as u32;
        let batch = Batch { ids: &ids, pos: &pos, seq: &seq, out_rows: &[last(2), last(0), last(1)] };
        executor.enqueue_prefill(&batch, Want::Ids).unwrap();
        for _ in 0..5 {
            [2, 0, 1].into_iter().for_each(|s| executor.enqueue_decode(s, 1).unwrap());
        }
        let found = all_ids(&mut executor);
        for (turn, s) in [2usize, 0, 1].into_iter().enumerate() {
            let of_sequence: Vec<u32> = found.iter().skip(turn).step_by(3).copied().collect();
            assert_eq!(of_sequence, alone[s], "{name}, sequence {s}");
        }
    }
}

#[test]
fn a_ring_refuses_cuts_that_need_overwritten_keys() {
    // Window 16, batches of 8, 16 positions of look-ahead: a ring of 40.
    let mut executor = tiny(GEMMA, |o| o.max_batch = 8);
    assert_eq!(executor.program().slots[0].capacity, 40);
    assert_eq!(executor.program().slots[5].capacity, 256);
    let prompt = tokens(100);
    let expected = greedy(&mut executor, &prompt, 4);
    let floor = executor.program().truncate_floor(103);
    assert_eq!(executor.truncate(0, floor - 1), Err(ExecError::CannotTruncate { seq: 0, wanted: floor - 1, floor }));
    executor.truncate(0, 90).unwrap();
    // A second cut is judged by what was written before the first.
    assert!(executor.truncate(0, floor - 1).is_err());
    executor.truncate(0, floor).unwrap();
    for (index, ids) in prompt[floor as usize..].chunks(8).enumerate() {
        prefill(&mut executor, ids, floor + 8 * index as u32, 0, Want::Ids).unwrap();
    }
    executor.enqueue_decode(0, 3).unwrap();
    let found = all_ids(&mut executor);
    assert_eq!(found[found.len() - 4..], expected);
    executor.truncate(0, 0).expect("a fresh start is always possible");
}

#[test]
fn segments_one_by_one_give_the_same_logits() {
    let mut executor = tiny(GEMMA, |_| ());
    let ids = tokens(20);
    let expected = logits(&mut executor, 0, &ids);
    executor.truncate(0, 0).unwrap();
    let rows: Vec<u32> = (0..20).collect();
    let batch = Batch { ids: &ids, pos: &rows, seq: &[0; 20], out_rows: &rows };
    assert!(executor.run_segment(1, &batch).is_err(), "a layer before the embedding");
    for segment in 0..executor.program().segments.len() {
        executor.run_segment(segment, &batch).unwrap();
    }
    let mut found = Vec::new();
    wait(|cx| executor.poll_logits(cx, &mut found)).unwrap();
    assert_eq!(found, expected);
    assert!(executor.run_segment(99, &batch).is_err());
}

#[test]
fn bad_batches_are_refused_and_change_nothing() {
    let mut executor = tiny(LLAMA, |o| (o.max_batch, o.max_outputs) = (16, 2));
    let bad = |executor: &mut CpuExecutor, ids: &[u32], pos: &[u32], seq: &[u32], rows: &[u32]| {
        let batch = Batch { ids, pos, seq, out_rows: rows };
        assert!(matches!(executor.enqueue_prefill(&batch, Want::Logits), Err(ExecError::BadBatch(_))));
    };
    bad(&mut executor, &[], &[], &[], &[]);
    bad(&mut executor, &[512], &[0], &[0], &[0]);
    bad(&mut executor, &[1], &[1], &[0], &[0]);
    bad(&mut executor, &[1, 2], &[0, 2], &[0, 0], &[0]);
    bad(&mut executor, &[1, 2], &[0, 0], &[0, 0], &[0]);
    bad(&mut executor, &[1], &[256], &[0], &[0]);
    bad(&mut executor, &[1], &[0], &[1], &[0]);
    bad(&mut executor, &[1], &[0], &[0], &[1]);
    bad(&mut executor, &[1, 2], &[0], &[0, 0], &[0]);
    bad(&mut executor, &[1; 17], &(0..17).collect::<Vec<_>>(), &[0; 17], &[0]);
    bad(&mut executor, &[1, 2, 3], &[0, 1, 2], &[0; 3], &[0, 1, 2]);
    assert!(matches!(executor.enqueue_decode(0, 1), Err(ExecError::BadBatch(_))), "nothing was chosen");
    assert!(matches!(executor.enqueue_decode(9, 1), Err(ExecError::BadBatch(_))));
    assert!(matches!(executor.truncate(0, 1), Err(ExecError::BadBatch(_))));
    assert!(matches!(executor.truncate(9, 0), Err(ExecError::BadBatch(_))));
    let mut none = Vec::new();
    assert!(matches!(wait(|cx| executor.poll_logits(cx, &mut none)), Err(ExecError::BadBatch(_))));
    prefill(&mut executor, &tokens(4), 0, 0, Want::Ids).expect("the first position is still free");
    assert!(matches!(executor.enqueue_decode(0, 253), Err(ExecError::BadBatch(_))), "beyond the context");
    assert_eq!(all_ids(&mut executor).len(), 1);
}

#[test]
fn weights_must_come_in_order_in_whole_rows_and_completely() {
    let file = open(LLAMA);
    let program = Arc::new(lower(&file, &BuildOptions::default()));
    let bytes = file.tensor_bytes(&program.weights[0].name);
    let row = program.weights[0].row_bytes() as usize;
    let mut executor = CpuExecutor::new(Arc::clone(&program), CpuOptions::exact()).unwrap();
    let refused = |result: Result<(), ExecError>| {
        assert!(matches!(result, Err(ExecError::BadWeight { .. })), "{result:?}");
    };
    refused(executor.write(WeightId(9999), 0, &[]));
    refused(executor.write(WeightId(0), 0, &bytes[..row - 1]));
    refused(executor.write(WeightId(0), row as u64, &bytes[..row]));
    executor.write(WeightId(0), 0, &bytes[..row]).unwrap();
    refused(executor.write(WeightId(0), 0, &bytes[..row]));
    refused(executor.write(WeightId(0), row as u64, &[bytes, bytes].concat()));
    refused(executor.finish());
    let batch = Batch { ids: &[1], pos: &[0], seq: &[0], out_rows: &[0] };
    assert!(executor.enqueue_prefill(&batch, Want::Ids).is_err(), "not ready");
}

#[test]
fn logits_that_are_not_numbers_are_an_error() {
    let file = open(LLAMA);
    let program = lower(&file, &BuildOptions::default());
    let norm = program.weights.iter().position(|w| w.name == "output_norm.weight").unwrap();
    let mut broken = file.clone();
    let at = broken.tensor("output_norm.weight").offset as usize;
    broken.bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    assert_eq!(program.weights[norm].ty, GgmlType::F32);
    let mut executor = executor(&broken, program);
    prefill(&mut executor, &tokens(4), 0, 0, Want::Ids).unwrap();
    let mut ids = Vec::new();
    assert!(matches!(wait(|cx| executor.poll_ids(cx, &mut ids)), Err(ExecError::NotANumber(_))));
    assert!(ids.is_empty());
}

#[test]
fn memory_is_what_the_program_says() {
    let file = open(GEMMA);
    let program = lower(&file, &BuildOptions { max_batch: 16, ..BuildOptions::default() });
    let expected = chord_model::memory(&program);
    let device = executor(&file, program).device();
    assert_eq!(device.memory.weights, expected.weights);
    // Rings are padded to whole blocks of 16 cells.
    assert!((expected.kv..=2 * expected.kv).contains(&device.memory.kv), "{device:?}");
    // Besides the buffers: the rows of one product at a time, in the form that it reads.
    assert!(device.memory.scratch <= 2 * expected.scratch, "{device:?}, expected {expected:?}");
    assert_eq!((device.backend, device.is_software), ("cpu", false));
}
