//! What the integration tests share.
#![allow(dead_code, unreachable_pub, reason = "each test file is a crate of its own and uses a part of this")]

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Instant;

use chord_engine::{
    Activations, Backend, CancelFlag, Engine, EngineError, Event, GenerateRequest, GenerateResult, KvCache,
    LoadOptions, ReadAt, ReadError,
};
use pollster::block_on;

/// A file read by position, with a list of the reads.
pub struct TestFile {
    file: File,
    len: u64,
    pub reads: std::rc::Rc<std::cell::RefCell<Vec<(u64, u64)>>>,
}

impl TestFile {
    pub fn open(path: &Path) -> Self {
        let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let len = file.metadata().unwrap().len();
        TestFile { file, len, reads: Default::default() }
    }
}

impl ReadAt for TestFile {
    fn len(&self) -> u64 {
        self.len
    }
    async fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), ReadError> {
        self.reads.borrow_mut().push((offset, buf.len() as u64));
        let read = self.file.seek(SeekFrom::Start(offset)).and_then(|_| self.file.read_exact(buf));
        read.map_err(|error| ReadError::io(error.to_string()))
    }
}

/// Writes a model into a file of the test run.
pub fn written(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).expect("a place for scratch files");
    path
}

pub fn clock() -> f64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64() * 1000.0
}

/// Options for the CPU with nothing rounded.
pub fn cpu() -> LoadOptions {
    let (kv, activations) = (KvCache::F32, Activations::F32);
    LoadOptions { backend: Backend::Cpu, kv, activations, ..LoadOptions::default() }
}

pub fn load(path: &Path, options: &LoadOptions) -> Result<Engine, EngineError> {
    block_on(Engine::load(TestFile::open(path), options, clock, &mut |_| (), &CancelFlag::new()))
}

/// What a generation showed.
#[derive(Debug, Default, PartialEq)]
pub struct Shown {
    pub text: String,
    pub tokens: Vec<u32>,
    pub pieces: Vec<String>,
}

pub fn generate(engine: &mut Engine, request: &GenerateRequest) -> Result<(Shown, GenerateResult), EngineError> {
    let mut shown = Shown::default();
    let mut on_event = |event: Event<'_>| match event {
        Event::Text(text) => {
            shown.text.push_str(text);
            shown.pieces.push(text.to_owned());
        }
        Event::Token(id) => shown.tokens.push(id),
        _ => (),
    };
    let result = block_on(engine.generate(request, &CancelFlag::new(), &mut on_event, &mut async || {}))?;
    Ok((shown, result))
}
