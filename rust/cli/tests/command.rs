//! The command as people and scripts use it.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use chord_testkit::compare::NMSE_F32_KV;
use chord_testkit::{Golden, LogitsComparison, TinyModel, golden_path, hostile, model_path, read_f32_file};

/// Runs `chord` with `input` on its standard input.
fn chord_with_input(args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_chord"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    // A command that fails early has closed its input, which is not a failure of the test.
    let _ = child.stdin.take().expect("it has an input").write_all(input);
    child.wait_with_output().expect("the command ends")
}

fn chord(args: &[&str]) -> Output {
    chord_with_input(args, b"")
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).expect("the output is text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The single line `error[code]: message` of a command that failed.
fn failure(output: &Output) -> (String, String) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let line = text.lines().last().unwrap_or_default();
    let (code, message) = line.strip_prefix("error[").and_then(|rest| rest.split_once("]: ")).unwrap_or_else(|| {
        panic!("not an error line: {text:?}");
    });
    (code.to_owned(), message.to_owned())
}

fn path(path: &Path) -> &str {
    path.to_str().expect("test paths are text")
}

/// A file of this test run.
fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("command");
    std::fs::create_dir_all(&dir).expect("there is a place for scratch files");
    dir.join(name)
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_str(&stdout(output)).expect("the output is JSON")
}

#[test]
fn wrong_usage_exits_with_2() {
    for args in [
        &[][..],
        &["run"],
        &["frobnicate"],
        &["run", "model.gguf"],
        &["run", "model.gguf", "-p", "x", "--backend", "tpu"],
        &["run", "model.gguf", "-p", "x", "--special"],
        &["logits", "model.gguf", "--tokens", "1,x", "--out", "f"],
        &["bench"],
        &["bench", "--shape", "gpt-5"],
        &["bench", "--shape", "smollm2-135m", "--quant", "Q9"],
        &["trace", "model.gguf"],
        &["inspect", "model.gguf", "--tensor", "a"],
    ] {
        assert_eq!(chord(args).status.code(), Some(2), "{args:?}");
    }
    assert!(chord(&["--help"]).status.success());
    assert!(chord(&["--version"]).status.success());
}

#[test]
fn a_missing_file_is_an_error_with_its_name() {
    let (code, message) = failure(&chord(&["inspect", "no/such.gguf"]));
    assert_eq!(code, "file-not-found");
    assert!(message.contains("no/such.gguf"), "{message}");
    let (code, _) = failure(&chord(&["inspect", env!("CARGO_TARGET_TMPDIR")]));
    assert_eq!(code, "io");
}

/// Every command that opens a model refuses what the reader refuses, with its code, names and numbers.
#[test]
fn hostile_files_are_refused_with_code_names_and_numbers() {
    let rejects = hostile::rejects();
    assert!(rejects.len() >= 45);
    for reject in rejects {
        let file = scratch(&format!("{}.gguf", reject.name));
        std::fs::write(&file, &reject.bytes).unwrap();
        let (code, message) = failure(&chord(&["inspect", path(&file)]));
        assert_eq!(code, reject.code, "{}: {message}", reject.name);
        for part in &reject.message {
            assert!(message.contains(part), "{}: {message:?} lacks {part:?}", reject.name);
        }
    }
    let reject = &hostile::rejects()[0];
    let file = path(&scratch(&format!("{}.gguf", reject.name))).to_owned();
    for args in [
        &["run", &file, "-p", "x"][..],
        &["tokenize", &file],
        &["chat", &file],
        &["logits", &file, "--tokens", "1", "--out", "unused"],
        &["trace", &file, "--tokens", "1"],
        &["bench", &file],
    ] {
        assert_eq!(failure(&chord(args)).0, reject.code, "{args:?}");
    }
}

