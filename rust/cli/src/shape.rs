//! A model of a given shape with random weights, made as it is read: no file, and never the whole of it in memory.

use chord_engine::{ReadAt, ReadError, uniform};
use chord_gguf::{GgmlType, Header, HeaderReader, Status, quantize};
use chord_model::{Quant, Shape};

use crate::error::CliError;

/// Blocks made of each type; tensors are filled with these in an order that looks random.
const POOL_BLOCKS: u64 = 1021;
/// Standard deviation of weights, small enough for activations to stay within f16 through many layers.
const WEIGHT_SCALE: f64 = 0.02;

/// Reads like a GGUF file.
pub(crate) struct SyntheticFile {
    header_bytes: Vec<u8>,
    header: Header,
    pools: Vec<(GgmlType, Vec<u8>)>,
}

impl SyntheticFile {
    pub(crate) fn new(shape: Shape, quant: Quant) -> Result<Self, CliError> {
        let (header_bytes, file_len) = shape.gguf_header(quant);
        let Status::Done(header) = HeaderReader::new(file_len).feed(&header_bytes)? else {
            return Err(CliError::Input(format!("the header of shape {} is not complete", shape.name)));
        };
        let mut pools: Vec<(GgmlType, Vec<u8>)> = Vec::new();
        for info in &header.tensors {
            if pools.iter().any(|(ty, _)| *ty == info.ty) {
                continue;
            }
            let n = POOL_BLOCKS * info.ty.block_elems();
            let seed = u64::from(info.ty.id());
            let value = |i: u32| (WEIGHT_SCALE * 3f64.sqrt() * (2.0 * uniform(seed, i) - 1.0)) as f32;
            let values: Vec<f32> = (0..n as u32).map(value).collect();
            let blocks = quantize(info.ty, &values)
                .ok_or_else(|| CliError::Input(format!("no weights of type {} can be made", info.ty)))?;
            pools.push((info.ty, blocks));
        }
        Ok(SyntheticFile { header_bytes, header, pools })
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// Bytes from `start` of a tensor on.
    fn fill(&self, tensor: usize, start: u64, out: &mut [u8]) {
        let info = &self.header.tensors[tensor];
        if info.dims.len() == 1 {
            // Norm weights and frequency divisors: ones.
            let one = 1.0f32.to_le_bytes();
            (start..).zip(out).for_each(|(at, byte)| *byte = one[(at % 4) as usize]);
            return;
        }
        let Some((_, pool)) = self.pools.iter().find(|(ty, _)| *ty == info.ty) else { return };
        let block_bytes = info.ty.block_bytes();
        let mut done = 0;
        while done < out.len() {
            let at = start + done as u64;
            // Successive blocks are a prime stride apart; each tensor begins at a different block.
            let block = (at / block_bytes).wrapping_mul(617).wrapping_add(tensor as u64 * 89) % POOL_BLOCKS;
            let from = (block * block_bytes + at % block_bytes) as usize;
            let n = ((block_bytes - at % block_bytes) as usize).min(out.len() - done);
            out[done..done + n].copy_from_slice(&pool[from..from + n]);
            done += n;
        }
    }
}

impl ReadAt for SyntheticFile {
    fn len(&self) -> u64 {
        self.header.file_len
    }

    async fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), ReadError> {
        buf.fill(0);
        let end = offset + buf.len() as u64;
        let header_end = self.header_bytes.len() as u64;
        if offset < header_end {
            let n = (header_end.min(end) - offset) as usize;
            buf[..n].copy_from_slice(&self.header_bytes[offset as usize..offset as usize + n]);
        }
        for tensor in 0..self.header.tensors.len() {
            let info = &self.header.tensors[tensor];
            let (from, to) = (info.offset.max(offset), (info.offset + info.n_bytes).min(end));
            if from < to {
                let start = from - info.offset;
                self.fill(tensor, start, &mut buf[(from - offset) as usize..(to - offset) as usize]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chord_gguf::dequantize;

    use super::*;

    /// However it is cut, the same offset gives the same byte, and every block is one that can be decoded.
    #[test]
    fn reads_agree_and_blocks_are_valid() {
        let shape = Shape::find("smollm2-135m").unwrap();
        let mut file = SyntheticFile::new(shape, Quant::Q4KM).unwrap();
        let info = file.header().tensor("blk.3.ffn_down.weight").unwrap().clone();
        let mut whole = vec![0; 4096 * 34];
        pollster::block_on(file.read_at(info.offset - 64, &mut whole)).unwrap();
        let mut piece = vec![0; 1000];
        pollster::block_on(file.read_at(info.offset + 777, &mut piece)).unwrap();
        assert_eq!(piece, whole[64 + 777..64 + 1777]);
        let n = info.ty.block_bytes() as usize * 100;
        let mut values = vec![0.0; info.ty.block_elems() as usize * 100];
        dequantize(info.ty, &whole[64..64 + n], &mut values).unwrap();
        let rms = (values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
        assert!((rms / WEIGHT_SCALE - 1.0).abs() < 0.05, "rms {rms}");
    }
}
