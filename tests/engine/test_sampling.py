"""Draws are those of a full sort written out plainly, and of llama.cpp's own samplers where the rules are the same."""

from __future__ import annotations

import ctypes
import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from llama_cpp import llama_cpp as api
from scipy.special import log_softmax, softmax
from scipy.stats import chi2

from llamabench.engine.sampling import Logits, Sampler, log_probability
from llamabench.records import Sampling

PLAIN = Sampling(1, 1.0)

SAMPLINGS = [
    Sampling(1, temperature, top_p=top_p, top_k=top_k, min_p=min_p)
    for temperature, top_p, top_k, min_p in itertools.product(
        (1.0, 0.4), (1.0, 0.97, 0.5, 0.01), (0, 1, 3, 40), (0.0, 0.05, 1.0)
    )
]


def make_logits(kind: str, n_vocab: int, seed: int = 0) -> Logits:
    rng = np.random.default_rng(seed)
    made = {
        "flat": lambda: rng.normal(0, 0.5, n_vocab),
        "like text": lambda: rng.normal(0, 3, n_vocab) + 12 * (rng.random(n_vocab) < 0.002),
        "peaked": lambda: np.where(np.arange(n_vocab) == n_vocab // 2, 30.0, rng.normal(0, 1, n_vocab)),
        "ties": lambda: rng.integers(0, 4, n_vocab).astype(float),
        "equal": lambda: np.zeros(n_vocab),
        "sorted": lambda: np.linspace(5, 0, n_vocab),
        "forbidden": lambda: np.where(rng.random(n_vocab) < 0.5, rng.normal(0, 2, n_vocab), -np.inf),
    }
    logits = made[kind]().astype(np.float32)
    logits[0] = max(logits[0], np.float32(-5))
    return logits


def reference(logits: Logits, sampling: Sampling) -> npt.NDArray[np.float64]:
    """Probabilities by sorting everything: likeliest first, of equal ones the lower id."""
    order = np.argsort(-logits, kind="stable")
    if sampling.top_k:
        order = order[: sampling.top_k]
    weights = np.exp(logits[order] - logits.max()).astype(np.float64)
    if sampling.top_p < 1:
        enough = weights.cumsum() >= sampling.top_p * weights.sum()
        order = order[: int(enough.argmax()) + 1]
    order = order[weights[: len(order)] >= np.float32(sampling.min_p)]
    probabilities = np.zeros(len(logits))
    probabilities[order] = softmax(logits[order].astype(np.float64) / sampling.temperature)
    return probabilities


@pytest.mark.parametrize("n_vocab", [1, 2, 127, 128, 1000, 20_001])
@pytest.mark.parametrize("kind", ["flat", "like text", "peaked", "ties", "equal", "sorted", "forbidden"])
def test_distribution_is_that_of_a_full_sort(kind: str, n_vocab: int) -> None:
    logits, sampler = make_logits(kind, n_vocab), Sampler(n_vocab)
    for sampling in SAMPLINGS:
        found, expected = sampler.probabilities(logits, sampling), reference(logits, sampling)
        assert (np.flatnonzero(found) == np.flatnonzero(expected)).all(), sampling
        np.testing.assert_allclose(found, expected, rtol=1e-5, err_msg=str(sampling))


@pytest.mark.parametrize("top_p", [0.0, 1e-9, 0.3, 0.9, 0.999, 1 - 1e-9])
def test_a_border_that_the_sample_misses_is_found(top_p: float) -> None:
    """Every weight that a sample of each n-th token would see is tiny."""
    n_vocab = 50_257
    logits = np.random.default_rng(1).normal(0, 0.1, n_vocab).astype(np.float32)
    logits[:: n_vocab // 2048 + 1] = -20
    sampling = Sampling(1, 1.0, top_p=top_p)
    found, expected = Sampler(n_vocab).probabilities(logits, sampling), reference(logits, sampling)
    assert np.count_nonzero(found) == np.count_nonzero(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_top_p_keeps_the_token_that_reaches_it() -> None:
    logits = np.log(np.array([1, 4, 2, 1], np.float32))
    for top_p, kept in [(0.0, [1]), (0.49, [1]), (0.51, [1, 2]), (0.76, [0, 1, 2]), (0.9, [0, 1, 2, 3])]:
        found = Sampler(4).probabilities(logits, Sampling(1, 1.0, top_p=top_p))
        assert np.flatnonzero(found).tolist() == kept


def test_equal_tokens_at_a_border_stay_by_id() -> None:
    logits = np.array([1, 2, 2, 2, 0], np.float32)
    found = Sampler(5).probabilities(logits, Sampling(1, 1.0, top_k=2))
    assert found.tolist() == [0, 0.5, 0.5, 0, 0]


class _Candidate(ctypes.Structure):
    _fields_ = [("id", ctypes.c_int32), ("logit", ctypes.c_float), ("p", ctypes.c_float)]


def llama_keeps(logits: Logits, sampling: Sampling) -> set[int]:
    """The tokens that llama.cpp's samplers leave."""
    parts: list[Any] = []
    if sampling.top_k:
        parts.append(api.llama_sampler_init_top_k(sampling.top_k))
    if sampling.top_p < 1:
        parts.append(api.llama_sampler_init_top_p(sampling.top_p, 1))
    if sampling.min_p > 0:
        parts.append(api.llama_sampler_init_min_p(sampling.min_p, 1))
    n = len(logits)
    data = (api.llama_token_data * n)(*((id, float(logit), 0.0) for id, logit in enumerate(logits)))
    candidates = api.llama_token_data_array(data=data, size=n, selected=-1, sorted=False)
    for part in parts:
        api.llama_sampler_apply(part, ctypes.byref(candidates))
        api.llama_sampler_free(part)
    return {candidates.data[place].id for place in range(candidates.size)}


@pytest.mark.parametrize("kind", ["flat", "like text", "peaked"])
@pytest.mark.parametrize("n_vocab", [50, 5_000])
def test_llama_keeps_the_same_tokens(kind: str, n_vocab: int) -> None:
    sampler = Sampler(n_vocab)
    for seed, (top_k, top_p, min_p) in enumerate(itertools.product((0, 1, 40), (1.0, 0.9, 0.3), (0.0, 0.1))):
        logits, sampling = make_logits(kind, n_vocab, seed), Sampling(1, 1.0, top_p=top_p, top_k=top_k, min_p=min_p)
        kept = set(np.flatnonzero(sampler.probabilities(logits, sampling)).tolist())
        # llama.cpp adds up in single precision: the border may be off by a token in a flat distribution
        assert len(kept ^ llama_keeps(logits, sampling)) <= (kind == "flat" and n_vocab > 1000 and top_p < 1), sampling


@pytest.mark.parametrize("kind", ["flat", "like text", "ties", "forbidden"])
@pytest.mark.parametrize(
    "sampling",
    [PLAIN, Sampling(1, 0.5), Sampling(1, 1.0, top_p=0.9), Sampling(1, 1.5, top_k=5), Sampling(1, 1.0, min_p=0.1)],
)
def test_frequencies(kind: str, sampling: Sampling) -> None:
    n_vocab, n_draws = 300, 4000
    logits, sampler, rng = make_logits(kind, n_vocab), Sampler(n_vocab), np.random.default_rng(5)
    counts = np.bincount([sampler.draw(logits, sampling, rng) for _ in range(n_draws)], minlength=n_vocab)
    expected = n_draws * reference(logits, sampling)
    assert not counts[expected == 0].any()
    # tokens with too few expected draws are counted together, as the test asks
    is_rare = expected < 5
    observed = np.append(counts[~is_rare], counts[is_rare].sum())
    predicted = np.append(expected[~is_rare], expected[is_rare].sum())
    observed, predicted = observed[predicted > 0], predicted[predicted > 0]
    statistic = ((observed - predicted) ** 2 / predicted).sum()
    assert statistic < chi2.ppf(0.999, max(len(predicted) - 1, 1))


@pytest.mark.parametrize("kind", ["flat", "like text", "peaked", "ties", "forbidden"])
@pytest.mark.parametrize("temperature", [1.0, 0.4])
@pytest.mark.parametrize("top_p", [0.5, 0.9])
def test_guesses_are_kept_tokens(kind: str, temperature: float, top_p: float) -> None:
    logits, sampler = make_logits(kind, 700), Sampler(700)
    sampling = Sampling(1, temperature, top_p=top_p)
    kept = set(np.flatnonzero(reference(logits, Sampling(1, 1.0, top_p=top_p))).tolist())
    weights = np.exp(logits - logits.max())
    padded = np.append(weights, np.zeros(-len(weights) % 128, np.float32))
    mass = top_p * float(weights.sum(dtype=np.float64))
    assert {token for token in range(700) if sampler._is_kept(token, padded, mass)} == kept
    places = np.linspace(0, 1, 400, endpoint=False)
    guesses = [sampler._guess(logits, sampling, logits.max(), [place]) for place in places]
    assert {guess for guess in guesses if guess is not None} <= kept


class TestDraw:
    def test_four_numbers_per_token_and_the_same_everywhere(self) -> None:
        rng = np.random.Generator(np.random.PCG64(7))
        logits = np.zeros(1000, np.float32)
        drawn = [Sampler(1000).draw(logits, PLAIN, rng) for _ in range(4)]
        expected = (np.random.Generator(np.random.PCG64(7)).random((4, 4))[:, 0] * 1000).astype(int)
        assert drawn == expected.tolist() == [625, 300, 797, 254]

    def test_greedy_takes_no_number_and_the_first_of_equals(self) -> None:
        rng = np.random.default_rng(0)
        assert Sampler(3).draw(np.array([0, 1, 1], np.float32), Sampling(1), rng) == 1
        assert rng.random() == np.random.default_rng(0).random()

    def test_ends_of_the_interval(self) -> None:
        logits = np.full(1000, -np.inf, np.float32)
        logits[[3, 700]] = 0
        for sampling in (PLAIN, Sampling(1, 1.0, min_p=0.1)):
            drawn = [Sampler(1000).draw(logits, sampling, _Fixed(number)) for number in (0.0, 0.499, 0.5, 1 - 2**-53)]
            assert drawn == [3, 3, 700, 700]

    def test_logits_stay_as_they_are(self) -> None:
        logits = make_logits("flat", 500)
        before = logits.copy()
        for sampling in SAMPLINGS:
            Sampler(500).draw(logits, sampling, np.random.default_rng(0))
        assert (logits == before).all()

    @pytest.mark.parametrize("temperature", [1e-30, 1e-3, 1e30])
    def test_extreme_temperatures(self, temperature: float) -> None:
        logits = make_logits("flat", 500)
        for changes in ({}, {"top_p": 0.9}, {"top_k": 9}):
            sampling = Sampling(1, temperature, **changes)
            token = Sampler(500).draw(logits, sampling, np.random.default_rng(0))
            assert token is not None
            assert temperature > 1 or token == logits.argmax()

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    @pytest.mark.parametrize("sampling", [Sampling(1), PLAIN, Sampling(1, 1.0, top_p=0.9, top_k=3)])
    def test_no_number_no_token(self, value: float, sampling: Sampling) -> None:
        for place in (0, 250, 499):
            logits = make_logits("flat", 500)
            logits[place] = value
            assert Sampler(500).draw(logits, sampling, np.random.default_rng(0)) is None
        assert Sampler(500).draw(np.full(500, -np.inf, np.float32), sampling, np.random.default_rng(0)) is None


class _Fixed(np.random.Generator):
    def __init__(self, number: float):
        super().__init__(np.random.PCG64(0))
        self._number = number

    def random(self, size: int) -> npt.NDArray[np.float64]:  # type: ignore[override]
        return np.full(size, self._number)


def test_log_probability_is_that_of_the_whole_distribution() -> None:
    logits = make_logits("like text", 5_000)
    expected = log_softmax(logits.astype(np.float64))
    for token in (0, 17, int(logits.argmax())):
        assert log_probability(logits, token) == pytest.approx(expected[token], rel=1e-6)
