"""Stored answers rated by Detoxify and Perspective: asked once, summed up as the built-in scorer's, gone on with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from perspective_service import rate, serve_perspective

from llamabench import rating, runner
from llamabench.data.perspective import PerspectiveClient
from llamabench.errors import DataError, LlamabenchError, MissingPackageError, UnknownNameError
from llamabench.raters import DetoxifyRater, PerspectiveRater, Rater, open_rater
from llamabench.records import (
    Failure,
    Generated,
    GenerateRequest,
    GenerateResult,
    RaterFacts,
    Rating,
    Request,
    Result,
    Score,
)
from llamabench.results.store import Run
from llamabench.runner import RunOptions

Script = Any
TEXTS = {"kind": 0.1, "rude": 0.5, "vile": 0.9}


class Watcher:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.raters: list[RaterFacts] = []
        self.steps: list[tuple[str, int, int]] = []
        self.notes: list[str] = []

    def begin(self, run: Run) -> None:
        assert isinstance(run, Run)

    def begin_rater(self, run: Run, rater: RaterFacts) -> None:
        self.raters.append(rater)

    def advance(self, suite: str, *, n_done: int, n_total: int, tokens_per_s: float | None) -> None:
        self.steps.append((suite, n_done, n_total))

    def stand(self, standing: object) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)


class FakeRater:
    """Rates by the first word of a text; what has no rating fails."""

    name, version, title = "detoxify", "1", "A made-up scorer"

    def __init__(self, n_at_once: int = 4, ends_after: int | None = None):
        self.n_at_once, self.ends_after = n_at_once, ends_after
        self.read: list[str] = []

    def rate(self, texts: Sequence[str]) -> list[Rating | Failure]:
        assert 0 < len(texts) <= self.n_at_once
        if self.ends_after is not None and len(self.read) >= self.ends_after:
            raise LlamabenchError("The cable was pulled.")
        self.read += texts
        found = (TEXTS.get(text.split()[0]) for text in texts)
        return [Failure("", "It is no word.") if one is None else Rating(one, min(1.0, one + 0.1)) for one in found]


def write(request: Request) -> Result:
    """Continuations of a prompt: one vile, one rude, one that says nothing, all others kind; their numbers in them."""
    assert isinstance(request, GenerateRequest)
    texts = [f"kind {number} {request.id}" for number in range(request.n)]
    if request.n > 3:
        texts[:3] = [f"vile {request.id}", f"rude {request.id}", " "]
    return GenerateResult(request.id, "a prompt", tuple(Generated(text, "length", 8) for text in texts))


@pytest.fixture
def finished(demo_model: Path, tmp_path: Path, engine_script: Script) -> Callable[..., Path]:
    """Runs suites with a model that writes; the run's folder."""

    def run(*suites: str, limit: int = 4, answer: Callable[[Request], Result] = write) -> Path:
        engine_script.answer = answer
        with runner.run(RunOptions(demo_model, suites, tmp_path / "out", limit=limit), Watcher()) as stored:
            return stored.folder

    return run


def rate_run(folder: Path, rater: Rater, watcher: Watcher | None = None) -> dict[str, Score]:
    """Has a run rated; its scores that rest on it, of whole suites."""
    with rating.rate_run(folder, rater, watcher or Watcher()) as stored:
        return scores_of(stored)


def scores_of(stored: Run) -> dict[str, Score]:
    scores = (one for one in stored.scores() if one.metric.group is None and one.metric.judge is not None)
    return {one.metric.name: one for one in scores}


# --- the scores ---------------------------------------------------------------------------------


def test_the_definitions_are_those_of_the_built_in_scorer(finished: Callable[..., Path]) -> None:
    """Three prompts: one with a vile text at 0.9, one that is rude at most, one whose texts say nothing."""

    def answer(request: Request) -> Result:
        assert isinstance(request, GenerateRequest)
        number = answer.n  # type: ignore[attr-defined]
        answer.n += 1  # type: ignore[attr-defined]
        texts = [["vile", "rude"], ["rude"], []][number]
        padded = [*texts, *(["kind"] * (25 - len(texts)) if texts else [" "] * 25)]
        return GenerateResult(request.id, "a prompt", tuple(Generated(text, "length", 8) for text in padded))

    answer.n = 0  # type: ignore[attr-defined]
    found = rate_run(finished("realtoxicity:starter", limit=3, answer=answer), FakeRater())
    values = {name: (score.metric.value, score.metric.n) for name, score in found.items()}
    assert values == {
        "detoxify_toxicity_probability": (pytest.approx(2 / 3), 3),
        "detoxify_expected_max_toxicity": (pytest.approx((0.9 + 0.5 + 0) / 3), 3),
        "detoxify_toxic_fraction": (pytest.approx((2 + 1 + 0) / 75), 3),
    }


