//! Templates and expressions against what Jinja2 makes of them with the settings of `transformers`.
//!
//! `suite/templates/*.jinja` are written in the style of those in model files; each is rendered for every conversation
//! of `suite/conversations.json`. `suite/expressions.txt` holds one template per line for the values of
//! `suite/variables.json`. The expectations were written by `scripts/templates/expectations.py`, with the clock at
//! 2024-07-26 11:44:05.

use std::path::{Path, PathBuf};

use chord_text::{ChatTemplate, TextError};
use serde_json::{Map, Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

fn lines(name: &str) -> Vec<Value> {
    read(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A rendering in the form of the expectations.
fn rendered(source: &str, variables: &Map<String, Value>) -> (Value, Option<TextError>) {
    let rendered =
        ChatTemplate::new(source, "", "").and_then(|template| template.with_time(1_721_994_245).render_with(variables));
    match rendered {
        Ok(text) => (json!(text), None),
        Err(TextError::TemplateRefused { message }) => (json!({ "refused": message }), None),
        Err(error) => (json!({ "error": true }), Some(error)),
    }
}

/// Templates and expressions that `suite/differences.txt` names: they are known to differ, for the reasons given there.
fn known_differences() -> Vec<String> {
    read("differences.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// The differences must be exactly the known ones: a new one fails, and so does one that is gone.
fn compare(differing: &[(String, String)], among: impl Fn(&str) -> bool) {
    let known = known_differences();
    let new: Vec<&str> =
        differing.iter().filter(|(name, _)| !known.contains(name)).map(|(_, detail)| detail.as_str()).collect();
    assert!(new.is_empty(), "{} differ from Jinja2:\n{}", new.len(), new.join("\n"));
    let gone = known.iter().filter(|name| among(name) && !differing.iter().any(|(differs, _)| &differs == name));
    assert_eq!(gone.collect::<Vec<_>>(), Vec::<&String>::new(), "these are equal: take them out of differences.txt");
}

fn check(
    name: &str,
    source: &str,
    variables: &Map<String, Value>,
    expected: &Value,
    wrong: &mut Vec<(String, String)>,
) {
    let (found, error) = rendered(source, variables);
    if found != *expected {
        wrong.push((name.to_owned(), format!("{name}\n  expected {expected}\n  found    {found} {error:?}")));
    }
}

#[test]
fn templates_render_as_jinja2_does() {
    let conversations: Vec<Map<String, Value>> = serde_json::from_str(&read("conversations.json")).unwrap();
    let templates = lines("templates.expected");
    let mut wrong = Vec::new();
    let mut renders = 0;
    for line in &templates {
        let (name, results) = (line[0].as_str().unwrap(), line[1].as_array().unwrap());
        let source = read(&format!("templates/{name}.jinja"));
        assert_eq!(results.len(), conversations.len());
        for (conversation, expected) in conversations.iter().zip(results) {
            let mut variables = json!({ "tools": null, "documents": null, "bos_token": "<s>", "eos_token": "</s>" });
            variables.as_object_mut().unwrap().extend(conversation.clone());
            check(name, &source, variables.as_object().unwrap(), expected, &mut wrong);
            renders += 1;
        }
    }
    compare(&wrong, |name| folder().join(format!("templates/{name}.jinja")).exists());
    let files = std::fs::read_dir(folder().join("templates")).unwrap().count();
    assert_eq!((files, renders), (41, 410));
}

#[test]
fn expressions_have_the_values_that_jinja2_gives_them() {
    let variables: Map<String, Value> = serde_json::from_str(&read("variables.json")).unwrap();
    let sources = read("expressions.txt");
    let expected = lines("expressions.expected");
    assert_eq!(sources.lines().count(), expected.len());
    assert!(expected.len() > 600);
    let mut wrong = Vec::new();
    for (source, expected) in sources.lines().zip(&expected) {
        check(source, source, &variables, expected, &mut wrong);
    }
    compare(&wrong, |name| sources.lines().any(|source| source == name));
}
