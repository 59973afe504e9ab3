//! Renders templates given as lines of JSON, `{"source": …, "variables": {…}}`, and answers in the form of
//! `scripts/templates/jinja.py`. For comparisons with Jinja2 by `scripts/templates/compare.py`.

use std::io::BufRead;

use chord_text::{ChatTemplate, TextError};

#[derive(serde::Deserialize)]
struct Case {
    source: String,
    variables: serde_json::Map<String, serde_json::Value>,
}

fn main() {
    for line in std::io::stdin().lock().lines() {
        let case: Case = serde_json::from_str(&line.expect("standard input is text")).expect("a case per line");
        // 2024-07-26 11:44:05, as in jinja.py.
        let rendered = ChatTemplate::new(&case.source, "<s>", "</s>")
            .and_then(|template| template.with_time(1_721_994_245).render_with(&case.variables));
        let answer = match rendered {
            Ok(text) => serde_json::json!({ "text": text }),
            Err(TextError::TemplateRefused { message }) => serde_json::json!({ "refused": message }),
            Err(error) => serde_json::json!({ "error": error.to_string() }),
        };
        println!("{answer}");
    }
}
