"""A model beside the one that it was made from: asked the same, one after the other, and compared item by item."""

from __future__ import annotations

import hashlib
import math
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llamabench import runner
from llamabench.errors import LlamabenchError, ModelFileError
from llamabench.hardware.gguf import read_model
from llamabench.records import Request, Result, Standing
from llamabench.results.store import Run
from llamabench.runner import RunOptions

Script = Any


class Watcher:
    """Remembers which runs were begun; from the second on, another model seems to answer."""

    def __init__(self, script: Script) -> None:
        self.script, self.own_answer = script, script.answer
        self.begun: list[Path] = []

    def begin(self, run: Run) -> None:
        self.begun.append(run.folder)
        self.script.answer = self.other_answer if "reference" in run.folder.name else self.own_answer

    def stand(self, standing: Standing) -> None: ...

    def advance(self, suite: str, *, n_done: int, n_total: int, tokens_per_s: float | None) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def other_answer(self, request: Request) -> Result:
        result: Result = self.own_answer(replace(request, id=f"{request.id} again"))
        return replace(result, id=request.id)


@pytest.fixture
def reference_model(demo_model: Path, tmp_path: Path) -> Path:
    """The same model by another name, so that its fingerprint differs."""
    path = tmp_path / "reference.gguf"
    path.write_bytes(demo_model.read_bytes().replace(b"demo, untrained", b"demo, reference"))
    assert read_model(path).fingerprint != read_model(demo_model).fingerprint
    return path


@pytest.fixture
def options(demo_model: Path, tmp_path: Path) -> RunOptions:
    return RunOptions(demo_model, ("preference:starter",), tmp_path / "out", limit=40)


def run(options: RunOptions, script: Script) -> tuple[Path, list[str]]:
    """Runs to the end; the run's folder, and the names of all that were begun."""
    watcher = Watcher(script)
    try:
        with runner.run(options, watcher) as stored:
            assert stored.is_finished
            return stored.folder, [folder.name for folder in watcher.begun]
    finally:
        script.answer = watcher.own_answer


def margins(folder: Path) -> dict[str, float]:
    with Run(folder) as stored:
        return {row.id: row.values["margin_sum"] for row in stored.rows("preference")}


def whole(folder: Path) -> dict[str, Any]:
    with Run(folder) as stored:
        return {one.metric.name: one for one in stored.scores() if one.metric.group is None}


def test_two_passes_give_the_reward(options: RunOptions, reference_model: Path, engine_script: Script) -> None:
    folder, begun = run(replace(options, reference=reference_model), engine_script)
    (other,) = [one for one in options.out.iterdir() if one != folder]
    assert begun == [folder.name, other.name]
    mine, theirs = margins(folder), margins(other)
    assert mine.keys() == theirs.keys()
    rewards = [mine[name] - theirs[name] for name in mine]
    found = whole(folder)
    assert found["agreement_reward"].metric.value == sum(reward > 0 for reward in rewards) / 40
    assert 0 < found["agreement_reward"].metric.value < 1
    assert found["agreement_reference"].metric.value == sum(margin > 0 for margin in theirs.values()) / 40
    log_loss = sum(math.log1p(math.exp(-0.1 * reward)) for reward in rewards) / 40
    assert found["log_loss_reward"].metric.value == pytest.approx(log_loss)
    assert found["agreement_sum"].metric == whole(run(options, engine_script)[0])["agreement_sum"].metric


def test_what_compares_names_the_reference(options: RunOptions, reference_model: Path, engine_script: Script) -> None:
    folder, _ = run(replace(options, reference=reference_model), engine_script)
    with Run(folder) as stored:
        assert stored.info.reference is not None
        fingerprint = stored.info.reference.model.fingerprint
        assert stored.info.reference.model.path == str(reference_model)
    for name, score in whole(folder).items():
        assert (f"|ref:{fingerprint[:8]}@F32|" in score.signature) == ("re" in name.split("_")[-1][:2]), name


