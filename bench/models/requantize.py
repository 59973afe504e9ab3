"""Quantizes a GGUF file anew, by llama.cpp's own quantizer (Python package llama-cpp-python).

    python bench/models/requantize.py models/SmolLM2-135M-Instruct.Q4_1.gguf Q4_0

writes models/SmolLM2-135M-Instruct.Q4_1-to-Q4_0.gguf. A file that is quantized already loses a little more: use
the result for measuring speed only.
"""

import argparse
import ctypes
import pathlib
import sys

import llama_cpp as llama

TYPES = {
    "Q4_0": llama.LLAMA_FTYPE_MOSTLY_Q4_0,
    "Q4_1": llama.LLAMA_FTYPE_MOSTLY_Q4_1,
    "Q8_0": llama.LLAMA_FTYPE_MOSTLY_Q8_0,
    "Q4_K_M": llama.LLAMA_FTYPE_MOSTLY_Q4_K_M,
}


def quantize(source, target, type_name):
    """Writes `target`, one of `TYPES`, from `source`."""
    params = llama.llama_model_quantize_default_params()
    params.ftype = TYPES[type_name]
    params.allow_requantize = True
    status = llama.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params))
    if status != 0:
        target.unlink(missing_ok=True)
        sys.exit(f"llama.cpp's quantizer ended with {status}")
    print(f"{target}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("type", choices=TYPES)
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    named = f"{arguments.source.stem}-to-{arguments.type}.gguf"
    quantize(arguments.source, arguments.out or arguments.source.with_name(named), arguments.type)
