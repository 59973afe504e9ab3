//! The text side of a file, which must be usable before any weights are read, with its notes and warnings.

use chord_gguf::Header;
use chord_text::{ChatTemplate, TextError, Tokenizer};

use crate::EngineError;

/// Tokenizer and chat template of a file.
pub(crate) struct TextSide {
    pub(crate) tokenizer: Tokenizer,
    /// Absent in files without one.
    pub(crate) template: Option<ChatTemplate>,
}

impl TextSide {
    /// What a load reads before it lowers the model. A verdict reads the same, so that both give one answer.
    ///
    /// # Errors
    /// For an architecture that is not supported, a vocabulary that cannot be used, or a template that does not
    /// compile.
    pub(crate) fn read(header: &Header) -> Result<Self, EngineError> {
        chord_model::check_architecture(header)?;
        let tokenizer = Tokenizer::from_metadata(&header.metadata)?;
        let template = match ChatTemplate::from_metadata(&header.metadata) {
            Ok(template) => Some(template),
            Err(TextError::NoChatTemplate) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(TextSide { tokenizer, template })
    }
}

/// What makes answers worse than the model could give them.
pub(crate) fn warnings(tokenizer: Option<&Tokenizer>, n_ctx: Option<u32>, n_ctx_train: Option<u32>) -> Vec<String> {
    let of_text = tokenizer.into_iter().flat_map(|tokenizer| tokenizer.warnings()).map(ToString::to_string);
    let of_context = match (n_ctx, n_ctx_train) {
        (Some(n_ctx), Some(trained)) if n_ctx > trained => Some(format!(
            "the context is {n_ctx} tokens and the model was trained for {trained}: answers may become useless where a \
             conversation is longer than that"
        )),
        _ => None,
    };
    of_text.chain(of_context).collect()
}

/// Oddities of the file that change no answer.
pub(crate) fn notes(header: &Header, tokenizer: Option<&Tokenizer>) -> Vec<String> {
    let mut notes = chord_model::notes(header);
    if header.trailing_bytes > 0 {
        notes.push(format!("{} bytes after the last tensor are ignored", header.trailing_bytes));
    }
    let ignored = chord_model::ignored_tensors(header);
    if let Some(first) = ignored.first() {
        notes.push(format!("{} tensors that no text answer needs are ignored, the first is {first}", ignored.len()));
    }
    notes.extend(tokenizer.into_iter().flat_map(|tokenizer| tokenizer.notes()).map(ToString::to_string));
    notes
}
