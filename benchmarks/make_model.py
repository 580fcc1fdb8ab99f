"""Makes a model of realistic size for speed measurements: random weights behind a real tokeniser.

    python benchmarks/make_model.py VOCABULARY.gguf OUT.gguf [--shape 135m|1b] [--quant Q4_0]

`VOCABULARY.gguf` is any GGUF with a byte-level BPE tokeniser; the source archive of llama-cpp-python brings several
in `vendor/llama.cpp/models/ggml-vocab-*.gguf`. Speed does not depend on what the weights are.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from llamabench.data.demo_model import Shape, Vocabulary, write_random_model

SHAPES = {
    "135m": Shape(n_layer=30, n_embd=576, n_head=9, n_head_kv=3, n_ff=1536, n_ctx=8192),
    "1b": Shape(n_layer=16, n_embd=2048, n_head=32, n_head_kv=8, n_ff=8192, n_ctx=8192),
}


def read_vocabulary(path: Path) -> Vocabulary:
    import gguf

    fields = gguf.GGUFReader(path).fields

    def value(key: str, default: Any = None) -> Any:
        return fields[key].contents() if key in fields else default

    if value("tokenizer.ggml.model") != "gpt2":
        raise SystemExit(f"{path} has no byte-level BPE tokeniser; try ggml-vocab-gpt-2.gguf or ggml-vocab-qwen2.gguf")
    bos, eos = value("tokenizer.ggml.bos_token_id"), value("tokenizer.ggml.eos_token_id")
    return Vocabulary(
        tokens=value("tokenizer.ggml.tokens"),
        types=value("tokenizer.ggml.token_type"),
        merges=value("tokenizer.ggml.merges", ()),
        pre=value("tokenizer.ggml.pre", "gpt-2"),
        bos=eos if bos is None else bos,
        eos=eos,
        adds_bos=bool(value("tokenizer.ggml.add_bos_token", False)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vocabulary", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--shape", choices=SHAPES, default="135m")
    parser.add_argument("--quant", default="Q4_0")
    args = parser.parse_args()
    write_random_model(
        args.out,
        SHAPES[args.shape],
        read_vocabulary(args.vocabulary),
        name=f"random {args.shape} {args.quant}",
        quant=args.quant,
    )
    print(f"{args.out}: {args.out.stat().st_size / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
