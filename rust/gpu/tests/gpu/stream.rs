//! The greedy loop on the device: ids in order, sequences side by side, cuts, choices among equal logits.

use chord_gguf::GgmlType;
use chord_gpu::{Gpu, GpuExecutor, PlanOptions};
use chord_program::{
    ExecError, Executor, KvSlot, KvType, Mask, OpKind, OutputName, ProgramBuilder, Rows, SegmentKind, Want,
};

use crate::setup::{Case, Model, Tokens, all_ids, gpu, logits};

/// A model of one attention layer that continues each prompt with different ids.
pub(crate) fn small_model(n_seq: u32) -> Model {
    let (n_vocab, width) = (64, 32);
    let mut b = ProgramBuilder::new(n_vocab, 256, n_seq, 64, 8, KvType::F32);
    b.segment(SegmentKind::Prologue);
    let mut c = Case::new(b);
    let x = c.source("x", width);
    c.b.segment(SegmentKind::Layer(0));
    let [_, pos, seq, out_rows] = c.b.inputs();
    let project = |c: &mut Case, name: &str, rows: u32| {
        let weight = c.weight(&format!("{name}.weight"), GgmlType::F16, rows, width);
        c.b.op(name, Rows::T, rows, OpKind::MatMul { x, weight, bias: None, scale: 1.0 })
    };
    let (q, k, v) = (project(&mut c, "q", width), project(&mut c, "k", 16), project(&mut c, "v", 16));
    let slot = KvSlot { name: "kv-0".into(), n_kv_heads: 1, k_dim: 16, v_dim: 16, capacity: 256, window: None };
    let slot = c.b.slot(slot);
    c.b.push(OpKind::KvWrite { k, v, pos, seq, slot }, vec![]);
    let mask = Mask::Causal { window: None };
    let kind = OpKind::Attention { q, pos, seq, slot, n_heads: 2, scale: 0.5, mask, soft_cap: None, sinks: None };
    let attended = c.b.op("attended", Rows::T, width, kind);
    let weight = c.weight("o.weight", GgmlType::F16, width, width);
    let o = c.b.op("o", Rows::T, width, OpKind::MatMul { x: attended, weight, bias: None, scale: 1.0 });
    let y = c.b.op("y", Rows::T, width, OpKind::Add { a: x, b: o, scale: 1.0 });
    c.b.segment(SegmentKind::Epilogue);
    let last = c.b.op("last", Rows::R, width, OpKind::GatherRows { x: y, rows: out_rows });
    let weight = c.weight("out.weight", GgmlType::F16, n_vocab, width);
    let kind = OpKind::MatMul { x: last, weight, bias: None, scale: 1.0 };
    let out = c.b.op("logits", Rows::R, n_vocab, kind);
    c.b.output(OutputName::Logits, out);
    c.finish()
}

/// Greedy ids that the host chooses from the logits of one prefill each.
fn greedy_by_logits(executor: &mut dyn Executor, seq: u32, prompt: &[u32], n: usize) -> Vec<u32> {
    let mut ids = Vec::new();
    let mut next = Tokens::of_ids(0, prompt).with_outputs(&[prompt.len() as u32 - 1]);
    for step in 0..n {
        next.seq.fill(seq);
        executor.enqueue_prefill(&next.batch(), Want::Logits).expect("a batch that fits");
        let row = logits(executor).expect("logits");
        let best = chord_cpu::reference::argmax(&row).expect("finite logits");
        ids.push(best);
        next = Tokens::of_ids((prompt.len() + step) as u32, &[best]);
    }
    ids
}

fn small(gpu: &Gpu, n_seq: u32) -> GpuExecutor {
    small_model(n_seq).on_gpu(gpu, PlanOptions::default()).expect("a model the GPU runs")
}

#[test]
fn decoded_ids_are_those_of_the_logits() {
    let gpu = gpu();
    let prompt = [3, 1, 4, 1, 5, 9, 2, 6];
    let expected = greedy_by_logits(&mut small_model(1).on_cpu(), 0, &prompt, 40);
    let mut executor = small(&gpu, 1);
    assert_eq!(greedy_by_logits(&mut executor, 0, &prompt, 40), expected);
    executor.truncate(0, 0).expect("a cut to nothing");
    let tokens = Tokens::of_ids(0, &prompt).with_outputs(&[7]);
    executor.enqueue_prefill(&tokens.batch(), Want::Ids).expect("a prompt");
    // More steps than the device may run ahead, in several requests.
    executor.enqueue_decode(0, 1).expect("room");
    executor.enqueue_decode(0, 38).expect("room");
    assert_eq!(all_ids(&mut executor).expect("ids"), expected);
}

