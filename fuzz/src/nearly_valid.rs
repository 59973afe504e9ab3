//! Tiny models with a few edits, so that a fuzzer gets past the magic number and the lengths.

use arbitrary::{Arbitrary, Result, Unstructured};
use chord_gguf::{Array, GgmlType, StringArray, Value, ValueType};
use chord_testkit::{FileBuilder, TinyModel};

/// Keys that the code reads; without a known prefix they are the architecture's.
const KEYS: &[&str] = &[
    "general.architecture",
    "general.alignment",
    "general.name",
    "general.file_type",
    "split.count",
    "split.no",
    "split.tensors.count",
    "context_length",
    "embedding_length",
    "block_count",
    "feed_forward_length",
    "nextn_predict_layers",
    "vocab_size",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "attention.layer_norm_epsilon",
    "attention.scale",
    "attention.causal",
    "attention.clamp_kqv",
    "attention.sliding_window",
    "attention.sliding_window_pattern",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "logit_scale",
    "embedding_scale",
    "residual_scale",
    "expert_count",
    "expert_used_count",
    "expert_feed_forward_length",
    "expert_shared_count",
    "expert_weights_norm",
    "expert_weights_scale",
    "expert_gating_func",
    "pooling_type",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.freq_base_swa",
    "rope.local.freq_base",
    "rope.scale_linear",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.attn_factor",
    "rope.scaling.original_context_length",
    "rope.scaling.finetuned",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "rope.scaling.yarn_ext_factor",
    "rope.scaling.yarn_log_multiplier",
    "tokenizer.chat_template",
    "tokenizer.ggml.model",
    "tokenizer.ggml.pre",
    "tokenizer.ggml.tokens",
    "tokenizer.ggml.scores",
    "tokenizer.ggml.token_type",
    "tokenizer.ggml.merges",
    "tokenizer.ggml.bos_token_id",
    "tokenizer.ggml.eos_token_id",
    "tokenizer.ggml.eot_token_id",
    "tokenizer.ggml.eom_token_id",
    "tokenizer.ggml.unknown_token_id",
    "tokenizer.ggml.padding_token_id",
    "tokenizer.ggml.add_bos_token",
    "tokenizer.ggml.add_eos_token",
    "tokenizer.ggml.add_space_prefix",
    "tokenizer.ggml.remove_extra_whitespaces",
];

/// Texts that mean something under one of the keys.
const TEXTS: &[&str] = &[
    "",
    "llama",
    "qwen2",
    "gemma3",
    "olmo2",
    "olmoe",
    "gpt2",
    "bert",
    "default",
    "gpt-2",
    "smollm",
    "llama-bpe",
    "qwen2",
    "none",
    "linear",
    "yarn",
    "longrope",
    "{{ messages[0].content }}",
    "{% for m in messages %}{{ m.role }}{% endfor %}",
    "<0x41>",
    "<s>",
    "</s>",
    "<|im_end|>",
    "\u{2581}",
    "th",
    "t h",
];

/// Names of tensors besides those that the tiny models have.
const NAMES: &[&str] = &[
    "output.weight",
    "output.bias",
    "rope_freqs.weight",
    "token_types.weight",
    "blk.0.attn_q.bias",
    "blk.0.attn_k.bias",
    "blk.0.attn_v.bias",
    "blk.0.attn_qkv.weight",
    "blk.0.attn_q_norm.weight",
    "blk.0.attn_k_norm.weight",
    "blk.0.post_attention_norm.weight",
    "blk.0.post_ffw_norm.weight",
    "blk.0.ffn_gate_exps.weight",
    "blk.0.ffn_gate_inp.weight",
    "blk.0.attn_q.scale",
    "blk.0.attn_q.input_scale",
    "blk.2.attn_norm.weight",
    "v.blk.0.attn_q.weight",
    "mm.0.weight",
    "x",
];

/// Numbers at which something changes.
const NUMBERS: &[i64] = &[
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    16,
    31,
    32,
    33,
    64,
    255,
    256,
    257,
    288,
    289,
    290,
    1024,
    4095,
    4096,
    65535,
    65536,
    1 << 20,
    i32::MAX as i64,
    u32::MAX as i64,
    1 << 32,
    i64::MAX,
    -1,
    -2,
    i32::MIN as i64,
    i64::MIN,
];

#[derive(Debug)]
struct Tensor {
    name: String,
    dims: Vec<u64>,
    ty: GgmlType,
    /// Added to its data offset.
    shift: i64,
}

/// A file that is being edited.
#[derive(Debug)]
pub struct NearlyValid {
    architecture: String,
    metadata: Vec<(String, Value)>,
    tensors: Vec<Tensor>,
    alignment: usize,
    version: u32,
    /// Added to the numbers of tensors and entries.
    miscounted: [i8; 2],
    trailing_bytes: usize,
    /// Bytes that the end of the file lacks.
    cut: usize,
}

