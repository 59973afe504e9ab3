//! Small models that differ in how they stretch their rotation. `tests/golden/rope` has what llama.cpp computes for
//! them. They are made from a recipe, so that only the results need a place in the repository; the weights are f32 and
//! the same on every machine.

use std::path::PathBuf;

use chord_gguf::{GgmlType, ValueType, read_header};

use crate::{FileBuilder, GgufFile, Golden, repo_dir};

const ALIGNMENT: usize = 32;
const N_VOCAB: u32 = 64;
const N_EMBD: u32 = 64;
const N_FF: u32 = 64;
const N_LAYER: u32 = 2;
const HEAD_DIM: u32 = 32;
const N_HEAD: u32 = 2;
const N_EXPERT: u32 = 4;
const N_EXPERT_USED: u32 = 2;
/// Trained length; results have 48 positions.
const N_CTX: u32 = 256;
/// Positions of a window, where a layer has one.
const WINDOW: u32 = 16;
/// Size of queries and keys beside inputs of size 1: scores must vary enough for a wrong angle to be seen.
const SHARP: f32 = 1.6;

/// A metadata value of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RopeValue {
    /// A text.
    Text(&'static str),
    /// A count.
    Count(u32),
    /// A number.
    Number(f32),
    /// A flag.
    Flag(bool),
}

