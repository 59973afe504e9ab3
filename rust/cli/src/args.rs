//! Arguments that several subcommands share.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Instant;

use chord_engine::pool::MOST_THREADS;
use chord_engine::{
    Activations, Backend, Engine, GenerateRequest, KvCache, LoadOptions, LoadProgress, MAX_TOKENS, NumberField, Prompt,
    RawNumber, RawRequest, SEED, Sampling, SamplingEach,
};
use clap::ValueEnum;

use crate::error::CliError;
use crate::file::ModelFile;
use crate::interrupt::Busy;
use crate::output;
use crate::progress::LoadBar;

/// `--backend`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendName {
    /// A real GPU that computes correctly, otherwise the CPU.
    Auto,
    /// Any GPU, including one in software.
    Gpu,
    /// The CPU.
    Cpu,
}

impl From<BackendName> for Backend {
    fn from(name: BackendName) -> Self {
        match name {
            BackendName::Auto => Backend::Auto,
            BackendName::Gpu => Backend::Gpu,
            BackendName::Cpu => Backend::Cpu,
        }
    }
}

/// `--kv`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KvName {
    /// Exact.
    F32,
    /// Half the memory.
    F16,
}

/// `--activations`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ActivationsName {
    /// As q8 in the middle of prompts, as q16 elsewhere.
    Mixed,
    /// Rounded to 8 bits: fastest for prompts, but rounding may decide between close choices.
    Q8,
    /// Rounded to 16 bits: nearly exact, and much faster than f32.
    Q16,
    /// Exact.
    F32,
}

impl From<ActivationsName> for Activations {
    fn from(name: ActivationsName) -> Self {
        match name {
            ActivationsName::Mixed => Activations::Mixed,
            ActivationsName::Q8 => Activations::Q8,
            ActivationsName::Q16 => Activations::Q16,
            ActivationsName::F32 => Activations::F32,
        }
    }
}

/// The device, and how much of it to use.
#[derive(clap::Args, Debug)]
pub(crate) struct DeviceArgs {
    /// What to run on.
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) backend: BackendName,
    /// Only a GPU whose name contains this.
    #[arg(long, value_name = "NAME")]
    pub(crate) adapter: Option<String>,
    /// Storage type of the KV cache.
    #[arg(long, value_enum, default_value = "f16")]
    pub(crate) kv: KvName,
    /// Context length in tokens. Default: the trained length, at most 4096.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) ctx: Option<u32>,
    /// Most bytes to use on the GPU (K, M and G are powers of 1024); layers beyond that are paged from the file.
    #[arg(long, alias = "gpu-mem", value_name = "BYTES", value_parser = parse_bytes)]
    pub(crate) max_gpu_bytes: Option<u64>,
    /// CPU threads. Default: all cores, minus one if there are more than two.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST_THREADS as i64))]
    pub(crate) threads: Option<u32>,
    /// Precision of activations in the CPU's products. Default: mixed, and f32 in traces.
    #[arg(long, value_enum)]
    pub(crate) activations: Option<ActivationsName>,
    /// The CPU's instruction set, for comparisons. Default: the fastest one here.
    #[arg(long, value_name = "NAME")]
    pub(crate) instruction_set: Option<String>,
}

/// `1500000`, `900M`, `1.5G`.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let unit = match text.chars().last().map(|c| c.to_ascii_uppercase()) {
        Some('K') => 1u64 << 10,
        Some('M') => 1 << 20,
        Some('G') => 1 << 30,
        _ => 1,
    };
    let number = if unit == 1 { text } else { &text[..text.len() - 1] };
    match number.parse::<f64>() {
        Ok(n) if n.is_finite() && n >= 0.0 => Ok((n * unit as f64) as u64),
        _ => Err(format!("{text:?} is not a number of bytes: expected one like 900M or 1.5G")),
    }
}

impl DeviceArgs {
    pub(crate) fn options(&self) -> LoadOptions {
        LoadOptions {
            backend: self.backend.into(),
            adapter: self.adapter.clone(),
            kv: match self.kv {
                KvName::F32 => KvCache::F32,
                KvName::F16 => KvCache::F16,
            },
            n_ctx: self.ctx,
            max_gpu_bytes: self.max_gpu_bytes,
            threads: self.threads,
            activations: self.activations.map_or(Activations::default(), Activations::from),
            instruction_set: self.instruction_set.clone(),
            ..LoadOptions::default()
        }
    }
}

