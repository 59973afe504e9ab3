//! How a model is loaded, and how far that has come.

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;

use chord_cpu::{ActivationType, Pool};
use chord_program::KvType;
use serde::{Deserialize, Serialize};

/// What the program should run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// A real GPU if there is one that computes correctly, else the CPU.
    #[default]
    Auto,
    /// A GPU, even a software one; without any, the load fails.
    Gpu,
    /// The CPU.
    Cpu,
}

/// Storage type of keys and values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
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

/// Form of activations in the CPU's products with quantized matrices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Activations {
    /// As `Q8` in the middle of prompts, as `Q16` elsewhere: prompts nearly as fast as `Q8`, answers nearly as good as
    /// `Q16`.
    #[default]
    Mixed,
    /// Rounded to 8 bits: fastest, but rounding may decide between tokens that are nearly as likely.
    Q8,
    /// Rounded to 16 bits: nearly exact, with twice the multiplications of `Q8`, and much faster than `F32`.
    Q16,
    /// Not rounded: exact up to the order of sums.
    F32,
}

impl From<Activations> for ActivationType {
    fn from(activations: Activations) -> Self {
        match activations {
            Activations::Mixed => ActivationType::Mixed,
            Activations::Q8 => ActivationType::Q8,
            Activations::Q16 => ActivationType::Q16,
            Activations::F32 => ActivationType::F32,
        }
    }
}

/// A pool that is being started; the error says why there is none.
pub type StartingPool = Pin<Box<dyn Future<Output = Result<Pool, String>>>>;

/// Where the CPU executor's threads come from: from the system, unless the host has to start them.
#[derive(Clone, Default)]
pub struct PoolSource(Option<Rc<dyn Fn(usize) -> StartingPool>>);

impl PoolSource {
    /// `start(n)` starts a pool of `n` threads. It is called only after the CPU has been chosen, and never for one
    /// thread.
    pub fn new(start: impl Fn(usize) -> StartingPool + 'static) -> Self {
        PoolSource(Some(Rc::new(start)))
    }

    /// A pool of `n_threads` threads.
    ///
    /// # Errors
    /// The reason why there is none.
    pub(crate) async fn start(&self, n_threads: usize) -> Result<Pool, String> {
        match &self.0 {
            _ if n_threads <= 1 => Ok(Pool::alone()),
            Some(start) => start(n_threads).await,
            None => Pool::spawn(n_threads).map_err(|error| error.to_string()),
        }
    }
}

impl fmt::Debug for PoolSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "PoolSource(host)" } else { "PoolSource(system)" })
    }
}

impl PartialEq for PoolSource {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) => Rc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        }
    }
}

/// Sizes and choices of a load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(default, deny_unknown_fields)]
pub struct LoadOptions {
    /// What to run on.
    pub backend: Backend,
    /// Positions of the context. Default: the trained length, at most 4,096.
    pub n_ctx: Option<u32>,
    /// Storage type of the KV cache.
    pub kv: KvCache,
    /// Sequences held at once.
    pub n_seq_max: u32,
    /// Tokens of a prompt computed at a time. Larger is faster and uses more scratch memory; a cancellation takes
    /// effect between two chunks. Default: 256 on a GPU, 128 on the CPU.
    pub max_batch: Option<u32>,
    /// Positions whose logits are brought back at a time by [`Engine::logits`](crate::Engine::logits).
    pub max_outputs: u32,
    /// Threads on the CPU, the engine's own included. Default: one for each core, less one where there are more than
    /// two.
    pub threads: Option<u32>,
    /// Form of activations on the CPU.
    pub activations: Activations,
    /// The CPU's instruction set, by its [name](chord_cpu::InstructionSet::name), for comparisons. Default: the fastest
    /// one here, which is measured where more than one may be.
    pub instruction_set: Option<String>,
    /// What starts those threads.
    #[serde(skip)]
    pub pool: PoolSource,
    /// Bytes of the window through which weights pass on their way to the device.
    pub window_bytes: u64,
    /// Only a GPU whose name contains this.
    pub adapter: Option<String>,
    /// GPU features not to use: `subgroups`, `shader-f16`.
    pub disable_features: Vec<String>,
    /// Most bytes to hold on the GPU. Where the model needs more, the embedding, the output and as many layers as fit
    /// stay there; the other layers are read from the file again for every token and every chunk of a prompt. A limit
    /// too small even for that makes `auto` take the CPU and `gpu` fail. Default: no limit, everything is held.
    pub max_gpu_bytes: Option<u64>,
    /// Lowers the largest binding of the GPU, so that large matrices are split.
    pub max_binding_bytes: Option<u64>,
    /// In a browser: the page makes `subgroups` available although wgpu does not ask for it.
    pub web_subgroups: bool,
    /// Lets executors fuse ops.
    pub fusion: bool,
    /// Compares the GPU with the CPU on a tiny program before it is trusted.
    pub self_test: bool,
    /// Self-tests that this build is known to have passed on this device, by [name](crate::EngineInfo::self_test): they
    /// are not repeated. On the CPU, the measurement of the fastest instruction set, whose name tells its outcome.
    pub passed_tests: Vec<String>,
    /// Drops the weights on arrival instead of writing them to a device, to measure the memory of the load itself, even
    /// with models that no device holds. A model loaded this way cannot run.
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
            threads: None,
            activations: Activations::default(),
            instruction_set: None,
            pool: PoolSource::default(),
            window_bytes: 16 << 20,
            adapter: None,
            disable_features: Vec::new(),
            max_gpu_bytes: None,
            max_binding_bytes: None,
            web_subgroups: false,
            fusion: true,
            self_test: true,
            passed_tests: Vec::new(),
            discard_weights: false,
        }
    }
}

/// What a load is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
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
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct LoadProgress {
    /// What is being done.
    pub stage: LoadStage,
    /// Bytes of this stage that are done; in `prepare` and `ready`, 0 or 1.
    pub loaded: u64,
    /// Bytes of this stage; in `prepare` and `ready`, 1.
    pub total: u64,
}
