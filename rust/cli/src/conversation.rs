//! Conversations from JSON.

use chord_text::Message;
use serde_json::Value;

use crate::error::CliError;

/// Fields of a request, other than the messages, that would be part of the prompt. All others steer the answer.
const PROMPT_FIELDS: [&str; 6] =
    ["tools", "tool_choice", "functions", "documents", "chat_template", "chat_template_kwargs"];

/// The messages of an array, or of an object that holds one as `messages`. `origin` names the file in errors.
///
/// # Errors
/// `bad-input` if the text is not a conversation; `unsupported-field` for fields that the prompt would not contain.
pub(crate) fn parse(text: &str, origin: &str) -> Result<Vec<Message>, CliError> {
    let json: Value = serde_json::from_str(text).map_err(|error| CliError::Input(format!("{origin}: {error}")))?;
    let messages = match &json {
        Value::Object(request) => {
            let other = PROMPT_FIELDS.iter().find(|field| request.get(**field).is_some_and(|value| !is_nothing(value)));
            if let Some(field) = other {
                return Err(unsupported(origin, field));
            }
            request.get("messages")
        }
        other => Some(other),
    };
    let Some(Value::Array(messages)) = messages else {
        return Err(CliError::Input(format!(
            "{origin}: expected an array of messages, or an object with \"messages\""
        )));
    };
    messages
        .iter()
        .enumerate()
        .map(|(i, message)| parse_message(message, &format!("{origin}: messages[{i}]")))
        .collect()
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

fn unsupported(at: &str, field: &str) -> CliError {
    let message = format!("{at}: the field \"{field}\" would not be part of the prompt; leave it out");
    CliError::UnsupportedField(message)
}

fn parse_message(message: &Value, at: &str) -> Result<Message, CliError> {
    let wrong = |what: &str| CliError::Input(format!("{at}{what}"));
    let Value::Object(fields) = message else { return Err(wrong(" is not an object")) };
    for (field, value) in fields {
        if !matches!(field.as_str(), "role" | "content" | "name") && !is_nothing(value) {
            return Err(unsupported(at, field));
        }
    }
    let text = |field: &str| fields.get(field).filter(|value| !value.is_null());
    let role = text("role").and_then(Value::as_str).filter(|role| !role.is_empty());
    let role = role.ok_or_else(|| wrong(".role must be a text"))?;
    let name = match text("name") {
        None => None,
        Some(Value::String(name)) => Some(name.clone()),
        Some(_) => return Err(wrong(".name must be a text")),
    };
    let content = match text("content") {
        Some(Value::String(content)) => content.clone(),
        Some(Value::Array(parts)) => parts.iter().map(|part| parse_part(part, at)).collect::<Result<_, _>>()?,
        _ => return Err(wrong(".content must be a text, or an array of text parts")),
    };
    Ok(Message { role: role.to_owned(), content, name })
}

fn parse_part<'p>(part: &'p Value, at: &str) -> Result<&'p str, CliError> {
    match (part.get("type").and_then(Value::as_str), part.get("text").and_then(Value::as_str)) {
        (Some("text"), Some(text)) => Ok(text),
        (Some("text"), None) => Err(CliError::Input(format!("{at}: a text part without text"))),
        (kind, _) => Err(unsupported(at, kind.unwrap_or("type"))),
    }
}