#[test]
fn inspect_works_on_architectures_that_cannot_run() {
    let model = scratch("starcoder2.gguf");
    std::fs::write(&model, TinyModel::llama().of_architecture("starcoder2").file()).unwrap();
    let report = json(&chord(&["inspect", path(&model), "--json", "--tensors"]));
    assert_eq!(report["model"]["architecture"], "starcoder2");
    assert!(report["cannot_run"].as_str().unwrap().contains("unsupported-architecture"));
    assert!(report["tensors"].as_array().unwrap().len() > 10);
    assert_eq!(failure(&chord(&["inspect", path(&model), "--program"])).0, "unsupported-architecture");
}

#[test]
fn inspect_says_what_a_gpu_of_a_given_size_can_do() {
    let model = model_path("gemma3.Q4_K_M.gguf");
    let judge = |bytes: &str| json(&chord(&["inspect", path(&model), "--json", "--ctx", "128", "--gpu-mem", bytes]));
    let roomy = judge("1G");
    assert_eq!(roomy["verdict"]["kind"], "fits");
    let all: u64 = ["weights", "kv", "scratch"].iter().map(|part| roomy["memory"][part].as_u64().unwrap()).sum();
    let tight = judge(&(all - 1).to_string());
    assert_eq!(tight["verdict"]["kind"], "pages");
    assert_eq!(
        tight["verdict"]["paged_layers"].as_u64().unwrap() + tight["verdict"]["resident_layers"].as_u64().unwrap(),
        7
    );
    assert!(judge("1K")["cannot_run"].as_str().unwrap().starts_with("[out-of-memory]"));
    let shown = stdout(&chord(&["inspect", path(&model), "--ctx", "128", "--gpu-mem", &(all - 1).to_string()]));
    assert!(shown.contains("pages: "), "{shown}");
    assert!(json(&chord(&["inspect", path(&model), "--json"]))["verdict"].is_null());
}

#[test]
fn inspect_shows_memory_program_and_a_decoded_block() {
    let model = model_path("llama.Q4_0.gguf");
    let model = path(&model);
    let report = json(&chord(&["inspect", model, "--json", "--ctx", "128", "--kv", "f32"]));
    // 2 layers, 2 KV heads of 32 columns, keys and values, 4 bytes each.
    assert_eq!(report["memory"]["kv"], 2 * 2 * 64 * 4 * 128);
    assert_eq!(report["metadata"]["llama.block_count"], 2);
    assert!(stdout(&chord(&["inspect", model])).contains("llama.block_count = 2"));
    assert!(stdout(&chord(&["inspect", model, "--program"])).contains("layer 1:"));

    let block = json(&chord(&["inspect", model, "--json", "--tensor", "blk.0.attn_q.weight", "--block", "3"]));
    let bytes: Vec<u8> = block["bytes"].as_array().unwrap().iter().map(|b| b.as_u64().unwrap() as u8).collect();
    let all = std::fs::read(model).unwrap();
    let at = block["offset"].as_u64().unwrap() as usize;
    assert_eq!(bytes, all[at..at + bytes.len()]);
    if block["type"] == "Q4_0" {
        assert_eq!((bytes.len(), block["values"].as_array().unwrap().len()), (18, 32));
    }
    let (code, message) = failure(&chord(&["inspect", model, "--tensor", "blk.0.attn_q.weight", "--block", "9999999"]));
    assert!(code == "bad-input" && message.contains("9999999"), "{message}");
    assert_eq!(failure(&chord(&["inspect", model, "--tensor", "nope", "--block", "0"])).0, "bad-input");
}

#[test]
fn tokenize_takes_the_text_exactly_as_it_is() {
    let model = model_path("SmolLM2-135M-Instruct.Q4_1.gguf");
    let golden = Golden::named("smollm2-135m-instruct.q4_1");
    let model = path(&model);
    let text = golden.text().expect("the golden has a text");
    let ids: Vec<u32> =
        serde_json::from_value(json(&chord_with_input(&["tokenize", model, "--json"], text.as_bytes()))).unwrap();
    assert_eq!(ids, golden.tokens);
    let list = stdout(&chord_with_input(&["tokenize", model], text.as_bytes()));
    assert_eq!(list.trim().split(',').map(|id| id.parse().unwrap()).collect::<Vec<u32>>(), golden.tokens);

    let chat = &golden.chats[0];
    let rendered = chat.rendered.as_ref().expect("the golden is a chat");
    let special = json(&chord_with_input(&["tokenize", model, "--json", "--special"], rendered.as_bytes()));
    assert_eq!(special, serde_json::json!(chat.tokens));
    let plain = json(&chord_with_input(&["tokenize", model, "--json"], rendered.as_bytes()));
    assert_ne!(plain, special, "names of control tokens are text unless asked for");
    assert_eq!(failure(&chord_with_input(&["tokenize", model], b"ab\xff")).0, "bad-input");
}

