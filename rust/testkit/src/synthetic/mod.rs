//! Models of any size whose bytes are made when they are read: files of many gigabytes for tests that need their sizes
//! and offsets, not their weights. A header of the llama architecture with a small vocabulary comes first; every byte
//! after it is a function of its place in the file alone. All weights are finite and of such a size that activations
//! stay near 1, so that the model can also be run, and gives the same numbers wherever its bytes are made.

mod bytes;
mod vocabulary;

use chord_gguf::writer::ALIGNMENT;
use chord_gguf::{FileBuilder, GgmlType, ValueType};

/// Sizes of a synthetic model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntheticShape {
    /// Columns of the residual stream.
    pub n_embd: u32,
    /// Columns inside the feed-forward block.
    pub n_ff: u32,
    /// Query heads.
    pub n_head: u32,
    /// Key and value heads.
    pub n_kv_head: u32,
    /// Layers.
    pub n_layer: u32,
    /// Storage type of all matrices: F16, Q4_0 or Q8_0.
    pub ty: GgmlType,
}

impl SyntheticShape {
    /// A small model, for tests of the generator itself.
    pub fn small(ty: GgmlType) -> Self {
        SyntheticShape { n_embd: 128, n_ff: 256, n_head: 4, n_kv_head: 2, n_layer: 2, ty }
    }

    /// Layers of the sizes of an 8B model, as many as make a file of at least `bytes`.
    pub fn of_at_least(bytes: u64, ty: GgmlType) -> Self {
        let mut shape = SyntheticShape { n_embd: 4096, n_ff: 14336, n_head: 32, n_kv_head: 8, n_layer: 1, ty };
        let one = SyntheticModel::new(shape).len();
        let layer = SyntheticModel::new(SyntheticShape { n_layer: 2, ..shape }).len() - one;
        let more = bytes.saturating_sub(one).div_ceil(layer);
        shape.n_layer += u32::try_from(more).expect("no test needs so large a file");
        shape
    }
}

/// One tensor: the place of its bytes and how they are made.
#[derive(Clone, Debug)]
struct Tensor {
    name: String,
    dims: Vec<u64>,
    ty: GgmlType,
    /// In the file.
    offset: u64,
    n_bytes: u64,
}

/// A file that exists only where it is read.
#[derive(Clone, Debug)]
pub struct SyntheticModel {
    header: Vec<u8>,
    /// By offset.
    tensors: Vec<Tensor>,
    len: u64,
}

impl SyntheticModel {
    /// Lays the file out.
    ///
    /// # Panics
    /// If the shape's type is none of F16, Q4_0 and Q8_0, or its sizes are not whole blocks.
    pub fn new(shape: SyntheticShape) -> Self {
        let mut tensors = directory(&shape);
        let mut next = 0;
        for tensor in &mut tensors {
            tensor.offset = next;
            next = (next + tensor.n_bytes).next_multiple_of(ALIGNMENT);
        }
        let header = header(&shape, &tensors);
        let data = header.len() as u64;
        tensors.iter_mut().for_each(|tensor| tensor.offset += data);
        let len = tensors.last().map_or(data, |tensor| tensor.offset + tensor.n_bytes);
        SyntheticModel { header, tensors, len }
    }

    /// Bytes of the file.
    #[allow(clippy::len_without_is_empty, reason = "it has a header at least")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The header, padded to where the data begins.
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// Writes the bytes from `offset` on into `out`.
    ///
    /// # Panics
    /// If the range is not within the file.
    pub fn read(&self, offset: u64, out: &mut [u8]) {
        let end = offset.checked_add(out.len() as u64).filter(|end| *end <= self.len);
        assert!(end.is_some(), "{} bytes at {offset} of {}", out.len(), self.len);
        out.fill(0);
        let mut at = offset;
        let mut rest = out;
        if let Some(header) = usize::try_from(at).ok().and_then(|at| self.header.get(at..)) {
            let n = header.len().min(rest.len());
            rest[..n].copy_from_slice(&header[..n]);
            (at, rest) = (at + n as u64, &mut rest[n..]);
        }
        let first = self.tensors.partition_point(|tensor| tensor.offset + tensor.n_bytes <= at);
        for tensor in &self.tensors[first..] {
            // Up to the tensor there is padding.
            let padding = tensor.offset.saturating_sub(at).min(rest.len() as u64) as usize;
            (at, rest) = (at + padding as u64, &mut rest[padding..]);
            let left = tensor.offset + tensor.n_bytes - at;
            let n = left.min(rest.len() as u64) as usize;
            if n == 0 {
                return;
            }
            let (piece, after) = rest.split_at_mut(n);
            bytes::fill(tensor.ty, tensor.dims[0], tensor.offset, at, piece);
            (at, rest) = (at + n as u64, after);
        }
    }
}

/// The tensors in the order of the file, their offsets still to be set.
fn directory(shape: &SyntheticShape) -> Vec<Tensor> {
    let mut tensors = Vec::new();
    let mut add = |name: String, dims: &[u32], ty: GgmlType| {
        let dims: Vec<u64> = dims.iter().map(|&dim| u64::from(dim)).collect();
        let row_bytes = ty.row_bytes(dims[0]).expect("rows are whole blocks");
        let n_bytes = row_bytes * dims.get(1).copied().unwrap_or(1);
        tensors.push(Tensor { name, dims, ty, offset: 0, n_bytes });
    };
    let SyntheticShape { n_embd, n_ff, ty, .. } = *shape;
    let kv_cols = n_embd / shape.n_head * shape.n_kv_head;
    let n_vocab = vocabulary::SIZE;
    add("token_embd.weight".into(), &[n_embd, n_vocab], ty);
    for layer in 0..shape.n_layer {
        let mut part = |what: &str, dims: &[u32], ty| add(format!("blk.{layer}.{what}.weight"), dims, ty);
        part("attn_norm", &[n_embd], GgmlType::F32);
        part("attn_q", &[n_embd, n_embd], ty);
        part("attn_k", &[n_embd, kv_cols], ty);
        part("attn_v", &[n_embd, kv_cols], ty);
        part("attn_output", &[n_embd, n_embd], ty);
        part("ffn_norm", &[n_embd], GgmlType::F32);
        part("ffn_gate", &[n_embd, n_ff], ty);
        part("ffn_up", &[n_embd, n_ff], ty);
        part("ffn_down", &[n_ff, n_embd], ty);
    }
    add("output_norm.weight".into(), &[n_embd], GgmlType::F32);
    add("output.weight".into(), &[n_embd, n_vocab], ty);
    tensors
}

