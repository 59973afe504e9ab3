//! Templates in the style of those in model files, against Jinja2 with the settings of `transformers`.
//!
//! `templates/NAME.txt` is what Jinja2 3.1.6 (sandboxed, `trim_blocks`, `lstrip_blocks`, loop controls; `tojson`
//! as `json.dumps(ensure_ascii=False)`) makes of `templates/NAME.jinja` with `messages.json`, `tools` and `documents`
//! none, a generation prompt, `<s>` and `</s>`, and the time 2024-07-26 11:44:05 UTC.

use std::path::Path;

use chord_text::{ChatTemplate, Message, TextError};

fn messages(folder: &Path) -> Vec<Message> {
    serde_json::from_slice(&std::fs::read(folder.join("messages.json")).unwrap()).unwrap()
}

#[test]
fn templates_render_as_jinja2_does() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/templates");
    let messages = messages(&folder);
    let mut seen = 0;
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "jinja") {
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        let expected = std::fs::read_to_string(path.with_extension("txt")).unwrap();
        let template = ChatTemplate::new(&source, "<s>", "</s>").unwrap().with_time(1_721_994_245);
        let rendered = template.render(&messages, true);
        assert_eq!(rendered.as_deref(), Ok(&*expected), "{}", path.display());
        seen += 1;
    }
    assert_eq!(seen, 6);
}

#[test]
fn long_conversations_stay_within_the_limits() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/templates");
    for name in ["chatml", "headers", "turns", "thoughts", "instructions"] {
        let source = std::fs::read_to_string(folder.join(name).with_extension("jinja")).unwrap();
        let template = ChatTemplate::new(&source, "<s>", "</s>").unwrap();
        let content = "word ".repeat(800);
        let messages: Vec<Message> =
            (0..1001).map(|i| Message::new(if i % 2 == 0 { "user" } else { "assistant" }, &*content)).collect();
        let rendered = template.render(&messages, true).unwrap();
        assert_eq!(rendered.matches("word").count(), 800_800, "{name}");
    }
}

fn render(source: &str) -> Result<String, TextError> {
    ChatTemplate::new(source, "", "")?.render(&[Message::new("user", "hi")], true)
}

#[test]
fn without_a_time_there_is_no_clock() {
    assert_eq!(render("{{ strftime_now is defined }}"), Ok("False".to_owned()));
}

#[test]
fn marks_for_training_are_ignored() {
    let source = "{% for m in messages %}{%- generation -%} {{ m.content }} {%- endgeneration %}{% endfor %}";
    assert_eq!(render(source), Ok("hi".to_owned()));
}

#[test]
fn a_template_can_refuse_messages() {
    let refused = render("{{ raise_exception('Only ' ~ 'one turn') }}").unwrap_err();
    assert_eq!(refused, TextError::TemplateRefused { message: "Only one turn".to_owned() });
    assert_eq!(refused.code(), "template-refused");
}

#[test]
fn errors_name_the_line() {
    let broken = render("a\nb {% if %}").unwrap_err();
    assert!(matches!(broken, TextError::Template { line: Some(2), .. }), "{broken:?}");
    let failing = render("a\nb\n\n{{ 1 / 0 }}").unwrap_err();
    assert!(matches!(failing, TextError::Template { line: Some(4), .. }), "{failing:?}");
    let unknown = render("a\n{{ 1 | no_such_filter }}").unwrap_err();
    assert!(matches!(unknown, TextError::Template { line: Some(2), .. }), "{unknown:?}");
}
