#!/usr/bin/env python3
"""Writes tests/golden/recipes: what llama.cpp computes for the models of `rust/testkit/src/recipe`.

    pip install gguf numpy llama-cpp-python
    scripts/golden/recipes.py [NAME ...]        # these recipes, or all
    scripts/golden/recipes.py --trace NAME      # its activations, into target/golden-recipes/NAME.trace.gguf
    scripts/golden/recipes.py MODEL.gguf OUT    # any one model of f32 weights, beside OUT

`cargo run -p chord-testkit --bin golden-recipes` makes the models. llama.cpp runs them with their weights widened to
f32 (by the `gguf` package), on the CPU, with an f32 KV cache and without flash attention, so that nothing is rounded.
The model as it is gives llama.cpp's own error with 8-bit activations. The committed results are of llama-cpp-python
0.3.36, built with

    CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON"
"""

import json
import subprocess
import sys
from pathlib import Path

import gguf
import llama
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "target" / "golden-recipes"
OUT = ROOT / "tests" / "golden" / "recipes"
# The most that two correct programs may differ; by rounding they differ by about 1e-13.
SAME = 1e-10
# The least that the results of two different models must differ.
DIFFERENT = 1e-5
# Tokens whose activations are kept.
KEPT = 2


def widened(path: Path) -> Path:
    """The same model with f32 weights."""
    reader = gguf.GGUFReader(path)
    architecture = reader.fields["general.architecture"].contents()
    out = path.with_suffix(".f32.gguf")
    writer = gguf.GGUFWriter(out, architecture)
    for field in reader.fields.values():
        if field.name != "general.architecture" and not field.name.startswith("GGUF."):
            writer.add_key_value(field.name, field.contents(), field.types[0], field.types[-1])
    for tensor in reader.tensors:
        shape = [int(n) for n in tensor.shape][::-1]
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype("<f4").reshape(shape)
        writer.add_tensor(tensor.name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


def write(out: Path, model: str, tokens: list, logits: np.ndarray, theirs: float) -> None:
    order = np.sort(logits, axis=1)
    result = {
        "model": model,
        "tokens": tokens,
        "n_ctx": llama.N_CTX,
        "kv": "f32",
        "vocab": logits.shape[1],
        "logits": f"{out.name}.logits.f32",
        "argmax": [int(i) for i in logits.argmax(axis=1)],
        "margin": [round(float(m), 5) for m in order[:, -1] - order[:, -2]],
        "llama_cpp_q8_activation_nmse": theirs,
    }
    out.with_name(f"{out.name}.json").write_text(json.dumps(result) + "\n")
    out.with_name(f"{out.name}.logits.f32").write_bytes(logits.tobytes())


def write_trace(out: Path, model: str, tokens: list, seen: llama.Activations) -> None:
    writer = gguf.GGUFWriter(out, "trace")
    writer.add_key_value("trace.tokens", tokens, gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.INT32)
    writer.add_uint32("trace.keep_last", KEPT)
    writer.add_string("trace.model", model)
    for name, values in seen.found:
        # Tokens are the slowest axis, except in attention's results by head, whose names no program uses.
        values = values[0] if values.shape[0] == 1 else values
        values = values[0] if values.shape[0] == 1 else values
        if values.shape[0] == len(tokens):
            writer.add_tensor(name, np.ascontiguousarray(values[-KEPT:]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make(name: str, is_quantized: bool, betas: list | None, trace: Path | None) -> tuple[list, np.ndarray, float]:
    """Tokens, logits, and the error of llama.cpp's own run with 8-bit activations."""
    path = MODELS / f"{name}.gguf"
    wide = widened(path) if is_quantized else path
    seen = llama.Activations() if trace else None
    tokens, logits = llama.run(wide, betas, seen)
    if trace:
        write_trace(trace, path.name, tokens, seen)
    # With f32 weights llama.cpp does not round activations.
    theirs = llama.nmse(logits, llama.run(path)[1]) if is_quantized else 0.0
    return tokens, logits, theirs


def main() -> None:
    llama.start()
    asked = sys.argv[1:]
    if len(asked) == 2 and asked[0].endswith(".gguf"):
        path, out = map(Path, asked)
        write(out, path.name, *llama.run(path), 0.0)
        return
    cargo = ["cargo", "run", "-q", "-p", "chord-testkit", "--bin", "golden-recipes", "--", str(MODELS)]
    subprocess.run(cargo, check=True, cwd=ROOT)
    recipes = json.loads((MODELS / "index.json").read_text())
    if asked[:1] == ["--trace"]:
        [recipe] = [recipe for recipe in recipes if recipe["name"] == asked[1]]
        trace = MODELS / f"{asked[1]}.trace.gguf"
        make(asked[1], recipe["type"] != "F32", recipe["betas"], trace)
        print(trace)
        return
    OUT.mkdir(parents=True, exist_ok=True)
    found = {}
    for recipe in recipes:
        name, other = recipe["name"], recipe["same_as"]
        if asked and name not in asked:
            continue
        trace = OUT / f"{name}.trace.gguf" if recipe["trace"] else None
        tokens, logits, theirs = make(name, recipe["type"] != "F32", recipe["betas"], trace)
        if other:
            if llama.nmse(found[other], logits) > SAME:
                raise SystemExit(f"{name} is not the same as {other}: NMSE {llama.nmse(found[other], logits):.1e}")
            print(f"{name}: the same as {other}, NMSE {llama.nmse(found[other], logits):.1e}")
            continue
        # A recipe whose results equal another's would test nothing new.
        alike = [(llama.nmse(x, logits), of) for of, x in found.items() if x.shape == logits.shape]
        closest = min(alike, default=None)
        if closest and closest[0] < DIFFERENT:
            raise SystemExit(f"{name} shows nothing that {closest[1]} does not: NMSE {closest[0]:.1e}")
        print(f"{name}: llama.cpp's own error {theirs:.1e}; closest to it is {closest}")
        write(OUT / name, f"{name}.gguf", tokens, logits, theirs)
        found[name] = logits


if __name__ == "__main__":
    main()