fn header(shape: &SyntheticShape, tensors: &[Tensor]) -> Vec<u8> {
    const N_METADATA: u64 = 11 + vocabulary::N_METADATA;
    let mut file = FileBuilder::new(3, tensors.len() as u64, N_METADATA);
    file.string("general.architecture", "llama");
    file.string("general.name", "synthetic");
    file.number("llama.context_length", 2048);
    file.number("llama.embedding_length", shape.n_embd);
    file.number("llama.block_count", shape.n_layer);
    file.number("llama.feed_forward_length", shape.n_ff);
    file.number("llama.attention.head_count", shape.n_head);
    file.number("llama.attention.head_count_kv", shape.n_kv_head);
    file.number("llama.vocab_size", vocabulary::SIZE);
    for (key, value) in [("llama.attention.layer_norm_rms_epsilon", 1e-5f32), ("llama.rope.freq_base", 1e4)] {
        file.key(key, ValueType::F32);
        file.raw(&value.to_le_bytes());
    }
    vocabulary::write(&mut file);
    for tensor in tensors {
        file.tensor(&tensor.name, &tensor.dims, tensor.ty, tensor.offset);
    }
    file.pad(ALIGNMENT as usize);
    file.bytes
}

#[cfg(test)]
mod tests {
    use chord_gguf::{HeaderReader, Status, dequantize, read_header};

    use super::*;

    fn whole(model: &SyntheticModel) -> Vec<u8> {
        let mut bytes = vec![1; model.len() as usize];
        model.read(0, &mut bytes);
        bytes
    }

    #[test]
    fn every_cut_of_the_file_gives_the_same_bytes() {
        for ty in [GgmlType::F16, GgmlType::Q4_0, GgmlType::Q8_0] {
            let model = SyntheticModel::new(SyntheticShape::small(ty));
            let bytes = whole(&model);
            for step in [1021, 4096, 50_001] {
                let mut pieces = vec![0; bytes.len()];
                for (at, piece) in (0..).step_by(step).zip(pieces.chunks_mut(step)) {
                    model.read(at, piece);
                }
                assert!(pieces == bytes, "{ty} in pieces of {step}");
            }
        }
    }

    #[test]
    fn the_file_is_valid_and_its_weights_have_unit_gain() {
        for ty in [GgmlType::F16, GgmlType::Q4_0, GgmlType::Q8_0] {
            let bytes = whole(&SyntheticModel::new(SyntheticShape::small(ty)));
            let header = read_header(&bytes).unwrap();
            for tensor in &header.tensors {
                let mut values = vec![0.0f32; tensor.n_elements() as usize];
                let stored = &bytes[tensor.offset as usize..][..tensor.n_bytes as usize];
                dequantize(tensor.ty, stored, &mut values).unwrap();
                let squares: f32 = values.iter().map(|v| v * v).sum();
                let gain = squares / values.len() as f32 * if tensor.ty == ty { tensor.cols() as f32 } else { 1.0 };
                let room = if tensor.ty == GgmlType::F16 { 0.45..2.2 } else { 0.8..1.25 };
                assert!(room.contains(&gain), "{}: {ty} has a squared gain of {gain}", tensor.name);
            }
        }
    }

    #[test]
    fn sizes_are_reached_and_hardly_exceeded() {
        for gib in [1, 2, 4, 6, 9] {
            let bytes = gib << 30;
            let len = SyntheticModel::new(SyntheticShape::of_at_least(bytes, GgmlType::Q8_0)).len();
            assert!((bytes..bytes + (256 << 20)).contains(&len), "{len} bytes for {gib} GiB");
        }
    }

    #[test]
    fn tensors_past_2_4_and_8_gib_are_where_the_generator_makes_them() {
        let model = SyntheticModel::new(SyntheticShape::of_at_least(9 << 30, GgmlType::Q8_0));
        let Ok(Status::Done(header)) = HeaderReader::new(model.len()).feed(model.header()) else { panic!("a header") };
        for (tensor, made) in header.tensors.iter().zip(&model.tensors) {
            assert_eq!((&tensor.name, tensor.offset, tensor.n_bytes), (&made.name, made.offset, made.n_bytes));
        }
        for gib in [2u64, 4, 8] {
            let place = gib << 30;
            let across = header.tensors.iter().find(|t| t.offset < place && place < t.offset + t.n_bytes).unwrap();
            let start = across.offset + (place - across.offset) / across.row_bytes() * across.row_bytes();
            let mut row = vec![0; across.row_bytes() as usize];
            model.read(start, &mut row);
            let mut values = vec![0.0f32; across.cols() as usize];
            dequantize(across.ty, &row, &mut values).unwrap();
            let gain: f32 = values.iter().map(|v| v * v).sum();
            assert!((0.8..1.25).contains(&gain), "{} at {gib} GiB is out of step: {gain}", across.name);
        }
        let mut last = [0; 34];
        model.read(model.len() - 34, &mut last);
    }
}