/// A model and where its results are.
#[derive(Clone, Debug)]
pub struct RopeModel {
    /// Its name, which begins with the architecture's.
    pub name: &'static str,
    /// Metadata about the rotation, by keys without `ARCHITECTURE.rope.`.
    pub keys: Vec<(&'static str, RopeValue)>,
    /// Ends of YaRN's ramp that the results were computed with whatever the file says, fast and slow, in turns.
    pub betas: Option<(f32, f32)>,
    /// The model that has the same results, if the difference in their metadata means nothing.
    pub same_as: Option<&'static str>,
    /// Whether the file has a divisor for each frequency.
    pub has_factors: bool,
}

/// Every model.
pub fn rope_models() -> Vec<RopeModel> {
    use RopeValue::{Count, Flag, Number, Text};
    let model = |name, keys: &[(&'static str, RopeValue)]| RopeModel {
        name,
        keys: keys.to_vec(),
        betas: None,
        same_as: None,
        has_factors: false,
    };
    let with = |name, keys: &[_], more: &[_]| model(name, &[keys, more].concat());
    let same = |model: RopeModel, other| RopeModel { same_as: Some(other), ..model };
    let yarn = [("scaling.type", Text("yarn")), ("scaling.factor", Number(4.0))];
    let yarn64 = [yarn[0], yarn[1], ("scaling.original_context_length", Count(64))];
    let attn = ("scaling.attn_factor", Number(1.3));
    vec![
        model("llama-plain", &[]),
        model("llama-yarn", &yarn64),
        with("llama-yarn-attn-factor", &yarn64, &[attn]),
        RopeModel { betas: Some((6.0, 2.0)), ..model("llama-yarn-betas", &yarn64) },
        with("llama-yarn-original-length", &yarn, &[("scaling.original_context_length", Count(16))]),
        model("llama-yarn-trained-length", &yarn),
        with("llama-yarn-base", &yarn64, &[("freq_base", Number(300.0))]),
        model(
            "llama-yarn-squeezed",
            &[yarn[0], ("scaling.factor", Number(0.5)), ("scaling.original_context_length", Count(64))],
        ),
        RopeModel { has_factors: true, ..model("llama-yarn-factors", &yarn64) },
        with("llama-linear", &[("scaling.type", Text("linear")), yarn[1]], &[attn]),
        with("llama-none", &[("scaling.type", Text("none")), yarn[1]], &[attn]),
        model("llama-scale-linear", &[("scale_linear", Number(4.0))]),
        model("qwen2-yarn", &yarn64),
        with("olmo2-yarn", &yarn64, &[attn]),
        model("olmoe-yarn", &yarn64),
        with("gemma3-yarn", &yarn64, &[attn, ("freq_base_swa", Number(500.0))]),
        model("gemma3-yarn-squeezed", &[yarn[0], ("scaling.factor", Number(0.5)), ("dimension_count", Count(16))]),
        with("gemma3-linear", &[yarn[1]], &[attn]),
        // What makes no difference.
        same(
            with("llama-yarn-no-length", &yarn, &[("scaling.original_context_length", Count(0))]),
            "llama-yarn-trained-length",
        ),
        same(model("llama-yarn-no-factor", &yarn64[..1]), "llama-plain"),
        same(with("llama-yarn-factor-zero", &yarn64[..1], &[("scaling.factor", Number(0.0))]), "llama-plain"),
        same(
            model("llama-factor-zero", &[("scaling.factor", Number(0.0)), ("scale_linear", Number(4.0))]),
            "llama-plain",
        ),
        same(model("llama-no-type", &[("scaling.factor", Number(4.0))]), "llama-scale-linear"),
        same(
            with(
                "llama-yarn-unread",
                &yarn64,
                &[
                    ("scaling.finetuned", Flag(true)),
                    ("scaling.yarn_ext_factor", Number(0.5)),
                    ("scaling.yarn_attn_factor", Number(1.5)),
                    ("scaling.yarn_beta_fast", Number(6.0)),
                    ("scaling.yarn_beta_slow", Number(2.0)),
                    ("scaling.yarn_log_multiplier", Number(0.1)),
                ],
            ),
            "llama-yarn",
        ),
        same(with("olmo2-yarn-unread", &yarn64, &[attn, ("scaling.yarn_attn_factor", Number(1.2))]), "olmo2-yarn"),
    ]
}

impl RopeModel {
    /// The model of this name.
    ///
    /// # Panics
    /// If there is none.
    pub fn named(name: &str) -> Self {
        rope_models().into_iter().find(|model| model.name == name).unwrap_or_else(|| panic!("no model {name}"))
    }

    /// Its architecture.
    pub fn architecture(&self) -> &'static str {
        self.name.split_once('-').expect("names begin with an architecture").0
    }

    /// Its results.
    ///
    /// # Panics
    /// If they are not there: they belong to the repository.
    pub fn golden(&self) -> Golden {
        let path = rope_golden_dir().join(format!("{}.json", self.same_as.unwrap_or(self.name)));
        Golden::load(&path)
    }

    /// The file, in memory.
    pub fn file(&self) -> GgufFile {
        let bytes = self.bytes();
        let header = read_header(&bytes).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        GgufFile { header, bytes }
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> Vec<u8> {
        let architecture = self.architecture();
        let (metadata, tensors) = (self.metadata(), self.tensors());
        let mut file = FileBuilder::new(3, tensors.len() as u64, metadata.len() as u64 + 2);
        file.string("general.architecture", architecture);
        file.string("tokenizer.ggml.model", "none");
        for (key, value) in metadata {
            let key = format!("{architecture}.{key}");
            match value {
                RopeValue::Text(text) => {
                    file.string(&key, text);
                }
                RopeValue::Count(count) => {
                    file.number(&key, count);
                }
                RopeValue::Number(number) => {
                    file.key(&key, ValueType::F32);
                    file.raw(&number.to_le_bytes());
                }
                RopeValue::Flag(flag) => {
                    file.key(&key, ValueType::Bool);
                    file.raw(&[flag.into()]);
                }
            }
        }
        let mut offset = 0;
        for tensor in &tensors {
            file.tensor(&tensor.name, &tensor.dims, GgmlType::F32, offset);
            offset += 4 * tensor.dims.iter().product::<u64>();
        }
        // Every tensor has a multiple of the alignment.
        file.pad(ALIGNMENT);
        for tensor in &tensors {
            tensor.values().for_each(|value| file.bytes.extend(value.to_le_bytes()));
        }
        file.bytes
    }

    /// Metadata, by keys without the architecture.
    fn metadata(&self) -> Vec<(String, RopeValue)> {
        use RopeValue::{Count, Number};
        let mut metadata = vec![
            ("vocab_size".to_owned(), Count(N_VOCAB)),
            ("context_length".to_owned(), Count(N_CTX)),
            ("embedding_length".to_owned(), Count(N_EMBD)),
            ("block_count".to_owned(), Count(N_LAYER)),
            ("feed_forward_length".to_owned(), Count(N_FF)),
            ("attention.head_count".to_owned(), Count(N_HEAD)),
            ("attention.head_count_kv".to_owned(), Count(self.n_kv_head())),
            ("attention.key_length".to_owned(), Count(HEAD_DIM)),
            ("attention.value_length".to_owned(), Count(HEAD_DIM)),
            ("attention.layer_norm_rms_epsilon".to_owned(), Number(1e-6)),
        ];
        match self.architecture() {
            "gemma3" => metadata.extend([
                ("attention.sliding_window".to_owned(), Count(WINDOW)),
                // Of two layers the first has the window.
                ("attention.sliding_window_pattern".to_owned(), Count(2)),
            ]),
            "olmoe" => metadata.extend([
                ("expert_count".to_owned(), Count(N_EXPERT)),
                ("expert_used_count".to_owned(), Count(N_EXPERT_USED)),
            ]),
            _ => {}
        }
        metadata.extend(self.keys.iter().map(|(key, value)| (format!("rope.{key}"), *value)));
        metadata
    }

    fn n_kv_head(&self) -> u32 {
        if self.architecture() == "olmoe" { N_HEAD } else { 1 }
    }

    fn tensors(&self) -> Vec<Tensor> {
        let architecture = self.architecture();
        let (q_cols, kv_cols) = (N_HEAD * HEAD_DIM, self.n_kv_head() * HEAD_DIM);
        let mut tensors = vec![Tensor::matrix("token_embd", &[N_EMBD, N_VOCAB], 1.0)];
        if self.has_factors {
            tensors.push(Tensor { gain: 0.5, around: 1.5, ..Tensor::matrix("rope_freqs", &[HEAD_DIM / 2], 0.0) });
        }
        for layer in 0..N_LAYER {
            let mut matrix = |name: &str, dims: &[u32], gain| {
                tensors.push(Tensor::matrix(&format!("blk.{layer}.{name}"), dims, gain));
            };
            matrix("attn_q", &[N_EMBD, q_cols], SHARP);
            matrix("attn_k", &[N_EMBD, kv_cols], SHARP);
            matrix("attn_v", &[N_EMBD, kv_cols], 1.0);
            matrix("attn_output", &[q_cols, N_EMBD], 1.0);
            if architecture == "olmoe" {
                matrix("ffn_gate_inp", &[N_EMBD, N_EXPERT], 1.0);
                matrix("ffn_gate_exps", &[N_EMBD, N_FF, N_EXPERT], 1.0);
                matrix("ffn_up_exps", &[N_EMBD, N_FF, N_EXPERT], 1.0);
                matrix("ffn_down_exps", &[N_FF, N_EMBD, N_EXPERT], 1.0);
            } else {
                matrix("ffn_gate", &[N_EMBD, N_FF], 1.0);
                matrix("ffn_up", &[N_EMBD, N_FF], 1.0);
                matrix("ffn_down", &[N_FF, N_EMBD], 1.0);
            }
            let mut norm = |name: &str, cols, around| {
                tensors.push(Tensor::norm(&format!("blk.{layer}.{name}"), cols, around));
            };
            if architecture != "olmo2" {
                norm("attn_norm", N_EMBD, 1.0);
                norm("ffn_norm", N_EMBD, 1.0);
            }
            if matches!(architecture, "olmo2" | "gemma3") {
                norm("post_attention_norm", N_EMBD, 1.0);
                norm("post_ffw_norm", N_EMBD, 1.0);
            }
            let normed = match architecture {
                "gemma3" => Some((HEAD_DIM, HEAD_DIM)),
                "olmo2" | "olmoe" => Some((q_cols, kv_cols)),
                _ => None,
            };
            if let Some((q_cols, k_cols)) = normed {
                norm("attn_q_norm", q_cols, SHARP);
                norm("attn_k_norm", k_cols, SHARP);
            }
            if architecture == "qwen2" {
                for (name, cols) in [("attn_q", q_cols), ("attn_k", kv_cols), ("attn_v", kv_cols)] {
                    tensors.push(Tensor::bias(&format!("blk.{layer}.{name}"), cols));
                }
            }
        }
        tensors.push(Tensor::norm("output_norm", N_EMBD, 1.0));
        if architecture != "gemma3" {
            tensors.push(Tensor::matrix("output", &[N_EMBD, N_VOCAB], 2.0));
        }
        tensors
    }
}

/// A tensor of random numbers between `around - gain` and `around + gain`.
#[derive(Clone, Debug)]
struct Tensor {
    name: String,
    dims: Vec<u64>,
    around: f32,
    gain: f32,
}

impl Tensor {
    /// Inputs of size 1 give outputs of size `gain`.
    fn matrix(name: &str, dims: &[u32], gain: f32) -> Self {
        let gain = gain * (3.0 / dims[0] as f32).sqrt();
        let dims = dims.iter().map(|&dim| dim.into()).collect();
        Tensor { name: format!("{name}.weight"), dims, around: 0.0, gain }
    }

    fn norm(name: &str, cols: u32, around: f32) -> Self {
        Tensor { around, gain: 0.3, ..Tensor::matrix(name, &[cols], 0.0) }
    }

    fn bias(name: &str, cols: u32) -> Self {
        Tensor { name: format!("{name}.bias"), dims: vec![cols.into()], around: 0.0, gain: 0.3 }
    }

    /// Linear congruential numbers, whose start follows from the name, so that a tensor is the same in every model.
    fn values(&self) -> impl Iterator<Item = f32> {
        let mut state = self.name.bytes().fold(1u64, |state, byte| step(state ^ u64::from(byte)));
        let (around, gain) = (self.around, self.gain);
        (0..self.dims.iter().product()).map(move |_| {
            state = step(state);
            around + gain * ((state >> 40) as f32 / (1 << 23) as f32 - 1.0)
        })
    }
}

fn step(state: u64) -> u64 {
    state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

/// The folder of the results.
pub fn rope_golden_dir() -> PathBuf {
    repo_dir().join("tests/golden/rope")
}