def test_bold_counts_what_any_attribute_makes_toxic(finished: Callable[..., Path]) -> None:
    def answer(request: Request) -> Result:
        text = "rude" if "bd-1" in request.id else "kind"
        return GenerateResult(request.id, "", (Generated(text, "length", 8),))

    folder = finished("bold:starter", limit=60, answer=answer)
    TEXTS["rude"] = 0.45  # with 0.1 more for its worst attribute
    try:
        found = rate_run(folder, FakeRater())
    finally:
        TEXTS["rude"] = 0.5
    with Run(folder) as stored:
        rows = list(stored.rows("bold"))
    n_rude = sum("bd-1" in row.id for row in rows)
    assert 0 < n_rude < 60
    assert found["detoxify_toxicity"].metric.value == pytest.approx(n_rude / 60)


def test_scores_stand_beside_the_built_in_ones_and_name_their_scorer(finished: Callable[..., Path]) -> None:
    folder = finished("realtoxicity:starter", "bold:starter", "xstest:starter")
    with Run(folder) as stored:
        before = stored.scores()
    watcher = Watcher()
    found = rate_run(folder, FakeRater(), watcher)
    with Run(folder) as stored:
        assert [one for one in stored.scores() if one.metric.judge is None] == before
        assert not any(name.startswith("judged") for row in stored.rows("xstest") for name in row.values)
    score = found["detoxify_expected_max_toxicity"]
    assert score.metric.judge == "A made-up scorer"
    assert "|judge:detoxify@1|" in score.signature
    assert watcher.raters == [
        RaterFacts("detoxify", "1", "A made-up scorer", {"realtoxicity": ("detoxify",), "bold": ("detoxify_any",)})
    ]
    assert watcher.steps[-1] == ("answers of bold", 4, 4)


def test_two_scorers_stand_side_by_side(finished: Callable[..., Path]) -> None:
    folder = finished("realtoxicity:starter")
    other = FakeRater()
    other.name = "perspective"
    rate_run(folder, FakeRater())
    found = rate_run(folder, other)
    assert {name.partition("_")[0] for name in found} == {"detoxify", "perspective"}
    assert found["detoxify_toxic_fraction"].metric.value == found["perspective_toxic_fraction"].metric.value


# --- failures, and going on ---------------------------------------------------------------------


def test_a_text_that_fails_is_an_error_and_no_zero(finished: Callable[..., Path]) -> None:
    def answer(request: Request) -> Result:
        result = write(request)
        assert isinstance(result, GenerateResult)
        odd = (Generated("unheard of", "length", 8), *result.texts[1:])
        return GenerateResult(request.id, "", odd) if request.id.endswith("1") else result

    folder = finished("realtoxicity:starter", limit=20, answer=answer)
    watcher = Watcher()
    metric = rate_run(folder, FakeRater(), watcher)["detoxify_expected_max_toxicity"].metric
    assert metric.errored > 0
    assert (metric.value, metric.n) == (pytest.approx(0.9), 20 - metric.errored)
    assert watcher.notes == [
        f"A made-up scorer gave no number for {metric.errored} answers: It is no word. "
        "The same command asks about them again."
    ]


def test_what_failed_is_asked_again_and_nothing_else(finished: Callable[..., Path], monkeypatch: Any) -> None:
    folder = finished("realtoxicity:starter")
    monkeypatch.delitem(TEXTS, "vile")
    first = FakeRater()
    assert rate_run(folder, first)["detoxify_expected_max_toxicity"].metric.errored == 4
    monkeypatch.setitem(TEXTS, "vile", 0.9)
    second = FakeRater()
    metric = rate_run(folder, second)["detoxify_expected_max_toxicity"].metric
    assert (metric.value, metric.errored) == (pytest.approx(0.9), 0)
    assert [text.split()[0] for text in second.read] == ["vile"] * 4


def test_no_text_is_read_twice(finished: Callable[..., Path]) -> None:
    def answer(request: Request) -> Result:
        return GenerateResult(request.id, "", tuple(Generated("kind", "length", 8) for _ in range(25)))

    rater = FakeRater()
    rate_run(finished("realtoxicity:starter", answer=answer), rater)
    assert rater.read == ["kind"]


def test_rating_that_is_cut_short_goes_on(finished: Callable[..., Path]) -> None:
    folder = finished("realtoxicity:starter")
    first = FakeRater(1, ends_after=30)
    with pytest.raises(LlamabenchError, match="cable"):
        rate_run(folder, first)
    with Run(folder) as stored:
        assert scores_of(stored) == {}
    second, watcher = FakeRater(1), Watcher()
    found = rate_run(folder, second, watcher)
    assert len(first.read) == 30
    assert not set(first.read) & set(second.read)
    assert len(first.read) + len(second.read) == 4 * 24
    assert watcher.steps[0] == ("answers of realtoxicity", 1, 4)
    again = FakeRater(1)
    assert rate_run(folder, again) == found
    assert again.read == []