impl<'a> Arbitrary<'a> for NearlyValid {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut models = TinyModel::of_each_architecture();
        let plain = models.len();
        models.push(TinyModel::llama().with_bpe(Some("gpt-2")));
        models.push(TinyModel::llama().with_tensor("rope_freqs.weight", &[4]));
        let model = models.swap_remove(u.int_in_range(0..=plain + 1)?);
        let mut file = NearlyValid {
            architecture: model.architecture().to_owned(),
            tensors: model
                .tensors
                .iter()
                .map(|(name, dims)| Tensor { name: name.clone(), dims: dims.clone(), ty: GgmlType::F32, shift: 0 })
                .collect(),
            metadata: model.metadata,
            alignment: 32,
            version: 3,
            miscounted: [0; 2],
            trailing_bytes: 0,
            cut: 0,
        };
        for _ in 0..u.int_in_range(0..=8)? {
            file.edit(u)?;
        }
        Ok(file)
    }
}

impl NearlyValid {
    fn edit(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=15)? {
            0..=4 => {
                let key = self.key(u)?;
                let value = value(u)?;
                self.set(key, value);
            }
            5 => {
                let key = self.key(u)?;
                self.metadata.retain(|(other, _)| *other != key);
            }
            6 => self.edit_array(u)?,
            7 => {
                let entry = (self.key(u)?, value(u)?);
                self.metadata.push(entry);
            }
            8 => {
                let dims = (0..u.int_in_range(1..=4)?).map(|_| extent(u)).collect::<Result<_>>()?;
                let ty = *u.choose(GgmlType::ALL)?;
                self.tensors.push(Tensor { name: (*u.choose(NAMES)?).to_owned(), dims, ty, shift: 0 });
            }
            9 | 10 => {
                let ty = *u.choose(GgmlType::ALL)?;
                // Whole matrices of one type, as files have them, or one tensor.
                let all = bool::arbitrary(u)?;
                match all {
                    true => self.tensors.iter_mut().filter(|t| t.dims.len() > 1).for_each(|tensor| tensor.ty = ty),
                    false => self.tensor(u, |tensor, _| {
                        tensor.ty = ty;
                        Ok(())
                    })?,
                }
            }
            11 => self.tensor(u, |tensor, u| {
                let at = u.choose_index(tensor.dims.len())?;
                tensor.dims[at] = extent(u)?;
                Ok(())
            })?,
            12 => {
                if !self.tensors.is_empty() {
                    let at = u.choose_index(self.tensors.len())?;
                    self.tensors.remove(at);
                }
            }
            13 => self.tensor(u, |tensor, u| {
                tensor.shift = *u.choose(&[-32, -1, 1, 32, 4096, i64::MAX])?;
                Ok(())
            })?,
            14 => self.tensor(u, |tensor, u| {
                tensor.name = (*u.choose(NAMES)?).to_owned();
                Ok(())
            })?,
            _ => match u.int_in_range(0..=4)? {
                0 => self.alignment = *u.choose(&[1, 8, 64, 4096])?,
                1 => self.version = *u.choose(&[0, 2, 4])?,
                2 => self.miscounted = [i8::arbitrary(u)?, i8::arbitrary(u)?],
                3 => self.trailing_bytes = usize::from(u8::arbitrary(u)?),
                _ => self.cut = usize::from(u16::arbitrary(u)?),
            },
        }
        Ok(())
    }

    fn key(&self, u: &mut Unstructured<'_>) -> Result<String> {
        let name = *u.choose(KEYS)?;
        let is_whole = ["general.", "split.", "tokenizer."].iter().any(|prefix| name.starts_with(prefix));
        Ok(if is_whole { name.to_owned() } else { format!("{}.{name}", self.architecture) })
    }

    fn set(&mut self, key: String, value: Value) {
        match self.metadata.iter_mut().find(|(other, _)| *other == key) {
            Some((_, old)) => *old = value,
            None => self.metadata.push((key, value)),
        }
    }

    /// Changes one element of the vocabulary's arrays, or their length.
    fn edit_array(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let arrays: Vec<usize> =
            (0..self.metadata.len()).filter(|&at| self.metadata[at].1.as_array().is_some()).collect();
        if arrays.is_empty() {
            return Ok(());
        }
        let Value::Array(array) = &mut self.metadata[*u.choose(&arrays)?].1 else { return Ok(()) };
        let shorten = u.ratio(1, 4)?;
        match array {
            Array::String(strings) => {
                let mut texts: Vec<Vec<u8>> = strings.iter().map(<[u8]>::to_vec).collect();
                let text = bytes(u)?;
                edit_element(&mut texts, text, shorten, u)?;
                *strings = texts.iter().collect::<StringArray>();
            }
            Array::I32(numbers) => {
                let number = number(u)? as i32;
                edit_element(numbers, number, shorten, u)?;
            }
            Array::F32(numbers) => {
                let number = f32::arbitrary(u)?;
                edit_element(numbers, number, shorten, u)?;
            }
            _ => (),
        }
        Ok(())
    }

    fn tensor(
        &mut self,
        u: &mut Unstructured<'_>,
        change: impl FnOnce(&mut Tensor, &mut Unstructured<'_>) -> Result<()>,
    ) -> Result<()> {
        if self.tensors.is_empty() {
            return Ok(());
        }
        let at = u.choose_index(self.tensors.len())?;
        change(&mut self.tensors[at], u)
    }

    /// The file. Its tensors are filled with a byte that is a small positive number in every float and block type.
    pub fn bytes(&self) -> Vec<u8> {
        /// Tensors whose data would be longer get none.
        const MOST_DATA: u64 = 4 << 20;
        let count = |n: usize, by: i8| (n as u64).wrapping_add_signed(by.into());
        let mut file = FileBuilder::new(
            self.version,
            count(self.tensors.len(), self.miscounted[0]),
            count(self.metadata.len(), self.miscounted[1]),
        );
        self.metadata.iter().for_each(|(key, value)| file.value(key, value));
        let mut end = 0u64;
        for tensor in &self.tensors {
            file.tensor(&tensor.name, &tensor.dims, tensor.ty, end.wrapping_add_signed(tensor.shift));
            let elements = tensor.dims.iter().fold(1u64, |n, &extent| n.saturating_mul(extent));
            let bytes = (elements / tensor.ty.block_elems()).saturating_mul(tensor.ty.block_bytes());
            end = end.saturating_add(bytes).min(MOST_DATA).next_multiple_of(self.alignment as u64);
        }
        file.pad(self.alignment);
        let n = file.bytes.len() + end as usize;
        file.bytes.resize(n, 0x3c);
        file.bytes.resize(n + self.trailing_bytes, b'\n');
        file.bytes.truncate((n + self.trailing_bytes).saturating_sub(self.cut));
        file.bytes
    }
}

