//! Whole models of a few kilobytes, written so that tests can change a key or a tensor and see what comes of it.

use chord_gguf::writer::ALIGNMENT;
use chord_gguf::{Array, FileBuilder, GgmlType, StringArray, Value};

use crate::recipe::{ARCHITECTURES, Decoder, N_LAYER};

/// Layers of every tiny model.
pub const TINY_LAYERS: u32 = N_LAYER;

/// A model to be changed and written: two layers, random F32 weights, a SentencePiece vocabulary of bytes and letters.
#[derive(Clone, Debug)]
pub struct TinyModel {
    architecture: String,
    /// Keys and values, in the order of the file.
    pub metadata: Vec<(String, Value)>,
    /// Names and extents of the tensors, in the order of the file. All are F32.
    pub tensors: Vec<(String, Vec<u64>)>,
    /// Bytes after the last tensor.
    pub trailing_bytes: usize,
}

impl TinyModel {
    /// Tokens of the vocabulary.
    pub const TOKENS: u64 = 289;

    /// One of each architecture that has a recipe.
    pub fn of_each_architecture() -> Vec<Self> {
        ARCHITECTURES.map(Self::of).into()
    }

    /// What `general.architecture` says.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// The same under another architecture's name.
    pub fn of_architecture(mut self, name: &str) -> Self {
        let (from, to) = (format!("{}.", self.architecture), format!("{name}."));
        for (key, _) in &mut self.metadata {
            *key = key.strip_prefix(&from).map_or_else(|| key.clone(), |rest| format!("{to}{rest}"));
        }
        self.architecture = name.to_owned();
        self.with("general.architecture", Value::String(name.to_owned()))
    }

    /// Of the llama family.
    pub fn llama() -> Self {
        TinyModel::of("llama")
    }

    /// Of an architecture that has a recipe, with 4 query heads, 2 KV heads of 8 numbers, and 32 columns.
    ///
    /// # Panics
    /// If it has none.
    pub fn of(architecture: &str) -> Self {
        let known = ARCHITECTURES.into_iter().find(|name| *name == architecture);
        let decoder = Decoder::tiny(known.expect("an architecture with a recipe"), Self::TOKENS as u32);
        let mut model = TinyModel {
            architecture: architecture.to_owned(),
            metadata: vec![("general.architecture".to_owned(), Value::String(architecture.to_owned()))],
            tensors: decoder.tensors().into_iter().map(|tensor| (tensor.name, tensor.dims)).collect(),
            trailing_bytes: 0,
        };
        // Tests change what these follow from.
        let derived = ["vocab_size", "attention.key_length", "attention.value_length"];
        for (key, value) in decoder.metadata().into_iter().filter(|(key, _)| !derived.contains(&key.as_str())) {
            model = model.with(&key, value);
        }
        model.write_vocabulary();
        model
    }

    fn write_vocabulary(&mut self) {
        let tokens = vocabulary();
        let types = tokens.iter().map(|(_, ty)| *ty).collect();
        let scores = (0..tokens.len()).map(|id| -(id as f32)).collect();
        let texts: StringArray = tokens.iter().map(|(text, _)| text).collect();
        for (key, value) in [
            ("model", Value::String("llama".to_owned())),
            ("tokens", Value::Array(Array::String(texts))),
            ("scores", Value::Array(Array::F32(scores))),
            ("token_type", Value::Array(Array::I32(types))),
        ] {
            self.metadata.push((format!("tokenizer.ggml.{key}"), value));
        }
    }

    /// Puts a value under a key; one without `tokenizer.`, `general.` or `split.` in front is the architecture's.
    pub fn with(mut self, key: &str, value: Value) -> Self {
        let key = self.whole_key(key);
        match self.metadata.iter_mut().find(|(other, _)| *other == key) {
            Some((_, old)) => *old = value,
            None => self.metadata.push((key, value)),
        }
        self
    }

    /// Takes a key away.
    pub fn without(mut self, key: &str) -> Self {
        let key = self.whole_key(key);
        self.metadata.retain(|(other, _)| *other != key);
        self
    }

    /// Adds a tensor.
    pub fn with_tensor(mut self, name: &str, dims: &[u64]) -> Self {
        self.tensors.push((name.to_owned(), dims.to_vec()));
        self
    }

