//! `chord tokenize`

use std::io::Read;
use std::path::PathBuf;

use chord_text::{EncodeOptions, Tokenizer};

use crate::error::CliError;
use crate::file::ModelFile;
use crate::output;

/// Print the token ids of the text on standard input, exactly as it is.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A GGUF file of any architecture.
    model: PathBuf,
    /// Turn names of control tokens in the text into these tokens.
    #[arg(long)]
    special: bool,
    /// Leave out the tokens that the file specifies for the beginning and end of a text.
    #[arg(long)]
    no_bos: bool,
    /// Print a JSON array.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args) -> Result<(), CliError> {
    let (_, header) = ModelFile::open_with_header(&args.model).await?;
    let tokenizer = Tokenizer::from_metadata(&header.metadata)?;
    tokenizer.warnings().iter().for_each(output::warning);
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        CliError::Input(format!("standard input is not UTF-8 from byte {} on", error.utf8_error().valid_up_to()))
    })?;
    let ids = tokenizer.encode(&text, EncodeOptions { add_special: !args.no_bos, parse_special: args.special });
    if args.json {
        return output::line(serde_json::json!(ids));
    }
    let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
    output::line(ids.join(","))
}