fn edit_element<T>(elements: &mut Vec<T>, element: T, shorten: bool, u: &mut Unstructured<'_>) -> Result<()> {
    match (shorten, elements.is_empty()) {
        (true, false) => elements.truncate(u.choose_index(elements.len())?),
        (_, true) => elements.push(element),
        _ => {
            let at = u.choose_index(elements.len())?;
            elements[at] = element;
        }
    }
    Ok(())
}

fn number(u: &mut Unstructured<'_>) -> Result<i64> {
    match u.int_in_range(0..=3)? {
        0 => i64::arbitrary(u),
        1 => Ok(i64::from(u8::arbitrary(u)?)),
        _ => Ok(*u.choose(NUMBERS)?),
    }
}

fn extent(u: &mut Unstructured<'_>) -> Result<u64> {
    Ok(number(u)? as u64)
}

fn bytes(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    match bool::arbitrary(u)? {
        true => Ok((*u.choose(TEXTS)?).as_bytes().to_vec()),
        false => {
            let n = u.int_in_range(0..=16)?.min(u.len());
            Ok(u.bytes(n)?.to_vec())
        }
    }
}

fn float(u: &mut Unstructured<'_>) -> Result<f64> {
    match bool::arbitrary(u)? {
        true => f64::arbitrary(u),
        false => Ok(number(u)? as f64 / 8.0),
    }
}

fn value(u: &mut Unstructured<'_>) -> Result<Value> {
    let ty = *u.choose(&[
        ValueType::U32,
        ValueType::F32,
        ValueType::String,
        ValueType::Bool,
        ValueType::Array,
        ValueType::I32,
        ValueType::U64,
        ValueType::F64,
        ValueType::U8,
        ValueType::I64,
    ])?;
    Ok(match ty {
        ValueType::U32 => Value::U32(number(u)? as u32),
        ValueType::I32 => Value::I32(number(u)? as i32),
        ValueType::U64 => Value::U64(number(u)? as u64),
        ValueType::I64 => Value::I64(number(u)?),
        ValueType::U8 => Value::U8(u8::arbitrary(u)?),
        ValueType::F32 => Value::F32(float(u)? as f32),
        ValueType::F64 => Value::F64(float(u)?),
        ValueType::Bool => Value::Bool(bool::arbitrary(u)?),
        ValueType::String => Value::String(String::from_utf8_lossy(&bytes(u)?).into_owned()),
        _ => Value::Array(array(u)?),
    })
}

fn array(u: &mut Unstructured<'_>) -> Result<Array> {
    let n = *u.choose(&[2usize, 0, 1, 3, 4, 32, 288, 289])?;
    let same = bool::arbitrary(u)?;
    let elements = |u: &mut Unstructured<'_>| -> Result<Vec<i64>> {
        let first = number(u)?;
        (0..n).map(|at| if same || at > 8 { Ok(first) } else { number(u) }).collect()
    };
    Ok(match u.int_in_range(0..=5)? {
        0 => Array::U32(elements(u)?.iter().map(|&n| n as u32).collect()),
        1 => Array::I32(elements(u)?.iter().map(|&n| n as i32).collect()),
        2 => Array::F32(elements(u)?.iter().map(|&n| n as f32 / 8.0).collect()),
        3 => Array::Bool(elements(u)?.iter().map(|&n| n % 2 == 0).collect()),
        4 => Array::U64(elements(u)?.iter().map(|&n| n as u64).collect()),
        _ => {
            let texts = (0..n.min(8)).map(|_| bytes(u)).collect::<Result<Vec<_>>>()?;
            Array::String((0..n).map(|at| texts[at % 8.min(n)].clone()).collect::<StringArray>())
        }
    })
}
