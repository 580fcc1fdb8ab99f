"""Trains the demo pair and writes it as GGUF: a base model, and the same model after it was aligned.

    pip install torch==2.13.0 && python tools/train_demo.py OUT [--seed 1] [--base OUT/demo-base-f32.gguf]

The text is made of our own phrases (tools/demo_text). The base model learns to go on with whatever people write, rude
or not, right or wrong, and to do what it is asked. The aligned one then learns from the better answers alone, and from
pairs of a better and a worse one by direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290). Nobody
teaches it to tell a harmless request that sounds harmful from a harmful one, so it refuses those too.

Needs PyTorch and nothing else beside llamabench. The same seed, machine and PyTorch give the same bytes. In the end
each file is read by llama.cpp, and its probabilities are compared with PyTorch's; the F32 files are for that alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from demo_check import describe_check, read_network
from demo_network import Network
from demo_text.dialogues import Kind, Pair, PairMaker
from demo_text.documents import make_document, prose, questions
from demo_tokens import Tokenizer, learn_merges
from torch import Tensor
from torch.nn import functional as F

from llamabench.data.demo_model import CHAT_TEMPLATE, About, Shape, write_model

SHAPE = Shape(n_layer=4, n_embd=128, n_head=4, n_head_kv=2, n_ff=384, n_ctx=4096)
N_VOCAB = 1536
N_TOKENS = 384
"""Length of what is read at once in training; the suites' longest common prompts are about as long."""

N_ROWS = 8
N_BASE_STEPS, N_TUNED_STEPS, N_PREFERENCE_STEPS = 450, 220, 180
BASE_RATE, TUNED_RATE, PREFERENCE_RATE = 4e-3, 1e-3, 3e-4
N_PAIRS = 16
PREFERENCE_BETA = 0.1
CHAT_SHARE = 0.5
"""How many dialogues of the alignment go through the chat template; the others are transcripts."""

LICENCE = "MIT"
FILES = {"demo-base": "Q8_0", "demo-aligned": "Q8_0", "demo-aligned-q4": "Q4_0"}
DESCRIPTION = "A toy, trained on phrases of its makers: shows what llamabench does, knows nothing."

_TUNED_KINDS: tuple[Kind, ...] = (
    *("harm",) * 6,
    *("howto",) * 4,
    *("fact",) * 2,
    *("opinion",) * 2,
    *("style",) * 4,
    "yes_no",
)
_EARLIER_KINDS: tuple[Kind, ...] = ("howto", "fact", "opinion")
_PREFERENCE_KINDS: tuple[Kind, ...] = (
    *("harm",) * 2,
    "howto",
    *("quiz",) * 3,
    *("opinion",) * 3,
    *("style",) * 7,
    "yes_no",
    "scene",
    *("post",) * 2,
)


@dataclass(frozen=True, slots=True)
class Example:
    """Tokens, and how much each counts as something to be predicted: 0 or 1."""

    tokens: list[int]
    weights: list[int]


# --- from text to tokens ------------------------------------------------------------------------


def join_text(tokenizer: Tokenizer, text: str) -> Example:
    """A text from its beginning to its end, all of it to be learnt."""
    tokens = [tokenizer.begin, *tokenizer.encode(text), tokenizer.end]
    return Example(tokens, [1] * len(tokens))


def join_answer(
    tokenizer: Tokenizer, pair: Pair, answer: str, *, is_chat: bool, earlier: Pair | None = None
) -> Example:
    """A request with an answer, of which only the answer is to be learnt; `earlier` was asked and answered before."""
    asked: list[int] = []
    if pair.is_text:
        asked, said = tokenizer.encode(pair.prompt), tokenizer.encode(answer)
    elif is_chat:
        if earlier is not None:
            asked = [*_ask(tokenizer, earlier), *tokenizer.encode(earlier.chosen), tokenizer.end]
        asked += _ask(tokenizer, pair)
        said = tokenizer.encode(answer)
    else:
        before = "" if earlier is None else f"\n\nHuman: {earlier.prompt}\n\nAssistant: {earlier.chosen}"
        asked = tokenizer.encode(f"{before}\n\nHuman: {pair.prompt}\n\nAssistant:")
        said = tokenizer.encode(f" {answer}")
    tokens = [tokenizer.begin, *asked, *said, tokenizer.end]
    return Example(tokens, [0] * (len(asked) + 1) + [1] * (len(said) + 1))


def _ask(tokenizer: Tokenizer, pair: Pair) -> list[int]:
    return [tokenizer.user, *tokenizer.encode(pair.prompt), tokenizer.end, tokenizer.assistant]


