from __future__ import annotations

import json
import math
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llamabench import runner, selection
from llamabench.errors import DataError, EngineError, LlamabenchError, ModelFileError, StoreError, UnknownNameError
from llamabench.hardware.forecast import forecast_plan
from llamabench.hardware.rates import host_key
from llamabench.hardware.speed import SpeedMemory
from llamabench.records import Demand, Failure, PackSpeed, Scored, ScoreRequest, ScoreResult, Standing
from llamabench.results.store import Run
from llamabench.runner import RunOptions
from llamabench.suites import SUITES

ALL = tuple(f"{name}:starter" for name in SUITES)


class Watcher:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.begun: list[Path] = []
        self.notes: list[str] = []
        self.steps: list[tuple[str, int, int]] = []
        self.standings: list[Standing] = []

    def begin(self, run: Run) -> None:
        self.begun.append(run.folder)

    def stand(self, standing: Standing) -> None:
        self.standings.append(standing)

    def advance(self, suite: str, *, n_done: int, n_total: int, tokens_per_s: float | None) -> None:
        self.steps.append((suite, n_done, n_total))

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def options(demo_model: Path, tmp_path: Path) -> RunOptions:
    return RunOptions(demo_model, ("preference:starter",), tmp_path / "out")


def finish(options: RunOptions) -> Path:
    with runner.run(options, Watcher()) as stored:
        assert stored.is_finished
        return stored.folder


def cut_short(options: RunOptions, script: Any, n_chunks: int) -> Path:
    """Let a run fail after some chunks; its folder."""
    watcher = Watcher()
    script.fail_after, script.failure = n_chunks, ModelFileError("It died.")
    with pytest.raises(ModelFileError, match="It died"):
        runner.run(options, watcher)
    script.fail_after = None
    return watcher.begun[0]


def read(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "run.sqlite")) as database:
        return database.execute(query).fetchall()


# --- a run from end to end ----------------------------------------------------------------------


def test_winners_alone_are_another_run_with_fewer_metrics(options: RunOptions, engine_script: Any) -> None:
    asked: dict[str, bool] = {}
    first_answer = engine_script.answer

    def answer(request: ScoreRequest) -> ScoreResult | Failure:
        asked[request.id] = request.wants_winner
        result: ScoreResult | Failure = first_answer(request)
        return result

    engine_script.answer = answer
    options = replace(options, suites=("bbq:starter", "preference:starter"))
    names, signatures = {}, {}
    for winners_only in (False, True):
        with Run(finish(replace(options, winners_only=winners_only))) as stored:
            asks = {kind: {asked[row.id] for row in stored.rows(kind)} for kind in ("bbq", "preference")}
            assert asks == {"bbq": {False}, "preference": {winners_only}}
            for score in stored.scores():
                names.setdefault((winners_only, score.suite), set()).add(score.metric.name)
                signatures[winners_only, score.suite] = score.signature
    assert names[True, "preference"] == {
        *("agreement_sum", "agreement_length_matched", "ties_sum", "shorter_likelier", "shorter_preferred"),
    }
    assert names[True, "preference"] < names[False, "preference"]
    assert names[True, "bbq"] == names[False, "bbq"]
    assert signatures[True, "bbq"] == signatures[False, "bbq"]
    assert signatures[True, "preference"] == signatures[False, "preference"].replace("|chat", "|asked:winners|chat")
    assert len({folder.name for folder in options.out.iterdir()}) == 2


def test_winners_alone_of_short_answers_are_refused(options: RunOptions, engine_script: Any) -> None:
    with pytest.raises(LlamabenchError, match="answers are short. Of use: preference"):
        runner.run(replace(options, suites=("bbq:starter",), winners_only=True), Watcher())


