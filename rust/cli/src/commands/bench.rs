//! `chord bench`

use std::path::PathBuf;

use chord_engine::{
    CancelFlag, EngineError, Flow, LoadOptions, LoadProgress, ModelInfo, PromptProgress, ReadAt, RunObserver, Runner,
    Sampling, TokenRequest, bytes_per_token, load_runner,
};
use chord_gguf::Header;
use chord_model::{Quant, SHAPES, Shape};
use serde::Serialize;

use crate::args::{DeviceArgs, clock};
use crate::bandwidth::stream_bytes_per_s;
use crate::error::CliError;
use crate::file::ModelFile;
use crate::interrupt::Busy;
use crate::output;
use crate::progress::LoadBar;
use crate::shape::SyntheticFile;

/// Measure prefill and decode, and how much of the memory's bandwidth decoding uses.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A GGUF file.
    #[arg(required_unless_present = "shape", conflicts_with = "shape")]
    model: Option<PathBuf>,
    /// Use random weights of this shape instead of a file.
    #[arg(long, value_name = "NAME", value_parser = parse_shape)]
    shape: Option<Shape>,
    /// Storage type of the shape's matrices: Q4_K_M, or a type such as Q4_0.
    #[arg(long, value_name = "Q", default_value = "Q4_K_M", conflicts_with = "model")]
    quant: Quant,
    /// Tokens of the prompt.
    #[arg(short, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    prompt: u32,
    /// Tokens to decode.
    #[arg(short, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..))]
    n: u32,
    /// Repetitions; the median is reported.
    #[arg(short, long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    #[command(flatten)]
    device: DeviceArgs,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

fn parse_shape(name: &str) -> Result<Shape, String> {
    let known: Vec<&str> = SHAPES.iter().map(|shape| shape.name).collect();
    Shape::find(name).ok_or_else(|| format!("expected one of {}", known.join(", ")))
}

#[derive(Serialize)]
struct Report {
    model: String,
    types: Vec<(String, u64)>,
    weight_bytes: u64,
    backend: &'static str,
    device: String,
    is_software: bool,
    /// Instruction set, or optional features of a GPU.
    features: Vec<String>,
    why: Vec<String>,
    kv: String,
    load_ms: f64,
    prompt_tokens: u32,
    prefill_tokens_per_s: f64,
    decode_tokens: u32,
    decode_tokens_per_s: f64,
    time_per_token_ms: f64,
    /// Weights, keys and values that a token in the middle of the run reads.
    bytes_per_token: u64,
    decode_bytes_per_s: f64,
    /// Measured on the same device; absent where it could not be.
    stream_bytes_per_s: Option<f64>,
    bandwidth_share: Option<f64>,
    repetitions: u32,
}

pub(crate) async fn run(args: Args) -> Result<(), CliError> {
    let options = LoadOptions {
        // Room for the longer of the two runs.
        n_ctx: Some(args.device.ctx.unwrap_or(args.prompt.max(args.n + 1))),
        ..args.device.options()
    };
    let report = match (args.shape, &args.model) {
        (Some(shape), _) => {
            let file = SyntheticFile::new(shape, args.quant)?;
            let header = file.header().clone();
            measure(&args, file, header, &options, shape.name.to_owned()).await?
        }
        (None, Some(path)) => {
            let (file, header) = ModelFile::open_with_header(path).await?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            measure(&args, file, header, &options, name).await?
        }
        (None, None) => return Err(CliError::Input("a model or a shape is needed".into())),
    };
    if args.json { output::json(&report) } else { report.print() }
}

