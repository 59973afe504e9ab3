//! Models in parts, odd files, and what the command says about them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use chord_gguf::Value;
use chord_testkit::TinyModel;

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chord"));
    command.args(args).stdin(Stdio::null());
    command
}

fn chord(args: &[&str]) -> Output {
    command(args).output().expect("the command runs")
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).expect("the output is text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&stdout(&chord(args))).expect("the output is JSON")
}

/// An empty folder of this test run.
fn folder(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("odd-files").join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).expect("there is a place for scratch files");
    dir
}

fn file(name: &str, model: &TinyModel) -> String {
    let path = folder(name).join("model.gguf");
    std::fs::write(&path, model.file()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Writes a model in parts; returns the path of each.
fn parts(name: &str, n: usize) -> Vec<String> {
    let dir = folder(name);
    let write = |(no, bytes): (usize, Vec<u8>)| {
        let path = dir.join(format!("tiny-{:05}-of-{n:05}.gguf", no + 1));
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    TinyModel::llama().parts(n).into_iter().enumerate().map(write).collect()
}

const RUN: [&str; 8] = ["--raw", "-p", "the hen", "-n", "8", "--backend", "cpu", "--json"];

#[test]
fn every_command_opens_a_model_in_parts() {
    let whole = file("whole", &TinyModel::llama());
    let parts = parts("parts", 3);
    let text = |model: &str| json(&[&["run", model][..], &RUN].concat())["text"].clone();
    let expected = text(&whole);
    for part in &parts {
        assert_eq!(text(part), expected, "{part}");
    }
    let first = parts[0].as_str();
    let inspected = |model: &str, what: &str| json(&["inspect", model, "--json"])["model"][what].clone();
    for what in ["n_params", "tensor_bytes"] {
        assert_eq!(inspected(first, what), inspected(&whole, what), "{what}");
    }
    let block = |model: &str, name: &str| {
        json(&["inspect", model, "--json", "--tensor", name, "--block", "5"])["values"].clone()
    };
    for tensor in ["token_embd.weight", "blk.0.ffn_up.weight", "output_norm.weight"] {
        assert_eq!(block(first, tensor), block(&whole, tensor), "{tensor}");
    }
    let out = folder("out").join("logits.f32");
    let out = out.to_str().unwrap();
    for args in [
        &["tokenize", first][..],
        &["logits", first, "--tokens", "1,2", "--out", out, "--backend", "cpu"],
        &["trace", first, "--tokens", "1,2", "--backend", "cpu"],
        &["bench", first, "-p", "4", "-n", "2", "-r", "1", "--backend", "cpu"],
        &["chat", first, "--backend", "cpu"],
    ] {
        stdout(&chord(args));
    }
}

#[test]
fn a_part_that_is_missing_is_named_with_its_number() {
    let parts = parts("missing", 3);
    std::fs::remove_file(&parts[1]).unwrap();
    for args in [&["inspect", &parts[0]][..], &["tokenize", &parts[2]], &["bench", &parts[0]]] {
        let output = chord(args);
        assert_eq!(output.status.code(), Some(1));
        let text = stderr(&output);
        assert!(text.contains("error[missing-part]: part 2 of 3"), "{text}");
        assert!(text.contains("tiny-00002-of-00003.gguf"), "{text}");
    }
}

#[test]
fn parts_that_are_mixed_up_are_refused() {
    let refused = |path: &str, words: &[&str]| {
        let text = stderr(&chord(&["inspect", path]));
        assert!(text.starts_with("error[bad-split]"), "{text}");
        words.iter().for_each(|word| assert!(text.contains(word), "{word:?} in {text}"));
    };
    let swapped = parts("swapped", 3);
    let bytes: Vec<Vec<u8>> = swapped.iter().map(|path| std::fs::read(path).unwrap()).collect();
    std::fs::write(&swapped[1], &bytes[2]).unwrap();
    refused(&swapped[0], &["part 2 of 3", "split.no is 2"]);
    std::fs::write(&swapped[1], &bytes[1]).unwrap();
    std::fs::write(&swapped[2], TinyModel::llama().file()).unwrap();
    refused(&swapped[0], &["part 3 of 3", "absent"]);
    // By its header it has two parts, by its name three.
    std::fs::write(&swapped[0], &TinyModel::llama().parts(2)[0]).unwrap();
    refused(&swapped[0], &["2 parts", "-of-00002.gguf"]);
    let renamed = folder("renamed").join("model.gguf");
    std::fs::write(&renamed, &bytes[0]).unwrap();
    refused(renamed.to_str().unwrap(), &["3 parts", "-00001-of-00003.gguf"]);
}

#[test]
fn warnings_are_shown_by_inspect_and_run() {
    let model = file("no-pre", &TinyModel::llama().with_bpe(None));
    let warning = "tokenizer.ggml.pre";
    assert!(json(&["inspect", &model, "--json"])["warnings"][0].as_str().unwrap().contains(warning));
    assert!(stdout(&chord(&["inspect", &model])).contains("warning: the file does not say"));
    let run = chord(&[&["run", &model][..], &RUN].concat());
    assert!(stderr(&run).contains("warning: the file does not say"), "{}", stderr(&run));
    assert!(stderr(&chord(&["tokenize", &model])).contains("warning: "));

    let model = file("trained-for-64", &TinyModel::llama());
    let longer = "the context is 128 tokens and the model was trained for 64";
    let run = chord(&[&["run", &model, "--ctx", "128"][..], &RUN].concat());
    assert!(run.status.success() && stderr(&run).contains(longer), "{}", stderr(&run));
    assert!(stdout(&chord(&["inspect", &model, "--ctx", "128"])).contains(longer));
    assert_eq!(json(&["inspect", &model, "--ctx", "64", "--json"])["warnings"], serde_json::json!([]));
}

#[test]
fn notes_and_ignored_tensors_are_listed() {
    let mut odd = TinyModel::llama()
        .with("attention.head_count", Value::Array(chord_gguf::Array::U32(vec![4, 4])))
        .with_tensor("blk.0.attn_q.input_scale", &[1]);
    odd.trailing_bytes = 5;
    let model = file("odd", &odd);
    let report = json(&["inspect", &model, "--json"]);
    assert_eq!(report["ignored_tensors"], serde_json::json!(["blk.0.attn_q.input_scale"]));
    assert_eq!(report["notes"].as_array().unwrap().len(), 3, "{}", report["notes"]);
    let shown = stdout(&chord(&["inspect", &model]));
    for words in
        ["note: 5 bytes after", "note: llama.attention.head_count is given layer by layer", "ignored tensors:\n"]
    {
        assert!(shown.contains(words), "{words} in {shown}");
    }
    let refused = file("unread", &TinyModel::llama().with_tensor("output.bias", &[TinyModel::TOKENS]));
    assert!(
        stderr(&chord(&[&["run", &refused][..], &RUN].concat())).contains("error[unread-tensor]: tensor output.bias")
    );
    assert!(stdout(&chord(&["inspect", &refused])).contains("cannot be run: [unread-tensor] tensor output.bias"));
}

/// Mesa's layer that asks a display for its device makes libwayland complain where there is no display.
#[test]
fn nothing_is_said_about_a_display_where_there_is_none() {
    let model = file("no-display", &TinyModel::llama());
    for dir in [None, Some("not/absolute")] {
        let mut command = command(&["run", &model, "--raw", "-p", "the", "-n", "2"]);
        command.env_remove("WAYLAND_DISPLAY").env_remove("XDG_RUNTIME_DIR").env_remove("NODEVICE_SELECT");
        if let Some(dir) = dir {
            command.env("XDG_RUNTIME_DIR", dir);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(!stderr(&output).contains("XDG_RUNTIME_DIR"), "{}", stderr(&output));
    }
}
