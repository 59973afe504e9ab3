//! Every golden at hand can be read, and agrees with itself.

use std::path::PathBuf;

use chord_testkit::{GgufFile, Golden, LogitsComparison, Trace, repo_dir};

/// The goldens of the repository.
fn goldens() -> Vec<Golden> {
    let mut goldens = Vec::new();
    for dir in ["", "tiny", "recipes"].map(|name| repo_dir().join("tests/golden").join(name)) {
        let entries = std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let is_golden = |path: &&PathBuf| path.extension().is_some_and(|e| e == "json");
        goldens.extend(paths.iter().filter(is_golden).map(|path| Golden::load(path)));
    }
    assert!(goldens.len() > 40, "{} goldens", goldens.len());
    goldens
}

#[test]
fn stored_logits_give_the_stored_choices() {
    for golden in goldens() {
        let logits = golden.logits();
        let mut comparison = LogitsComparison::new(&golden);
        for (row, &position) in golden.positions.iter().enumerate() {
            comparison.row(position, &logits[row * golden.n_vocab..][..golden.n_vocab]);
        }
        let report = comparison.report();
        assert_eq!(report.rows, golden.positions.len());
        report.assert_within(0.0, &golden.model);
        for (position, top) in &golden.top {
            assert_eq!(top[0].0, golden.argmax[*position], "{} at {position}", golden.model);
        }
    }
}

#[test]
fn a_disturbed_row_is_found() {
    for golden in goldens() {
        let logits = golden.logits();
        let last = golden.positions.len() - 1;
        let mut row = logits[last * golden.n_vocab..].to_vec();
        row.rotate_left(1);
        let mut comparison = LogitsComparison::new(&golden);
        comparison.row(golden.positions[last], &row);
        assert!(!comparison.report().is_within(1e-3), "{}", golden.model);
    }
}

#[test]
fn traces_end_in_the_stored_logits() {
    let mut seen = 0;
    for golden in goldens() {
        let path = golden.path.with_extension("trace.gguf");
        if !path.is_file() {
            continue;
        }
        seen += 1;
        let trace = Trace::load(&path);
        assert_eq!(trace.model, golden.model);
        assert_eq!(trace.tokens, golden.tokens[..trace.tokens.len()]);
        let (name, dims) = trace.tensors().last().unwrap();
        assert_eq!((name, dims), ("result_output", &[golden.n_vocab as u64, trace.keep_last as u64][..]));
        // Positions that both hold: the trace may be of a shorter run than the golden.
        let (values, logits) = (trace.values(name).unwrap(), golden.logits());
        for (i, row) in values.chunks(golden.n_vocab).enumerate() {
            let position = trace.tokens.len() - trace.keep_last + i;
            if let Ok(stored) = golden.positions.binary_search(&position) {
                let stored = &logits[stored * golden.n_vocab..][..golden.n_vocab];
                let report = chord_testkit::compare_logits(stored, row, golden.n_vocab);
                report.assert_within(1e-9, &format!("{} at {position}", golden.model));
            }
        }
    }
    assert!(seen > 5, "{seen} traces");
}

#[test]
fn tiny_models_lie_beside_their_goldens_and_decode() {
    for golden in goldens().iter().filter(|golden| golden.path.parent().is_some_and(|dir| dir.ends_with("tiny"))) {
        let file = GgufFile::open(&golden.model_path());
        assert!(file.header.architecture().is_some(), "{}", golden.model);
        for tensor in file.header.tensors.iter().filter(|tensor| tensor.ty.can_dequantize()) {
            let values = file.tensor_f32(&tensor.name);
            assert!(values.iter().all(|v| v.is_finite()), "{}: {}", golden.model, tensor.name);
            assert!(values.iter().any(|&v| v != 0.0), "{}: {}", golden.model, tensor.name);
        }
    }
}
