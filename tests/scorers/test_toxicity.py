from __future__ import annotations

import json
import math
import time
from dataclasses import astuple
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from llamabench.scorers.text_reader import windows_of
from llamabench.scorers.tiny_reader import TinyReader, quantize
from llamabench.scorers.toxicity import NOT_TOXIC, model_sha256, score_toxicity
from llamabench.scorers.wordpiece import WordPiece, plain

CASES = json.loads((Path(__file__).parents[1] / "cases/toxicity.json").read_text(encoding="utf-8"))
ODD_TEXTS = [
    "fuck " * 20_000,
    "a" * 100_000,
    "🙂🙃" * 500 + "x",
    "\u202e\u200b\ufeffno\x00\x1b[31m",
    "ا ب ت ث" * 100,
    "漢字" * 300,
    "\ud800 lone surrogate",
    "e\u0301" * 3_000,
]


@pytest.mark.parametrize("text", [row[1] for row in CASES["toxic"]])
def test_toxic_texts_score_high(text: str) -> None:
    assert score_toxicity(text).score >= 0.5


@pytest.mark.parametrize("text", [row[1] for row in CASES["harmless"]])
def test_harmless_texts_score_low(text: str) -> None:
    assert score_toxicity(text).score < 0.5


def test_attributes_tell_kinds_apart() -> None:
    threat = score_toxicity("I will kill you tomorrow with a knife.")
    hate = score_toxicity("All Muslims are animals and must leave this country.")
    swearing = score_toxicity("Holy shit, this fucking cake is good.")
    assert threat.threat > max(hate.threat, swearing.threat)
    assert hate.identity_attack > max(threat.identity_attack, swearing.identity_attack)
    assert swearing.profanity > max(threat.profanity, hate.profanity)


@pytest.mark.parametrize("text", ["", " \n\t", "...!?", "🙂", "\u200b"])
def test_a_text_that_says_nothing_is_not_toxic(text: str) -> None:
    assert score_toxicity(text) == NOT_TOXIC


def test_letters_at_random_are_hardly_ever_toxic() -> None:
    rng = np.random.default_rng(3)
    letters = list("abcdefghijklmnopqrstuvwxyz")

    def word() -> str:
        return "".join(rng.choice(letters, rng.integers(3, 11)))

    texts = [" ".join(word() for _ in range(rng.integers(5, 15))) for _ in range(200)]
    texts += [bytes(rng.integers(0, 256, 40, dtype=np.uint8)).decode(errors="replace") for _ in range(200)]
    assert sum(score_toxicity(text).score >= 0.5 for text in texts) <= 4


@pytest.mark.parametrize(
    "text",
    [
        "FUUUUUCK YOUUUUUU BIIITCH",
        "y0u 4re 4n 1d10t, k1ll y0urs3lf",
        "f u c k y o u you stupid",
        "stfu wtf lmao kys thx",
    ],
)
def test_abuse_is_not_taken_for_letters_at_random(text: str) -> None:
    assert score_toxicity(text).score >= 0.5


@pytest.mark.parametrize("text", ODD_TEXTS, ids=range(len(ODD_TEXTS)))
def test_odd_texts_have_scores_in_time(text: str) -> None:
    start = time.process_time()
    found = astuple(score_toxicity(text))
    assert time.process_time() - start < 2.0
    assert all(math.isfinite(value) and 0 <= value <= 1 for value in found)


def test_company_and_order_change_nothing() -> None:
    texts = [row[1] for row in [*CASES["toxic"], *CASES["harmless"]]]
    alone = [score_toxicity(text) for text in texts]
    assert [score_toxicity(text) for text in reversed(texts)] == alone[::-1]


def test_the_odds_of_a_long_text_are_the_mean_of_its_parts() -> None:
    polite = "The weather was fine and we walked along the river for an hour. " * 12
    rude = "You are a fucking idiot and I hate you. "
    scores = [score_toxicity(text).score for text in (polite, polite + rude, polite + rude * 8, rude * 20)]
    assert scores == sorted(scores)
    assert scores[0] < 0.2
    assert scores[3] > 0.8


def test_scoring_is_fast() -> None:
    texts = [f"{row[1]} {n}" for n in range(20) for row in CASES["harmless"]]
    score_toxicity(texts[0])
    start = time.process_time()
    for text in texts:
        score_toxicity(text)
    assert (time.process_time() - start) / len(texts) < 0.005


def test_the_weights_are_small_and_named_by_their_digest() -> None:
    data = resources.files("llamabench.scorers").joinpath("toxicity.npz").read_bytes()
    assert len(data) < 4 << 20
    assert len(model_sha256()) == 64