#[test]
fn sequences_decode_side_by_side() {
    let gpu = gpu();
    let prompts: [&[u32]; 3] = [&[1, 2, 3], &[9, 8, 7, 6, 5], &[42]];
    let mut cpu = small_model(3).on_cpu();
    let expected: Vec<Vec<u32>> = (0..3).map(|s| greedy_by_logits(&mut cpu, s as u32, prompts[s], 12)).collect();
    let mut executor = small(&gpu, 3);
    for (seq, prompt) in prompts.iter().enumerate() {
        let mut tokens = Tokens::of_ids(0, prompt).with_outputs(&[prompt.len() as u32 - 1]);
        tokens.seq.fill(seq as u32);
        executor.enqueue_prefill(&tokens.batch(), Want::Ids).expect("a prompt");
    }
    let mut found: Vec<Vec<u32>> = all_ids(&mut executor).expect("ids").into_iter().map(|id| vec![id]).collect();
    for _ in 1..12 {
        for seq in [2, 0, 1] {
            executor.enqueue_decode(seq, 1).expect("room");
        }
        let ids = all_ids(&mut executor).expect("ids");
        [2, 0, 1].into_iter().zip(ids).for_each(|(seq, id)| found[seq].push(id));
    }
    assert_eq!(found, expected);
}

#[test]
fn a_cut_drops_ids_on_their_way_and_the_next_turn_is_right() {
    let gpu = gpu();
    let prompt = [3, 1, 4, 1, 5];
    let mut executor = small(&gpu, 1);
    let tokens = Tokens::of_ids(0, &prompt).with_outputs(&[4]);
    executor.enqueue_prefill(&tokens.batch(), Want::Ids).expect("a prompt");
    executor.enqueue_decode(0, 20).expect("room");
    executor.truncate(0, 5).expect("a cut");
    assert_eq!(all_ids(&mut executor).expect("ids"), [0u32; 0]);
    assert!(matches!(executor.enqueue_decode(0, 1), Err(ExecError::BadBatch(_))), "nothing was chosen since the cut");
    let second = Tokens::of_ids(5, &[7, 7]).with_outputs(&[1]);
    executor.enqueue_prefill(&second.batch(), Want::Logits).expect("a second turn");
    let found = logits(&mut executor).expect("logits");
    let mut cpu = small_model(1).on_cpu();
    let whole = Tokens::of_ids(0, &[3, 1, 4, 1, 5, 7, 7]).with_outputs(&[6]);
    cpu.enqueue_prefill(&whole.batch(), Want::Logits).expect("a prompt");
    assert!(chord_testkit::nmse(&logits(&mut cpu).expect("logits"), &found) < 1e-9);
}

#[test]
fn a_cut_leaves_no_hole_where_steps_were_still_waiting() {
    let gpu = gpu();
    let mut executor = small(&gpu, 2);
    let other = Tokens { seq: vec![1; 3], ..Tokens::of_ids(0, &[9, 8, 7]).with_outputs(&[2]) };
    executor.enqueue_prefill(&other.batch(), Want::Ids).expect("a prompt");
    let prompt = Tokens::of_ids(0, &[3, 1, 4]).with_outputs(&[2]);
    executor.enqueue_prefill(&prompt.batch(), Want::Ids).expect("a prompt");
    // More than may run ahead: some steps of both wait on the host when the cut comes.
    executor.enqueue_decode(0, 20).expect("room");
    executor.enqueue_decode(1, 10).expect("room");
    executor.truncate(0, 18).expect("a cut");
    assert_eq!(all_ids(&mut executor).expect("ids"), [0u32; 0]);

    let mut cpu = small_model(2).on_cpu();
    for (seq, prompt, n, end) in [(0, &[3, 1, 4], 16, 18), (1, &[9, 8, 7], 11, 13)] {
        let ids = greedy_by_logits(&mut cpu, seq, prompt, n);
        let next = Tokens { seq: vec![seq], ..Tokens::of_ids(end, &[5]) };
        cpu.truncate(seq, 0).expect("a cut to nothing");
        let whole: Vec<u32> = prompt.iter().chain(&ids[..end as usize - 3]).copied().collect();
        let whole = Tokens { seq: vec![seq; end as usize], ..Tokens::of_ids(0, &whole).with_outputs(&[]) };
        cpu.enqueue_prefill(&whole.batch(), Want::Nothing).expect("what is left");
        cpu.enqueue_prefill(&next.batch(), Want::Logits).expect("the next token");
        executor.enqueue_prefill(&next.batch(), Want::Logits).expect("the next token");
        let expected = logits(&mut cpu).expect("logits");
        let error = chord_testkit::nmse(&expected, &logits(&mut executor).expect("logits"));
        assert!(error < 1e-9, "sequence {seq}: NMSE {error:e}");
    }
}

