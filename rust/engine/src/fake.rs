//! An executor for unit tests: a "model" whose next token is a hash of all tokens before it, so that every mistake in
//! the bookkeeping of caches changes the output.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll};

use chord_gguf::GgmlType;
use chord_program::{
    Batch, Counters, DeviceInfo, ExecError, Executor, KvType, OpKind, OutputName, Program, ProgramBuilder, Rows,
    SegmentKind, TraceVisitor, Want, Weight, WeightId, WeightSink,
};

pub(crate) const N_VOCAB: u32 = 64;

/// State that the test can see and set while the runner owns the executor.
#[derive(Debug, Default)]
pub(crate) struct FakeState {
    /// Tokens in the cache of each sequence.
    pub(crate) cache: Vec<Vec<u32>>,
    /// Tokens put into a cache so far.
    pub(crate) computed: usize,
    /// Largest number of decode steps whose ids had not been polled.
    pub(crate) most_ahead: usize,
    /// Tokens of each prefill.
    pub(crate) prefills: Vec<usize>,
    /// The lowest position, besides 0, to which sequences can be cut.
    pub(crate) floor: u32,
    /// One poll returns all ids that are ready, instead of one.
    pub(crate) in_bulk: bool,
    /// Polls answer `Pending` once before each answer.
    pub(crate) late: bool,
    /// Replaces one logit.
    pub(crate) poison: Option<f32>,
    /// The number of the enqueue call that fails, counted from 1.
    pub(crate) fail_at: Option<usize>,
    calls: usize,
    was_pending: bool,
}

/// The token that follows `tokens`.
pub(crate) fn next_token(tokens: &[u32]) -> u32 {
    let hash = tokens.iter().fold(17u64, |hash, &t| (hash ^ u64::from(t)).wrapping_mul(0x100_0000_01b3).rotate_left(7));
    (hash % u64::from(N_VOCAB)) as u32
}

/// The `n` tokens that follow `prompt`.
pub(crate) fn continuation(prompt: &[u32], n: usize) -> Vec<u32> {
    let mut tokens = prompt.to_vec();
    for _ in 0..n {
        tokens.push(next_token(&tokens));
    }
    tokens.split_off(prompt.len())
}

fn logits(tokens: &[u32]) -> Vec<f32> {
    let best = next_token(tokens);
    (0..N_VOCAB).map(|id| if id == best { 4.0 } else { (id % 5) as f32 * 0.5 }).collect()
}

pub(crate) struct FakeExecutor {
    program: Program,
    state: Rc<RefCell<FakeState>>,
    ids: VecDeque<u32>,
    logits: VecDeque<Vec<f32>>,
    chosen: Vec<Option<u32>>,
}

impl FakeExecutor {
    /// The executor and the state that the test sees.
    pub(crate) fn with_state(
        n_ctx: u32,
        n_seq_max: u32,
        max_batch: u32,
    ) -> (Box<dyn Executor>, Rc<RefCell<FakeState>>) {
        let mut b = ProgramBuilder::new(N_VOCAB, n_ctx, n_seq_max, max_batch, max_batch, KvType::F32);
        let [ids, _, _, out_rows] = b.inputs();
        let mut matrix =
            |name: &str| b.weight(Weight { name: name.into(), ty: GgmlType::F32, cols: 4, rows: N_VOCAB, experts: 1 });
        let (embedding, output) = (matrix("embedding"), matrix("output"));
        b.segment(SegmentKind::Prologue);
        let x = b.op("embd", Rows::T, 4, OpKind::Embed { ids, weight: embedding, scale: 1.0 });
        b.segment(SegmentKind::Epilogue);
        let x = b.op("last", Rows::R, 4, OpKind::GatherRows { x, rows: out_rows });
        let matmul = OpKind::MatMul { x, weight: output, bias: None, scale: 1.0 };
        let y = b.op("result_output", Rows::R, N_VOCAB, matmul);
        b.output(OutputName::Logits, y);
        let program = b.finish().unwrap();
        let state = FakeState { cache: vec![Vec::new(); n_seq_max as usize], ..FakeState::default() };
        let state = Rc::new(RefCell::new(state));
        let chosen = vec![None; n_seq_max as usize];
        let fake =
            FakeExecutor { program, state: state.clone(), ids: VecDeque::new(), logits: VecDeque::new(), chosen };
        (Box::new(fake), state)
    }

    fn count_call(&self) -> Result<(), ExecError> {
        let mut state = self.state.borrow_mut();
        state.calls += 1;
        if state.fail_at == Some(state.calls) {
            return Err(ExecError::Device("made to fail".into()));
        }
        Ok(())
    }

