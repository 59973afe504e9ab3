//! `chord logits`

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use chord_engine::{EngineError, LoadOptions};

use crate::args::ModelArgs;
use crate::error::CliError;
use crate::interrupt::Busy;
use crate::tokens::TokenList;

/// Rows of logits brought back at a time.
const ROWS: u32 = 32;

/// Write the logits of every position: f32 little-endian, [n_tokens, n_vocab].
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Token ids such as 1,2,3, or @FILE that contains them.
    #[arg(long, value_name = "LIST")]
    tokens: TokenList,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(crate) async fn run(args: Args) -> Result<(), CliError> {
    let tokens = args.tokens.ids()?;
    let options = LoadOptions { max_outputs: ROWS, ..args.model.device.options() };
    let mut engine = args.model.load(&options).await?;
    let file_error = |error| CliError::file(&args.out, error);
    let mut out = BufWriter::new(File::create(&args.out).map_err(file_error)?);
    let mut failed = None;
    let mut write_rows = |_: usize, rows: &[f32]| {
        rows.iter().try_for_each(|value| out.write_all(&value.to_le_bytes())).map_err(|error| {
            failed = Some(error);
            EngineError::Cancelled
        })
    };
    let (_busy, cancel) = Busy::begin();
    let done = engine.logits(&tokens, &cancel, &mut write_rows, &mut async || {}).await;
    if let Some(error) = failed {
        return Err(file_error(error));
    }
    done?;
    out.flush().map_err(file_error)?;
    eprintln!("{}: [{}, {}] f32", args.out.display(), tokens.len(), engine.info().n_vocab);
    Ok(())
}
