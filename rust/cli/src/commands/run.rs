//! `chord run`

use chord_engine::{Engine, Event, FinishReason, GenerateRequest, GenerateResult, Prompt};
use chord_text::Message;
use serde::Serialize;

use crate::args::{ModelArgs, SamplingArgs, TimeArgs};
use crate::error::CliError;
use crate::interrupt::Busy;
use crate::output;

/// Continue a prompt: text is streamed to standard output, figures go to standard error.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// The prompt.
    #[arg(short, long, value_name = "TEXT")]
    prompt: String,
    /// Continue the text itself, without the chat template.
    #[arg(long)]
    raw: bool,
    /// With --raw: turn names of control tokens in the text into these tokens.
    #[arg(long, requires = "raw")]
    special: bool,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    time: TimeArgs,
    /// Print one JSON document at the end instead of streaming.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    text: String,
    #[serde(flatten)]
    result: GenerateResult,
    info: chord_engine::EngineInfo,
}

pub(crate) async fn run(args: Args) -> Result<(), CliError> {
    let mut engine = args.model.load(&args.model.device.options()).await?;
    let prompt = match (args.raw, args.special) {
        (true, true) => Prompt::TextWithSpecial(args.prompt.clone()),
        (true, false) => Prompt::Text(args.prompt.clone()),
        _ => Prompt::Messages(vec![Message::new("user", args.prompt.clone())]),
    };
    let request = args.sampling.request(prompt, args.time.local_seconds())?;
    let (text, result) = stream(&mut engine, &request, !args.json).await?;
    let interrupted = result.finish_reason == FinishReason::Cancelled;
    if args.json {
        output::json(&Report { text, result, info: engine.info() })?;
    } else {
        output::line("")?;
        eprintln!("{}", summary(&engine, &result));
    }
    if interrupted { Err(chord_engine::EngineError::Cancelled.into()) } else { Ok(()) }
}

/// Generates, showing the text as it comes if `show`; Ctrl-C or a closed output ends it. Returns the text.
pub(crate) async fn stream(
    engine: &mut Engine,
    request: &GenerateRequest,
    show: bool,
) -> Result<(String, GenerateResult), CliError> {
    let (_busy, cancel) = Busy::begin();
    let mut text = String::new();
    let mut shown = Ok(());
    let mut on_event = |event: Event<'_>| {
        if let Event::Text(piece) = event {
            text.push_str(piece);
            if show && shown.is_ok() {
                shown = output::piece(piece);
                if shown.is_err() {
                    cancel.cancel();
                }
            }
        }
    };
    let result = engine.generate(request, &cancel, &mut on_event, &mut async || {}).await?;
    shown?;
    Ok((text, result))
}

/// The figures of one generation in one line.
pub(crate) fn summary(engine: &Engine, result: &GenerateResult) -> String {
    let (info, usage, timings) = (engine.info(), result.usage, result.timings);
    let paging = match info.paging.paged_layers {
        0 => String::new(),
        n => format!(", {n} layers paged, waiting for them {:.1} ms a token", timings.stall_ms_per_token),
    };
    format!(
        "{} on {}: {} prompt tokens ({} cached) at {:.1} tok/s, {} tokens at {:.1} tok/s, first after {:.0} ms, \
         ended by {:?}, seed {}{paging}",
        info.backend,
        info.device,
        usage.prompt_tokens,
        usage.cached_tokens,
        timings.prefill_tokens_per_s,
        usage.completion_tokens,
        timings.decode_tokens_per_s,
        timings.time_to_first_token_ms,
        result.finish_reason,
        result.seed,
    )
}