#[test]
fn the_beginning_token_can_be_left_out() {
    let model = model_path("llama.Q4_0.gguf");
    let ids = |args: &[&str]| json(&chord_with_input(args, b"hello")).as_array().unwrap().clone();
    let with = ids(&["tokenize", path(&model), "--json"]);
    let without = ids(&["tokenize", path(&model), "--json", "--no-bos"]);
    assert_eq!(with[0], 1);
    assert_eq!(with[1..], without[..]);
}

#[test]
fn render_gives_the_references_prompt() {
    let model = model_path("SmolLM2-135M-Instruct.Q4_1.gguf");
    let golden = Golden::named("smollm2-135m-instruct.q4_1");
    for (index, chat) in golden.chats.iter().enumerate() {
        let messages = serde_json::json!([{ "role": "user", "content": chat.prompt }]);
        let file = scratch(&format!("messages-{index}.json"));
        let request = if index == 0 { serde_json::json!({ "messages": messages, "stream": true }) } else { messages };
        std::fs::write(&file, request.to_string()).unwrap();
        let text = stdout(&chord(&["render", path(&model), "--messages", path(&file)]));
        assert_eq!(Some(text), chat.rendered);
    }
    let file = scratch("messages-bad.json");
    std::fs::write(&file, "{}").unwrap();
    assert_eq!(failure(&chord(&["render", path(&model), "--messages", path(&file)])).0, "bad-input");
}

#[test]
fn logits_are_written_as_little_endian_rows() {
    let golden = Golden::named("tiny/llama.Q4_K_M");
    let model = model_path(&golden.model);
    let list = scratch("tokens.txt");
    let ids: Vec<String> = golden.tokens.iter().map(u32::to_string).collect();
    std::fs::write(&list, ids.join(",") + "\n").unwrap();
    let out = scratch("logits.f32");
    let tokens = format!("@{}", path(&list));
    let args = [
        "logits",
        path(&model),
        "--tokens",
        &tokens,
        "--backend",
        "cpu",
        "--kv",
        "f32",
        "--activations",
        "f32",
        "--out",
        path(&out),
    ];
    stdout(&chord(&args));
    let logits = read_f32_file(&out).unwrap();
    let mut comparison = LogitsComparison::new(&golden);
    comparison.rows(0, &logits);
    comparison.report().assert_within(NMSE_F32_KV, "chord logits");

    let args = ["logits", path(&model), "--tokens", "1,9999", "--backend", "cpu", "--out", path(&out)];
    assert_eq!(failure(&chord(&args)).0, "invalid-argument");
    let args = ["logits", path(&model), "--tokens", "1,2,3", "--backend", "cpu", "--ctx", "2", "--out", path(&out)];
    let (code, message) = failure(&chord(&args));
    assert!(code == "prompt-too-long" && message.contains("3 tokens"), "{message}");
}

