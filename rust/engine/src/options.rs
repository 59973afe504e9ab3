//! How a model is loaded, and how far that has come.

use chord_program::KvType;
use serde::{Deserialize, Serialize};

/// What the program should run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// A real GPU if there is one that computes rightly, else the CPU.
    #[default]
    Auto,
    /// A GPU, also one computed in software, or failure.
    Gpu,
    /// The CPU.
    Cpu,
}

/// Storage type of keys and values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KvCache {
    /// Exact, twice the memory.
    F32,
    /// Half precision.
    #[default]
    F16,
}

impl From<KvCache> for KvType {
    fn from(kv: KvCache) -> Self {
        match kv {
            KvCache::F32 => KvType::F32,
            KvCache::F16 => KvType::F16,
        }
    }
}

/// Sizes and choices of a load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoadOptions {
    /// What to run on.
    pub backend: Backend,
    /// Positions of the context; the trained length, at most 4,096, without one.
    pub n_ctx: Option<u32>,
    /// Storage type of the KV cache.
    pub kv: KvCache,
    /// Sequences held at once.
    pub n_seq_max: u32,
    /// Tokens of a prompt computed at a time. Larger is faster and uses more scratch memory; a stop takes effect between
    /// two chunks. Without one: 256 on a GPU, 32 on the CPU.
    pub max_batch: Option<u32>,
    /// Positions whose logits are brought back at a time by [`Engine::logits`](crate::Engine::logits).
    pub max_outputs: u32,
    /// Bytes of the window through which the weights pass.
    pub window_bytes: u64,
    /// Only a GPU whose name contains this.
    pub adapter: Option<String>,
    /// GPU features not to use: `subgroups`, `shader-f16`.
    pub disable_features: Vec<String>,
    /// Most bytes to hold on the GPU. Where the model needs more, as many layers as fit stay there beside the embedding
    /// and the output, and the others are read from the file again for every token and every chunk of a prompt. A limit
    /// too small even for that is as a GPU without memory: `auto` takes the CPU. Without one, everything is held.
    pub max_gpu_bytes: Option<u64>,
    /// Lowers the largest binding of the GPU, so that large matrices are split.
    pub max_binding_bytes: Option<u64>,
    /// In a browser: the page makes `subgroups` available although wgpu does not ask for it.
    pub web_subgroups: bool,
    /// Lets executors fuse ops.
    pub fusion: bool,
    /// Compares the GPU with the CPU on a tiny program before it is trusted.
    pub self_test: bool,
    /// Drops the weights on arrival instead of bringing them to a device: the whole way of a load without its end, so
    /// that its own memory can be measured with models that no device holds. What is loaded so cannot run.
    pub discard_weights: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions {
            backend: Backend::Auto,
            n_ctx: None,
            kv: KvCache::F16,
            n_seq_max: 1,
            max_batch: None,
            max_outputs: 8,
            window_bytes: 16 << 20,
            adapter: None,
            disable_features: Vec::new(),
            max_gpu_bytes: None,
            max_binding_bytes: None,
            web_subgroups: false,
            fusion: true,
            self_test: true,
            discard_weights: false,
        }
    }
}

/// What a load is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LoadStage {
    /// Reading and checking the header.
    Header,
    /// Building the tokenizer and choosing a backend: kernels are compiled and tested.
    Prepare,
    /// Bringing weights to their place.
    Weights,
    /// Done.
    Ready,
}

/// How far a load has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadProgress {
    /// What is being done.
    pub stage: LoadStage,
    /// Bytes of this stage that are done.
    pub loaded: u64,
    /// Bytes of this stage.
    pub total: u64,
}