/// A model and what to run it on.
#[derive(clap::Args, Debug)]
pub(crate) struct ModelArgs {
    /// A GGUF file, or one part of a split model in the same folder as the others.
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

impl ModelArgs {
    /// Loads the model, with a progress bar if standard error is a terminal.
    pub(crate) async fn load(&self, options: &LoadOptions) -> Result<Engine, CliError> {
        let bar = LoadBar::new();
        let (_busy, cancel) = Busy::begin();
        let mut show = |progress: LoadProgress| bar.show(progress);
        let began = clock();
        let (file, header) = ModelFile::open_showing(&self.model, &mut show, &cancel).await?;
        let header_ms = clock() - began;
        let mut engine = Engine::load_with_header(file, header, options, clock, &mut show, &cancel).await?;
        engine.set_header_ms(header_ms);
        drop(bar);
        engine.info().warnings.iter().for_each(output::warning);
        Ok(engine)
    }
}

/// The time that chat templates show.
#[derive(clap::Args, Debug)]
pub(crate) struct TimeArgs {
    /// Date and time for chat templates, such as 2024-07-26 or 2024-07-26T11:44:05. Default: the local time.
    #[arg(long, alias = "date", value_name = "DATE[TTIME]", value_parser = parse_time)]
    now: Option<i64>,
}

impl TimeArgs {
    /// Local time, in seconds since 1970-01-01 00:00.
    pub(crate) fn local_seconds(&self) -> i64 {
        self.now.unwrap_or_else(|| chrono::Local::now().naive_local().and_utc().timestamp())
    }
}

/// `2024-07-26`, `2024-07-26T11:44`, `2024-07-26 11:44:05`.
fn parse_time(text: &str) -> Result<i64, String> {
    let time = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| chrono::NaiveDateTime::parse_from_str(text, format).ok())
        .or_else(|| chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0));
    match time {
        Some(time) => Ok(time.and_utc().timestamp()),
        None => Err(format!("{text:?} is not a date: expected one like 2024-07-26 or 2024-07-26T11:44:05")),
    }
}

/// How tokens are chosen. Ranges, defaults and help are the engine's, except that the command is greedy unless a
/// temperature is given.
#[derive(clap::Args, Debug)]
pub(crate) struct SamplingArgs {
    /// Most tokens to generate. Default: up to the end of the context.
    #[arg(short = 'n', long = "max-tokens", value_name = "N", value_parser = in_range(MAX_TOKENS))]
    max_tokens: Option<f64>,
    #[arg(long, value_name = "T", value_parser = in_range(FIELDS.temperature), default_value_t = 0.0,
          help = FIELDS.temperature.doc.trim_end_matches('.'))]
    temp: f64,
    #[arg(long, value_name = "K", value_parser = in_range(FIELDS.top_k), help = help(FIELDS.top_k))]
    top_k: Option<f64>,
    #[arg(long, value_name = "P", value_parser = in_range(FIELDS.top_p), help = help(FIELDS.top_p))]
    top_p: Option<f64>,
    #[arg(long, value_name = "P", value_parser = in_range(FIELDS.min_p), help = help(FIELDS.min_p))]
    min_p: Option<f64>,
    #[arg(long, value_name = "X", value_parser = in_range(FIELDS.repeat_penalty), help = help(FIELDS.repeat_penalty))]
    repeat_penalty: Option<f64>,
    #[arg(long, value_name = "N", value_parser = in_range(FIELDS.repeat_last_n), help = help(FIELDS.repeat_last_n))]
    repeat_last_n: Option<f64>,
    #[arg(long, value_name = "S", value_parser = in_range(SEED), help = help(SEED))]
    seed: Option<f64>,
    /// Stop before this text; may be given several times.
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
}

const FIELDS: SamplingEach<NumberField> = Sampling::FIELDS;

/// A parser of a field's values.
fn in_range(field: NumberField) -> impl Fn(&str) -> Result<f64, String> + Clone {
    move |text| {
        let number = text.parse().map_err(|_| format!("expected {field}"))?;
        field.check(RawNumber::Number(number)).map_err(|_| format!("expected {field}"))?;
        Ok(number)
    }
}

/// A field's help, with its default.
fn help(field: NumberField) -> String {
    let doc = field.doc.trim_end_matches('.');
    field.default.map_or_else(|| doc.to_owned(), |default| format!("{doc} [default: {default}]"))
}

impl SamplingArgs {
    /// A request to continue `prompt` at the time `now`.
    pub(crate) fn request(&self, prompt: Prompt, now: i64) -> Result<GenerateRequest, CliError> {
        let raw = |number: Option<f64>| number.map_or(RawNumber::Missing, RawNumber::Number);
        let request = RawRequest {
            prompt,
            sampling: SamplingEach {
                temperature: RawNumber::Number(self.temp),
                top_p: raw(self.top_p),
                top_k: raw(self.top_k),
                min_p: raw(self.min_p),
                repeat_penalty: raw(self.repeat_penalty),
                repeat_last_n: raw(self.repeat_last_n),
            },
            max_tokens: raw(self.max_tokens),
            stop: self.stop.clone(),
            seed: raw(self.seed),
            now: Some(now),
            ..RawRequest::default()
        };
        Ok(request.check()?)
    }
}

/// Milliseconds since the first call.
pub(crate) fn clock() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;

    #[test]
    fn every_number_of_sampling_is_an_argument_and_reaches_the_request() {
        for field in FIELDS.into_list() {
            let name = if field.name == "temperature" { "temp" } else { field.name };
            for value in [field.least, field.most] {
                let argument = format!("--{}={value}", name.replace('_', "-"));
                let command = SamplingArgs::augment_args(Command::new("chord"));
                let matches = command.try_get_matches_from(["chord", &argument]).unwrap();
                let args = SamplingArgs::from_arg_matches(&matches).unwrap();
                let request = args.request(Prompt::Text(String::new()), 0).unwrap();
                let sampling = serde_json::to_value(request.sampling).unwrap();
                assert_eq!(sampling[field.name].as_f64(), Some(value), "{argument}");
            }
        }
    }
}
