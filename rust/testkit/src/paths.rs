//! Where test data is, and reading it.

use std::io;
use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn repo_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository has a root")
}

/// The results that belong to the repository.
pub(crate) fn own_goldens() -> PathBuf {
    repo_dir().join("tests/golden")
}

/// The path of one of the reference's results, e.g. `"tiny/llama.Q4_0.json"`: the repository's own, or one of the
/// larger set, whose folder `CHORD_GOLDEN` names.
///
/// # Panics
/// If it is not there. Tests that need the larger set are ignored unless `npm test` finds `CHORD_GOLDEN` set.
pub fn golden_path(name: &str) -> PathBuf {
    let own = own_goldens().join(name);
    if own.is_file() {
        return own;
    }
    let Some(dir) = std::env::var_os("CHORD_GOLDEN").map(PathBuf::from) else {
        panic!("{name} belongs to the larger set of results: set CHORD_GOLDEN to its folder");
    };
    let path = dir.join(name);
    assert!(path.is_file(), "{name} is not in {}, which CHORD_GOLDEN names", dir.display());
    path
}

/// The path of a model: one of the goldens' tiny ones, or a real one from the folder that `CHORD_MODELS` names
/// (`models` in the repository without it).
///
/// # Panics
/// If it is not there.
pub fn model_path(name: &str) -> PathBuf {
    let larger = std::env::var_os("CHORD_GOLDEN").map(PathBuf::from);
    let tiny = [Some(own_goldens()), larger].into_iter().flatten().map(|dir| dir.join("tiny").join(name));
    if let Some(path) = tiny.into_iter().find(|path| path.is_file()) {
        return path;
    }
    let models = std::env::var_os("CHORD_MODELS").map_or_else(|| repo_dir().join("models"), PathBuf::from);
    let path = models.join(name);
    assert!(
        path.is_file(),
        "{name} is not in {}: `npm test` fetches the real models; the larger set of tiny ones is named by CHORD_GOLDEN",
        models.display()
    );
    path
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