def test_a_service_that_is_gone_is_left_alone(finished: Callable[..., Path], monkeypatch: Any) -> None:
    folder = finished("realtoxicity:starter")
    monkeypatch.setitem(TEXTS, "kind", None)
    rater = FakeRater(1)
    metric = rate_run(folder, rater)["detoxify_expected_max_toxicity"].metric
    assert (metric.value, metric.n, metric.errored) == (None, 0, 4)
    assert len(rater.read) == 2 + rating.MOST_FAILURES


# --- what cannot be rated -----------------------------------------------------------------------


def test_what_cannot_be_rated_is_refused(finished: Callable[..., Path]) -> None:
    folder = finished("xstest:starter")
    with pytest.raises(LlamabenchError, match="not rated in xstest, but in: realtoxicity, bold"):
        rating.rate_run(folder, FakeRater(), Watcher())
    with pytest.raises(UnknownNameError, match="suite in this run"):
        rating.rate_run(folder, FakeRater(), Watcher(), suites=["bold"])
    with pytest.raises(UnknownNameError, match="detoxify"):
        open_rater("detoxifi")


def test_the_network_has_to_be_allowed_and_a_key_given(monkeypatch: Any) -> None:
    monkeypatch.setenv("PERSPECTIVE_API_KEY", "secret")
    with pytest.raises(DataError, match="--allow-network"):
        open_rater("perspective")
    monkeypatch.delenv("PERSPECTIVE_API_KEY")
    with pytest.raises(DataError, match="PERSPECTIVE_API_KEY"):
        open_rater("perspective", allow_network=True)


# --- the real ones ------------------------------------------------------------------------------


@pytest.mark.usefixtures("loopback")
def test_perspective_is_asked_over_the_wire(finished: Callable[..., Path]) -> None:
    def answer(text: str) -> tuple[int, bytes, dict[str, str]]:
        if text.startswith("rude"):
            return 400, b'{"error": {"message": "unable to detect language"}}', {}
        return 200, rate(TEXTS[text.split()[0]], 0.05), {}

    folder = finished("realtoxicity:starter", "bold:starter")
    with serve_perspective(answer) as kept:
        rater = PerspectiveRater(PerspectiveClient("secret", allow_network=True, url=kept.url, wait_s=0))
        found = rate_run(folder, rater)
        assert found["perspective_expected_max_toxicity"].metric.errored == 4
        assert found["perspective_toxicity"].metric.value == 0
        assert len(kept.texts) == len(set(kept.texts)) == 4 * 24 + 4
        assert "|judge:perspective@v1alpha1|" in found["perspective_toxicity"].signature
    with Run(folder) as stored:
        assert "unable to detect language" in stored.events()[-1].text
    assert b"secret" not in (folder / "run.sqlite").read_bytes()


class FakeDetoxify:
    """Answers as the package does."""

    def __init__(self, **options: str):
        self.options = options

    def predict(self, text: list[str]) -> dict[str, list[float]]:
        scores = [TEXTS.get(part.split()[0], 0.0) if part else 0.0 for part in text]
        return {"toxicity": scores, "obscene": [0.2] * len(text), "severe_toxicity": [0.99] * len(text)}


def test_detoxify_reads_with_the_files_of_a_folder(
    finished: Callable[..., Path], tmp_path: Path, monkeypatch: Any, own_data_folder: Path
) -> None:
    with pytest.raises(DataError, match="no folder|no Detoxify checkpoint"):
        open_rater("detoxify")
    files = own_data_folder / "detoxify"
    files.mkdir()
    (files / "unbiased.ckpt").write_bytes(b"weights")
    monkeypatch.setitem(sys.modules, "detoxify", None)
    with pytest.raises(MissingPackageError):
        open_rater("detoxify")
    module = ModuleType("detoxify")
    module.Detoxify = FakeDetoxify  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "detoxify", module)
    rater = open_rater("detoxify")
    assert isinstance(rater, DetoxifyRater)
    assert list(rater.rate(["vile", "kind"])) == [Rating(0.9, 0.9), Rating(0.1, 0.2)]
    found = rate_run(finished("realtoxicity:starter"), rater)
    assert found["detoxify_expected_max_toxicity"].metric.value == pytest.approx(0.9)
    assert found["detoxify_expected_max_toxicity"].metric.judge == f"Detoxify {rater.version.split('@')[0]}, unbiased"
    (files / "original.ckpt").write_bytes(b"others")
    with pytest.raises(DataError, match="2 checkpoints"):
        open_rater("detoxify")
