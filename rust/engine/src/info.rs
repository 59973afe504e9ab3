//! What is loaded and what runs it.

use chord_gguf::Header;
use chord_program::{Counters, KvType, MemoryUse, SegmentKind};
use serde::Serialize;

use crate::runner::Runner;
use crate::{KvCache, LoadTimes};

/// What the file says about itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct ModelInfo {
    /// `general.architecture`.
    pub architecture: String,
    /// `general.name`, if it is there.
    pub name: Option<String>,
    /// Number of weights of all tensors.
    pub n_params: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes of all tensors.
    pub tensor_bytes: u64,
    /// Trained context length, if the file has it.
    pub n_ctx_train: Option<u32>,
    /// Bytes of each storage type among the tensors, largest first.
    pub types: Vec<(String, u64)>,
}

impl ModelInfo {
    /// Reads the fields that exist; none is required.
    pub fn from_header(header: &Header) -> Self {
        let architecture = header.architecture().unwrap_or_default().to_owned();
        let mut types: Vec<(String, u64)> = Vec::new();
        for info in &header.tensors {
            let name = info.ty.name();
            match types.iter_mut().find(|(n, _)| n == name) {
                Some((_, bytes)) => *bytes += info.n_bytes,
                None => types.push((name.to_owned(), info.n_bytes)),
            }
        }
        types.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let n_ctx_train = header.metadata.get(&format!("{architecture}.context_length")).and_then(|v| v.as_u64());
        ModelInfo {
            name: header.metadata.get("general.name").and_then(|v| v.as_str()).map(str::to_owned),
            n_params: header.tensors.iter().map(|t| t.n_elements()).sum(),
            file_bytes: header.file_len,
            tensor_bytes: header.tensors.iter().map(|t| t.n_bytes).sum(),
            n_ctx_train: n_ctx_train.and_then(|n| u32::try_from(n).ok()),
            architecture,
            types,
        }
    }
}

/// Bytes held by the executor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct MemoryInfo {
    /// Weights and tables.
    pub weights: u64,
    /// KV cache.
    pub kv: u64,
    /// Everything else.
    pub scratch: u64,
}

impl From<MemoryUse> for MemoryInfo {
    fn from(memory: MemoryUse) -> Self {
        MemoryInfo { weights: memory.weights, kv: memory.kv, scratch: memory.scratch }
    }
}

/// Counts since the load; see [`chord_program::Counters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct CounterInfo {
    /// Device buffers created.
    pub buffers_created: u64,
    /// Bind groups created.
    pub bind_groups_created: u64,
    /// Pipelines created.
    pub pipelines_created: u64,
    /// Submits.
    pub submits: u64,
    /// Dispatches.
    pub dispatches: u64,
    /// Tokens decoded on the device.
    pub tokens: u64,
    /// Decode submits made only after a read-back had been awaited.
    pub readbacks_before_submit: u64,
}

impl From<Counters> for CounterInfo {
    fn from(counters: Counters) -> Self {
        CounterInfo {
            buffers_created: counters.buffers_created,
            bind_groups_created: counters.bind_groups_created,
            pipelines_created: counters.pipelines_created,
            submits: counters.submits,
            dispatches: counters.dispatches,
            tokens: counters.tokens,
            readbacks_before_submit: counters.readbacks_before_submit,
        }
    }
}

/// Layers that are read from the file again and again, because the device does not hold all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct PagingInfo {
    /// Layers held on the device.
    pub resident_layers: u32,
    /// Layers not held there.
    pub paged_layers: u32,
    /// Bytes read for every token decoded, and for every chunk of a prompt.
    pub bytes_per_token: u64,
    /// Bytes of each of the two slots that paged layers share.
    pub slot_bytes: u64,
    /// Bytes read since the load.
    pub bytes_read: u64,
    /// Milliseconds since the load in which the device had nothing to do because a layer was not there.
    pub stall_ms: f64,
}

/// What is loaded and what runs it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct EngineInfo {
    /// The backend that runs it.
    #[cfg_attr(feature = "typescript", ts(type = "\"gpu\" | \"cpu\""))]
    pub backend: String,
    /// Why this backend runs it: each fallback with its reason, in the order in which backends were tried.
    pub why: Vec<String>,
    /// Adapter or processor, as the system names it.
    pub device: String,
    /// True for a software GPU, which computes on the CPU.
    pub is_software: bool,
    /// Optional features in use.
    pub features: Vec<String>,
    /// Bytes held.
    pub memory: MemoryInfo,
    /// Layers that are not held.
    pub paging: PagingInfo,
    /// Counts so far.
    pub counters: CounterInfo,
    /// Name of the self-test that the device has passed, now or before. It lists everything that the test depends on.
    pub self_test: Option<String>,
    /// What the load took.
    pub load: LoadTimes,
    /// Positions of the context.
    pub n_ctx: u32,
    /// Vocabulary size.
    pub n_vocab: u32,
    /// Tokens of a prompt chunk.
    pub max_batch: u32,
    /// Sequences that can be held.
    pub n_seq_max: u32,
    /// Storage type of the KV cache.
    pub kv: KvCache,
    /// True if messages can be given.
    pub has_chat_template: bool,
    /// What the file says about itself.
    pub model: ModelInfo,
    /// What makes answers worse than the model could give them, in sentences to show.
    pub warnings: Vec<String>,
    /// Oddities of the file that change no answer.
    pub notes: Vec<String>,
}

impl EngineInfo {
    /// For a runner without a text side.
    pub(crate) fn new(runner: &Runner, model: &ModelInfo, why: &[String]) -> Self {
        let (device, program) = (runner.executor().device(), runner.program());
        let (pages, cost) = (device.pages, runner.page_cost());
        let n_layers = program.segments.iter().filter(|s| matches!(s.kind, SegmentKind::Layer(_))).count();
        EngineInfo {
            backend: device.backend.to_owned(),
            why: why.to_vec(),
            device: device.name,
            is_software: device.is_software,
            features: device.features,
            memory: device.memory.into(),
            paging: PagingInfo {
                resident_layers: (n_layers - pages.segments.len()) as u32,
                paged_layers: pages.segments.len() as u32,
                bytes_per_token: pages.bytes_per_pass,
                slot_bytes: pages.slot_bytes,
                bytes_read: cost.bytes_read,
                stall_ms: cost.stall_ms,
            },
            counters: runner.executor().counters().into(),
            self_test: runner.self_test.clone(),
            load: runner.load_times,
            n_ctx: program.n_ctx,
            n_vocab: program.n_vocab,
            max_batch: program.max_batch,
            n_seq_max: program.n_seq_max,
            kv: match program.kv_type {
                KvType::F32 => KvCache::F32,
                KvType::F16 => KvCache::F16,
            },
            has_chat_template: false,
            model: model.clone(),
            warnings: Vec::new(),
            notes: Vec::new(),
        }
    }
}
