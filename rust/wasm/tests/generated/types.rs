//! Declarations of the types that cross the edge, as ts-rs makes them, in a form that people read.

use chord_engine::{
    Activations, Backend, CounterInfo, DeviceFacts, EngineInfo, Event, FinishReason, GenerateResult, GpuFacts,
    Inspection, KvCache, LoadOptions, LoadProgress, LoadStage, LoadTimes, MemoryInfo, ModelInfo, PagingInfo, Prompt,
    PromptProgress, RawNumber, RawRequest, SamplingEach, Timings, Usage, Verdict,
};
use chord_text::{EncodeOptions, Message};
use ts_rs::{Config, TS};

use crate::layout::{self, comment};

/// `web/src/engine-types.ts`.
pub(super) fn typescript() -> String {
    let mut text = String::from(
        "// Generated from the Rust types by `npm run generate`: what crosses the edge of the engine, as serde reads and\n\
         // writes it. The public API has OpenAI's shapes instead; `src/openai` translates.\n",
    );
    // What the engine reads may leave out fields, which then have their defaults.
    declare::<LoadOptions>(&mut text, true);
    declare::<Backend>(&mut text, false);
    declare::<KvCache>(&mut text, false);
    declare::<Activations>(&mut text, false);
    declare::<LoadProgress>(&mut text, false);
    declare::<LoadStage>(&mut text, false);
    declare::<RawRequest>(&mut text, true);
    declare::<Prompt>(&mut text, false);
    declare::<Message>(&mut text, false);
    declare::<SamplingEach<RawNumber>>(&mut text, true);
    declare::<RawNumber>(&mut text, false);
    declare::<Event<'static>>(&mut text, false);
    declare::<PromptProgress>(&mut text, false);
    declare::<GenerateResult>(&mut text, false);
    declare::<FinishReason>(&mut text, false);
    declare::<Usage>(&mut text, false);
    declare::<Timings>(&mut text, false);
    declare::<EncodeOptions>(&mut text, false);
    declare::<EngineInfo>(&mut text, false);
    declare::<MemoryInfo>(&mut text, false);
    declare::<PagingInfo>(&mut text, false);
    declare::<CounterInfo>(&mut text, false);
    declare::<LoadTimes>(&mut text, false);
    declare::<ModelInfo>(&mut text, false);
    declare::<DeviceFacts>(&mut text, true);
    declare::<GpuFacts>(&mut text, false);
    declare::<Inspection>(&mut text, false);
    declare::<Verdict>(&mut text, false);
    text
}

/// Adds a type's declaration. Fields may be left out by `serde(default)`, which ts-rs does not know: `partial` says so.
fn declare<T: TS>(text: &mut String, partial: bool) {
    // Integers arrive as numbers, which are exact up to 2^53.
    let config = Config::new().with_large_int("number");
    let docs = T::docs().unwrap_or_default();
    let docs = docs.lines().filter_map(|line| line.trim().strip_prefix('*')).map(str::trim).filter(|line| *line != "/");
    text.push('\n');
    *text += &comment(&docs.collect::<Vec<_>>().join(" "), "");
    let (open, close) = if partial { ("Partial<", ">") } else { ("", "") };
    let definition = T::decl(&config);
    let (_, definition) = definition.split_once(" = ").expect("a declaration defines a name");
    *text += &layout::declaration(&T::ident(&config), open, definition.trim_end_matches(';'), close);
}
