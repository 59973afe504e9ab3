//! `chord trace`

use std::path::PathBuf;

use chord_engine::{
    Activations, CancelFlag, Expected, LoadOptions, LoadProgress, Runner, TraceRow, load_runner, read_header, trace,
};
use serde::Serialize;

use crate::args::{BackendName, KvName, ModelArgs, clock};
use crate::error::CliError;
use crate::file::ModelFile;
use crate::output;
use crate::progress::LoadBar;
use crate::tokens::TokenList;

/// Largest batch of a traced run, so that one batch holds a whole short prompt.
const LARGEST_BATCH: u32 = 256;

/// Run op by op and compare each result with another backend's, or with stored activations of the reference.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Token ids such as 1,2,3, or @FILE that contains them. Default with --against: the tokens of that file.
    #[arg(long, value_name = "LIST", required_unless_present = "against")]
    tokens: Option<TokenList>,
    /// Compare with this backend.
    #[arg(long, value_enum, value_name = "B", conflicts_with = "against")]
    compare: Option<BackendName>,
    /// Compare with the activations of a trace file.
    #[arg(long, value_name = "FILE.trace.gguf")]
    against: Option<PathBuf>,
    /// Highest accepted NMSE. Default: 1e-6 with an f32 KV cache, 1e-5 with f16.
    #[arg(long, value_name = "NMSE")]
    tolerance: Option<f64>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row<'a> {
    index: usize,
    op: &'a str,
    buffer: &'a str,
    shape: [usize; 2],
    rms: f64,
    max: f64,
    not_finite: usize,
    nmse: Option<f64>,
}

pub(crate) async fn run(args: Args) -> Result<(), CliError> {
    let stored = match &args.against {
        Some(path) => Some(Stored::read(path).await?),
        None => None,
    };
    let tokens = match (&args.tokens, &stored) {
        (Some(list), _) => list.ids()?,
        (None, Some(stored)) => stored.tokens.clone(),
        (None, None) => Vec::new(),
    };
    let batch = (tokens.len() as u32).clamp(1, LARGEST_BATCH);
    let device = &args.model.device;
    // Exact by default, because results are compared op by op.
    let activations = device.activations.map_or(Activations::F32, Activations::from);
    let options = LoadOptions { max_batch: Some(batch), max_outputs: batch, activations, ..device.options() };
    let expected = match (stored, args.compare) {
        (Some(stored), _) => stored.expected,
        (None, Some(backend)) => {
            let options = LoadOptions { backend: backend.into(), ..options.clone() };
            let mut runner = load(&args.model, &options).await?;
            Expected::from_executor(runner.executor_mut(), &tokens).await?
        }
        (None, None) => Expected::none(),
    };
    let mut runner = load(&args.model, &options).await?;
    let tolerance = args.tolerance.unwrap_or(if args.model.device.kv == KvName::F32 { 1e-6 } else { 1e-5 });

    let mut rows = Vec::new();
    if !args.json {
        output::line(format_args!(
            "{:>4} {:<16} {:<24} {:>14} {:>11} {:>11} {:>7} {:>9}",
            "op", "kind", "buffer", "shape", "rms", "max", "NaN/Inf", "NMSE"
        ))?;
    }
    let mut printed = Ok(());
    trace(runner.executor_mut(), &tokens, &expected, &mut |row| {
        if !args.json && printed.is_ok() {
            printed = output::line(table_row(row));
        }
        rows.push(row.clone());
        Ok(())
    })
    .await?;
    printed?;
    finish(&args, &rows, tolerance)
}

/// Says how many ops were compared and names the first one out of tolerance, if there is one.
fn finish(args: &Args, rows: &[TraceRow], tolerance: f64) -> Result<(), CliError> {
    let compared = rows.iter().filter(|row| row.nmse.is_some()).count();
    let first_bad = rows.iter().find(|row| row.is_out_of(tolerance));
    if args.json {
        let ops: Vec<Row<'_>> = rows.iter().map(json_row).collect();
        output::json(&serde_json::json!({
            "ops": ops,
            "tolerance": tolerance,
            "compared": compared,
            "first_out_of_tolerance": first_bad.map(json_row),
        }))?;
    }
    let wants_comparison = args.compare.is_some() || args.against.is_some();
    match first_bad {
        Some(row) => {
            let nmse = row.nmse.map_or("none".into(), |nmse| format!("{nmse:.1e}"));
            Err(CliError::OutOfTolerance(format!(
                "first op out of tolerance: {} {} ({}), NMSE {nmse}, at most {tolerance:.0e}, {} NaN/Inf",
                row.index, row.buffer, row.op, row.not_finite
            )))
        }
        None if wants_comparison && compared == 0 => {
            Err(CliError::Input("no buffer of the program has a name that there is something to compare with".into()))
        }
        None if args.json => Ok(()),
        None => output::line(format_args!("{compared} of {} ops compared, none above {tolerance:.0e}", rows.len())),
    }
}

fn table_row(row: &TraceRow) -> String {
    format!(
        "{:>4} {:<16} {:<24} {:>14} {:>11.4e} {:>11.4e} {:>7} {:>9}",
        row.index,
        row.op,
        row.buffer,
        format!("[{}, {}]", row.shape[0], row.shape[1]),
        row.rms,
        row.max,
        row.not_finite,
        row.nmse.map_or("-".into(), |nmse| format!("{nmse:.1e}")),
    )
}

fn json_row(row: &TraceRow) -> Row<'_> {
    Row {
        index: row.index,
        op: row.op,
        buffer: &row.buffer,
        shape: row.shape,
        rms: row.rms,
        max: row.max,
        not_finite: row.not_finite,
        // JSON has no infinity.
        nmse: row.nmse.map(|nmse| if nmse.is_finite() { nmse } else { f64::MAX }),
    }
}

/// Loads the executor only: no vocabulary is needed.
async fn load(model: &ModelArgs, options: &LoadOptions) -> Result<Runner, CliError> {
    let (file, header) = ModelFile::open_with_header(&model.model).await?;
    let bar = LoadBar::new();
    let mut show = |progress: LoadProgress| bar.show(progress);
    let (runner, why) = load_runner(file, header, options, clock, &mut show, &CancelFlag::new()).await?;
    drop(bar);
    eprintln!("{}: {}", runner.executor().device().backend, why.join("; "));
    Ok(runner)
}

/// A trace file: the tokens and the activations of the last ones of them.
struct Stored {
    tokens: Vec<u32>,
    expected: Expected,
}

impl Stored {
    async fn read(path: &std::path::Path) -> Result<Self, CliError> {
        let mut file = ModelFile::open(path)?;
        let header = read_header(&mut file, &mut |_| (), &CancelFlag::new()).await?;
        let missing = || CliError::Input(format!("{}: no trace.tokens, so no trace file", path.display()));
        let tokens = header.metadata.get("trace.tokens").and_then(|value| value.as_array()).ok_or_else(missing)?;
        let token = |index| tokens.get(index)?.as_u64().and_then(|id| u32::try_from(id).ok());
        let tokens = (0..tokens.len()).map(token).collect::<Option<Vec<u32>>>().ok_or_else(missing)?;
        let expected = Expected::from_file(&mut file, &header).await?;
        Ok(Stored { tokens, expected })
    }
}