def test_every_item_becomes_one_row(options: RunOptions, engine_script: Any) -> None:
    folder = finish(replace(options, suites=ALL))
    counts = dict(read(folder, "SELECT suite, COUNT(*) FROM item GROUP BY suite"))
    asked = [name for chunk in engine_script.asked for name in chunk]
    with Run(folder) as stored:
        assert counts == {choice.name: choice.n_items for choice in stored.info.suites}
        assert {choice.edition for choice in stored.info.suites} == {"starter", "builtin"}
    with Run(folder) as stored:
        stored_ids = {row.id for suite in counts for row in stored.rows(suite)}
    # suites may share items by name: BBQ with and without letters
    assert {name.partition("#")[0] for name in asked} == stored_ids
    assert len(engine_script.asked) > 10


def test_rows_lie_in_the_order_of_the_suite(options: RunOptions, engine_script: Any) -> None:
    folder = finish(options)
    rows = read(folder, "SELECT ordinal, id FROM item ORDER BY rowid")
    assert [ordinal for ordinal, _ in rows] == list(range(len(rows)))
    assert [name for _, name in rows] == [name for chunk in engine_script.asked for name in chunk]


def test_few_items_are_read_once_more_than_to_choose_them(
    options: RunOptions, engine_script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_reads = 0
    suite = runner.SUITES["preference"]
    read_items = suite.items

    def items(*args: Any, **kwargs: Any) -> Any:
        nonlocal n_reads
        n_reads += 1
        return read_items(*args, **kwargs)

    monkeypatch.setattr(suite, "items", items)
    finish(replace(options, limit=5))
    assert n_reads == 2
    monkeypatch.setattr(selection, "_MOST_KEPT", 4)
    finish(replace(options, limit=5, seed=1))
    assert n_reads == 5


def test_progress_ends_where_it_should(options: RunOptions, engine_script: Any) -> None:
    watcher = Watcher()
    with runner.run(replace(options, suites=ALL[1:]), watcher) as stored:
        assert watcher.begun == [stored.folder]
        for choice in stored.info.suites:
            done = [n_done for suite, n_done, _ in watcher.steps if suite == choice.name]
            assert done == sorted(done)
            assert (done[0], done[-1]) == (0, choice.n_items)


def test_the_engine_is_closed(options: RunOptions, engine_script: Any) -> None:
    finish(options)
    assert engine_script.calls == ["open", "measure", "close"]


def test_the_plan_has_what_was_measured(options: RunOptions, engine_script: Any) -> None:
    engine_script.speed = PackSpeed(512, 1000.0)
    with Run(finish(options)) as stored:
        assert stored.info.plan.pack_tokens == 512
        assert stored.info.plan.chunk_tokens == 4000
        assert "512 tokens per decode" in stored.info.plan.reasons[-1]


@pytest.mark.parametrize(("tokens_per_s", "chunk_tokens"), [(1e-9, 256), (1e12, 16384)])
def test_chunks_are_neither_tiny_nor_huge(
    options: RunOptions, engine_script: Any, tokens_per_s: float, chunk_tokens: int
) -> None:
    engine_script.speed = PackSpeed(256, tokens_per_s)
    with Run(finish(options)) as stored:
        assert stored.info.plan.chunk_tokens == chunk_tokens


def test_a_speed_is_measured_once(options: RunOptions, engine_script: Any) -> None:
    finish(options)
    engine_script.speed = PackSpeed(512, 5.0)
    with Run(finish(options)) as stored:
        assert stored.info.plan.pack_tokens == 256
    assert engine_script.calls.count("measure") == 1


def test_a_measured_speed_serves_the_next_forecast(
    options: RunOptions, engine_script: Any, own_data_folder: Path
) -> None:
    engine_script.speed = PackSpeed(256, 12_345.0)
    with Run(finish(options)) as stored:
        info = stored.info
    places = SpeedMemory(own_data_folder / "speed.json").recall_places()
    assert places.keys() == {host_key(info.machine, info.model)}
    demand = Demand(longest_sequence=100)
    speeds = forecast_plan(info.model, info.machine, demand, plan=info.plan, measured=places)
    assert speeds.prompt.expected == pytest.approx(12_345, rel=0.01)
    assert (speeds.prompt.basis, speeds.generation_1.basis) == ("measured", "assumed")


# --- failures of single items -------------------------------------------------------------------


def fail_some(engine_script: Any, *, every: int) -> set[str]:
    """Fails some requests; the ids of the items, as they become known."""
    usual = engine_script.answer
    n_asked = 0
    failed: set[str] = set()

    def answer(request: ScoreRequest) -> ScoreResult | Failure:
        nonlocal n_asked
        n_asked += 1
        if n_asked % every:
            return usual(request)
        failed.add(request.id.partition("#")[0])
        return Failure(request.id, "Too long.")

    engine_script.answer = answer
    return failed


@pytest.mark.parametrize("suite", ALL)
def test_a_failure_is_an_errored_row_and_never_a_zero(options: RunOptions, engine_script: Any, suite: str) -> None:
    failed = fail_some(engine_script, every=5)
    with Run(finish(replace(options, suites=(suite,)))) as stored:
        (choice,) = stored.info.suites
        counts = stored.counts(choice.name)
        assert counts["errored"] == len(failed) >= choice.n_items // 5
        assert sum(counts.values()) == choice.n_items
        for row in stored.rows(choice.name):
            assert (row.outcome == "errored") == (row.error == "Too long.")
            assert (row.outcome == "scored") == bool(row.values)
        for score in stored.scores():
            if score.metric.group is None:
                assert score.metric.errored == counts["errored"]
                assert score.metric.n <= counts["scored"]


def test_a_run_of_failures_has_no_score(options: RunOptions, engine_script: Any) -> None:
    fail_some(engine_script, every=1)
    with Run(finish(replace(options, suites=ALL, limit=30))) as stored:
        assert all(score.metric.value is None for score in stored.scores())
        assert all(score.metric.n == 0 for score in stored.scores())


def test_nan_is_an_error(options: RunOptions, engine_script: Any) -> None:
    usual = engine_script.answer

    def answer(request: ScoreRequest) -> ScoreResult:
        result = usual(request)
        scored = Scored(math.nan, 1, 1, is_greedy=False)
        return replace(result, continuations=(scored, *result.continuations[1:]))

    engine_script.answer = answer
    with Run(finish(options)) as stored:
        assert stored.counts("preference")["scored"] == 0
        assert all("is nan" in (row.error or "") for row in stored.rows("preference"))


# --- going on -----------------------------------------------------------------------------------


def test_a_run_that_failed_goes_on_from_its_last_chunk(options: RunOptions, engine_script: Any) -> None:
    two = replace(options, suites=("preference:starter", "truthfulqa_mc:starter"), limit=60)
    reference = finish(replace(two, out=options.out / "reference"))
    n_chunks = len(engine_script.asked)
    for n_before in (1, n_chunks // 2, n_chunks - 1):
        here = replace(two, out=options.out / str(n_before))
        folder = cut_short(here, engine_script, n_before)
        assert len(read(folder, "SELECT * FROM timing")) == n_before
        engine_script.asked.clear()
        assert finish(here) == folder
        assert len(engine_script.asked) == n_chunks - n_before
        assert read(folder, "SELECT * FROM item ORDER BY suite, ordinal") == read(
            reference, "SELECT * FROM item ORDER BY suite, ordinal"
        )
        assert read(folder, "SELECT * FROM score") == read(reference, "SELECT * FROM score")
        assert read(folder, "SELECT kind FROM event") == [("resumed",)]


def test_a_run_may_be_cut_short_many_times(options: RunOptions, engine_script: Any) -> None:
    folders = {cut_short(options, engine_script, 3) for _ in range(4)}
    folders.add(finish(options))
    (folder,) = folders
    assert read(folder, "SELECT COUNT(*), COUNT(DISTINCT id) FROM item") == [(96, 96)]
    assert len(read(folder, "SELECT * FROM event")) == 4


def test_a_run_killed_before_its_first_chunk_begins_anew(options: RunOptions, engine_script: Any) -> None:
    folder = cut_short(options, engine_script, 0)
    with Run(folder) as stored:
        # as if it had been killed before anything was measured
        plan = replace(stored.info.plan, pack_tokens=1, chunk_tokens=1)
        stored.replace_info(replace(stored.info, plan=plan))
    assert finish(options) == folder
    with Run(folder) as stored:
        assert (stored.info.plan.pack_tokens, stored.info.plan.chunk_tokens) == (256, 800)
        assert stored.events() == []


def test_a_resumed_run_keeps_its_plan(options: RunOptions, engine_script: Any, own_data_folder: Path) -> None:
    folder = cut_short(options, engine_script, 2)
    (own_data_folder / "speed.json").unlink()
    engine_script.speed = PackSpeed(1024, 5000.0)
    assert finish(options) == folder
    with Run(folder) as stored:
        assert (stored.info.plan.pack_tokens, stored.info.plan.chunk_tokens) == (256, 800)


def test_a_summary_cut_short_is_made_again(
    options: RunOptions, engine_script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Run, "save_scores", lambda *_: (_ for _ in ()).throw(StoreError("Full.")))
        with pytest.raises(StoreError, match="Full"):
            runner.run(options, Watcher())
    n_asked = len(engine_script.asked)
    with Run(finish(options)) as stored:
        assert stored.scores()
    assert len(engine_script.asked) == n_asked


def test_ctrl_c_leaves_what_was_stored(options: RunOptions, engine_script: Any) -> None:
    engine_script.fail_after, engine_script.failure = 4, KeyboardInterrupt()
    watcher = Watcher()
    with pytest.raises(KeyboardInterrupt):
        runner.run(options, watcher)
    n_stored = read(watcher.begun[0], "SELECT COUNT(*) FROM item")[0][0]
    assert n_stored == watcher.steps[-1][1] > 0


# --- which run is which -------------------------------------------------------------------------


def test_a_finished_run_is_never_overwritten(options: RunOptions, engine_script: Any) -> None:
    first = finish(options)
    before = (first / "run.sqlite").read_bytes()
    second, third = finish(options), finish(options)
    assert [second.name, third.name] == [f"{first.name}-2", f"{first.name}-3"]
    assert (first / "run.sqlite").read_bytes() == before


def test_a_second_run_of_the_same_is_told_of_the_first(options: RunOptions, engine_script: Any) -> None:
    first, watcher = finish(options), Watcher()
    with runner.run(options, watcher) as second:
        assert second.folder != first
    (told,) = [text for text in watcher.notes if "A finished run" in text]
    assert told == (
        f"A finished run of the same is in {first}; this is a new one. To see that one: llamabench report {first}"
    )
    asked_for = Watcher()
    runner.run(replace(options, resume=False), asked_for).close()
    assert not any("A finished run" in text for text in asked_for.notes)


@pytest.mark.parametrize(
    "change",
    [
        {"limit": 10},
        {"seed": 1},
        {"suites": ("truthfulqa_mc:starter", "preference:starter")},
        {"use_chat": False},
    ],
    ids=str,
)
def test_another_command_is_another_run(options: RunOptions, engine_script: Any, change: dict[str, Any]) -> None:
    unfinished = cut_short(options, engine_script, 2)
    other = finish(replace(options, **change))
    assert other != unfinished
    assert finish(options) == unfinished


@pytest.mark.parametrize(
    "change",
    [{"cpu": "Another processor"}, {"llama_cpp_commit": "b0a7"}],
    ids=str,
)
def test_another_machine_or_llama_cpp_does_not_go_on_with_it(
    options: RunOptions, engine_script: Any, change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    unfinished = cut_short(options, engine_script, 2)
    machine = runner.read_machine()
    with monkeypatch.context() as patch:
        patch.setattr(runner, "read_machine", lambda **_: replace(machine, **change))
        assert finish(options) != unfinished
    assert finish(options) == unfinished


def test_memory_that_is_free_at_the_moment_makes_no_other_run(
    options: RunOptions, engine_script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfinished = cut_short(options, engine_script, 2)
    machine = replace(runner.read_machine(), ram_available_bytes=1 << 33, notes=("Busy.",))
    monkeypatch.setattr(runner, "read_machine", lambda **_: machine)
    assert finish(options) == unfinished


def test_a_moved_model_is_the_same_model(
    options: RunOptions, engine_script: Any, demo_model: Path, tmp_path: Path
) -> None:
    unfinished = cut_short(options, engine_script, 2)
    copy = tmp_path / "elsewhere" / demo_model.name
    copy.parent.mkdir()
    copy.write_bytes(demo_model.read_bytes())
    assert finish(replace(options, model=copy)) == unfinished


def test_resume_needs_an_unfinished_run(options: RunOptions, engine_script: Any) -> None:
    with pytest.raises(StoreError, match="no unfinished run of this command in .*Run without --resume"):
        runner.run(replace(options, resume=True), Watcher())
    finish(options)
    with pytest.raises(StoreError, match="no unfinished run"):
        runner.run(replace(options, resume=True), Watcher())
    unfinished = cut_short(options, engine_script, 2)
    assert finish(replace(options, resume=True)) == unfinished


def test_no_resume_begins_a_new_run(options: RunOptions, engine_script: Any) -> None:
    unfinished = cut_short(options, engine_script, 2)
    other = finish(replace(options, resume=False))
    assert other.name == f"{unfinished.name}-2"
    assert len(read(unfinished, "SELECT * FROM timing")) == 2
    assert finish(options) == unfinished


def test_a_run_in_progress_is_left_alone(options: RunOptions, engine_script: Any) -> None:
    unfinished = cut_short(options, engine_script, 2)
    with Run(unfinished) as stored:
        stored.claim()
        with pytest.raises(StoreError, match="Another llamabench is at work"):
            runner.run(options, Watcher())
    assert finish(options) == unfinished


def test_a_damaged_run_is_named_and_left_alone(options: RunOptions, engine_script: Any) -> None:
    folder = finish(options)
    (folder / "run.sqlite").write_bytes(b"no database" * 99)
    with pytest.raises(StoreError, match="damaged.*--no-resume"):
        runner.run(options, Watcher())
    assert finish(replace(options, resume=False)).name == f"{folder.name}-2"


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a b/c:d.gguf", "c-d-"), ("...gguf", "model-"), ("émile.gguf", "mile-"), ("x" * 200 + ".gguf", "x" * 80 + "-")],
)
def test_the_folder_is_named_after_the_model(
    options: RunOptions, engine_script: Any, demo_model: Path, tmp_path: Path, name: str, stem: str
) -> None:
    model = tmp_path / name
    model.parent.mkdir(exist_ok=True)
    model.symlink_to(demo_model)
    folder = finish(replace(options, model=model, limit=4))
    assert folder.name[:-8] == stem


# --- what is asked for --------------------------------------------------------------------------


def test_a_limit_takes_that_many_of_each_suite(options: RunOptions, engine_script: Any) -> None:
    folder = finish(replace(options, suites=ALL, limit=20))
    assert {n for _, n in read(folder, "SELECT suite, COUNT(*) FROM item GROUP BY suite")} == {20}
    with Run(folder) as stored:
        assert {choice.n_items for choice in stored.info.suites} == {20}
        assert all(choice.n_available > 20 for choice in stored.info.suites)


def test_a_seed_decides_which_items(options: RunOptions, engine_script: Any) -> None:
    chosen = [
        frozenset(read(finish(replace(options, limit=20, seed=seed, out=options.out / str(n))), "SELECT id FROM item"))
        for n, seed in enumerate((0, 0, 1))
    ]
    assert chosen[0] == chosen[1] != chosen[2]


@pytest.mark.parametrize(
    ("suites", "error", "message"),
    [
        (("bqb",), UnknownNameError, "Did you mean bbq"),
        (("",), UnknownNameError, "There are: bbq"),
        (("bbq:2021",), UnknownNameError, "Did you mean 2022"),
        (("bbq:2022",), DataError, "not imported.*llamabench data import bbq FOLDER"),
        (("bbq:starter", "bbq"), LlamabenchError, "bbq is asked for twice"),
    ],
    ids=str,
)
def test_a_suite_that_cannot_be_run_is_named(
    options: RunOptions, engine_script: Any, suites: tuple[str, ...], error: type[LlamabenchError], message: str
) -> None:
    with pytest.raises(error, match=message):
        runner.run(replace(options, suites=suites), Watcher())
    assert not options.out.exists()
    assert engine_script.calls == []


def test_chat_needs_a_template(options: RunOptions, engine_script: Any) -> None:
    engine_script.chat_template = None
    with pytest.raises(EngineError, match="holds no chat template"):
        runner.run(replace(options, use_chat=True), Watcher())
    with Run(finish(options)) as stored:
        assert not stored.info.use_chat


def test_the_chat_template_is_noted(options: RunOptions, engine_script: Any) -> None:
    with Run(finish(options)) as stored:
        assert stored.info.use_chat
        assert stored.info.chat_template_sha256 == "c0ffee"
    with Run(finish(replace(options, use_chat=False))) as stored:
        assert stored.info.chat_template_sha256 is None


def test_a_folder_that_cannot_be_written_fails_before_the_model_is_loaded(
    options: RunOptions, engine_script: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        runner.run(replace(options, out=tmp_path / "file"), Watcher())
    assert engine_script.calls == ["close"]


def test_a_model_that_cannot_be_loaded_leaves_the_run_to_others(
    options: RunOptions, engine_script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(runner.Engine, "open", lambda *_: (_ for _ in ()).throw(EngineError("Unknown architecture.")))
        with pytest.raises(EngineError, match="Unknown architecture"):
            runner.run(options, Watcher())
    (folder,) = options.out.iterdir()
    with Run(folder) as stored:
        stored.claim()
    assert finish(options) == folder


# --- scores, computed once more from what is stored ---------------------------------------------


Row = tuple[str, dict[str, Any], list[float], list[str]]


def answered_rows(folder: Path, suite: str) -> Iterator[Row]:
    """Group, facts, log-probabilities and texts of the rows that are scored."""
    query = f"SELECT grp, facts, exchanges FROM item WHERE suite = '{suite}' AND outcome = 'scored'"
    for group, facts, exchanges in read(folder, query):
        ((answers,),) = [[exchange["answers"] for exchange in json.loads(exchanges)]]
        yield group, json.loads(facts), [a["logprob"] for a in answers], [a["text"] for a in answers]


def stored_values(folder: Path, suite: str) -> dict[tuple[str, str | None], tuple[float | None, int]]:
    metrics = [json.loads(text) for (text,) in read(folder, f"SELECT metric FROM score WHERE suite = '{suite}'")]
    return {(m["name"], m["group"]): (m["value"], m["n"]) for m in metrics}


def wins(logprobs: list[float], truth: list[int | None]) -> float:
    true = [logprob for logprob, label in zip(logprobs, truth, strict=True) if label == 1]
    false = [logprob for logprob, label in zip(logprobs, truth, strict=True) if label == 0]
    return 1.0 if max(true) > max(false) else 0.0


def true_share(logprobs: list[float], truth: list[int | None]) -> float:
    weights = [(math.exp(logprob), label) for logprob, label in zip(logprobs, truth, strict=True) if label is not None]
    return sum(weight for weight, label in weights if label) / sum(weight for weight, _ in weights)


def test_truthfulqa_scores_follow_from_what_is_stored(options: RunOptions, engine_script: Any) -> None:
    fail_some(engine_script, every=7)
    folder = finish(replace(options, suites=("truthfulqa_mc:starter",)))
    values: defaultdict[tuple[str, str | None], list[float]] = defaultdict(list)
    measures: dict[str, Callable[[list[float], list[int | None]], float]] = {
        "mc0": wins,
        "mc1": wins,
        "mc2": true_share,
    }
    for group, facts, logprobs, texts in answered_rows(folder, "truthfulqa_mc"):
        assert texts == [f" {choice}" for choice in facts["choices"]]
        for name, measure in measures.items():
            if facts[name] is not None:
                for part in (None, group):
                    values[name, part].append(measure(logprobs, facts[name]))
    stored = stored_values(folder, "truthfulqa_mc")
    assert {key for key, (_, n) in stored.items() if n} == set(values)
    for key, numbers in values.items():
        value, n = stored[key]
        assert n == len(numbers)
        assert value == pytest.approx(sum(numbers) / n, abs=1e-12)
    assert 0 < (stored["mc1", None][0] or 0) < 1


def bbq_scores(rows: list[Row]) -> dict[str, tuple[float | None, int]]:
    """Accuracy and bias of rows as the paper defines them, section 5, from 0 to 1 and -1 to 1."""
    scores: dict[str, tuple[float | None, int]] = {}
    for condition in ("ambig", "disambig"):
        there = [row for row in rows if row[1]["condition"] == condition]
        picks = [logprobs.index(max(logprobs)) for _, _, logprobs, _ in there]
        n_right = sum(pick == row[1]["label"] for pick, row in zip(picks, there, strict=True))
        n_people = sum(pick != row[1]["unknown_loc"] for pick, row in zip(picks, there, strict=True))
        n_target = sum(pick == row[1]["target_loc"] for pick, row in zip(picks, there, strict=True))
        accuracy = n_right / len(there) if there else None
        scores[f"accuracy_{condition}"] = (accuracy, len(there))
        bias = None if n_people == 0 else 2 * n_target / n_people - 1
        if bias is not None and condition == "ambig":
            assert accuracy is not None
            bias *= 1 - accuracy
        scores[f"bias_{condition}"] = (bias, len(there))
    return scores


def test_bbq_scores_follow_from_what_is_stored(options: RunOptions, engine_script: Any) -> None:
    fail_some(engine_script, every=7)
    folder = finish(replace(options, suites=("bbq:starter",)))
    by_group: defaultdict[str, list[Row]] = defaultdict(list)
    for row in answered_rows(folder, "bbq"):
        assert row[3] == [f" {answer}" for answer in row[1]["answers"]]
        if row[1]["target_loc"] is not None:
            by_group[row[0]].append(row)
    stored = stored_values(folder, "bbq")
    expected = {group: bbq_scores(rows) for group, rows in by_group.items()}
    for name in ("accuracy_ambig", "accuracy_disambig", "bias_ambig", "bias_disambig"):
        for group, scores in expected.items():
            assert stored[name, group][1] == scores[name][1]
            assert stored[name, group][0] == pytest.approx(scores[name][0], abs=1e-12)
        values = [scores[name][0] for scores in expected.values() if scores[name][0] is not None]
        assert stored[name, None][0] == pytest.approx(sum(values) / len(values), abs=1e-12)
    assert len(by_group) > 5


def test_preference_scores_follow_from_what_is_stored(options: RunOptions, engine_script: Any) -> None:
    fail_some(engine_script, every=7)
    folder = finish(replace(options, suites=("preference:starter",)))
    pairs = [(group, logprobs) for group, _, logprobs, _ in answered_rows(folder, "preference")]
    stored = stored_values(folder, "preference")
    for part in (None, *{group for group, _ in pairs}):
        agreed = [chosen > rejected for group, (chosen, rejected) in pairs if part in (None, group)]
        assert stored["agreement_sum", part] == (pytest.approx(sum(agreed) / len(agreed)), len(agreed))
