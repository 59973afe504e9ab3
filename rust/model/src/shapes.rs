//! Headers of well-known shapes without their weights, so that speed can be measured where no file is at hand.

use chord_gguf::GgmlType;

/// Alignment of the data section and of each tensor.
const ALIGNMENT: u64 = 32;

/// Sizes of a model of the llama family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// What it is called.
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

    /// A GGUF header of this shape, and the length of the file that it belongs to. Of the vocabulary it has no more
    /// than what a load asks for.
    pub fn gguf_header(&self, quant: Quant) -> (Vec<u8>, u64) {
        let mut tensors = Vec::new();
        let n_embd = self.n_embd;
        let kv_cols = n_embd / self.n_head * self.n_kv_head;
        let mut add = |name: String, dims: &[u32], ty| tensors.push((name, dims.to_vec(), ty));
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

    fn write(&self, tensors: &[(String, Vec<u32>, GgmlType)]) -> (Vec<u8>, u64) {
        const UINT32: u32 = 4;
        const FLOAT32: u32 = 6;
        const STRING: u32 = 8;
        const ARRAY: u32 = 9;
        let string = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
        let architecture = "llama";
        let mut keys = vec![
            [string("general.architecture"), STRING.to_le_bytes().to_vec(), string(architecture)].concat(),
            [string("general.name"), STRING.to_le_bytes().to_vec(), string(self.name)].concat(),
        ];
        let mut number = |key: &str, ty: u32, bytes: [u8; 4]| {
            keys.push([string(&format!("{architecture}.{key}")), ty.to_le_bytes().to_vec(), bytes.to_vec()].concat());
        };
        number("context_length", UINT32, self.n_ctx_train.to_le_bytes());
        number("embedding_length", UINT32, self.n_embd.to_le_bytes());
        number("block_count", UINT32, self.n_layer.to_le_bytes());
        number("feed_forward_length", UINT32, self.n_ff.to_le_bytes());
        number("attention.head_count", UINT32, self.n_head.to_le_bytes());
        number("attention.head_count_kv", UINT32, self.n_kv_head.to_le_bytes());
        number("attention.layer_norm_rms_epsilon", FLOAT32, 1e-5f32.to_le_bytes());
        number("rope.freq_base", FLOAT32, self.rope_theta.to_le_bytes());
        let tokens = ["<unk>", "<s>", "</s>"];
        let texts = tokens.map(string).concat();
        let count = (tokens.len() as u64).to_le_bytes();
        keys.extend([
            [string("tokenizer.ggml.model"), STRING.to_le_bytes().to_vec(), string("llama")].concat(),
            [
                string("tokenizer.ggml.tokens"),
                ARRAY.to_le_bytes().to_vec(),
                STRING.to_le_bytes().to_vec(),
                count.to_vec(),
                texts,
            ]
            .concat(),
        ]);

        let mut header = [b"GGUF".as_slice(), &3u32.to_le_bytes()].concat();
        header.extend((tensors.len() as u64).to_le_bytes());
        header.extend((keys.len() as u64).to_le_bytes());
        keys.iter().for_each(|key| header.extend(key));
        let mut offset = 0;
        let mut data_len = 0;
        for (name, dims, ty) in tensors {
            header.extend(string(name));
            header.extend((dims.len() as u32).to_le_bytes());
            dims.iter().for_each(|&dim| header.extend(u64::from(dim).to_le_bytes()));
            header.extend(ty.id().to_le_bytes());
            header.extend(u64::to_le_bytes(offset));
            let rows: u64 = dims[1..].iter().map(|&dim| u64::from(dim)).product();
            let row_bytes = ty.row_bytes(u64::from(dims[0])).expect("the type was chosen to fit");
            data_len = offset + rows * row_bytes;
            offset = data_len.next_multiple_of(ALIGNMENT);
        }
        header.resize(header.len().next_multiple_of(ALIGNMENT as usize), 0);
        let file_len = header.len() as u64 + data_len;
        (header, file_len)
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
