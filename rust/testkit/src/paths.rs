//! Where test data lies, and reading it.

use std::io;
use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn repo_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository has a root")
}

/// The folder of the reference's results: `CHORD_GOLDEN`, else `../shared/golden` beside the repository if it exists,
/// else the small part of it in `tests/golden`.
pub fn golden_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("CHORD_GOLDEN") {
        return dir.into();
    }
    let full = repo_dir().join("../shared/golden");
    if full.is_dir() { full } else { repo_dir().join("tests/golden") }
}

/// The folder of real models: `CHORD_MODELS`, else `models` in the repository.
pub fn models_dir() -> PathBuf {
    match std::env::var_os("CHORD_MODELS") {
        Some(dir) => dir.into(),
        None => repo_dir().join("models"),
    }
}

/// The path of a golden file, e.g. `"tiny/llama.Q4_0.json"`; `None`, with a message, if it is not there.
pub fn find_golden(name: &str) -> Option<PathBuf> {
    find(golden_dir(), name, "CHORD_GOLDEN")
}

/// The path of a real model, or of one of the goldens' tiny ones; `None`, with a message, if it is not there.
pub fn find_model(name: &str) -> Option<PathBuf> {
    let tiny = golden_dir().join("tiny").join(name);
    if tiny.is_file() { Some(tiny) } else { find(models_dir(), name, "CHORD_MODELS") }
}

fn find(dir: PathBuf, name: &str, variable: &str) -> Option<PathBuf> {
    let path = dir.join(name);
    if path.is_file() {
        return Some(path);
    }
    eprintln!("not checked: {name} is not in {} (set {variable} to a folder that has it)", dir.display());
    None
}

/// Reads a file of f32, little-endian.
///
/// # Errors
/// If it cannot be read, or its length is not a multiple of 4.
pub fn read_f32_file(path: &Path) -> io::Result<Vec<f32>> {
    let bytes = std::fs::read(path)?;
    let (values, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        let message = format!("{}: {} bytes are not whole f32", path.display(), bytes.len());
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(values.iter().map(|&value| f32::from_le_bytes(value)).collect())
}
