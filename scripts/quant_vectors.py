#!/usr/bin/env python3
"""Writes test vectors for the block decoders: random blocks and what the `gguf` package makes of them.

    pip install gguf numpy
    scripts/quant_vectors.py rust/gguf/tests/vectors

One file per type. Layout, little-endian: u32 ggml type id, u32 number of blocks, the blocks' bytes, then the expected
elements as f32. Scales include 0, -0, the smallest and largest subnormal f16, 65504 and negative numbers; the packed
bits are uniformly random, so that every value of every field occurs.
"""

import struct
import sys
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize

SEED = 20_240_501
BLOCKS = {32: 24, 256: 10}
EDGE_SCALES = [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x7BFF, 0xFBFF]
# Offsets of a block's f16 fields, in bytes.
F16_FIELDS = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0],
}


def random_scale(rng) -> int:
    """The bits of an f16 like the scales of real weights: a few hundredths, of either sign."""
    return int(np.float16(rng.normal() * 0.02).view(np.uint16))


def blocks_of(name: str, n: int, size: int, rng) -> np.ndarray:
    blocks = rng.integers(0, 256, (n, size), dtype=np.uint8)
    for i in range(n):
        for j, at in enumerate(F16_FIELDS[name]):
            # Each edge value once in each field, beside ordinary ones.
            edge = i - j * len(EDGE_SCALES)
            bits = EDGE_SCALES[edge] if 0 <= edge < len(EDGE_SCALES) and n > edge else random_scale(rng)
            blocks[i, at : at + 2] = np.frombuffer(struct.pack("<H", bits), dtype=np.uint8)
    return blocks


def plain_values(name: str, rng) -> np.ndarray:
    """Bytes of plain numbers: all kinds but NaN, whose bits are not defined by the format."""
    if name == "F32":
        bits = rng.integers(0, 2**32, 256, dtype=np.uint32)
        return bits[np.isfinite(bits.view(np.float32))].view(np.uint8).reshape(1, -1)
    bits = rng.integers(0, 2**16, 512, dtype=np.uint16)
    bits = np.concatenate([np.array(EDGE_SCALES, dtype=np.uint16), bits])
    wide = bits.view(np.float16).astype(np.float32) if name == "F16" else (bits.astype(np.uint32) << 16).view(np.float32)
    return bits[~np.isnan(wide)].view(np.uint8).reshape(1, -1)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    for name in ["F32", "F16", "BF16", *F16_FIELDS]:
        ty = GGMLQuantizationType[name]
        elems, size = GGML_QUANT_SIZES[ty]
        if name in F16_FIELDS:
            raw = blocks_of(name, max(BLOCKS[elems], len(EDGE_SCALES) * len(F16_FIELDS[name]) + 2), size, rng)
        else:
            raw = plain_values(name, rng)
        with np.errstate(all="ignore"):
            if name == "F32":
                expected = raw.view(np.float32)
            elif name == "F16":
                expected = raw.view(np.float16).astype(np.float32)
            else:
                expected = dequantize(raw, ty)
        assert expected.dtype == np.float32 and expected.size * size == raw.size * elems
        header = struct.pack("<II", ty.value, raw.size // size)
        (folder / f"{name.lower()}.bin").write_bytes(header + raw.tobytes() + expected.astype("<f4").tobytes())


if __name__ == "__main__":
    main()
