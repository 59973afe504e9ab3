//! Chat templates. `chord_text` turns a panic of a template into an error, but libFuzzer ends the process before that,
//! so that a panic counts here. Fuel bounds the time.

#![no_main]

use std::sync::LazyLock;

use chord_text::limits::MAX_RENDERED_BYTES;
use chord_text::{ChatTemplate, Message};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

/// What templates are rendered with, besides messages of the input's own.
static CONVERSATIONS: LazyLock<Vec<Map<String, Value>>> = LazyLock::new(|| {
    let text = include_str!("../../rust/text/tests/suite/conversations.json");
    serde_json::from_str(text).expect("a list of objects")
});

// The first byte chooses the conversation, and the template follows. After a zero byte come the contents of messages,
// with zero bytes between them.
fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(data);
    let mut parts = text.split('\0');
    let source = parts.next().unwrap_or_default();
    let template = match ChatTemplate::new(source, "<s>", "</s>") {
        Ok(template) => template.with_time(1_700_000_000),
        Err(error) => {
            assert!(!error.code().is_empty() && !error.to_string().is_empty());
            return;
        }
    };
    let mut messages: Vec<Message> = parts.take(8).enumerate().map(|(at, content)| message(at, content)).collect();
    let rendered = match CONVERSATIONS.get(usize::from(*choice) % (CONVERSATIONS.len() + 1)) {
        Some(conversation) if messages.is_empty() => template.render_with(conversation),
        _ => {
            if messages.is_empty() {
                messages.push(message(1, "Hello"));
            }
            template.render(&messages, choice % 2 == 0)
        }
    };
    match rendered {
        Ok(text) => assert!(text.len() <= MAX_RENDERED_BYTES),
        Err(error) => assert!(!error.code().is_empty() && !error.to_string().is_empty()),
    }
});

fn message(at: usize, content: &str) -> Message {
    Message::new(["system", "user", "assistant"][at % 3], content)
}