#[test]
fn every_output_row_gets_an_id_and_decoding_continues_the_last() {
    let gpu = gpu();
    let mut executor = small(&gpu, 1);
    let tokens = Tokens::of_ids(0, &[3, 1, 4, 1, 5]).with_outputs(&[0, 2, 4]);
    executor.enqueue_prefill(&tokens.batch(), Want::Ids).expect("a prompt");
    executor.enqueue_decode(0, 2).expect("room");
    let found = all_ids(&mut executor).expect("ids");
    let mut cpu = small_model(1).on_cpu();
    let mut expected = Vec::new();
    for n in [1, 3, 5] {
        expected.extend(greedy_by_logits(&mut cpu, 0, &[3, 1, 4, 1, 5][..n], if n == 5 { 3 } else { 1 }));
        cpu.truncate(0, 0).expect("a cut to nothing");
    }
    assert_eq!(found, expected);
}

/// A model whose logits are rows of a table.
fn table_model(n_vocab: u32, rows: &[Vec<f32>]) -> Model {
    let mut b = ProgramBuilder::new(n_vocab, 16, 1, 16, 16, KvType::F32);
    b.segment(SegmentKind::Prologue);
    let mut c = Case::new(b);
    let mut values = vec![0.0; n_vocab as usize * n_vocab as usize];
    for (id, row) in rows.iter().enumerate() {
        values[id * n_vocab as usize..][..n_vocab as usize].copy_from_slice(row);
    }
    let weight = c.weight_of("table", GgmlType::F32, n_vocab, n_vocab, &values);
    let [ids, _, _, out_rows] = c.b.inputs();
    let x = c.b.op("x", Rows::T, n_vocab, OpKind::Embed { ids, weight, scale: 1.0 });
    c.b.segment(SegmentKind::Epilogue);
    let out = c.b.op("logits", Rows::R, n_vocab, OpKind::GatherRows { x, rows: out_rows });
    c.b.output(OutputName::Logits, out);
    c.finish()
}

#[test]
fn the_choice_is_the_lowest_id_among_equals_at_any_size() {
    let gpu = gpu();
    for n_vocab in [1usize, 2, 255, 257, 5000] {
        let flat = vec![-2.5; n_vocab];
        let mut late = vec![-7.0; n_vocab];
        late[n_vocab - 1] = -6.0;
        let mut twice = vec![0.0; n_vocab];
        twice[n_vocab / 2] = 1e30;
        twice[n_vocab - 1] = 1e30;
        let rows = [flat, late, twice];
        let n = rows.len().min(n_vocab);
        let model = table_model(n_vocab as u32, &rows[..n]);
        let mut executor = model.on_gpu(&gpu, PlanOptions::default()).expect("a model the GPU runs");
        executor
            .enqueue_prefill(&Tokens::of_ids(0, &(0..n as u32).collect::<Vec<_>>()).batch(), Want::Ids)
            .expect("a batch that fits");
        let expected: Vec<u32> = [0, n_vocab as u32 - 1, n_vocab as u32 / 2][..n].to_vec();
        assert_eq!(all_ids(&mut executor).expect("ids"), expected, "{n_vocab} logits");
    }
}

