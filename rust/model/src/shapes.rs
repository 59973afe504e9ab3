//! Headers of well-known shapes without their weights, so that speed can be measured where no file is at hand.

use chord_gguf::{Array, FileBuilder, GgmlType, StringArray, Value};

/// Sizes of a model of the llama family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Its name.
    pub name: &'static str,
    n_vocab: u32,
    n_embd: u32,
    n_layer: u32,
    n_ff: u32,
    n_head: u32,
    n_kv_head: u32,
    rope_theta: f32,
    n_ctx_train: u32,
    is_tied: bool,
    has_rope_factors: bool,
}

/// The shapes that are known.
pub const SHAPES: [Shape; 4] = [
    Shape {
        name: "smollm2-135m",
        n_vocab: 49152,
        n_embd: 576,
        n_layer: 30,
        n_ff: 1536,
        n_head: 9,
        n_kv_head: 3,
        rope_theta: 100_000.0,
        n_ctx_train: 8192,
        is_tied: true,
        has_rope_factors: false,
    },
    Shape {
        name: "tinyllama-1.1b",
        n_vocab: 32000,
        n_embd: 2048,
        n_layer: 22,
        n_ff: 5632,
        n_head: 32,
        n_kv_head: 4,
        rope_theta: 10_000.0,
        n_ctx_train: 2048,
        is_tied: false,
        has_rope_factors: false,
    },
    Shape {
        name: "llama-3.2-1b",
        n_vocab: 128_256,
        n_embd: 2048,
        n_layer: 16,
        n_ff: 8192,
        n_head: 32,
        n_kv_head: 8,
        rope_theta: 500_000.0,
        n_ctx_train: 131_072,
        is_tied: true,
        has_rope_factors: true,
    },
    Shape {
        name: "llama-3.1-8b",
        n_vocab: 128_256,
        n_embd: 4096,
        n_layer: 32,
        n_ff: 14336,
        n_head: 32,
        n_kv_head: 8,
        rope_theta: 500_000.0,
        n_ctx_train: 131_072,
        is_tied: false,
        has_rope_factors: true,
    },
];

/// How the matrices of a shape are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quant {
    /// All in one type; where its blocks do not fit the rows, in the type that quantizers fall back to.
    Uniform(GgmlType),
    /// The mixture `Q4_K_M`: Q4_K, with Q6_K for the output and for the more sensitive half of `attn_v` and `ffn_down`.
    Q4KM,
}

impl std::str::FromStr for Quant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.to_ascii_uppercase();
        if name == "Q4_K_M" {
            return Ok(Quant::Q4KM);
        }
        match name.parse::<GgmlType>() {
            Ok(ty) if ty.can_dequantize() => Ok(Quant::Uniform(ty)),
            _ => Err(format!("{text:?} is not a storage type, expected Q4_K_M or one such as Q4_0, Q8_0, Q6_K, F16")),
        }
    }
}

impl Quant {
    /// The type of a matrix with rows of `cols` elements; `is_sensitive` ones get more bits in a mixture.
    fn of(self, cols: u32, is_sensitive: bool) -> GgmlType {
        let wanted = match self {
            Quant::Uniform(ty) => ty,
            Quant::Q4KM if is_sensitive => GgmlType::Q6_K,
            Quant::Q4KM => GgmlType::Q4_K,
        };
        if wanted.row_bytes(u64::from(cols)).is_some() {
            return wanted;
        }
        match wanted {
            GgmlType::Q2_K | GgmlType::Q3_K => GgmlType::Q4_0,
            GgmlType::Q4_K => GgmlType::Q5_0,
            GgmlType::Q5_K => GgmlType::Q5_1,
            GgmlType::Q6_K => GgmlType::Q8_0,
            _ => GgmlType::F16,
        }
    }
}

impl Shape {
    /// The shape of this name.
    pub fn find(name: &str) -> Option<Shape> {
        SHAPES.into_iter().find(|shape| shape.name == name)
    }

