"""A text is a function of its prompt, its sampling and its number, and ends exactly where it should."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamabench.engine.encoding import Encoder
from llamabench.engine.generation import Generator, stream_seed
from llamabench.engine.llama import Batch, Context, Model
from llamabench.errors import EngineError
from llamabench.records import (
    ChatPrompt,
    Failure,
    Generated,
    GenerateRequest,
    GenerateResult,
    Message,
    Plan,
    Sampling,
    TextPrompt,
)

SCRIPTED_TEXT = "bcéing✓d thee"
"""What the scripted model says after `A`; its tokens are b, c, two bytes, ing, three bytes, d, ` the`, e."""

pytestmark = pytest.mark.model
OpenGenerator = Callable[..., Generator]


@pytest.fixture
def open_generator(small_plan: Plan) -> Iterator[OpenGenerator]:
    """Opens contexts for generation and frees them after the test."""
    opened: list[Context] = []

    def open_one(path: Path, **changes: object) -> Generator:
        generation = dataclasses.replace(small_plan.generation, **changes)  # type: ignore[arg-type]
        opened.append(Context(Model(str(path), small_plan), generation, small_plan))
        return Generator(opened[-1], Encoder(opened[-1].model))

    yield open_one
    for context in opened:
        context.close()
        context.model.close()


@pytest.fixture
def scripted(scripted_model: Path, open_generator: OpenGenerator) -> Callable[..., Generated]:
    """Generates one greedy text after `A`."""
    generator = open_generator(scripted_model)

    def generate(*, max_tokens: int = 50, stop: tuple[str, ...] = (), prompt: str = "A") -> Generated:
        request = GenerateRequest("r", TextPrompt(prompt), Sampling(max_tokens, stop=stop))
        return texts_of(generator, request)[0][0]

    return generate


def texts_of(generator: Generator, *requests: GenerateRequest) -> list[tuple[Generated, ...]]:
    found = []
    for request, result in zip(requests, generator.generate(requests), strict=True):
        assert isinstance(result, GenerateResult)
        assert result.id == request.id
        found.append(result.texts)
    return found


def ask(prompt: str, *, n: int = 1, seed: int = 0, temperature: float = 1.0, max_tokens: int = 12) -> GenerateRequest:
    return GenerateRequest(prompt, TextPrompt(prompt), Sampling(max_tokens, temperature, seed=seed), n)


def test_greedy_is_the_likeliest_token_each_time(
    demo_model: Path, open_generator: OpenGenerator, open_reference: Callable[..., Any]
) -> None:
    generator, reference = open_generator(demo_model), open_reference(demo_model)
    requests = [ask(prompt, temperature=0) for prompt in ("Once upon a time", "The sea", "x", "A long prompt " * 12)]
    for request, (generated,) in zip(requests, texts_of(generator, *requests), strict=True):
        expected = reference.greedy(generator._encoder.encode(request.prompt), 12)
        pieces = b"".join(map(generator._context.model.piece, expected))
        assert generated.text == pieces.decode(errors="replace")
        assert generated.finish_reason == ("length" if len(expected) == 12 else "stop")
        assert generated.n_tokens == len(expected) + (generated.finish_reason == "stop")


def test_greedy_of_a_trained_model(shared_data: Path, open_generator: OpenGenerator) -> None:
    """As karpathy's doc/stories260K.md gives it."""
    generator = open_generator(shared_data / "models" / "stories260K.gguf")
    ((generated,),) = texts_of(generator, ask("Once upon a time", temperature=0, max_tokens=40))
    assert generated.text.startswith(", there was a little girl named Lily. She loved to play outside in the park.")


def test_result_depends_on_request_and_seed_alone(demo_model: Path, open_generator: OpenGenerator) -> None:
    request = ask("Once upon a time", n=3)
    others = [ask(f"Something else {n}", n=n, temperature=0.7, max_tokens=3 + n) for n in range(1, 5)]
    (alone,) = texts_of(open_generator(demo_model, n_seq_max=1), request)
    generator = open_generator(demo_model)
    assert texts_of(generator, request) == [alone]
    assert texts_of(generator, request, *others)[0] == alone
    assert texts_of(generator, *others, request)[-1] == alone
    assert texts_of(generator, request, request) == [alone, alone]
    assert texts_of(open_generator(demo_model, n_seq_max=2, n_batch=16, n_ubatch=16), *others, request)[-1] == alone
    assert len({generated.text for generated in alone}) == 3