#[test]
fn trace_agrees_with_the_reference_and_names_the_first_op_that_does_not() {
    let model = model_path("llama.Q4_K_M.gguf");
    let stored = golden_path("tiny/llama.Q4_K_M.trace.gguf");
    let (model, stored) = (path(&model), path(&stored));
    let text = stdout(&chord(&["trace", model, "--against", stored, "--kv", "f32", "--backend", "cpu"]));
    assert!(text.contains("Qcur-1") && text.trim_end().ends_with("none above 1e-6"), "{text}");

    // A limit that f32 cannot keep: the first op compared is not exact.
    let strict = ["trace", model, "--against", stored, "--kv", "f32", "--backend", "cpu", "--tolerance", "1e-18"];
    let (code, message) = failure(&chord(&strict));
    assert_eq!(code, "out-of-tolerance");
    assert!(message.contains("attn_norm-0 (rms_norm)"), "{message}");

    let report = json(&chord(&["trace", model, "--against", stored, "--kv", "f32", "--backend", "cpu", "--json"]));
    assert!(report["first_out_of_tolerance"].is_null());
    assert!(report["compared"].as_u64().unwrap() >= 30);

    let same = ["trace", model, "--tokens", "1,2,3", "--backend", "cpu", "--compare", "cpu", "--json"];
    let report = json(&chord(&same));
    assert!(report["ops"].as_array().unwrap().iter().all(|op| op["nmse"] == 0.0));

    // A model with one altered weight: the op that reads it is named, not one before it.
    let altered = scratch("altered.gguf");
    let mut bytes = std::fs::read(model).unwrap();
    let block = json(&chord(&["inspect", model, "--json", "--tensor", "blk.1.ffn_up.weight", "--block", "0"]));
    let at = block["offset"].as_u64().unwrap() as usize + 16;
    bytes[at..at + 64].fill(0xff);
    std::fs::write(&altered, bytes).unwrap();
    let args = ["trace", path(&altered), "--against", stored, "--kv", "f32", "--backend", "cpu"];
    let (code, message) = failure(&chord(&args));
    assert_eq!(code, "out-of-tolerance");
    assert!(message.contains("ffn_up-1 (matmul)"), "{message}");
    assert_eq!(failure(&chord(&["trace", model, "--against", model])).0, "bad-input");
}

