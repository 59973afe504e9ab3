//! Sequences, prefill, decode, sampling, text in and out: what a front end (the command, a browser worker) needs to run
//! a model.
//!
//! [`Engine::load`] pulls a file through a [`ReadAt`] and [`Engine::generate`] runs a [`GenerateRequest`]; both are
//! asynchronous functions on one thread that report through callbacks and can be cancelled. Below them, [`Runner`]
//! works on tokens alone and [`load_runner`] loads a model without a vocabulary.

mod cancel;
mod clock;
mod decode;
mod discard;
mod engine;
mod error;
#[cfg(test)]
mod fake;
mod fields;
mod generate;
mod header;
mod info;
mod inspect;
mod load;
mod options;
mod paging;
mod read;
mod request;
mod rng;
mod runner;
#[cfg(test)]
mod runner_tests;
mod sampler;
mod sampling;
#[cfg(feature = "gpu")]
mod selftest;
mod stop;
mod text;
mod times;
mod token_run;
mod trace;
mod traffic;
mod weights;

pub use cancel::CancelFlag;
pub use chord_cpu::pool;
pub use clock::Clock;
pub use engine::Engine;
pub use error::EngineError;
pub use fields::{NumberField, RawNumber};
pub use header::read_header;
pub use info::{CounterInfo, EngineInfo, MemoryInfo, ModelInfo, PagingInfo};
pub use inspect::{DeviceFacts, GpuFacts, Inspection, Verdict, inspect, inspect_header};
pub use load::{ROOM_OF_32_BITS, load_runner, lower_header};
pub use options::{Activations, Backend, KvCache, LoadOptions, LoadProgress, LoadStage, PoolSource, StartingPool};
pub use read::{ReadAt, ReadError};
pub use request::{
    COMPLETION_MAX_TOKENS, Event, FinishReason, GenerateRequest, GenerateResult, MAX_STOP_STRINGS, MAX_TOKENS, Prompt,
    PromptProgress, RawRequest, SEED, Timings, Usage,
};
pub use rng::{philox, uniform};
pub use runner::{LOOK_AHEAD, OnRows, Runner};
pub use sampler::Sampler;
pub use sampling::{Sampling, SamplingEach};
pub use stop::StopMatcher;
pub use times::LoadTimes;
pub use token_run::{Flow, RunEnd, RunObserver, RunReport, TokenRequest};
pub use trace::{Expected, TraceRow, trace};
pub use traffic::bytes_per_token;
