"""Checks demo models: PyTorch and llama.cpp must read the same tokens and give the same probabilities.

    python tools/demo_check.py FILE.gguf [...]

The network is built from the file itself, its weights as they were quantized, so the check needs no training.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from demo_network import Network
from demo_text.dialogues import PairMaker
from demo_text.documents import make_document
from demo_tokens import Tokenizer

from llamabench.data.demo_model import Shape
from llamabench.engine.process import Engine
from llamabench.records import GenerateRequest, Sampling, TextPrompt

ODD_TEXTS = ("Größe 12 €, naïve café\n\n\tdon't  stop   ", "日本語 и русский 🙂", "<|user|>", "a\r\nb\x00c")


def read_network(path: Path) -> tuple[Network, Tokenizer]:
    """The network and the tokeniser of a file, its weights as they were quantized."""
    reader = gguf.GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    shape = Shape(
        n_layer=fields["llama.block_count"],
        n_embd=fields["llama.embedding_length"],
        n_head=fields["llama.attention.head_count"],
        n_head_kv=fields["llama.attention.head_count_kv"],
        n_ff=fields["llama.feed_forward_length"],
        n_ctx=fields["llama.context_length"],
    )
    network = Network(shape, len(fields["tokenizer.ggml.tokens"]), torch.Generator())
    weights = {
        tensor.name: torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy())
        for tensor in reader.tensors
    }
    network.load_state_dict(weights)
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    return network, Tokenizer(merges)  # type: ignore[arg-type]


def largest_difference(path: Path, *, n_texts: int = 20) -> float:
    """The largest difference of a token's log-probability between PyTorch and llama.cpp, in nats."""
    network, tokenizer = read_network(path)
    maker = PairMaker(np.random.default_rng(99))
    texts = [tokenizer.encode(make_document(maker))[:300] for _ in range(n_texts)]
    with Engine(path) as engine:
        scored = [one for (one,) in engine.score_tokens([([tokenizer.begin], [text]) for text in texts])]
    differences = []
    for text, found in zip(texts, scored, strict=True):
        tokens = torch.tensor([[tokenizer.begin, *text]])
        with torch.no_grad():
            logprobs = network(tokens[:, :-1]).log_softmax(-1)
        expected = logprobs.gather(-1, tokens[:, 1:, None]).flatten().numpy()
        differences.append(float(np.abs(expected - np.array(found.token_logprobs)).max()))
    return max(differences)


def count_differing_texts(path: Path, *, n_texts: int = 200) -> int:
    """How many texts llama.cpp does not read as as many tokens as we do."""
    _, tokenizer = read_network(path)
    maker = PairMaker(np.random.default_rng(98))
    texts = [*ODD_TEXTS, *(make_document(maker) for _ in range(n_texts))]
    requests = [GenerateRequest(str(number), TextPrompt(text), Sampling(1)) for number, text in enumerate(texts)]
    with Engine(path) as engine:
        found = engine.count_tokens(requests)
    return sum(n != len(tokenizer.encode(text)) + 2 for n, text in zip(found, texts, strict=True))


def describe_check(path: Path) -> str:
    """How far the two are apart on a file, in a line."""
    return (
        f"{path.name}: log-probabilities differ by {largest_difference(path):.4f} nats at most, "
        f"{count_differing_texts(path)} texts are read differently"
    )


def main() -> None:
    """Checks the files that are named."""
    for name in sys.argv[1:]:
        print(describe_check(Path(name)))


if __name__ == "__main__":
    main()
