#!/usr/bin/env python3
"""Writes the results of tests/golden/rope: what llama.cpp computes for models that stretch their rotation.

    pip install numpy llama-cpp-python
    scripts/golden/rope.py

The models are made by `cargo run -p chord-testkit --bin rope-models`, all weights f32. llama.cpp runs them on the CPU
with an f32 KV cache and without flash attention, so that nothing is rounded. The committed results are of llama-cpp-python
0.3.36, built with

    CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON"

With arguments `MODEL.gguf OUT` it writes the results of any one model beside OUT instead.
"""

import ctypes
import json
import subprocess
import sys
from pathlib import Path

import llama_cpp
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "target" / "rope-models"
OUT = ROOT / "tests" / "golden" / "rope"
N_CTX = 128
N_TOKENS = 48
SEED = 7
# Two right programs differ by rounding alone, about 1e-13.
SAME = 1e-10


ERROR = 4


def quiet(level: int, text: bytes, _data: ctypes.c_void_p) -> None:
    if level == ERROR:
        sys.stderr.write(text.decode(errors="replace"))


LOG = llama_cpp.llama_log_callback(quiet)


def logits_of(path: Path, betas: list | None = None) -> tuple[list, np.ndarray]:
    """Tokens and `[48, vocab]` logits of a model. `betas` are the ends of YaRN's ramp, fast and slow."""
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
    if not model:
        raise SystemExit(f"{path}: llama.cpp does not load it")
    params = llama_cpp.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = N_CTX, N_CTX, N_CTX
    params.type_k, params.type_v = llama_cpp.GGML_TYPE_F32, llama_cpp.GGML_TYPE_F32
    params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.n_threads = params.n_threads_batch = 1
    if betas:
        params.yarn_beta_fast, params.yarn_beta_slow = betas
    context = llama_cpp.llama_init_from_model(model, params)
    vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    tokens = [int(t) for t in np.random.default_rng(SEED).integers(0, vocab, N_TOKENS)]
    batch = llama_cpp.llama_batch_init(N_TOKENS, 0, 1)
    batch.n_tokens = N_TOKENS
    for i, token in enumerate(tokens):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, 1
        batch.seq_id[i][0] = 0
    if llama_cpp.llama_decode(context, batch) != 0:
        raise SystemExit(f"{path}: llama.cpp does not run it")
    rows = [np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, i), (vocab,)) for i in range(N_TOKENS)]
    logits = np.stack(rows).astype("<f4")
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return tokens, logits


def nmse(expected: np.ndarray, found: np.ndarray) -> float:
    """Of rows whose means are taken away, as `rust/testkit` measures it."""
    expected, found = (x.astype(np.float64) - x.mean(axis=1, dtype=np.float64, keepdims=True) for x in (expected, found))
    return float(((expected - found) ** 2).sum() / (expected**2).sum())


def write(out: Path, model: str, tokens: list, logits: np.ndarray) -> None:
    order = np.sort(logits, axis=1)
    result = {
        "model": model,
        "tokens": tokens,
        "n_ctx": N_CTX,
        "kv": "f32",
        "vocab": logits.shape[1],
        "logits": f"{out.name}.logits.f32",
        "argmax": [int(i) for i in logits.argmax(axis=1)],
        "margin": [round(float(m), 5) for m in order[:, -1] - order[:, -2]],
        # Beside f32 weights llama.cpp does not round activations.
        "llama_cpp_q8_activation_nmse": 0.0,
    }
    out.with_name(f"{out.name}.json").write_text(json.dumps(result) + "\n")
    out.with_name(f"{out.name}.logits.f32").write_bytes(logits.tobytes())


def main() -> None:
    llama_cpp.llama_log_set(LOG, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    if len(sys.argv) == 3:
        path, out = map(Path, sys.argv[1:])
        write(out, path.name, *logits_of(path))
        return
    cargo = ["cargo", "run", "-q", "-p", "chord-testkit", "--bin", "rope-models", "--", str(MODELS)]
    subprocess.run(cargo, check=True, cwd=ROOT)
    OUT.mkdir(parents=True, exist_ok=True)
    found = {}
    for model in json.loads((MODELS / "index.json").read_text()):
        name, other = model["name"], model["same_as"]
        tokens, logits = logits_of(MODELS / f"{name}.gguf", model["betas"])
        if not other:
            # A model that no other resembles: a wrong rotation must not pass for the right one.
            closest = min((nmse(theirs, logits), theirs_name) for theirs_name, theirs in found.items()) if found else None
            print(f"{name}: closest to it is {closest}")
            write(OUT / name, f"{name}.gguf", tokens, logits)
            found[name] = logits
        elif nmse(found[other], logits) > SAME:
            raise SystemExit(f"{name} is not the same as {other}: NMSE {nmse(found[other], logits):.1e}")
        else:
            print(f"{name}: the same as {other}, NMSE {nmse(found[other], logits):.1e}")


if __name__ == "__main__":
    main()