    /// A GGUF header of this shape, and the length of the file that it belongs to. Its vocabulary has only the tokens
    /// that a load requires.
    pub fn gguf_header(&self, quant: Quant) -> (Vec<u8>, u64) {
        let mut tensors = Vec::new();
        let n_embd = self.n_embd;
        let kv_cols = n_embd / self.n_head * self.n_kv_head;
        let mut add =
            |name: String, dims: &[u32], ty| tensors.push((name, dims.iter().map(|&dim| dim.into()).collect(), ty));
        let matrix = |cols: u32, is_sensitive| quant.of(cols, is_sensitive);
        add("token_embd.weight".into(), &[n_embd, self.n_vocab], matrix(n_embd, self.is_tied));
        if self.has_rope_factors {
            add("rope_freqs.weight".into(), &[n_embd / self.n_head / 2], GgmlType::F32);
        }
        for layer in 0..self.n_layer {
            let (n, eighth) = (self.n_layer, self.n_layer / 8);
            let is_sensitive = layer < eighth || layer >= 7 * n / 8 || (layer - eighth) % 3 == 2;
            let mut part = |what: &str, dims: &[u32], ty| add(format!("blk.{layer}.{what}.weight"), dims, ty);
            part("attn_norm", &[n_embd], GgmlType::F32);
            part("attn_q", &[n_embd, n_embd], matrix(n_embd, false));
            part("attn_k", &[n_embd, kv_cols], matrix(n_embd, false));
            part("attn_v", &[n_embd, kv_cols], matrix(n_embd, is_sensitive));
            part("attn_output", &[n_embd, n_embd], matrix(n_embd, false));
            part("ffn_norm", &[n_embd], GgmlType::F32);
            part("ffn_gate", &[n_embd, self.n_ff], matrix(n_embd, false));
            part("ffn_up", &[n_embd, self.n_ff], matrix(n_embd, false));
            part("ffn_down", &[self.n_ff, n_embd], matrix(self.n_ff, is_sensitive));
        }
        add("output_norm.weight".into(), &[n_embd], GgmlType::F32);
        if !self.is_tied {
            add("output.weight".into(), &[n_embd, self.n_vocab], matrix(n_embd, true));
        }
        self.write(&tensors)
    }

    fn write(&self, tensors: &[(String, Vec<u64>, GgmlType)]) -> (Vec<u8>, u64) {
        let text = |value: &str| Value::String(value.to_owned());
        let tokens: StringArray = ["<unk>", "<s>", "</s>"].into_iter().collect();
        let metadata = [
            ("general.architecture", text("llama")),
            ("general.name", text(self.name)),
            ("llama.context_length", Value::U32(self.n_ctx_train)),
            ("llama.embedding_length", Value::U32(self.n_embd)),
            ("llama.block_count", Value::U32(self.n_layer)),
            ("llama.feed_forward_length", Value::U32(self.n_ff)),
            ("llama.attention.head_count", Value::U32(self.n_head)),
            ("llama.attention.head_count_kv", Value::U32(self.n_kv_head)),
            ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
            ("llama.rope.freq_base", Value::F32(self.rope_theta)),
            ("tokenizer.ggml.model", text("llama")),
            ("tokenizer.ggml.tokens", Value::Array(Array::String(tokens))),
        ];
        let tensors = tensors.iter().map(|(name, dims, ty)| (name.as_str(), dims.as_slice(), *ty));
        let (header, data_len) = FileBuilder::header(metadata.iter().map(|(key, value)| (*key, value)), tensors);
        let file_len = header.here() + data_len;
        (header.bytes, file_len)
    }
}

#[cfg(test)]
mod tests {
    use chord_gguf::{HeaderReader, Status};

    use super::*;
    use crate::{BuildOptions, lower, needs};

    /// Parameters as the models' publishers give them, in millions.
    #[test]
    fn every_shape_is_a_model_of_its_size_that_can_be_lowered() {
        for (name, millions) in
            [("smollm2-135m", 134.5), ("tinyllama-1.1b", 1100.0), ("llama-3.2-1b", 1235.8), ("llama-3.1-8b", 8030.3)]
        {
            for quant in [Quant::Q4KM, Quant::Uniform(GgmlType::Q4_0), Quant::Uniform(GgmlType::F16)] {
                let (bytes, file_len) = Shape::find(name).unwrap().gguf_header(quant);
                let Ok(Status::Done(header)) = HeaderReader::new(file_len).feed(&bytes) else { panic!("{name}") };
                let parameters: u64 = header.tensors.iter().map(|t| t.n_elements()).sum();
                assert!((parameters as f64 / 1e6 / millions - 1.0).abs() < 0.001, "{name}: {parameters}");
                let factors = vec![1.0; 64];
                let n_factors = needs(&header).first().map(|n| header.tensor(n).unwrap().n_elements() as usize);
                let factors = n_factors.map(|n| &factors[..n]);
                lower(&header, &BuildOptions::default(), factors).unwrap();
            }
        }
    }
}
