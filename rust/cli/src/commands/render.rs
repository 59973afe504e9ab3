//! `chord render`

use std::path::PathBuf;

use chord_text::ChatTemplate;

use crate::args::TimeArgs;
use crate::conversation;
use crate::error::CliError;
use crate::file::ModelFile;
use crate::output;

/// Print the prompt that the file's chat template makes from a conversation.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A GGUF file with a chat template.
    model: PathBuf,
    /// JSON: an array of {"role", "content"}, optionally with "name", or an object with such an array as "messages".
    #[arg(long, value_name = "FILE.json")]
    messages: PathBuf,
    #[command(flatten)]
    time: TimeArgs,
    /// Print a JSON string.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args) -> Result<(), CliError> {
    let (_, header) = ModelFile::open_with_header(&args.model).await?;
    let template = ChatTemplate::from_metadata(&header.metadata)?;
    let text = std::fs::read_to_string(&args.messages).map_err(|error| CliError::file(&args.messages, error))?;
    let messages = conversation::parse(&text, &args.messages.display().to_string())?;
    let prompt = template.with_time(args.time.local_seconds()).render(&messages, true)?;
    if args.json { output::line(serde_json::json!(prompt)) } else { output::piece(&prompt) }
}
