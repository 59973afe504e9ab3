//! Loads that end early: cancelled, cut short, refused.

mod common;

use chord_engine::{
    Backend, CancelFlag, Engine, EngineError, LoadOptions, LoadProgress, LoadStage, ReadAt, ReadError, read_header,
};
use chord_testkit::model_path;
use common::{TestFile, clock, cpu};
use pollster::block_on;

fn outcome(
    reader: impl ReadAt + 'static,
    options: &LoadOptions,
    stop_at: Option<LoadStage>,
) -> Result<Engine, EngineError> {
    let cancel = CancelFlag::new();
    let mut progress = |p: LoadProgress| {
        if Some(p.stage) == stop_at && p.loaded > 0 {
            cancel.cancel();
        }
    };
    block_on(Engine::load(reader, options, clock, &mut progress, &cancel))
}

#[test]
fn a_load_can_be_cancelled_between_windows() {
    let path = model_path("llama.Q4_0.gguf");
    let options = LoadOptions { window_bytes: 32 << 10, ..cpu() };
    let file = TestFile::open(&path);
    let reads = file.reads.clone();
    let error = outcome(file, &options, Some(LoadStage::Weights)).err().unwrap();
    assert_eq!(error.code(), "cancelled");
    assert!(reads.borrow().len() < 5, "went on reading");
    let error = outcome(TestFile::open(&path), &options, Some(LoadStage::Header)).err().unwrap();
    assert_eq!(error.code(), "cancelled");
}

/// Fails at the n-th read.
struct Broken {
    file: TestFile,
    left: usize,
}

impl ReadAt for Broken {
    fn len(&self) -> u64 {
        self.file.len()
    }
    async fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), ReadError> {
        if self.left == 0 {
            return Err(ReadError { code: "network".into(), message: "the connection is gone".into() });
        }
        self.left -= 1;
        self.file.read_at(offset, buf).await
    }
}

#[test]
fn a_failing_source_keeps_its_code() {
    let path = model_path("llama.Q4_0.gguf");
    for left in 0..4 {
        let options = LoadOptions { window_bytes: 32 << 10, ..cpu() };
        let error = outcome(Broken { file: TestFile::open(&path), left }, &options, None).err().unwrap();
        assert_eq!(error.code(), "network");
        assert!(error.to_string().contains("the connection is gone"));
    }
}

#[test]
fn a_file_cut_anywhere_in_its_header_is_refused_and_never_a_panic() {
    let path = model_path("llama.Q4_0.gguf");
    let mut bytes: &'static [u8] = std::fs::read(path).unwrap().leak();
    let header = block_on(read_header(&mut bytes, &mut |_| (), &CancelFlag::new())).unwrap();
    for cut in (0..header.data_offset as usize).step_by(37).chain([bytes.len() - 1]) {
        let error = outcome(&bytes[..cut], &cpu(), None).err().unwrap();
        assert!(matches!(error, EngineError::Gguf(_)), "cut at {cut}: {error}");
    }
}

#[test]
fn sizes_that_make_no_sense_are_refused() {
    let path = model_path("llama.Q4_0.gguf");
    let code = |options: LoadOptions| outcome(TestFile::open(&path), &options, None).err().unwrap().code().to_owned();
    assert_eq!(code(LoadOptions { window_bytes: 0, ..cpu() }), "invalid-argument");
    assert_eq!(code(LoadOptions { n_ctx: Some(0), ..cpu() }), "bad-option");
    assert_eq!(code(LoadOptions { n_ctx: Some(u32::MAX), ..cpu() }), "bad-option");
    assert_eq!(code(LoadOptions { n_seq_max: 0, ..cpu() }), "bad-option");
}

#[test]
fn the_cpu_that_was_asked_for_says_so() {
    let path = model_path("llama.Q4_0.gguf");
    let info = common::load(&path, &cpu()).unwrap().info();
    assert_eq!(info.backend, "cpu");
    assert_eq!(info.why, ["the CPU was requested"]);
    assert!(info.memory.weights > 0 && info.memory.kv > 0);
}

#[cfg(not(feature = "gpu"))]
#[test]
fn without_a_gpu_auto_steps_down_and_gpu_fails_with_the_reason() {
    let path = model_path("llama.Q4_0.gguf");
    let info = common::load(&path, &LoadOptions { backend: Backend::Auto, ..cpu() }).unwrap().info();
    assert_eq!(info.backend, "cpu");
    assert!(info.why[0].contains("without GPU support"), "{:?}", info.why);
    let error = common::load(&path, &LoadOptions { backend: Backend::Gpu, ..cpu() }).err().unwrap();
    assert_eq!(error.code(), "no-backend");
}

/// An adapter that no machine has.
#[cfg(feature = "gpu")]
#[test]
fn without_the_adapter_auto_steps_down_and_gpu_fails_with_the_reason() {
    let path = model_path("llama.Q4_0.gguf");
    let options = |backend| LoadOptions { backend, adapter: Some("no such adapter".into()), ..cpu() };
    let info = common::load(&path, &options(Backend::Auto)).unwrap().info();
    assert_eq!(info.backend, "cpu");
    assert!(info.why[0].starts_with("no GPU: "), "{:?}", info.why);
    assert_eq!(common::load(&path, &options(Backend::Gpu)).err().unwrap().code(), "no-backend");
}
