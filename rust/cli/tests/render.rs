//! `chord render`: which parts of a conversation reach the template, and which time.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use chord_gguf::ValueType;
use chord_testkit::FileBuilder;

/// A file with a vocabulary of one token and a chat template, and no weights.
fn model(name: &str, template: &str) -> PathBuf {
    let mut file = FileBuilder::new(3, 0, 3);
    file.string("general.architecture", "llama");
    file.array("tokenizer.ggml.tokens", ValueType::String, 1);
    file.text("a");
    file.string("tokenizer.chat_template", template);
    file.pad(32);
    write(&format!("{name}.gguf"), &file.bytes)
}

fn write(name: &str, bytes: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("render");
    std::fs::create_dir_all(&folder).expect("there is a place for scratch files");
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("a scratch file can be written");
    path
}

fn render(model: &Path, messages: &str, more: &[&str]) -> Output {
    let name = model.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
    let messages = write(&format!("{name}.json"), messages.as_bytes());
    let mut command = Command::new(env!("CARGO_BIN_EXE_chord"));
    command.arg("render").arg(model).arg("--messages").arg(messages).args(more);
    command.output().expect("the command runs")
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("the prompt is text")
}

fn error(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned()
}

const HI: &str = r#"[{"role": "user", "content": "Hi"}]"#;

#[test]
fn templates_are_told_the_time() {
    let file = model("now", "{{ strftime_now('%d %b %Y %H:%M:%S') }}");
    assert_eq!(text(&render(&file, HI, &["--now", "2024-07-26T11:44:05"])), "26 Jul 2024 11:44:05");
    assert_eq!(text(&render(&file, HI, &["--date", "2024-02-29"])), "29 Feb 2024 00:00:00");
    assert_eq!(render(&file, HI, &["--now", "yesterday"]).status.code(), Some(2));

    // Without the option, local time: around New Year its year may be the one before or after.
    let years = model("years", "{{ strftime_now('%Y') }}");
    let seconds = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    let year = 1970.0 + seconds as f64 / (365.2425 * 86_400.0);
    let shown: f64 = text(&render(&years, HI, &[])).parse().expect("a year");
    assert!((shown + 0.5 - year).abs() < 0.51, "{shown} {year}");

    // In the time zone of the process.
    let zones = model("zones", "{{ strftime_now('%Y-%m-%d %H') }}");
    let at = |zone: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_chord"))
            .args(["render", zones.to_str().expect("text"), "--messages"])
            .arg(write("zones.json", HI.as_bytes()))
            .env("TZ", zone)
            .output()
            .expect("the command runs");
        text(&output)
    };
    assert_ne!(at("UTC+11"), at("UTC-11"));
}

#[test]
fn names_reach_the_template_and_what_would_be_dropped_is_refused() {
    let file = model("names", "{% for m in messages %}{{ m.role }}/{{ m.name }}/{{ m.content }};{% endfor %}");
    let named = r#"{"messages": [{"role": "user", "name": "Ann", "content": "Hi"},
        {"role": "critic", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": null}],
        "temperature": 0, "tools": []}"#;
    assert_eq!(text(&render(&file, named, &[])), "user/Ann/Hi;critic//ab;");
    for (field, messages) in [
        ("tool_calls", r#"[{"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}]"#),
        ("tool_call_id", r#"[{"role": "tool", "content": "", "tool_call_id": "1"}]"#),
        ("reasoning_content", r#"[{"role": "assistant", "content": "", "reasoning_content": "Hm"}]"#),
        ("tools", r#"{"messages": [{"role": "user", "content": "Hi"}], "tools": [{"type": "function"}]}"#),
        ("image_url", r#"[{"role": "user", "content": [{"type": "image_url"}]}]"#),
    ] {
        let error = error(&render(&file, messages, &[]));
        assert!(error.starts_with("error[unsupported-field]") && error.contains(field), "{error}");
    }
    for messages in ["{}", "5", "[5]", r#"[{"role": "user"}]"#, r#"[{"role": 5, "content": ""}]"#] {
        assert!(error(&render(&file, messages, &[])).starts_with("error[bad-input]"), "{messages}");
    }
}

#[test]
fn templates_that_made_the_engine_panic_render() {
    for (name, template, expected) in [
        ("reverse-of-nothing", "{{ [][::-1] }}", "[]"),
        ("reverse-of-a-slice", "{{ messages[1:][::-1] }}", "[]"),
        ("no-iterable", "{{ none is iterable }}", "False"),
        ("line-ends", "a\r\n{% if true %}\r\nb\r\n{% endif %}\r\nc", "a\nb\nc"),
    ] {
        assert_eq!(text(&render(&model(name, template), HI, &[])), expected, "{template}");
    }
    let file = model("refusal", "{{ raise_exception('Only \"one\" turn, please') }}");
    assert!(error(&render(&file, HI, &[])).ends_with("Only \"one\" turn, please"));
}