#[test]
fn a_logit_that_is_not_a_number_is_an_error() {
    let gpu = gpu();
    let mut row = vec![0.0; 300];
    row[299] = f32::NAN;
    let model = table_model(300, &[row]);
    let mut executor = model.on_gpu(&gpu, PlanOptions::default()).expect("a model the GPU runs");
    executor.enqueue_prefill(&Tokens::of_ids(0, &[0]).batch(), Want::Ids).expect("a batch that fits");
    let error = all_ids(&mut executor).expect_err("a NaN must not be passed over");
    assert!(error.to_string().contains("not a number"), "{error}");
}

#[test]
fn a_prompt_without_outputs_fills_the_cache() {
    let gpu = gpu();
    let mut executor = small(&gpu, 1);
    executor.enqueue_prefill(&Tokens::run(0, 20).with_outputs(&[]).batch(), Want::Nothing).expect("a prompt");
    executor.enqueue_prefill(&Tokens::run(20, 1).batch(), Want::Logits).expect("its last token");
    let mut cpu = small_model(1).on_cpu();
    cpu.enqueue_prefill(&Tokens::run(0, 20).with_outputs(&[]).batch(), Want::Nothing).expect("a prompt");
    cpu.enqueue_prefill(&Tokens::run(20, 1).batch(), Want::Logits).expect("its last token");
    let expected = logits(&mut cpu).expect("logits");
    assert!(chord_testkit::nmse(&expected, &logits(&mut executor).expect("logits")) < 1e-9);
}

#[test]
fn segments_run_one_by_one() {
    let gpu = gpu();
    let mut executor = small(&gpu, 1);
    let tokens = Tokens::run(0, 6).with_outputs(&[5]);
    for segment in 0..executor.program().segments.len() {
        executor.run_segment(segment, &tokens.batch()).expect("a segment");
    }
    let next = Tokens::run(6, 1);
    executor.enqueue_prefill(&next.batch(), Want::Logits).expect("the next token");
    let mut cpu = small_model(1).on_cpu();
    cpu.enqueue_prefill(&tokens.batch(), Want::Nothing).expect("a prompt");
    cpu.enqueue_prefill(&next.batch(), Want::Logits).expect("the next token");
    let expected = logits(&mut cpu).expect("logits");
    assert!(chord_testkit::nmse(&expected, &logits(&mut executor).expect("logits")) < 1e-9);
    assert!(executor.run_segment(3, &next.batch()).is_err());
}

#[test]
fn bad_batches_are_refused_and_change_nothing() {
    let gpu = gpu();
    let mut executor = small(&gpu, 1);
    let refused = |executor: &mut GpuExecutor, tokens: Tokens| {
        let error = executor.enqueue_prefill(&tokens.batch(), Want::Ids).expect_err("a bad batch");
        assert!(matches!(error, ExecError::BadBatch(_)), "{error}");
    };
    refused(&mut executor, Tokens::run(1, 2));
    refused(&mut executor, Tokens::run(0, 65));
    refused(&mut executor, Tokens::of_ids(0, &[64]));
    refused(&mut executor, Tokens::run(0, 2).with_outputs(&[2]));
    assert!(executor.enqueue_decode(0, 1).is_err());
    assert!(executor.enqueue_decode(1, 1).is_err());
    executor.enqueue_prefill(&Tokens::run(0, 2).with_outputs(&[1]).batch(), Want::Ids).expect("a good batch");
    assert_eq!(all_ids(&mut executor).expect("ids").len(), 1);
}

#[test]
fn a_prompt_may_take_several_submits() {
    let gpu = gpu();
    let run = |work_per_submit| {
        let options = PlanOptions { work_per_submit, ..PlanOptions::default() };
        let mut executor = small_model(1).on_gpu(&gpu, options).expect("a model the GPU runs");
        let tokens = Tokens::run(0, 40).with_outputs(&[39]);
        executor.enqueue_prefill(&tokens.batch(), Want::Logits).expect("a prompt");
        (logits(&mut executor).expect("logits"), executor.counters().submits)
    };
    let (whole, one) = run(None);
    let (paced, several) = run(Some(50_000));
    assert_eq!(one, 1);
    assert!(several >= 3, "{several} submits");
    assert_eq!(paced, whole);
}
