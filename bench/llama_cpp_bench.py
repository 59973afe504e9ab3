"""llama.cpp's prefill and decode of one model, as one line of JSON, by the Python package llama-cpp-python.

    python bench/llama_cpp_bench.py MODEL THREADS PROMPT TOKENS
    python bench/llama_cpp_bench.py --system      what llama.cpp says about its build

The work is that of `chord bench`: a prompt of PROMPT tokens up to and including its first greedy token, and TOKENS
greedy tokens after a prompt of one, each from an empty cache, in f16 keys and values.
"""

import ctypes
import json
import sys
import time

import llama_cpp as llama


@llama.llama_log_callback
def silent(_level, _text, _data):
    pass


def open_context(model_path, threads, n_ctx):
    model = llama.llama_model_load_from_file(model_path.encode(), llama.llama_model_default_params())
    if not model:
        sys.exit(f"llama.cpp does not load {model_path}")
    params = llama.llama_context_default_params()
    params.n_ctx = n_ctx
    params.n_batch = max(512, n_ctx)
    params.n_ubatch = 512
    params.n_threads = params.n_threads_batch = threads
    return model, llama.llama_init_from_model(model, params)


class Run:
    """Greedy runs on one context."""

    def __init__(self, model, context):
        self.context = context
        self.vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
        self.sampler = llama.llama_sampler_init_greedy()

    def decode(self, ids):
        array = (llama.llama_token * len(ids))(*ids)
        if llama.llama_decode(self.context, llama.llama_batch_get_one(array, len(ids))) != 0:
            sys.exit("llama_decode failed")
        return llama.llama_sampler_sample(self.sampler, self.context, -1)

    def time(self, n_prompt, n_tokens):
        """Seconds to the first token, and from there to the last of `n_tokens` more."""
        llama.llama_memory_clear(llama.llama_get_memory(self.context), True)
        prompt = [(i * 7919 + 13) % self.vocabulary for i in range(n_prompt)]
        began = time.perf_counter()
        token = self.decode(prompt)
        first = time.perf_counter()
        for _ in range(n_tokens):
            token = self.decode([token])
        return first - began, time.perf_counter() - first


def main():
    llama.llama_log_set(silent, ctypes.c_void_p(0))
    llama.llama_backend_init()
    if sys.argv[1:] == ["--system"]:
        print(f"llama-cpp-python {llama.__version__}, {llama.llama_print_system_info().decode().strip()}")
        return
    model_path, threads, n_prompt, n_tokens = sys.argv[1], *map(int, sys.argv[2:5])
    run = Run(*open_context(model_path, threads, max(n_prompt, n_tokens) + 16))
    run.time(1, 4)
    prefill, _ = run.time(n_prompt, 0)
    _, decode = run.time(1, n_tokens)
    print(json.dumps({"prefill": n_prompt / prefill, "decode": n_tokens / decode}))


main()