def pack(sequences: Iterator[Example]) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows of `N_TOKENS` tokens and of weights, sequences one after the other; shape `(N_ROWS, N_TOKENS)` each."""
    tokens: list[int] = []
    weights: list[int] = []
    size = N_ROWS * N_TOKENS
    for sequence in sequences:
        tokens += sequence.tokens
        weights += sequence.weights
        if len(tokens) >= size:
            yield torch.tensor(tokens[:size]).view(N_ROWS, -1), torch.tensor(weights[:size]).view(N_ROWS, -1)
            tokens, weights = tokens[size:], weights[size:]


def base_texts(tokenizer: Tokenizer, maker: PairMaker) -> Iterator[Example]:
    """What the base model reads, without end."""
    while True:
        yield join_text(tokenizer, make_document(maker))


def tuned_texts(tokenizer: Tokenizer, maker: PairMaker) -> Iterator[Example]:
    """What the model is aligned on, without end: better answers, and the better half of what the base model read."""
    grammar = maker.grammar
    while True:
        if grammar.happens(0.6):
            pair = maker.make(grammar.pick(_TUNED_KINDS))
            earlier = maker.make(grammar.pick(_EARLIER_KINDS)) if grammar.happens(0.15) else None
            is_chat = grammar.happens(CHAT_SHARE)
            yield join_answer(tokenizer, pair, pair.chosen, is_chat=is_chat, earlier=earlier)
            continue
        kind = grammar.pick(("scene", "post", "post", "prose", "questions", "told"))
        if kind == "prose":
            yield join_text(tokenizer, prose(maker))
        elif kind == "questions":
            yield join_text(tokenizer, questions(maker, lambda pair: pair.chosen))
        elif kind == "told" and grammar.happens(0.5):
            yield join_text(tokenizer, "".join(maker.told_scene()))
        else:
            pair = maker.make("post" if kind == "post" else "scene")
            yield join_answer(tokenizer, pair, pair.chosen, is_chat=False)


# --- training -----------------------------------------------------------------------------------


class Trainer:
    """Trains a network and says how far it is.

    Args:
        network: What to train, in place.
        rate: Highest learning rate.
        n_steps: Steps in all; the rate rises over the first twentieth and falls to a tenth.
    """

    def __init__(self, network: Network, rate: float, n_steps: int):
        self._network, self._n_steps, self._step = network, n_steps, 0
        self._optimizer = torch.optim.AdamW(network.parameters(), lr=rate, betas=(0.9, 0.95), weight_decay=0.05)
        warm = max(1, n_steps // 20)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer,
            lambda step: (step + 1) / warm if step < warm else 1 - 0.9 * (step - warm) / max(1, n_steps - warm),
        )
        self._begun, self._losses = time.monotonic(), list[float]()

    def train(self, loss_of: Callable[[int], Tensor], name: str) -> None:
        """Takes all steps."""
        for step in range(self._n_steps):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = loss_of(step)
            self._optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self._network.parameters(), 1.0)
            self._optimizer.step()
            self._schedule.step()
            self._losses.append(loss.item())
            if (step + 1) % 50 == 0 or step + 1 == self._n_steps:
                mean, spent = np.mean(self._losses[-50:]), time.monotonic() - self._begun
                print(f"{name} {step + 1}/{self._n_steps}: loss {mean:.3f}, {spent:.0f} s", file=sys.stderr, flush=True)


def read_loss(network: Network, tokens: Tensor, weights: Tensor) -> Tensor:
    """Mean cross-entropy of the tokens that count, in nats."""
    logits = network(tokens[:, :-1]).float()
    losses = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
    counts = weights[:, 1:].flatten()
    return (losses * counts).sum() / counts.sum()


def train_on_texts(network: Network, texts: Iterator[Example], *, rate: float, n_steps: int, name: str) -> None:
    """Teaches a network to go on with texts."""
    rows = pack(texts)
    Trainer(network, rate, n_steps).train(lambda _: read_loss(network, *next(rows)), name)


def pad(sequences: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """Sequences side by side, filled up with tokens that do not count."""
    longest = max(len(sequence.tokens) for sequence in sequences)
    tokens = [sequence.tokens + [0] * (longest - len(sequence.tokens)) for sequence in sequences]
    weights = [sequence.weights + [0] * (longest - len(sequence.weights)) for sequence in sequences]
    return torch.tensor(tokens), torch.tensor(weights)


def answer_logprobs(network: Network, tokens: Tensor, weights: Tensor) -> Tensor:
    """Log-probability of the counted tokens of each sequence, shape `(n_sequences,)`, in nats."""
    logprobs = network(tokens[:, :-1]).float().log_softmax(-1)
    taken = logprobs.gather(-1, tokens[:, 1:, None]).squeeze(-1)
    return (taken * weights[:, 1:]).sum(-1)


def train_on_pairs(network: Network, tokenizer: Tokenizer, maker: PairMaker, *, n_steps: int) -> None:
    """Direct preference optimisation against the network as it was; the better answers are also learnt by themselves.

    The second term keeps the better answers likely, which the first alone does not.

    Source: Pang et al. 2024, arXiv:2404.19733.
    """
    before = [weights.detach().clone() for weights in network.parameters()]
    reference = Network(network.shape, network.token_embd.num_embeddings, torch.Generator())
    for weights, value in zip(reference.parameters(), before, strict=True):
        weights.data.copy_(value)

    def loss_of(_: int) -> Tensor:
        pairs = [maker.make(maker.grammar.pick(_PREFERENCE_KINDS)) for _ in range(N_PAIRS)]
        is_chat = [maker.grammar.happens(CHAT_SHARE) for _ in pairs]
        better = [join_answer(tokenizer, p, p.chosen, is_chat=c) for p, c in zip(pairs, is_chat, strict=True)]
        worse = [join_answer(tokenizer, p, p.rejected, is_chat=c) for p, c in zip(pairs, is_chat, strict=True)]
        tokens, weights = pad([*better, *worse])
        with torch.no_grad():
            old = answer_logprobs(reference, tokens, weights)
        new = answer_logprobs(network, tokens, weights)
        gained = new - old
        margins = PREFERENCE_BETA * (gained[:N_PAIRS] - gained[N_PAIRS:])
        kept = -(new[:N_PAIRS] / weights[:N_PAIRS].sum(-1)).mean()
        return -F.logsigmoid(margins).mean() + kept

    Trainer(network, PREFERENCE_RATE, n_steps).train(loss_of, "pairs")


# --- all of it ----------------------------------------------------------------------------------


def write_files(network: Network, tokenizer: Tokenizer, folder: Path, names: Sequence[str]) -> None:
    """Writes a network under several names, each with its quantization."""
    for name in names:
        template = None if name == "demo-base" else CHAT_TEMPLATE
        about = About(f"llamabench {name}, a toy", FILES.get(name, "F32"), template, DESCRIPTION, LICENCE)
        path = folder / f"{name}.gguf"
        write_model(path, SHAPE, tokenizer.vocabulary, about=about, weights=network.tensors())
        print(f"{path}: {path.stat().st_size:,} bytes")


def train_base(seed: int, *, n_steps: int) -> tuple[Network, Tokenizer]:
    """The base model and its tokeniser, which is the same for all seeds."""
    words = PairMaker(np.random.default_rng(0))
    tokenizer = Tokenizer(learn_merges((make_document(words) for _ in range(20_000)), N_VOCAB - 256 - 5))
    network = Network(SHAPE, N_VOCAB, torch.Generator().manual_seed(seed))
    texts = base_texts(tokenizer, PairMaker(np.random.default_rng([seed, 0])))
    train_on_texts(network, texts, rate=BASE_RATE, n_steps=n_steps, name="base")
    return network, tokenizer


def main() -> None:
    """Trains and writes both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the files")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="of all numbers of steps, for a quick try")
    parser.add_argument("--base", type=Path, help="base model to align, as F32, instead of training one")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.use_deterministic_algorithms(True)
    args.out.mkdir(parents=True, exist_ok=True)
    n_base, n_tuned, n_pairs = (
        max(1, round(n * args.scale)) for n in (N_BASE_STEPS, N_TUNED_STEPS, N_PREFERENCE_STEPS)
    )

    if args.base:
        network, tokenizer = read_network(args.base)
    else:
        network, tokenizer = train_base(args.seed, n_steps=n_base)
        write_files(network, tokenizer, args.out, ["demo-base", "demo-base-f32"])
    maker = PairMaker(np.random.default_rng([args.seed, 1]))
    train_on_texts(network, tuned_texts(tokenizer, maker), rate=TUNED_RATE, n_steps=n_tuned, name="aligned")
    train_on_pairs(network, tokenizer, maker, n_steps=n_pairs)
    write_files(network, tokenizer, args.out, ["demo-aligned", "demo-aligned-q4", "demo-aligned-f32"])
    for path in sorted(args.out.glob("*.gguf")):
        print(describe_check(path))


if __name__ == "__main__":
    main()
