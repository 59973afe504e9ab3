"""A Llama with TinyLlama's widths, 6 layers or as many as are wanted, a small vocabulary and random weights, as Q4_K_M.

    python bench/models/random_tinyllama.py models/random-tinyllama-6-layers.Q4_K_M.gguf
    python bench/models/random_tinyllama.py models/random-tinyllama-22-layers.Q4_K_M.gguf --layers 22

Random weights are multiplied as fast as trained ones. It needs the packages gguf, numpy and llama-cpp-python; the
same seed gives the same file.
"""

import argparse
import pathlib
import tempfile

import gguf
import numpy as np

from requantize import quantize

N_EMBD, N_FF, N_HEADS, N_KV_HEADS, HEAD_DIM = 2048, 5632, 32, 4, 64
N_CTX = 2048
SEED = 1
# Frequent byte pairs of English; enough for a working tokenizer.
PAIRS = "th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le ve co me de hi ri ro"


def byte_letters():
    """The letter by which byte-level BPE writes each byte: printable ones themselves, the others from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) for byte in printable}
    letters.update({byte: chr(256 + n) for n, byte in enumerate(others)})
    return [letters[byte] for byte in range(256)]


def write_tokenizer(writer):
    """Writes 256 bytes, the pairs, and an end token. Returns the size of the vocabulary, and the ids that must never be
    chosen: the end token, and bytes that are only a part of a letter, after which a stream of text would wait."""
    pairs = PAIRS.split()
    tokens = byte_letters() + pairs + ["<|end|>"]
    kinds = [gguf.TokenType.NORMAL] * (len(tokens) - 1) + [gguf.TokenType.CONTROL]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([f"{pair[0]} {pair[1]}" for pair in pairs])
    writer.add_bos_token_id(len(tokens) - 1)
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_add_bos_token(False)
    return len(tokens), [*range(128, 256), len(tokens) - 1]


def write_header(writer, n_layers):
    writer.add_name(f"Random Llama, TinyLlama's widths, {n_layers} layers")
    writer.add_context_length(N_CTX)
    writer.add_embedding_length(N_EMBD)
    writer.add_block_count(n_layers)
    writer.add_feed_forward_length(N_FF)
    writer.add_head_count(N_HEADS)
    writer.add_head_count_kv(N_KV_HEADS)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


def write_weights(writer, n_layers, n_vocab, never):
    random = np.random.default_rng(SEED)

    def matrix(name, rows, columns, zero_rows=()):
        values = random.standard_normal((rows, columns), dtype=np.float32) / np.sqrt(np.float32(columns))
        values[list(zero_rows)] = 0.0
        writer.add_tensor(name, values.astype(np.float16))

    def ones(name):
        writer.add_tensor(name, np.ones(N_EMBD, dtype=np.float32))

    matrix("token_embd.weight", n_vocab, N_EMBD)
    for layer in range(n_layers):
        ones(f"blk.{layer}.attn_norm.weight")
        matrix(f"blk.{layer}.attn_q.weight", N_HEADS * HEAD_DIM, N_EMBD)
        matrix(f"blk.{layer}.attn_k.weight", N_KV_HEADS * HEAD_DIM, N_EMBD)
        matrix(f"blk.{layer}.attn_v.weight", N_KV_HEADS * HEAD_DIM, N_EMBD)
        matrix(f"blk.{layer}.attn_output.weight", N_EMBD, N_HEADS * HEAD_DIM)
        ones(f"blk.{layer}.ffn_norm.weight")
        matrix(f"blk.{layer}.ffn_gate.weight", N_FF, N_EMBD)
        matrix(f"blk.{layer}.ffn_up.weight", N_FF, N_EMBD)
        matrix(f"blk.{layer}.ffn_down.weight", N_EMBD, N_FF)
    ones("output_norm.weight")
    # The largest of hundreds of random logits is above zero, so rows of zeros are never chosen.
    matrix("output.weight", n_vocab, N_EMBD, never)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--layers", type=int, default=6)
    arguments = parser.parse_args()
    out, layers = arguments.out, arguments.layers
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        wide = pathlib.Path(folder) / "f16.gguf"
        writer = gguf.GGUFWriter(wide, "llama")
        write_header(writer, layers)
        write_weights(writer, layers, *write_tokenizer(writer))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        quantize(wide, out, "Q4_K_M")


main()