    /// Puts another text in place of a token's.
    pub fn with_token(mut self, id: usize, text: &str) -> Self {
        for (key, value) in &mut self.metadata {
            if let ("tokenizer.ggml.tokens", Value::Array(Array::String(tokens))) = (key.as_str(), value) {
                let texts = tokens.iter().enumerate();
                *tokens = texts.map(|(at, old)| if at == id { text.as_bytes() } else { old }).collect();
            }
        }
        self
    }

    /// With byte-level BPE and the pre-tokenizer `pre`, or without one. The tokens are single bytes.
    pub fn with_bpe(self, pre: Option<&str>) -> Self {
        let mut texts: Vec<String> = (0..256u32).map(|byte| char::from_u32(0x100 + byte).unwrap().into()).collect();
        // Printable characters spell themselves, the rest does not matter here.
        (0x21..0x7fu8).for_each(|byte| texts[usize::from(byte)] = char::from(byte).into());
        let n_more = Self::TOKENS as usize - texts.len();
        texts.extend((0..n_more).map(|n| format!("<|{n}|>")));
        let model = self
            .without("tokenizer.ggml.token_type")
            .with("tokenizer.ggml.model", Value::String("gpt2".to_owned()))
            .with("tokenizer.ggml.merges", Value::Array(Array::String(StringArray::default())))
            .with("tokenizer.ggml.tokens", Value::Array(Array::String(texts.iter().collect())));
        match pre {
            Some(pre) => model.with("tokenizer.ggml.pre", Value::String(pre.to_owned())),
            None => model.without("tokenizer.ggml.pre"),
        }
    }

    fn whole_key(&self, key: &str) -> String {
        match ["tokenizer.", "general.", "split."].iter().any(|prefix| key.starts_with(prefix)) {
            true => key.to_owned(),
            false => format!("{}.{key}", self.architecture),
        }
    }

    /// The file.
    pub fn file(&self) -> Vec<u8> {
        let mut bytes = write(&self.metadata, &self.tensors);
        bytes.resize(bytes.len() + self.trailing_bytes, b'\n');
        bytes
    }

    /// The files of the model in parts, as `gguf-split` writes them: the first has the metadata, each some tensors.
    pub fn parts(&self, n: usize) -> Vec<Vec<u8>> {
        let each = self.tensors.len().div_ceil(n);
        let part = |no: usize| {
            let tensors = self.tensors.iter().skip(no * each).take(each).cloned().collect::<Vec<_>>();
            let mut metadata = if no == 0 { self.metadata.clone() } else { Vec::new() };
            metadata.push(("split.no".to_owned(), Value::U16(no as u16)));
            metadata.push(("split.count".to_owned(), Value::U16(n as u16)));
            metadata.push(("split.tensors.count".to_owned(), Value::I32(self.tensors.len() as i32)));
            write(&metadata, &tensors)
        };
        (0..n).map(part).collect()
    }
}

/// Texts and types of the tokens.
fn vocabulary() -> Vec<(String, i32)> {
    let mut tokens = vec![("<unk>".to_owned(), 2), ("<s>".to_owned(), 3), ("</s>".to_owned(), 3)];
    tokens.extend((0..256).map(|byte| (format!("<0x{byte:02X}>"), 6)));
    tokens.extend(('a'..='z').map(|letter| (letter.to_string(), 1)));
    tokens.push(("\u{2581}".to_owned(), 1));
    tokens.extend(["th", "he", "in"].map(|text| (text.to_owned(), 1)));
    tokens
}

fn write(metadata: &[(String, Value)], tensors: &[(String, Vec<u64>)]) -> Vec<u8> {
    let declared = tensors.iter().map(|(name, dims)| (name.as_str(), dims.as_slice(), GgmlType::F32));
    let (mut file, _) = FileBuilder::header(metadata.iter().map(|(key, value)| (key.as_str(), value)), declared);
    for (name, dims) in tensors {
        let n = dims.iter().product::<u64>();
        // The values do not depend on the tensor's position in the file; norms are near one.
        let seed = name.bytes().fold(7u32, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        let one = if dims.len() == 1 && name.ends_with("norm.weight") { 1.0 } else { 0.0 };
        for i in 0..n as u32 {
            let random = (i ^ seed).wrapping_mul(0x9e37_79b9) ^ seed.rotate_left(i % 31);
            let value = one + 0.3 * (random.wrapping_mul(0x85eb_ca6b) >> 16) as f32 / 65536.0 - 0.15;
            file.raw(&value.to_le_bytes());
        }
        file.pad(ALIGNMENT as usize);
    }
    file.bytes
}