    fn is_late(&self, cx: &mut Context<'_>) -> bool {
        let mut state = self.state.borrow_mut();
        state.was_pending = state.late && !state.was_pending;
        if state.was_pending {
            cx.waker().wake_by_ref();
        }
        state.was_pending
    }
}

impl WeightSink for FakeExecutor {
    fn write(&mut self, _: WeightId, _: u64, _: &[u8]) -> Result<(), ExecError> {
        Ok(())
    }
    fn finish(&mut self) -> Result<(), ExecError> {
        Ok(())
    }
}

impl Executor for FakeExecutor {
    fn program(&self) -> &Program {
        &self.program
    }
    fn device(&self) -> DeviceInfo {
        DeviceInfo::default()
    }
    fn counters(&self) -> Counters {
        Counters::default()
    }

    fn enqueue_prefill(&mut self, batch: &Batch<'_>, want: Want) -> Result<(), ExecError> {
        self.count_call()?;
        batch.check(&self.program)?;
        let mut state = self.state.borrow_mut();
        state.prefills.push(batch.ids.len());
        let mut rows = Vec::new();
        for (row, ((&id, &pos), &seq)) in batch.ids.iter().zip(batch.pos).zip(batch.seq).enumerate() {
            let cache = &mut state.cache[seq as usize];
            assert_eq!(pos as usize, cache.len(), "positions continue where the cache ends");
            cache.push(id);
            if batch.out_rows.contains(&(row as u32)) {
                rows.push((seq, logits(cache)));
            }
            state.computed += 1;
        }
        for (seq, row) in &rows {
            let best = (0..).zip(row).fold((0, f32::MIN), |best, (id, &l)| if l > best.1 { (id, l) } else { best }).0;
            if matches!(want, Want::Ids | Want::Done) {
                self.ids.push_back(best);
                self.chosen[*seq as usize] = Some(best);
            }
        }
        if want == Want::Logits {
            let mut all: Vec<f32> = rows.into_iter().flat_map(|(_, row)| row).collect();
            if let (Some(poison), Some(logit)) = (state.poison, all.get_mut(3)) {
                *logit = poison;
            }
            self.logits.push_back(all);
        }
        Ok(())
    }

    fn enqueue_decode(&mut self, seq: u32, n: u32) -> Result<(), ExecError> {
        self.count_call()?;
        let mut state = self.state.borrow_mut();
        for _ in 0..n {
            let id = self.chosen[seq as usize].expect("a choice was made before");
            let cache = &mut state.cache[seq as usize];
            if cache.len() >= self.program.n_ctx as usize {
                return Err(ExecError::BadBatch("the context is full".into()));
            }
            cache.push(id);
            let next = next_token(cache);
            state.computed += 1;
            self.ids.push_back(next);
            self.chosen[seq as usize] = Some(next);
        }
        state.most_ahead = state.most_ahead.max(self.ids.len());
        Ok(())
    }

    fn poll_ids(&mut self, cx: &mut Context<'_>, ids: &mut Vec<u32>) -> Poll<Result<(), ExecError>> {
        if self.is_late(cx) {
            return Poll::Pending;
        }
        let n = if self.state.borrow().in_bulk { self.ids.len() } else { self.ids.len().min(1) };
        ids.extend(self.ids.drain(..n));
        Poll::Ready(Ok(()))
    }

    fn poll_logits(&mut self, cx: &mut Context<'_>, logits: &mut Vec<f32>) -> Poll<Result<(), ExecError>> {
        if self.is_late(cx) {
            return Poll::Pending;
        }
        *logits = self.logits.pop_front().expect("logits were asked for");
        Poll::Ready(Ok(()))
    }

    fn truncate(&mut self, seq: u32, n_past: u32) -> Result<(), ExecError> {
        let mut state = self.state.borrow_mut();
        if n_past != 0 && n_past < state.floor {
            return Err(ExecError::CannotTruncate { seq, wanted: n_past, floor: state.floor });
        }
        state.cache[seq as usize].truncate(n_past as usize);
        self.ids.clear();
        Ok(())
    }

    fn run_segment(&mut self, _: usize, _: &Batch<'_>) -> Result<(), ExecError> {
        unimplemented!("not used by the engine")
    }
    fn trace(&mut self, _: &Batch<'_>, _: &mut TraceVisitor<'_>) -> Result<(), ExecError> {
        unimplemented!("not used by these tests")
    }
}