async fn measure(
    args: &Args,
    file: impl ReadAt + 'static,
    header: Header,
    options: &LoadOptions,
    name: String,
) -> Result<Report, CliError> {
    let (_busy, cancel) = Busy::begin();
    let info = ModelInfo::from_header(&header);
    let bar = LoadBar::new();
    let mut show = |progress: LoadProgress| bar.show(progress);
    let started = clock();
    let (mut runner, why) = load_runner(file, header, options, clock, &mut show, &cancel).await?;
    let load_ms = clock() - started;
    drop(bar);

    let n_vocab = runner.program().n_vocab;
    let prompt: Vec<u32> = (0..args.prompt).map(|i| (i * 7919 + 13) % n_vocab).collect();
    // Warm caches and clocks.
    time(&mut runner, &prompt[..1], 4, &cancel).await?;
    let (mut prefill, mut decode) = (Vec::new(), Vec::new());
    for _ in 0..args.repetitions {
        prefill.push(time(&mut runner, &prompt, 1, &cancel).await?.prefill_ms);
        decode.push(time(&mut runner, &prompt[..1], args.n + 1, &cancel).await?.decode_ms);
    }
    let (prefill_ms, decode_ms) = (median(&mut prefill), median(&mut decode));
    let bytes_per_token = bytes_per_token(runner.program(), args.n / 2);
    let decode_tokens_per_s = f64::from(args.n) * 1000.0 / decode_ms;
    let decode_bytes_per_s = bytes_per_token as f64 * decode_tokens_per_s;
    let device = runner.executor().device();
    let (weight_bytes, kv) = (runner.program().weight_bytes(), format!("{:?}", runner.program().kv_type));
    // The model's memory is freed first.
    drop(runner);
    let stream_bytes_per_s = stream_bytes_per_s(device.backend, options).await;
    Ok(Report {
        model: name,
        types: info.types,
        weight_bytes,
        backend: device.backend,
        device: device.name,
        is_software: device.is_software,
        features: device.features,
        why,
        kv,
        load_ms,
        prompt_tokens: args.prompt,
        prefill_tokens_per_s: f64::from(args.prompt) * 1000.0 / prefill_ms,
        decode_tokens: args.n,
        decode_tokens_per_s,
        time_per_token_ms: decode_ms / f64::from(args.n),
        bytes_per_token,
        decode_bytes_per_s,
        stream_bytes_per_s,
        bandwidth_share: stream_bytes_per_s.map(|stream| decode_bytes_per_s / stream),
        repetitions: args.repetitions,
    })
}

struct Times {
    prefill_ms: f64,
    /// From the first token to the last.
    decode_ms: f64,
}

struct Ignore;

impl RunObserver for Ignore {
    fn prompt(&mut self, _: PromptProgress) {}
    fn token(&mut self, _: u32) -> Result<Flow, EngineError> {
        Ok(Flow::Continue)
    }
}

/// One greedy run from an empty cache.
async fn time(runner: &mut Runner, prompt: &[u32], max_tokens: u32, cancel: &CancelFlag) -> Result<Times, CliError> {
    runner.clear(0)?;
    let sampling = Sampling::GREEDY;
    let request = TokenRequest { sequence: 0, prompt, sampling, seed: 0, drawn: 0, max_tokens: Some(max_tokens) };
    let report = runner.generate(request, cancel, &mut Ignore, &mut async || {}).await?;
    let first = report.first_token_ms.ok_or(EngineError::Cancelled)?;
    if report.tokens.len() < max_tokens as usize {
        return Err(EngineError::Cancelled.into());
    }
    Ok(Times { prefill_ms: first - report.started_ms, decode_ms: report.ended_ms - first })
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

impl Report {
    fn print(&self) -> Result<(), CliError> {
        let types: Vec<String> =
            self.types.iter().map(|(ty, bytes)| format!("{ty} {}", output::bytes(*bytes))).collect();
        let giga = |value: f64| format!("{:.2} GB/s", value / 1e9);
        output::line(format_args!("model    {} ({})", self.model, types.join(", ")))?;
        output::line(format_args!("backend  {} on {} ({})", self.backend, self.device, self.why.join("; ")))?;
        output::line(format_args!("load     {:.0} ms, {}", self.load_ms, output::bytes(self.weight_bytes)))?;
        let (p, n) = (self.prompt_tokens, self.decode_tokens);
        output::line(format_args!("prefill  {:.1} tok/s ({p} tokens)", self.prefill_tokens_per_s))?;
        let per_token = self.time_per_token_ms;
        output::line(format_args!(
            "decode   {:.1} tok/s ({n} tokens, {per_token:.2} ms each)",
            self.decode_tokens_per_s
        ))?;
        let moved = output::bytes(self.bytes_per_token);
        let rate = giga(self.decode_bytes_per_s);
        match (self.stream_bytes_per_s, self.bandwidth_share) {
            (Some(stream), Some(share)) => output::line(format_args!(
                "memory   {moved} per token, {rate}: {:.0}% of the {} measured",
                share * 100.0,
                giga(stream)
            )),
            _ => {
                output::line(format_args!("memory   {moved} per token, {rate}; the device's own rate was not measured"))
            }
        }
    }
}
