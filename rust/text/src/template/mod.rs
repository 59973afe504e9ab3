//! Chat templates: the Jinja programs in model files that write a conversation as the text a model was trained on.
//!
//! They come with the file and are treated as hostile: they reach no files, no clock and no other templates, and steps,
//! nesting and the text they make are bounded (see [`crate::limits`] and `guard`).

mod budget;
mod format;
mod functions;
mod grammar;
mod guard;
mod json;
mod methods;
mod objects;
mod operators;
mod panics;
mod percent;
mod scopes;
mod spec;
mod strftime;
mod wrap;
mod writing;

use std::borrow::Cow;
use std::sync::Arc;

use chord_gguf::Metadata;
use minijinja::machinery::{CodeGenerator, eval, make_string_output, parse};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, ErrorKind};

use crate::TextError;
use crate::eog::special_id;
use crate::limits::{MAX_RENDERED_BYTES, MAX_TEMPLATE_BYTES, TEMPLATE_FUEL};
use budget::{Budget, TooMuchText};
use functions::Refused;
use panics::caught;
pub use panics::{PanicGuard, panic_words, set_panic_guard};

const CHAT_TEMPLATE: &str = "tokenizer.chat_template";

/// The name of the template in errors.
const NAME: &str = "chat_template";

/// Depth of macro calls and blocks. Templates that draw JSON schemas recurse a few levels.
const MAX_RECURSION: usize = 200;

/// One message of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields))]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// `system`, `user`, `assistant`, or another role that the template knows.
    pub role: String,
    /// The text.
    pub content: String,
    /// Who says it, where several speak in one role. Whether it is shown is up to the template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Message {
    /// A message of `role`, without a name.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Message { role: role.into(), content: content.into(), name: None }
    }
}

/// A chat template with the tokens it may write.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    source: String,
    bos: String,
    eos: String,
    now: Option<i64>,
}

impl ChatTemplate {
    /// Checks and keeps a template. `bos` and `eos` are the texts of these tokens, or empty.
    ///
    /// # Errors
    /// If the source is too long, nested too deeply, or not a template.
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Self, TextError> {
        if source.len() > MAX_TEMPLATE_BYTES {
            return Err(TextError::TemplateTooLarge { found: source.len(), limit: MAX_TEMPLATE_BYTES });
        }
        // As Jinja2 does, which knows one kind of line end.
        let source = source.replace("\r\n", "\n").replace('\r', "\n");
        let source = without_generation_tags(&source).into_owned();
        let syntax = syntax()?;
        let source = caught(|| {
            let source = grammar::rewritten(&source, &syntax).into_owned();
            guard::check_source(&source, &syntax)?;
            parse(&source, NAME, syntax.clone()).map_err(into_text_error)?;
            Ok(source)
        })?;
        Ok(ChatTemplate { source, bos: bos.to_owned(), eos: eos.to_owned(), now: None })
    }

    /// The template of a file.
    ///
    /// # Errors
    /// [`TextError::NoChatTemplate`] if the file has none; otherwise as [`ChatTemplate::new`].
    pub fn from_metadata(metadata: &Metadata) -> Result<Self, TextError> {
        let source = metadata.opt_str(CHAT_TEMPLATE)?.ok_or(TextError::NoChatTemplate)?;
        let tokens = metadata.strings("tokenizer.ggml.tokens")?;
        let text_of = |key| -> Result<String, TextError> {
            let id = special_id(metadata, tokens.len(), key)?;
            Ok(id.map(|id| String::from_utf8_lossy(tokens.get_bytes(id as usize)).into_owned()).unwrap_or_default())
        };
        ChatTemplate::new(source, &text_of("tokenizer.ggml.bos_token_id")?, &text_of("tokenizer.ggml.eos_token_id")?)
    }

    /// Sets the time that `strftime_now` shows: the user's local time, summer time included, in seconds since
    /// 1970-01-01 00:00. Without it the function is not defined, and templates that test for it with `is defined` use a
    /// date of their own.
    pub fn with_time(mut self, local_seconds: impl Into<Option<i64>>) -> Self {
        self.now = local_seconds.into();
        self
    }