def count_decoded(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tokens of each decode from now on."""
    decode, counts = generator._context.decode, list[int]()

    def count(batch: Batch) -> None:
        counts.append(batch.struct.n_tokens)
        decode(batch)

    monkeypatch.setattr(generator._context, "decode", count)
    return counts


PRIMER = "Tom and Lily saw a big red ball in the park. They were happy. " * 3


@pytest.mark.parametrize("sizes", [{}, {"n_seq_max": 1}, {"n_seq_max": 2, "n_batch": 16}, {"n_seq_max": 16}])
def test_company_and_order_change_nothing(
    demo_model: Path, open_generator: OpenGenerator, sizes: dict[str, int]
) -> None:
    """Prompts that begin alike, prompts that are the same, texts of all lengths: each as it is without any sharing."""
    generator = open_generator(demo_model, n_ctx=256 * sizes.get("n_seq_max", 4), **sizes)
    requests = [
        dataclasses.replace(ask(prompt, n=n, max_tokens=5 + 7 * n, temperature=1.5, seed=n), wants_tokens=True)
        for n, prompt in enumerate([PRIMER, f"{PRIMER} One", "The sea", f"{PRIMER} One day", "The sea"], 1)
    ]
    alone = Generator(generator._context, generator._encoder, shares_prefixes=False)
    expected = [texts_of(alone, request)[0] for request in requests]
    for order in (range(5), (4, 2, 0, 3, 1)):
        found = texts_of(generator, *(requests[place] for place in order))
        for place, texts in zip(order, found, strict=True):
            assert [text.tokens for text in texts] == [text.tokens for text in expected[place]]
            for text, same in zip(texts, expected[place], strict=True):
                np.testing.assert_allclose(text.token_logprobs, same.token_logprobs, atol=2e-3)  # the cache is f16


def test_what_prompts_share_is_decoded_once(
    demo_model: Path, open_generator: OpenGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = open_generator(demo_model)
    counts = count_decoded(generator, monkeypatch)
    prompts = [PRIMER + ending for ending in (" One", " Two", " Three", " Four", " Five", " Six")]
    requests = [ask(prompt, n=5, max_tokens=4) for prompt in prompts]
    lengths = [len(generator._encoder.encode(request.prompt)) for request in requests]
    primer = len(generator._encoder.encode(TextPrompt(PRIMER)))
    texts = texts_of(generator, *requests)
    n_drawn = sum(text.n_tokens - 1 for found in texts for text in found)
    assert sum(counts) <= primer + sum(length - primer + 2 for length in lengths) + n_drawn


def test_streams_at_work_stay_next_to_each_other(
    demo_model: Path, open_generator: OpenGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = open_generator(demo_model, n_seq_max=8, n_ctx=8 * 256)
    batching, at_work = generator._batching, list[list[int]]()
    step = batching._step

    def watch() -> None:
        at_work.append(sorted(batching._work))
        step()

    monkeypatch.setattr(batching, "_step", watch)
    requests = [ask("The sea", n=1, seed=seed, max_tokens=9 + 6 * (seed % 3)) for seed in range(8)]
    texts_of(generator, *requests)
    assert all(streams == list(range(len(streams))) for streams in at_work)
    assert {len(streams) for streams in at_work} >= {1, 8}


def test_tokens_and_their_probabilities(
    demo_model: Path, open_generator: OpenGenerator, open_reference: Callable[..., Any]
) -> None:
    generator = open_generator(demo_model)
    narrow = Sampling(9, 0.5, top_p=0.8, top_k=5)
    request = GenerateRequest("r", TextPrompt("The sea"), narrow, n=2, wants_tokens=True)
    prompt = generator._encoder.encode(request.prompt)
    for text in texts_of(generator, request)[0]:
        assert len(text.tokens) == len(text.token_logprobs) == text.n_tokens
        expected = open_reference(demo_model).logprobs([*prompt, *text.tokens], len(prompt))
        np.testing.assert_allclose(text.token_logprobs, expected, atol=1e-4)
    plain = dataclasses.replace(request, wants_tokens=False)
    assert [text.tokens for text in texts_of(generator, plain)[0]] == [(), ()]


def test_more_numbers_keep_the_first_ones(demo_model: Path, open_generator: OpenGenerator) -> None:
    generator = open_generator(demo_model)
    few, many = texts_of(generator, ask("The sea", n=2), ask("The sea", n=6))
    assert many[:2] == few


def test_seeds_and_prompts_differ(demo_model: Path, open_generator: OpenGenerator) -> None:
    generator = open_generator(demo_model)
    requests = [ask("The sea", seed=0), ask("The sea", seed=1), ask("The sky", seed=0), ask("The sea", seed=-(2**40))]
    assert len({texts[0].text for texts in texts_of(generator, *requests)}) == 4


def test_stream_seed() -> None:
    seeds = {stream_seed(prompt, seed, number) for prompt in [(1, 2), (12,)] for seed in (1, 11) for number in (1, 2)}
    assert len(seeds) == 8
    assert stream_seed((1, 2, 3), 7, 0) == 13688947399201430918
    assert all(0 <= seed < 2**64 for seed in seeds)


def test_frequencies_are_those_of_the_model(
    demo_model: Path, open_generator: OpenGenerator, open_reference: Callable[..., Any]
) -> None:
    generator = open_generator(demo_model)
    prompt = TextPrompt("sun and")
    (texts,) = texts_of(generator, GenerateRequest("r", prompt, Sampling(1, 2.0, top_k=3), n=400))
    logits = open_reference(demo_model).logits(generator._encoder.encode(prompt))[-1]
    likeliest = np.argsort(logits)[::-1][:3]
    weights = np.exp((logits[likeliest] - logits.max()) / 2.0)
    spelled = [generator._context.model.piece(int(token)).decode() for token in likeliest]
    counts = np.array([sum(generated.text == text for generated in texts) for text in spelled])
    assert counts.sum() == 400
    expected = 400 * weights / weights.sum()
    assert ((counts - expected) ** 2 / expected).sum() < 13.8, "chi squared, two degrees of freedom, p = 0.001"


@pytest.mark.parametrize(
    "sampling",
    [Sampling(6, 1.5, top_k=1), Sampling(6, 1.5, top_p=1e-6), Sampling(6, 1.5, min_p=1), Sampling(6, 1.5, min_p=7)],
)
def test_narrow_sampling_is_greedy(demo_model: Path, open_generator: OpenGenerator, sampling: Sampling) -> None:
    generator = open_generator(demo_model)
    narrow, greedy = (GenerateRequest("r", TextPrompt("The sea"), each) for each in (sampling, Sampling(6)))
    assert texts_of(generator, narrow) == texts_of(generator, greedy)


# --- where a text ends --------------------------------------------------------------------------


def test_end_token_ends_the_text_and_is_not_part_of_it(scripted: Callable[..., Generated]) -> None:
    assert scripted() == Generated(SCRIPTED_TEXT, "stop", 12)


@pytest.mark.parametrize(
    ("stop", "text", "n_tokens"),
    [
        ("b", "", 1),
        ("cé", "b", 4),
        ("éi", "bc", 5),
        ("n", "bcéi", 5),
        ("gibberish", SCRIPTED_TEXT, 12),
        ("✓", "bcéing", 8),
        ("✓d th", "bcéing", 10),
        ("thee", "bcéing✓d ", 11),
        ("\ud800", SCRIPTED_TEXT, 12),
        ("", SCRIPTED_TEXT, 12),
    ],
)
def test_stop_string_across_tokens(scripted: Callable[..., Generated], stop: str, text: str, n_tokens: int) -> None:
    assert scripted(stop=(stop,)) == Generated(text, "stop", n_tokens)


def test_first_of_several_stop_strings_counts(scripted: Callable[..., Generated]) -> None:
    assert scripted(stop=("ing", "ng", "éin", "zzz")).text == "bc"


def test_stop_string_in_the_prompt_does_not_count(scripted: Callable[..., Generated]) -> None:
    assert scripted(prompt="bc A", stop=("A", "bc A")).text == SCRIPTED_TEXT


@pytest.mark.parametrize(
    ("max_tokens", "text"), [(1, "b"), (2, "bc"), (3, "bc\ufffd"), (4, "bcé"), (6, "bcéing\ufffd"), (8, "bcéing✓")]
)
def test_length_counts_tokens_even_within_a_character(
    scripted: Callable[..., Generated], max_tokens: int, text: str
) -> None:
    assert scripted(max_tokens=max_tokens) == Generated(text, "length", max_tokens)


def test_prefill_is_continued_and_not_repeated(scripted_model: Path, open_generator: OpenGenerator) -> None:
    prompt = ChatPrompt((Message("user", "Say it"),), prefill="A")
    (result,) = open_generator(scripted_model).generate([GenerateRequest("r", prompt, Sampling(50))])
    assert isinstance(result, GenerateResult)
    assert result.prompt == "<|user|>Say it<|end|><|assistant|>A"
    assert result.texts == (Generated(SCRIPTED_TEXT, "stop", 12),)


# --- what cannot be answered --------------------------------------------------------------------


def test_request_too_long_fails_alone(scripted_model: Path, open_generator: OpenGenerator) -> None:
    generator = open_generator(scripted_model)
    room = generator._context.n_ctx_per_sequence
    fits = GenerateRequest("fits", TextPrompt("x" * (room - 51) + "A"), Sampling(49))
    too_long = GenerateRequest("too long", TextPrompt("x" * (room - 51) + "A"), Sampling(50), n=3)
    short = GenerateRequest("short", TextPrompt("A"), Sampling(50), n=2)
    first, second, third = generator.generate([fits, too_long, short])
    assert isinstance(first, GenerateResult)
    assert first.texts[0].text == SCRIPTED_TEXT
    assert second == Failure("too long", f"The prompt and its answer need {room + 1} tokens, the context has {room}.")
    assert isinstance(third, GenerateResult)
    assert [generated.text for generated in third.texts] == [SCRIPTED_TEXT] * 2


def test_failed_decode_leaves_nothing_behind(
    scripted_model: Path, open_generator: OpenGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = open_generator(scripted_model)
    requests = [GenerateRequest("r", TextPrompt("x" * n + "A"), Sampling(50)) for n in range(3)]
    expected = texts_of(generator, *requests)
    decode, n_left = generator._context.decode, iter(range(4))

    def fail_soon(batch: Batch) -> None:
        decode(batch)
        if next(n_left, None) is None:
            raise EngineError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(generator._context, "decode", fail_soon)
        with pytest.raises(EngineError, match="no room"):
            generator.generate(requests)
    assert texts_of(generator, *requests) == expected


@pytest.mark.parametrize("n_streams", [1, 4])
def test_no_number_fails_its_request_alone(
    n_streams: int, shared_data: Path, tmp_path: Path, open_generator: OpenGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model of which one token, 99, is no number; token ids stand in for text."""
    from gguf import GGUFReader

    path = tmp_path / "ill.gguf"
    path.write_bytes((shared_data / "archs" / "llama-dense.gguf").read_bytes())
    for tensor in GGUFReader(path, "r+").tensors:
        if tensor.name == "token_embd.weight":
            tensor.data[99] = np.nan
    generator = open_generator(path, n_seq_max=n_streams, n_ctx=256 * n_streams)
    prompts = {"a": [5, 6], "ill": [5] * 40 + [99, 7], "b": [6, 5, 8], "ill too": [99], "c": [9, 10, 11]}
    monkeypatch.setattr(generator._encoder, "encode", lambda prompt: prompts[prompt.text])
    monkeypatch.setattr(generator._batching, "_piece", lambda token: b"%d " % token)
    asked = [GenerateRequest(text, TextPrompt(text), Sampling(20), n=3) for text in prompts]
    healthy = [texts_of(generator, request)[0] for request in asked[::2]]
    for _ in range(2):
        results = generator.generate(asked)
        reason = "The model gave no number (NaN): its file is damaged, or this machine computes it wrongly."
        assert results[1::2] == [Failure("ill", reason), Failure("ill too", reason)]
        assert [result.texts for result in results[::2] if isinstance(result, GenerateResult)] == healthy
    assert generator.generate(asked[1:2]) == [Failure("ill", reason)]


def test_no_tokens_asked_for_is_a_failure(scripted_model: Path, open_generator: OpenGenerator) -> None:
    request = GenerateRequest("r", TextPrompt("A"), Sampling(0))
    (result,) = open_generator(scripted_model).generate([request])
    assert result == Failure("r", "At least one token must be asked for, not 0.")


def test_nothing_asked(demo_model: Path, open_generator: OpenGenerator) -> None:
    generator = open_generator(demo_model)
    assert generator.generate([]) == []
    assert texts_of(generator, ask("x", n=0)) == [()]


_MEMORIES = ["mamba2-dense", "lfm2-dense", "gpt-oss-moe", "gemma3-dense", "qwen35-dense", "minimax-01-moe"]


@pytest.mark.parametrize("name", _MEMORIES)
def test_slots_are_independent_in_every_memory(
    name: str,
    shared_data: Path,
    open_generator: OpenGenerator,
    open_reference: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Token ids stand in for text: these files bring no usable vocabulary."""
    path = shared_data / "archs" / f"{name}.gguf"
    reference, generator = open_reference(path), open_generator(path)
    base = [7, *range(60, 100)]
    prompts = {str(n): [*(base if n % 4 else base[:3]), 5 + n, 17, *range(40, 40 + 7 * n)] for n in range(6)}
    monkeypatch.setattr(generator._encoder, "encode", lambda prompt: prompts[prompt.text])
    requests = [GenerateRequest(text, TextPrompt(text), Sampling(8), n=6 if text == "3" else 1) for text in prompts]
    expected = {text: reference.greedy(tokens, 8) for text, tokens in prompts.items()}
    for shares_prefixes, asked in [(True, requests), (True, requests[1:4]), (False, requests)]:
        generator = Generator(generator._context, generator._encoder, shares_prefixes=shares_prefixes)
        monkeypatch.setattr(generator._batching, "_piece", lambda token: b"%d " % token)
        for request, texts in zip(asked, texts_of(generator, *asked), strict=True):
            for generated in texts:
                assert [int(token) for token in generated.text.split()] == expected[request.id]
