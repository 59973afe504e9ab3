//! The decode loop allocates only when its lists of tokens grow. Alone in its binary, because it counts every
//! allocation of the process.

mod common;

use chord_engine::{
    CancelFlag, EngineError, Flow, KvCache, LoadOptions, PromptProgress, RunObserver, Sampling, TokenRequest,
    load_runner, read_header,
};
use chord_testkit::Recipe;
use chord_testkit::allocations::{Counting, count};
use common::{TestFile, clock, cpu, written};
use pollster::block_on;

#[global_allocator]
static COUNTING: Counting = Counting;

/// The number of allocations so far, at each token.
struct AtTokens(Vec<usize>);

impl RunObserver for AtTokens {
    fn prompt(&mut self, _: PromptProgress) {}

    fn token(&mut self, _: u32) -> Result<Flow, EngineError> {
        self.0.push(count());
        Ok(Flow::Continue)
    }
}

/// One test, so that nothing else allocates meanwhile.
#[test]
fn tokens_allocate_nothing_whether_chosen_on_the_device_or_from_logits() {
    const TOKENS: u32 = 32;
    let path = written("allocations.gguf", &Recipe::named("llama.Q4_K").bytes());
    let mut file = TestFile::open(&path);
    let cancel = CancelFlag::new();
    let header = block_on(read_header(&mut file, &mut |_| (), &cancel)).unwrap();
    let options = LoadOptions { n_ctx: Some(48), kv: KvCache::F16, threads: Some(1), ..cpu() };
    let mut ignore = |_| ();
    let (mut runner, _) = block_on(load_runner(file, header, &options, clock, &mut ignore, &cancel)).unwrap();
    let sampled = Sampling { temperature: 1.0, top_k: 20, top_p: 0.9, min_p: 0.01, ..Sampling::GREEDY };
    for sampling in [Sampling::GREEDY, sampled] {
        runner.clear(0).unwrap();
        let mut seen = AtTokens(Vec::with_capacity(TOKENS as usize));
        let prompt = [1, 2, 3, 4, 5];
        let request =
            TokenRequest { sequence: 0, prompt: &prompt, sampling, seed: 1, drawn: 0, max_tokens: Some(TOKENS) };
        block_on(runner.generate(request, &cancel, &mut seen, &mut async || {})).unwrap();
        assert_eq!(seen.0.len(), TOKENS as usize);
        // Lists double: that of the tokens at 16 and 32, that of prompt and tokens at 20 and 40.
        let made = seen.0[31] - seen.0[16];
        assert_eq!(made, 0, "{sampling:?}: allocations from the 17th to the 32nd token");
    }
}