def test_the_reference_is_asked_through_the_models_template(
    options: RunOptions, reference_model: Path, engine_script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    first_init = runner.Engine.__init__

    def note(self: Any, path: Path, plan: Any = None, chat_template: str | None = None, **more: Any) -> None:
        opened.append((Path(path).name, chat_template))
        first_init(self, path, plan, chat_template, **more)

    monkeypatch.setattr(runner.Engine, "__init__", note)
    run(replace(options, reference=reference_model), engine_script)
    (_, first), (name, second) = opened
    assert (name, first) == ("reference.gguf", None)
    assert second is not None
    assert "message.role" in second


def test_a_finished_reference_is_not_asked_again(
    options: RunOptions, reference_model: Path, engine_script: Script
) -> None:
    first, _ = run(replace(options, reference=reference_model), engine_script)
    again, begun = run(replace(options, reference=reference_model, is_exact=True), engine_script)
    assert begun == [again.name]
    assert whole(again)["agreement_reward"].metric == whole(first)["agreement_reward"].metric
    _, begun = run(replace(options, reference=reference_model, seed=1), engine_script)
    assert len(begun) == 2


def test_a_run_can_be_the_reference(options: RunOptions, reference_model: Path, engine_script: Script) -> None:
    everything, _ = run(replace(options, model=reference_model, limit=None), engine_script)
    folder, begun = run(replace(options, reference=everything), engine_script)
    assert begun == [folder.name]
    mine, theirs = margins(folder), margins(everything)
    expected = sum(margin > theirs[name] for name, margin in mine.items()) / 40
    assert whole(folder)["agreement_reward"].metric.value == expected


def test_a_run_that_was_asked_something_else_is_none(
    options: RunOptions, reference_model: Path, engine_script: Script
) -> None:
    base = replace(options, model=reference_model)
    few, _ = run(replace(base, limit=10), engine_script)
    with pytest.raises(LlamabenchError, match="it lacks 3. of 40 items of preference .*same --limit and --seed"):
        run(replace(options, reference=few), engine_script)
    plain, _ = run(replace(base, use_chat=False), engine_script)
    with pytest.raises(
        LlamabenchError, match="through no chat template there, and here through the chat template c0ff"
    ):
        run(replace(options, reference=plain), engine_script)
    winners, _ = run(replace(base, winners_only=True), engine_script)
    with pytest.raises(LlamabenchError, match="scored only the winners"):
        run(replace(options, reference=winners), engine_script)
    other, _ = run(replace(base, suites=("bbq:starter",)), engine_script)
    with pytest.raises(LlamabenchError, match="it has not run preference"):
        run(replace(options, reference=other), engine_script)


def test_another_text_is_found_out(options: RunOptions, reference_model: Path, engine_script: Script) -> None:
    base, _ = run(replace(options, model=reference_model), engine_script)
    with closing(sqlite3.connect(base / "run.sqlite")) as database:
        database.execute(
            "UPDATE item SET exchanges = replace(exchanges, 'rendered', 'changed'), digest = NULL WHERE ordinal = 3"
        )
        database.commit()
    with pytest.raises(LlamabenchError, match="of preference is another text there"):
        run(replace(options, reference=base), engine_script)


def test_an_unfinished_run_is_no_reference(options: RunOptions, reference_model: Path, engine_script: Script) -> None:
    engine_script.fail_after, engine_script.failure = 1, ModelFileError("It died.")
    with pytest.raises(ModelFileError, match="It died"):
        run(replace(options, model=reference_model), engine_script)
    (folder,) = options.out.iterdir()
    with pytest.raises(LlamabenchError, match="is not finished"):
        run(replace(options, reference=folder), engine_script)


def test_a_run_goes_on_where_the_reference_stopped(
    options: RunOptions, reference_model: Path, engine_script: Script
) -> None:
    asked = replace(options, reference=reference_model)
    whole_run, _ = run(replace(asked, out=options.out / "whole"), engine_script)
    n_chunks = len(engine_script.asked) // 2
    engine_script.fail_after, engine_script.failure = n_chunks - 1, ModelFileError("It died.")
    answered = engine_script.answer

    def answer(request: Request) -> Result:
        result: Result = answered(request)
        return result

    engine_script.answer = answer
    with pytest.raises(ModelFileError, match="It died"):
        run(asked, engine_script)
    engine_script.fail_after = None
    folder, _ = run(asked, engine_script)
    assert {name: score.metric for name, score in whole(folder).items()} == {
        name: score.metric for name, score in whole(whole_run).items()
    }


def test_a_pair_that_the_reference_failed_on_is_errored(
    options: RunOptions, reference_model: Path, engine_script: Script
) -> None:
    base, _ = run(replace(options, model=reference_model), engine_script)
    with closing(sqlite3.connect(base / "run.sqlite")) as database:
        database.execute(
            "UPDATE item SET outcome = 'errored', vals = '{}', exchanges = '[]', digest = NULL WHERE ordinal = 3"
        )
        database.commit()
    found = whole(run(replace(options, reference=base), engine_script)[0])
    assert (found["agreement_reward"].metric.n, found["agreement_reward"].metric.errored) == (39, 1)
    assert (found["agreement_sum"].metric.n, found["agreement_sum"].metric.errored) == (40, 0)


def test_a_reference_that_says_nothing_is_refused(
    options: RunOptions, reference_model: Path, engine_script: Script
) -> None:
    asked = replace(options, reference=reference_model)
    with pytest.raises(LlamabenchError, match="says nothing about these suites. Of use: preference"):
        run(replace(asked, suites=("bbq:starter",)), engine_script)
    with pytest.raises(LlamabenchError, match="without --winners-only"):
        run(replace(asked, winners_only=True), engine_script)
    with pytest.raises(ModelFileError):
        run(replace(asked, reference=options.out / "nothing.gguf"), engine_script)


def test_a_model_is_no_better_than_itself(options: RunOptions, tmp_path: Path) -> None:
    """The real engine: the same model gives the same numbers, bit for bit, so that every reward is zero."""

    class Silent:
        def begin(self, run: Run) -> None:
            assert isinstance(run, Run)

        advance = stand = note = lambda *_, **__: None

    with runner.run(replace(options, limit=8, reference=options.model), Silent()) as stored:
        found = {one.metric.name: one.metric for one in stored.scores() if one.metric.group is None}
        rows = list(stored.rows("preference"))
    assert found["ties_reward"].value == 1
    assert found["log_loss_reward"].value == pytest.approx(math.log(2))
    assert found["agreement_reference"].value == found["agreement_sum"].value
    assert all(row.values["reference_margin_sum"] == row.values["margin_sum"] for row in rows)
    assert len({hashlib.sha256(repr(row.values).encode()).digest() for row in rows}) == 8