    /// The template.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The conversation as text, followed by the beginning of a reply if `add_generation_prompt`.
    ///
    /// # Errors
    /// If the template fails, refuses the messages, or passes its limits.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, TextError> {
        let messages: Value = messages.iter().map(message_value).collect();
        self.rendered(minijinja::context! {
            messages => messages,
            add_generation_prompt => add_generation_prompt,
            bos_token => self.bos.as_str(),
            eos_token => self.eos.as_str(),
            // Templates distinguish "none given" from an undefined name.
            tools => Value::from(()),
            documents => Value::from(()),
        })
    }

    /// Renders the template with these variables and no others.
    ///
    /// # Errors
    /// As [`ChatTemplate::render`].
    pub fn render_with(&self, variables: &serde_json::Map<String, serde_json::Value>) -> Result<String, TextError> {
        self.rendered(Value::from(minijinja::value::Serde(variables)))
    }

    fn rendered(&self, context: Value) -> Result<String, TextError> {
        let budget = Arc::new(Budget::default());
        let rendered = caught(|| self.run(&self.environment(&budget), context).map_err(into_text_error))?;
        if rendered.len() > MAX_RENDERED_BYTES {
            return Err(TextError::TemplateOutputTooLarge { limit: MAX_RENDERED_BYTES });
        }
        Ok(rendered)
    }

    fn environment(&self, budget: &Arc<Budget>) -> Environment<'_> {
        let mut environment = Environment::new();
        environment.set_fuel(Some(TEMPLATE_FUEL));
        environment.set_recursion_limit(MAX_RECURSION);
        functions::add(&mut environment, budget, self.now);
        objects::add(&mut environment, budget);
        guard::add(&mut environment, budget);
        environment
    }

    fn run<'a>(&'a self, environment: &'a Environment<'a>, context: Value) -> Result<String, minijinja::Error> {
        let ast = parse(&self.source, NAME, syntax_or_error()?)?;
        let mut generator = CodeGenerator::new(NAME, &self.source);
        generator.compile_stmt(&ast);
        let (instructions, blocks) = generator.finish();
        let instructions = guard::guarded(&instructions)?;
        let blocks = blocks
            .iter()
            .map(|(name, block)| Ok((*name, guard::guarded(block)?)))
            .collect::<Result<_, minijinja::Error>>()?;
        let mut rendered = String::new();
        let mut output = make_string_output(&mut rendered);
        eval(environment, &instructions, context, &blocks, &mut output, AutoEscape::None)?;
        Ok(rendered)
    }
}

fn message_value(message: &Message) -> Value {
    let name = message.name.as_deref().map(|name| ("name", name));
    Value::from_pairs([("role", message.role.as_str()), ("content", message.content.as_str())].into_iter().chain(name))
}

fn invalid(detail: impl Into<Cow<'static, str>>) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, detail)
}

/// The settings under which chat templates are written: those of the `transformers` package.
fn syntax_or_error() -> Result<SyntaxConfig, minijinja::Error> {
    SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()
}

fn syntax() -> Result<SyntaxConfig, TextError> {
    syntax_or_error().map_err(into_text_error)
}

/// Replaces the tags `{% generation %}` and `{% endgeneration %}`, which mark replies for training, by `with` and
/// `endwith`, which have the same effect: names set between them do not exist after them.
fn without_generation_tags(source: &str) -> Cow<'_, str> {
    if !source.contains("generation") {
        return Cow::Borrowed(source);
    }
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, tag, after)) = rest
        .find("{%")
        .and_then(|start| Some((start, start + rest[start..].find("%}")?)))
        .map(|(start, end)| (&rest[..start], &rest[start..end], &rest[end..]))
    {
        out.push_str(before);
        let word = tag.trim_start_matches("{%").trim_matches(|c: char| c.is_whitespace() || matches!(c, '-' | '+'));
        match word {
            "generation" => out.push_str(&tag.replacen(word, "with", 1)),
            "endgeneration" => out.push_str(&tag.replacen(word, "endwith", 1)),
            _ => out.push_str(tag),
        }
        rest = after;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn into_text_error(error: minijinja::Error) -> TextError {
    if error.kind() == ErrorKind::OutOfFuel {
        return TextError::TemplateFuel { limit: TEMPLATE_FUEL };
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(&error);
    while let Some(inner) = cause {
        if let Some(Refused(message)) = inner.downcast_ref() {
            return TextError::TemplateRefused { message: message.clone() };
        }
        if let Some(TooMuchText(limit)) = inner.downcast_ref() {
            return TextError::TemplateOutputTooLarge { limit: *limit };
        }
        cause = inner.source();
    }
    let detail = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    TextError::Template { line: error.line(), detail }
}
