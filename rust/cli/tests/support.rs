//! `docs/support.md`: what runs where, as the verdict before a download says it.
//!
//! `CHORD_WRITE=1 cargo test -p chord-cli --test support` rewrites it.
#![cfg(feature = "gpu")]

use std::collections::BTreeSet;
use std::fmt::Write;

use chord_engine::{Backend, DeviceFacts, GpuFacts, LoadOptions, Verdict, inspect_header};
use chord_gguf::{GgmlType, Header, HeaderReader, Status, Value};
use chord_testkit::{SyntheticModel, SyntheticShape, TinyModel, repo_dir};

const INTRODUCTION: &str = "# What runs\n
Generated from the verdict that `Chord.inspect` and `chord inspect` give before a download, by
`CHORD_WRITE=1 cargo test -p chord-cli --test support`; `npm test` checks that it is current. A file that needs anything
else is refused from its header, and the error names what is missing.\n";

/// Why a device cannot run a model, or nothing if it can.
fn refusal(header: &Header, backend: Backend) -> Option<String> {
    let gpu = GpuFacts { max_buffer_bytes: 1 << 30, max_binding_bytes: 1 << 30, is_software: false };
    let device = DeviceFacts { gpu: Some(gpu), cpu_bytes: None };
    let options = LoadOptions { backend, ..LoadOptions::default() };
    match inspect_header(header, &options, &device).verdict {
        Verdict::Fits => None,
        Verdict::Unsupported { why, .. } => Some(why),
        other => panic!("a tiny model does not fit: {other:?}"),
    }
}

fn runs(header: &Header, backend: Backend) -> &'static str {
    if refusal(header, backend).is_none() { "yes" } else { "no" }
}

fn header_of(bytes: &[u8], file_bytes: u64) -> Header {
    match HeaderReader::new(file_bytes).feed(bytes) {
        Ok(Status::Done(header)) => header,
        other => panic!("no header: {other:?}"),
    }
}

fn support() -> String {
    let mut page = INTRODUCTION.to_owned();
    page += "\n## Architectures\n\n| `general.architecture` | WebGPU | CPU |\n| --- | --- | --- |\n";
    for model in TinyModel::of_each_architecture() {
        let file = model.file();
        let header = header_of(&file, file.len() as u64);
        let [gpu, cpu] = [Backend::Gpu, Backend::Cpu].map(|backend| runs(&header, backend));
        writeln!(page, "| `{}` | {gpu} | {cpu} |", model.architecture()).unwrap();
    }
    page += "\n## Types of weights\n\n| Type | WebGPU | CPU |\n| --- | --- | --- |\n";
    for &ty in GgmlType::ALL {
        let shape = SyntheticShape { n_embd: 256, ..SyntheticShape::small(ty) };
        let model = SyntheticModel::new(shape);
        let header = header_of(model.header(), model.len());
        let [gpu, cpu] = [Backend::Gpu, Backend::Cpu].map(|backend| runs(&header, backend));
        writeln!(page, "| {ty} | {gpu} | {cpu} |").unwrap();
    }
    page += "\n## Tokenizers\n
`tokenizer.ggml.model` may be `llama` (SentencePiece) or `gpt2` (byte-level BPE). For BPE, `tokenizer.ggml.pre` names
how text is split first. It may be `default`, which gives a warning, or one of these names; each item is one split:\n\n";
    for names in chord_text::pre_tokenizers() {
        let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        page += &wrapped(&names.join(", "));
    }
    page
}

/// A list item, wrapped at 120 columns.
fn wrapped(text: &str) -> String {
    let mut lines = vec!["-".to_owned()];
    for word in text.split(' ') {
        let line = lines.last_mut().unwrap();
        if line.len() + 1 + word.len() > 120 {
            lines.push(format!("  {word}"));
        } else {
            *line += &format!(" {word}");
        }
    }
    lines.join("\n") + "\n"
}

#[test]
fn the_page_of_what_runs_is_current() {
    let path = repo_dir().join("docs/support.md");
    let page = support();
    if std::env::var_os("CHORD_WRITE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page,
        "docs/support.md is not current: run `CHORD_WRITE=1 cargo test -p chord-cli --test support`"
    );
}

#[test]
fn every_architecture_has_a_model_to_judge() {
    let models: BTreeSet<_> = TinyModel::of_each_architecture().iter().map(|m| m.architecture().to_owned()).collect();
    assert_eq!(models, chord_model::architectures().map(str::to_owned).collect());
}

#[test]
fn every_name_of_a_split_is_a_tokenizer() {
    for name in chord_text::pre_tokenizers().flatten() {
        let model = TinyModel::llama().with_bpe(Some(name)).with("tokenizer.ggml.add_bos_token", Value::Bool(false));
        let file = model.file();
        assert_eq!(refusal(&header_of(&file, file.len() as u64), Backend::Cpu), None, "{name}");
    }
}
