//! Files that are nearly valid: a load does what the verdict says, and a model that loads also runs.

#![no_main]

use chord_engine::{
    CancelFlag, DeviceFacts, Engine, EngineError, GenerateRequest, LoadOptions, Prompt, Verdict, inspect,
};
use chord_fuzz::nearly_valid::NearlyValid;
use chord_fuzz::{WholeFile, memory, one_thread};
use libfuzzer_sys::fuzz_target;
use pollster::block_on;

/// Bytes of the largest model that is loaded; larger ones are only judged.
const MOST_MODEL: u64 = 16 << 20;
/// What a run may hold at once: the two blocks of 32 MiB that the CPU executor asks the system for (and touches where
/// it needs them), up to three times the model (its bytes as they are read, as they are packed, and what a prompt
/// needs), and what is made of the header.
const MOST_BYTES: usize = (72 << 20) + 3 * MOST_MODEL as usize;

fuzz_target!(|file: NearlyValid| {
    let file = WholeFile(file.bytes().into());
    let ((), peak) = memory::peak(|| check(&file));
    let (n, most) = (file.0.len(), MOST_BYTES + 64 * file.0.len());
    assert!(peak <= most, "{peak} bytes were held at once for a file of {n}, {most} allowed");
});

fn check(file: &WholeFile) {
    let options = LoadOptions { n_ctx: Some(64), max_batch: Some(8), window_bytes: 4 << 20, ..one_thread() };
    let device = DeviceFacts { gpu: None, cpu_bytes: Some(MOST_MODEL) };
    let found = match block_on(inspect(&mut file.clone(), &options, &device, &CancelFlag::new())) {
        Ok(found) => found,
        Err(error) => {
            assert!(!error.code().is_empty() && !error.to_string().is_empty());
            return;
        }
    };
    match found.verdict {
        Verdict::Fits => run(load(file, &options).unwrap_or_else(|error| panic!("a model that fits: {error}"))),
        Verdict::Unsupported { code, .. } if code == "out-of-memory" => (),
        Verdict::Unsupported { code, why } => match load(file, &options) {
            Ok(_) => panic!("loaded, although {code}: {why}"),
            Err(error) => assert_eq!((error.code(), error.to_string()), (code.as_str(), why)),
        },
        Verdict::FitsWithContext { .. } => (),
        Verdict::Pages { .. } => panic!("the CPU does not page"),
    }
}

fn load(file: &WholeFile, options: &LoadOptions) -> Result<Engine, EngineError> {
    block_on(Engine::load(file.clone(), options, || 0.0, &mut |_| (), &CancelFlag::new()))
}

fn run(mut engine: Engine) {
    for prompt in [Prompt::Text("in the hen".to_owned()), Prompt::Tokens(vec![0, 1, 2])] {
        let request = GenerateRequest { prompt, max_tokens: Some(3), seed: Some(1), ..GenerateRequest::default() };
        let result = block_on(engine.generate(&request, &CancelFlag::new(), &mut |_| (), &mut async || {}));
        if let Err(error) = result {
            assert!(!error.code().is_empty());
        }
    }
}