#[test]
fn run_streams_text_and_reports_on_standard_error() {
    let model = model_path("SmolLM2-135M-Instruct.Q4_1.gguf");
    let question = "Name the capital of France.";
    let output = chord(&["run", path(&model), "-p", question, "-n", "16", "--backend", "cpu"]);
    assert_eq!(stdout(&output), "The capital of France is Paris.\n");
    assert!(stderr(&output).contains("tok/s"));

    let raw = ["run", path(&model), "-p", "The capital of France is", "--raw", "-n", "3", "--backend", "cpu", "--json"];
    let report = json(&chord(&raw));
    assert!(report["text"].as_str().unwrap().contains("Paris"), "{report}");
    assert_eq!(report["usage"]["completion_tokens"], 3);
    assert_eq!(report["finish_reason"], "length");
    assert_eq!(report["info"]["backend"], "cpu");

    let args = ["run", path(&model), "-p", question, "--ctx", "8", "--backend", "cpu"];
    let (code, message) = failure(&chord(&args));
    assert!(code == "prompt-too-long" && message.contains("36 tokens") && message.contains("holds 8"), "{message}");
    for (argument, expected) in [
        ("--temp=-1", "a number from 0 to 100"),
        ("--top-p=1.5", "a number from 0 to 1"),
        ("--top-k=many", "a whole number from 0 to 4294967295"),
        ("-n0", "a whole number from 1 to 4294967295"),
    ] {
        let output = chord(&["run", path(&model), "-p", question, argument, "--backend", "cpu"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(&format!("expected {expected}")), "{}", stderr(&output));
    }
}

#[test]
fn a_seed_gives_the_same_text_again() {
    let model = model_path("llama.Q4_0.gguf");
    let run = |seed: &str| {
        let args = ["run", path(&model), "-p", "Hello", "--raw", "-n", "24", "--temp", "1.5", "--seed", seed];
        chord(&[&args[..], &["--backend", "cpu"]].concat()).stdout
    };
    assert_eq!(run("7"), run("7"));
    assert_ne!(run("7"), run("8"));
}

#[test]
fn chat_keeps_the_conversation() {
    let model = model_path("SmolLM2-135M-Instruct.Q4_1.gguf");
    let args = ["chat", path(&model), "-n", "12", "--backend", "cpu"];
    let output = chord_with_input(&args, b"Name the capital of France.\n\nAnd of Italy?\n/new\n/exit\n");
    assert!(stdout(&output).starts_with("The capital of France is Paris.\n"));
    let figures: Vec<String> = stderr(&output).lines().filter(|l| l.contains("cached")).map(str::to_owned).collect();
    assert_eq!(figures.len(), 2, "{figures:?}");
    assert!(figures[0].contains("(0 cached)") && !figures[1].contains("(0 cached)"), "{figures:?}");
}

/// `chord run … | head -c 1` says nothing.
#[cfg(unix)]
#[test]
fn a_closed_output_ends_the_command_quietly() {
    let model = model_path("llama.Q4_0.gguf");
    for args in [
        &["inspect", path(&model), "--tensors"][..],
        &["run", path(&model), "-p", "Hello", "--raw", "-n", "400", "--backend", "cpu"],
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_chord"))
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{args:?}");
    }
}

/// Ctrl-C while text is generated: the text so far is kept, figures are printed, the status says why.
#[cfg(unix)]
#[test]
fn an_interrupt_stops_a_generation_cleanly() {
    let model = model_path("SmolLM2-135M-Instruct.Q4_1.gguf");
    let mut child = Command::new(env!("CARGO_BIN_EXE_chord"))
        .args(["run", path(&model), "-p", "Count to a thousand.", "-n", "2000", "--backend", "cpu"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut first).expect("the first character comes");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(stderr(&output).contains("Cancelled"), "{}", stderr(&output));
}

#[test]
fn bench_measures_a_file_and_a_shape() {
    let model = model_path("llama.Q4_0.gguf");
    let sizes = ["-p", "16", "-n", "4", "-r", "1", "--backend", "cpu", "--json"];
    let report = json(&chord(&[&["bench", path(&model)][..], &sizes].concat()));
    assert!(report["decode_tokens_per_s"].as_f64().unwrap() > 0.0);
    assert!(report["bandwidth_share"].as_f64().unwrap() > 0.0);
    let shape = ["bench", "--shape", "smollm2-135m", "--quant", "Q4_K_M"];
    let report = json(&chord(&[&shape[..], &sizes].concat()));
    assert_eq!(report["model"], "smollm2-135m");
    assert!(report["prefill_tokens_per_s"].as_f64().unwrap() > 0.0);
    // 134.5 million weights at about five bits, of which nearly all are read for each token.
    let bytes = report["bytes_per_token"].as_u64().unwrap();
    assert!((70_000_000..130_000_000).contains(&bytes), "{bytes}");
}

/// The commands on a GPU, a software one where there is no other.
#[cfg(feature = "gpu")]
#[test]
fn the_gpu_gives_the_references_numbers() {
    let golden = Golden::named("tiny/llama.Q4_K_M");
    let model = model_path(&golden.model);
    let ids: Vec<String> = golden.tokens.iter().map(u32::to_string).collect();
    let (model, tokens) = (path(&model), ids.join(","));
    let out = scratch("gpu-logits.f32");
    let device = ["--backend", "gpu", "--kv", "f32"];
    stdout(&chord(&[&["logits", model, "--tokens", &tokens, "--out", path(&out)][..], &device].concat()));
    let mut comparison = LogitsComparison::new(&golden);
    comparison.rows(0, &read_f32_file(&out).unwrap());
    comparison.report().assert_within(NMSE_F32_KV, "chord logits --backend gpu");

    let against_cpu = ["trace", model, "--tokens", &tokens, "--compare", "cpu", "--json"];
    let report = json(&chord(&[&against_cpu[..], &device].concat()));
    assert!(report["first_out_of_tolerance"].is_null());
    assert_eq!(report["compared"], report["ops"].as_array().unwrap().len());

    let sizes = ["bench", model, "-p", "16", "-n", "4", "-r", "1", "--json"];
    let report = json(&chord(&[&sizes[..], &device].concat()));
    assert_eq!(report["backend"], "gpu");
    assert!(report["bandwidth_share"].as_f64().unwrap() > 0.0);

    let unknown = ["run", model, "-p", "x", "--raw", "--backend", "gpu", "--adapter", "no such adapter"];
    assert_eq!(failure(&chord(&unknown)).0, "no-backend");
}
