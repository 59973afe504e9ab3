//! Nothing outside this crate names an architecture: what a model needs must be in its program.

use std::fs;
use std::path::{Path, PathBuf};

/// Families as `general.architecture` spells them, and beginnings of such names.
const NAMES: [&str; 16] = [
    "llama",
    "gemma",
    "gemma2",
    "gemma3",
    "qwen",
    "qwen2",
    "qwen3",
    "mistral",
    "mixtral",
    "olmo",
    "olmo2",
    "olmoe",
    "phi3",
    "granite",
    "starcoder2",
    "smollm3",
];

/// Sources that may not name one. The text crate is left out: pre-tokenizers carry the names of the models they were
/// made for.
fn sources() -> Vec<PathBuf> {
    let root = chord_testkit::repo_dir();
    let crates = ["gguf", "program", "cpu", "gpu", "engine", "wasm", "cli"];
    let mut folders: Vec<PathBuf> = crates.iter().map(|name| root.join("rust").join(name).join("src")).collect();
    folders.extend([root.join("shaders"), root.join("web/src")]);
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("a folder entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if is_source(&path) {
                found.push(path);
            }
        }
    }
    found
}

fn is_source(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
    !name.contains(".test.")
        && !name.starts_with("tests")
        && !name.ends_with("_tests.rs")
        && [".rs", ".wgsl", ".ts"].iter().any(|end| name.ends_with(end))
}

/// Words of the code: without comments, and without what follows the mark of a file's own tests.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().take_while(|(_, line)| line.trim() != "#[cfg(test)]");
    lines
        .filter(|(_, line)| !["//", "*", "/*"].iter().any(|mark| line.trim_start().starts_with(mark)))
        .map(|(number, line)| (number + 1, line.split(" // ").next().unwrap_or(line)))
}

/// The architecture that a line names: as a separate word, or as part of an identifier. `llama.cpp` and names of
/// models (`llama-3.2-1b`) are other words.
fn named(line: &str) -> Option<&'static str> {
    let words = line.split(|c: char| !c.is_ascii_alphanumeric() && !"_.-".contains(c));
    let parts =
        words.filter(|word| !word.contains('-') && !word.contains(".c")).flat_map(|word| word.split(['_', '.']));
    parts.filter_map(|part| NAMES.into_iter().find(|name| part.eq_ignore_ascii_case(name))).next()
}

#[test]
fn no_other_source_names_an_architecture() {
    let sources = sources();
    assert!(sources.len() > 30, "only {} sources were found", sources.len());
    let mut guilty = Vec::new();
    for path in sources {
        let text = fs::read_to_string(&path).expect("readable text");
        for (number, line) in code(&text) {
            if let Some(name) = named(line) {
                guilty.push(format!("{}:{number} names {name}: {}", path.display(), line.trim()));
            }
        }
    }
    assert!(guilty.is_empty(), "{}", guilty.join("\n"));
}

#[test]
fn the_search_finds_names() {
    assert_eq!(named(r#"if arch == "llama" {"#), Some("llama"));
    assert_eq!(named("fn run_gemma3(x: &Qwen2) {"), Some("gemma3"));
    assert_eq!(named("match kind { Qwen2 => 1"), Some("qwen2"));
    assert_eq!(named("as llama.cpp does, e.g. llama-3.2-1b and smollm2-135m"), None);
    assert_eq!(code("a\n// llama\n#[cfg(test)]\nllama").count(), 1);
}
