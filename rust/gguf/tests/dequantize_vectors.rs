//! Decoded blocks against the `gguf` Python package, bit for bit. `scripts/quant_vectors.py` makes the vectors.

use std::path::Path;

use chord_gguf::{GgmlType, dequantize};

fn read_u32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes[..4].try_into().unwrap())
}

#[test]
fn every_decoder_gives_the_bits_of_the_reference() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    for ty in GgmlType::decodable() {
        let path = folder.join(format!("{}.bin", ty.name().to_lowercase()));
        let file = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(GgmlType::from_id(read_u32(&file)), Some(ty));
        let n_blocks = u64::from(read_u32(&file[4..]));
        assert!(n_blocks * ty.block_elems() >= 200, "{ty}: too few vectors");
        let (blocks, expected) = file[8..].split_at((n_blocks * ty.block_bytes()) as usize);

        let mut out = vec![f32::NAN; (n_blocks * ty.block_elems()) as usize];
        assert_eq!(expected.len(), out.len() * 4);
        dequantize(ty, blocks, &mut out).unwrap();
        for (i, (expected, found)) in expected.chunks_exact(4).zip(&out).enumerate() {
            let (block, element) = (i as u64 / ty.block_elems(), i as u64 % ty.block_elems());
            let expected = f32::from_bits(read_u32(expected));
            assert_eq!(
                expected.to_bits(),
                found.to_bits(),
                "{ty} block {block} element {element}: expected {expected:e}, found {found:e}"
            );
        }
    }
}
