//! `chord render`

use std::path::PathBuf;

use chord_text::{ChatTemplate, Message};
use serde::Deserialize;

use crate::error::CliError;
use crate::file::ModelFile;
use crate::output;

/// Print the prompt text that the file's chat template makes of a conversation.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A GGUF file with a chat template.
    model: PathBuf,
    /// JSON: an array of {"role", "content"}, or an object that holds it as "messages".
    #[arg(long, value_name = "FILE.json")]
    messages: PathBuf,
    /// Print a JSON string.
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Conversation {
    Bare(Vec<Message>),
    Request { messages: Vec<Message> },
}

pub(crate) async fn run(args: Args) -> Result<(), CliError> {
    let (_, header) = ModelFile::open_with_header(&args.model).await?;
    let template = ChatTemplate::from_metadata(&header.metadata)?;
    let text = std::fs::read_to_string(&args.messages).map_err(|error| CliError::file(&args.messages, error))?;
    let conversation: Conversation = serde_json::from_str(&text)
        .map_err(|error| CliError::Input(format!("{}: {error}", args.messages.display())))?;
    let (Conversation::Bare(messages) | Conversation::Request { messages }) = conversation;
    let prompt = template.render(&messages, true)?;
    if args.json { output::line(serde_json::json!(prompt)) } else { output::piece(&prompt) }
}