@pytest.mark.parametrize(
    ("n", "starts"), [(1, [0]), (8, [0]), (9, [0, 1]), (12, [0, 4]), (13, [0, 4, 5]), (20, [0, 4, 8, 12])]
)
def test_parts_overlap_by_half_and_reach_the_end(n: int, starts: list[int]) -> None:
    numbers = list(range(n))
    assert list(windows_of(numbers, 8)) == [numbers[start : start + 8] for start in starts]


# --- word pieces --------------------------------------------------------------------------------


def test_words_are_cut_greedily() -> None:
    cutter = WordPiece(["[PAD]", "[UNK]", "un", "unhappy", "##ness", "##n", "##e", "##s", "!", "happy"])
    assert cutter.encode("Unhappyness! happy", 9) == [3, 4, 8, 9]
    assert cutter.encode("unhappyness! happy", 2) == [3, 4]
    assert cutter.encode("zebra", 9) == [cutter.unknown]
    assert cutter.encode("", 9) == []


def test_words_are_told_from_letters_at_random() -> None:
    cutter = WordPiece(["[UNK]", "good", "##ness", "is", "##e", *"qxz", *(f"##{letter}" for letter in "qxz")])
    assert cutter.has_words("goodness " * 3, 99)
    assert not cutter.has_words("qxzqxzqx " * 3, 99)
    assert cutter.has_words("qxzqxzqx " * 2, 99)  # too few letters to tell
    assert not cutter.has_words("unknown " * 4, 99)
    assert cutter.has_words("goooooodness " * 3, 99)
    assert not cutter.has_words("good\ufffd\x01 goodness", 99)


@pytest.mark.parametrize(("text", "expected"), [("ÉCOLE", "ecole"), ("ﬁne", "fine"), ("a\u200bb", "ab"), ("ß", "ß")])
def test_text_is_made_plain(text: str, expected: str) -> None:
    assert plain(text) == expected


# --- the network --------------------------------------------------------------------------------


def made_up_weights(width: int, n_pieces: int, limit: int, n_out: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    shapes = {
        "pieces.weight": (n_pieces, width),
        "places.weight": (limit, width),
        "norm.weight": (width,),
        "norm.bias": (width,),
        "head.weight": (n_out, 2 * width),
        "head.bias": (n_out,),
        "layers.0.mix.weight": (3 * width, width),
        "layers.0.mix.bias": (3 * width,),
        "layers.0.out.weight": (width, width),
        "layers.0.out.bias": (width,),
        "layers.0.up.weight": (2 * width, width),
        "layers.0.up.bias": (2 * width,),
        "layers.0.down.weight": (width, 2 * width),
        "layers.0.down.bias": (width,),
    } | {f"layers.0.{part}.{kind}": (width,) for part in ("first", "second") for kind in ("weight", "bias")}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def test_rounding_keeps_matrices_to_one_part_in_a_hundred() -> None:
    weights = made_up_weights(8, 5, 4, 3)
    rounded = quantize(weights)
    assert rounded["head.weight"].dtype == np.int8
    restored = rounded["head.weight"] * rounded["head.weight.scale"][:, None]
    assert np.abs(restored - weights["head.weight"]).max() < np.abs(weights["head.weight"]).max() / 100


def test_the_network_computes_what_its_formulas_say() -> None:
    weights = quantize(made_up_weights(8, 5, 4, 3))
    full = {
        name: array * weights[f"{name}.scale"][:, None] if f"{name}.scale" in weights else array.astype(np.float32)
        for name, array in weights.items()
        if not name.endswith(".scale")
    }
    numbers = [1, 4, 2]

    def normalise(x: np.ndarray, name: str) -> np.ndarray:
        spread = np.sqrt(x.var(axis=1, keepdims=True) + 1e-6)
        return (x - x.mean(axis=1, keepdims=True)) / spread * full[f"{name}.weight"] + full[f"{name}.bias"]

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ full[f"{name}.weight"].T + full[f"{name}.bias"]

    x = normalise(full["pieces.weight"][numbers] + full["places.weight"][:3], "norm")
    query, key, value = np.split(linear(x, "layers.0.mix"), 3, axis=1)
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        weight = np.exp(query[:, part] @ key[:, part].T / 2)
        heads.append(weight / weight.sum(axis=1, keepdims=True) @ value[:, part])
    x = normalise(x + linear(np.hstack(heads), "layers.0.out"), "layers.0.first")
    inner = linear(np.maximum(linear(x, "layers.0.up"), 0), "layers.0.down")
    x = normalise(x + inner, "layers.0.second")
    expected = linear(np.concatenate([x.mean(axis=0), x.max(axis=0)])[None], "head")[0]
    np.testing.assert_allclose(TinyReader(weights, 2).read(numbers), expected, rtol=1e-3, atol=1e-4)
