"""Divergences against NumPy: by the definition, and on logits that llama.cpp gave outside llamabench."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax, rel_entr

from llamabench.data.demo_model import Shape, byte_vocabulary, write_random_model
from llamabench.engine.distributions import keep_likeliest, measure_gaps
from llamabench.engine.process import Engine
from llamabench.errors import EngineError
from llamabench.records import Plan, ReadingTask

SHAPE = Shape(2, 64, 4, 2, 128, 1024)
TEXTS = ("The capital of France is Paris, and that of Norway is Oslo.", "x", "Why? " * 40)


def draw(n: int, n_vocab: int, seed: int) -> np.ndarray:
    return log_softmax(np.random.default_rng(seed).normal(0, 3, (n, n_vocab)), axis=1)


# --- arithmetic ---------------------------------------------------------------------------------


def test_all_kept_is_the_definition() -> None:
    first, second, following = draw(40, 300, 1), draw(40, 300, 2), np.arange(40)
    gaps = measure_gaps(keep_likeliest(first, following, 1024), second, following)
    wanted = rel_entr(np.exp(first), np.exp(second)).sum(axis=1)
    np.testing.assert_allclose(gaps.divergences, wanted, rtol=1e-5)
    np.testing.assert_array_equal(gaps.is_same, first.argmax(axis=1) == second.argmax(axis=1))
    np.testing.assert_allclose(gaps.first_following, first[np.arange(40), following])
    np.testing.assert_allclose(gaps.second_following, second[np.arange(40), following])
    assert not gaps.rest.any()


@pytest.mark.parametrize("n_kept", [1, 5, 50, 299])
def test_some_kept_is_the_divergence_with_the_others_as_one(n_kept: int) -> None:
    first, second, following = draw(40, 300, 1), draw(40, 300, 2), np.zeros(40, np.int64)
    gaps = measure_gaps(keep_likeliest(first, following, n_kept), second, following)
    for place in range(40):
        kept = np.argsort(-first[place])[:n_kept]
        p, q = np.exp(first[place]), np.exp(second[place])
        merged = [np.append(one[kept], 1 - one[kept].sum()) for one in (p, q)]
        assert gaps.divergences[place] == pytest.approx(rel_entr(*merged).sum(), rel=1e-4, abs=1e-5)
        assert gaps.divergences[place] <= rel_entr(p, q).sum() + 1e-5
        assert gaps.rest[place] == pytest.approx(1 - p[kept].sum(), abs=1e-5)


def test_the_same_distribution_does_not_diverge() -> None:
    first, following = draw(9, 300, 1), np.zeros(9, np.int64)
    for n_kept in (20, 300):
        gaps = measure_gaps(keep_likeliest(first, following, n_kept), first, following)
        assert gaps.divergences.max() < 1e-6
        assert gaps.is_same.all()


# --- with models --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quants(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same weights, whole and in four bits."""
    folder = tmp_path_factory.mktemp("quants")
    paths = {name: folder / f"{name}.gguf" for name in ("F32", "Q4_0")}
    for quant, path in paths.items():
        write_random_model(path, SHAPE, byte_vocabulary(), name="tiny", quant=quant)
    return paths


def read_both(first: Path, second: Path, plan: Plan, task: ReadingTask) -> list[Any]:
    found = []
    for path, is_first in ((first, True), (second, False)):
        with Engine(path, plan) as engine:
            found = engine.read_texts(replace(task, is_first=is_first))
    return found


@pytest.mark.model
def test_gaps_are_those_of_logits_read_elsewhere(
    quants: dict[str, Path], small_plan: Plan, open_reference: Callable[..., Any], tmp_path: Path
) -> None:
    """Longer than a batch, so that a text is read in stretches."""
    task = ReadingTask(TEXTS, False, str(tmp_path), 150, 1024, is_first=True)
    gaps = read_both(quants["F32"], quants["Q4_0"], small_plan, task)
    assert [one.divergences.size for one in gaps] == [one.rest.size for one in gaps]
    texts = [list(np.load(tmp_path / f"{number}.npz")["text"]) for number in range(3)]
    assert len(texts[2]) == 150
    for tokens, one in zip(texts, gaps, strict=True):
        first, second = (
            log_softmax(open_reference(quants[name]).logits([int(token) for token in tokens[:-1]]), axis=1)
            for name in ("F32", "Q4_0")
        )
        wanted = rel_entr(np.exp(first), np.exp(second)).sum(axis=1)
        np.testing.assert_allclose(one.divergences, wanted, rtol=2e-3, atol=1e-5)
        np.testing.assert_allclose(one.first_following, first[np.arange(len(first)), tokens[1:]], atol=1e-3)
        assert wanted.mean() > 1e-4


@pytest.mark.model
def test_other_tokenisers_are_refused(quants: dict[str, Path], small_plan: Plan, tmp_path: Path) -> None:
    other, vocabulary = tmp_path / "other.gguf", byte_vocabulary()
    swapped = list(vocabulary.tokens)
    swapped[65], swapped[66] = swapped[66], swapped[65]
    write_random_model(other, SHAPE, replace(vocabulary, tokens=swapped), name="other")
    task = ReadingTask(TEXTS, False, str(tmp_path), 150, 1024, is_first=True)
    with pytest.raises(EngineError, match="tokenisers are not the same"):
        read_both(quants["F32"], other, small_plan, task)
