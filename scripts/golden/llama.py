"""llama.cpp as the reference: logits and activations of a model, without rounding."""

import ctypes
import sys
from pathlib import Path

import llama_cpp
import numpy as np

N_CTX = 128
N_TOKENS = 48
SEED = 7
_ERROR = 4

_base = ctypes.CDLL(str(next((Path(llama_cpp.__file__).parent / "lib").glob("libggml-base.*"))))
_base.ggml_get_name.restype = ctypes.c_char_p
_base.ggml_get_name.argtypes = [ctypes.c_void_p]
_base.ggml_nbytes.restype = ctypes.c_size_t
_base.ggml_nbytes.argtypes = [ctypes.c_void_p]
_base.ggml_is_contiguous.restype = ctypes.c_bool
_base.ggml_is_contiguous.argtypes = [ctypes.c_void_p]
_base.ggml_backend_tensor_get.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]


class _Tensor(ctypes.Structure):
    """The first fields of `struct ggml_tensor`."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("buffer", ctypes.c_void_p),
        ("ne", ctypes.c_int64 * 4),
        ("nb", ctypes.c_size_t * 4),
    ]


def _quiet(level: int, text: bytes, _data: ctypes.c_void_p) -> None:
    if level == _ERROR:
        sys.stderr.write(text.decode(errors="replace"))


_LOG = llama_cpp.llama_log_callback(_quiet)


def start() -> None:
    llama_cpp.llama_log_set(_LOG, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()


class Activations:
    """The F32 tensors of the graph in its order; the second and third of one name have `.1` and `.2` appended."""

    def __init__(self) -> None:
        self.found: list[tuple[str, np.ndarray]] = []
        self._times: dict[str, int] = {}
        self.callback = llama_cpp.ggml_backend_sched_eval_callback(self._see)

    def _see(self, pointer: int, is_asked: bool, _data: ctypes.c_void_p) -> bool:
        tensor = _Tensor.from_address(pointer)
        name = _base.ggml_get_name(pointer).decode()
        # Weights, caches and unnamed tensors are not steps.
        is_step = tensor.type == 0 and _base.ggml_is_contiguous(pointer) and "(" not in name and " " not in name
        if is_asked or not is_step or name.startswith(("node_", "leaf_", "cache_")):
            return is_step
        values = np.empty(_base.ggml_nbytes(pointer) // 4, "<f4")
        _base.ggml_backend_tensor_get(pointer, values.ctypes.data, 0, values.nbytes)
        times = self._times.get(name, 0)
        self._times[name] = times + 1
        shape = [int(n) for n in tensor.ne][::-1]
        self.found.append((f"{name}.{times}" if times else name, values.reshape(shape)))
        return True


def run(path: Path, betas: list | None = None, seen: Activations | None = None) -> tuple[list[int], np.ndarray]:
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
    if seen:
        params.cb_eval = seen.callback
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
    """NMSE of rows with their means subtracted, as `rust/testkit` measures it."""
    expected, found = (x.astype(np.float64) for x in (expected, found))
    expected, found = (x - x.mean(axis=1, keepdims=True) for x in (expected, found))
    return float(((expected - found) ** 2).sum() / (expected**2).sum())
