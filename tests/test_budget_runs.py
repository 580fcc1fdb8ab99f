"""Runs with a budget, from the command to what is stored, by a clock that the test moves."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llamabench import runner, suite_runs
from llamabench.errors import LlamabenchError
from llamabench.records import Budget, PackSpeed, ScoreRequest, Standing, SuiteEnd
from llamabench.report.views import build_score_view
from llamabench.results.store import Run
from llamabench.runner import RunOptions
from llamabench.suites import SUITES

CHUNK_S = 4.0


class Watcher:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.standings: list[Standing] = []
        self.suites: list[str] = []
        self.begun: Run | None = None

    def begin(self, run: Run) -> None:
        self.begun = run

    def stand(self, standing: Standing) -> None:
        self.standings.append(standing)

    def advance(self, suite: str, *, n_done: int, n_total: int, tokens_per_s: float | None) -> None:
        self.suites.append(suite)

    def note(self, text: str) -> None: ...


@dataclass
class Clock:
    """Time that passes while the engine is waited for."""

    now: float = 5000.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(engine_script: Any, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    wait = runner.Engine.wait

    def wait_a_chunk(self: Any, future: Any) -> Any:
        clock.now += CHUNK_S
        return wait(self, future)

    for module in (runner, suite_runs):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(runner.Engine, "wait", wait_a_chunk)
    # chunks of an item or two
    engine_script.speed = PackSpeed(256, 1e-9)
    return clock


@pytest.fixture
def options(demo_model: Path, tmp_path: Path, clock: Clock) -> RunOptions:
    return RunOptions(demo_model, ("bbq:starter",), tmp_path / "out", budget=Budget(60))


def finish(options: RunOptions) -> Path:
    with runner.run(options, Watcher()) as stored:
        assert stored.is_finished
        return stored.folder


def read(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "run.sqlite")) as database:
        return database.execute(query).fetchall()


def count(folder: Path) -> dict[str, int]:
    return dict(read(folder, "SELECT suite, COUNT(*) FROM item GROUP BY suite"))


# --- time ---------------------------------------------------------------------------------------


def test_a_run_ends_in_time_with_a_fair_sample(options: RunOptions, clock: Clock) -> None:
    began = clock.now
    folder = finish(options)
    assert 60 <= clock.now - began < 60 + CHUNK_S
    with Run(folder) as stored:
        assert stored.info.ends == (SuiteEnd("bbq", "time"),)
        (choice,) = stored.info.suites
        n_done, n_all = count(folder)["bbq"], choice.n_items
        assert 10 < n_done < n_all == choice.n_available
        groups = Counter(row.group for row in stored.rows("bbq"))
        of_all = Counter(item.group for item in SUITES["bbq"].items(runner.find_suite("bbq")[1], use_chat=False))
        for group, size in of_all.items():
            # within a draw of the share, and the last draw may be cut
            assert abs(groups[group] - size * n_done / n_all) <= 8
        (event,) = [event for event in stored.events() if event.kind == "budget"]
        assert event.text == f"bbq ended when its share of the time was over: {n_done} of {n_all} items were run."
        assert f"|n:{n_done}|seed:0|order:drawn|" in stored.scores()[0].signature


def test_the_report_says_what_was_not_run(options: RunOptions, clock: Clock) -> None:
    with runner.run(replace(options, suites=("bbq:starter", "preference:starter"), limit=90), Watcher()) as stored:
        view = build_score_view(stored, SUITES)
        banners = {banner.title: banner.text for banner in view.banners}
        counts = count(stored.folder)
        text = banners["Ended by its budget: 1\u00a0min 00\u00a0s"]
        for name in ("bbq", "preference"):
            assert f"{SUITES[name].TITLE}: {counts[name]} of 90\u00a0items, its time was over" in text
        assert "A subset of the items" in banners
        assert "Unfinished run" not in banners
        assert ("Budget", "1\u00a0min 00\u00a0s") in {(pair.name, pair.value) for pair in view.settings[0].pairs}


def test_suites_share_the_time_and_what_one_leaves(options: RunOptions, clock: Clock) -> None:
    watcher = Watcher()
    three = replace(options, suites=("truthfulqa_mc:starter", "bbq:starter", "preference:starter"), budget=Budget(120))
    with runner.run(three, watcher) as stored:
        seconds = stored.timings()
        assert all(seconds[name] == pytest.approx(40, abs=CHUNK_S) for name in seconds)
        assert [choice.name for choice in stored.info.suites] == ["truthfulqa_mc", "bbq", "preference"]
    few = replace(three, limit=4, out=options.out / "few")
    with runner.run(few, Watcher()) as stored:
        assert stored.info.ends == ()
        assert all(sum(stored.counts(choice.name).values()) == 4 for choice in stored.info.suites)
    cheapest_first = list(dict.fromkeys(watcher.suites))
    assert sorted(cheapest_first) == ["bbq", "preference", "truthfulqa_mc"]
    assert cheapest_first[-1] == "truthfulqa_mc", "its primer makes it the largest"


def test_more_time_goes_on_and_the_same_time_is_a_new_run(options: RunOptions, clock: Clock) -> None:
    first = finish(options)
    n_first = count(first)["bbq"]
    again = finish(options)
    assert again.name == f"{first.name}-2"
    assert count(again)["bbq"] == n_first
    began = clock.now
    assert finish(replace(options, budget=Budget(100))) == first
    assert clock.now - began == pytest.approx(40, abs=2 * CHUNK_S), "the time of the first session counts"
    assert count(first)["bbq"] > n_first
    with Run(first) as stored:
        assert stored.info.budget == Budget(100)
        assert "went on with more of a budget" in next(e.text for e in stored.events() if e.kind == "resumed")


def test_a_run_in_pieces_is_the_run_in_one(options: RunOptions, clock: Clock) -> None:
    pieces = [finish(replace(options, limit=100, budget=Budget(seconds))) for seconds in (20, 50, 1e6)]
    whole = finish(replace(options, limit=100, budget=Budget(1e6), out=options.out / "whole"))
    (folder,) = set(pieces)
    for query in ("SELECT * FROM item ORDER BY ordinal", "SELECT * FROM score"):
        assert read(folder, query) == read(whole, query)
    assert count(folder) == {"bbq": 100}
    with Run(folder) as stored:
        assert stored.info.ends == ()
        assert "Ended by its budget" not in " ".join(b.title for b in build_score_view(stored, SUITES).banners)


def test_a_whole_run_with_a_budget_asks_each_item_once(options: RunOptions, engine_script: Any) -> None:
    folder = finish(replace(options, budget=Budget(1e6)))
    asked = [name for chunk in engine_script.asked for name in chunk]
    assert len(asked) == len(set(asked)) == count(folder)["bbq"]
    assert [name for (name,) in read(folder, "SELECT id FROM item ORDER BY ordinal")] == asked
    assert asked != [item.id for item in SUITES["bbq"].items(runner.find_suite("bbq")[1], use_chat=False)]


def test_items_too_many_to_keep_are_visited_in_the_same_order(
    options: RunOptions, engine_script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = []
    for most_kept in (1000, 3):
        monkeypatch.setattr("llamabench.selection._MOST_KEPT", most_kept)
        folder = finish(replace(options, budget=Budget(1e6), limit=50, out=options.out / str(most_kept)))
        rows.append(read(folder, "SELECT * FROM item ORDER BY ordinal"))
    assert rows[0] == rows[1]


def test_a_budget_without_a_limit_begins_like_one_with_it(options: RunOptions, clock: Clock) -> None:
    short, limited = (finish(replace(options, budget=Budget(s), limit=n)) for s, n in ((60, None), (1e6, 12)))
    first = read(short, "SELECT id FROM item ORDER BY ordinal LIMIT 12")
    assert first == read(limited, "SELECT id FROM item ORDER BY ordinal")


def test_a_run_without_a_budget_is_another_run(options: RunOptions, clock: Clock) -> None:
    with_budget = finish(replace(options, limit=20))
    without = finish(replace(options, limit=20, budget=None))
    assert with_budget.name != without.name
    with Run(without) as stored:
        assert "order" not in stored.scores()[0].signature


def test_time_that_was_over_before_anything_was_asked(
    options: RunOptions, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = runner.Engine.open

    def open_slowly(self: Any, plan: Any) -> Any:
        clock.now += 61
        return opened(self, plan)

    with monkeypatch.context() as patch:
        patch.setattr(runner.Engine, "open", open_slowly)
        with pytest.raises(LlamabenchError, match="over before anything was asked"):
            runner.run(options, Watcher())
    (folder,) = options.out.iterdir()
    assert finish(replace(options, budget=Budget(70))) == folder


def test_a_suite_without_time_has_no_scores_and_is_named(options: RunOptions, clock: Clock) -> None:
    two = replace(options, suites=("bbq:starter", "truthfulqa_mc:starter"), budget=Budget(3.5))
    with runner.run(two, Watcher()) as stored:
        assert len(stored.info.ends) == 2
        (missing,) = {choice.name for choice in stored.info.suites} - set(count(stored.folder))
        assert {score.suite for score in stored.scores()}.isdisjoint({missing})
        text = next(b.text for b in build_score_view(stored, SUITES).banners if b.title.startswith("Ended"))
        assert f"{SUITES[missing].TITLE}: not run, its time was over" in text


def test_a_small_suite_is_no_single_chunk(options: RunOptions, engine_script: Any) -> None:
    engine_script.speed = PackSpeed(256, 1e6)
    for budget, n_chunks in ((Budget(1e6), 8), (None, 1)):
        engine_script.asked.clear()
        finish(replace(options, suites=("preference:starter",), budget=budget))
        assert len(engine_script.asked) == n_chunks


# --- precision ----------------------------------------------------------------------------------


def test_a_run_stops_when_it_knows_enough(options: RunOptions, clock: Clock) -> None:
    precise = replace(options, suites=("preference:starter",), budget=Budget(None, 0.2))
    with runner.run(precise, Watcher()) as stored:
        assert stored.info.ends == (SuiteEnd("preference", "precision"),)
        n_done = count(stored.folder)["preference"]
        assert 10 < n_done < 96
        scores = {(s.metric.name, s.metric.group): s.metric for s in stored.scores()}
        main = scores["agreement_sum", None]
        assert main.value is not None
        assert main.low is not None
        assert main.high is not None
        assert main.low <= main.value <= main.high
        assert main.high - main.low <= 0.4
        assert "valid under repeated looking" in main.method
        for metric in scores.values():
            assert "Wilson" not in metric.method
            assert "valid under repeated looking" in metric.method or metric.low is metric.high is None
        view = build_score_view(stored, SUITES)
        text = next(banner.text for banner in view.banners if banner.title.startswith("Ended by its budget"))
        assert f"{n_done} of 96\u00a0items, known well enough" in text
        assert "about the score that all items would give" in text


def test_a_suite_that_is_never_known_well_enough_is_run_whole(options: RunOptions, clock: Clock) -> None:
    precise = replace(options, suites=("preference:starter",), budget=Budget(None, 1e-6))
    with runner.run(precise, Watcher()) as stored:
        assert stored.info.ends == ()
        assert count(stored.folder) == {"preference": 96}
        assert next(s.metric.method for s in stored.scores()) == "Wilson"


def test_more_precision_goes_on(options: RunOptions, clock: Clock) -> None:
    rough, fine = (replace(options, suites=("preference:starter",), budget=Budget(None, p)) for p in (0.25, 0.15))
    folder = finish(rough)
    n_rough = count(folder)["preference"]
    assert finish(fine) == folder
    assert n_rough < count(folder)["preference"] < 96


def test_whichever_comes_first_ends_it(options: RunOptions, clock: Clock) -> None:
    both = replace(options, suites=("preference:starter",))
    with runner.run(replace(both, budget=Budget(40, 0.01)), Watcher()) as stored:
        assert stored.info.ends == (SuiteEnd("preference", "time"),)
        # it was looked at all along, and might have stopped
        assert "valid under repeated looking" in stored.scores()[0].metric.method
    with runner.run(replace(both, budget=Budget(1e6, 0.2), out=options.out / "b"), Watcher()) as stored:
        assert stored.info.ends == (SuiteEnd("preference", "precision"),)


def test_precision_alone_is_refused_where_it_ends_nothing(options: RunOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SUITES["bbq"], "MEAN_METRICS", ())
    with pytest.raises(LlamabenchError, match="--precision ends none of these suites.*Of use: .*preference"):
        runner.run(replace(options, budget=Budget(None, 0.1)), Watcher())


def test_progress_tells_the_interval_and_the_time_left(options: RunOptions, clock: Clock) -> None:
    watcher = Watcher()
    with runner.run(replace(options, suites=("preference:starter",)), watcher):
        left = [standing.seconds_left for standing in watcher.standings]
        assert left == sorted(left, reverse=True)
        assert 0 <= left[-1] < left[0] < 60
        widths = [s.high - s.low for s in watcher.standings if s.high is not None and s.low is not None]
        assert widths[-1] < 0.7 * widths[0]
        assert {standing.metric for standing in watcher.standings} == {"agreement_sum"}


# --- with everything else -----------------------------------------------------------------------


def test_an_audit_takes_of_what_was_run(options: RunOptions, clock: Clock) -> None:
    with runner.run(replace(options, n_audited=7), Watcher()) as stored:
        (audit,) = stored.audits()
        assert (audit.n_items, audit.n_failed, audit.n_changed) == (7, 0, 0)
        assert stored.info.ends == (SuiteEnd("bbq", "time"),)


def test_a_suite_that_was_not_run_is_not_audited(options: RunOptions, clock: Clock) -> None:
    two = replace(options, suites=("bbq:starter", "truthfulqa_mc:starter"), budget=Budget(3.5), n_audited=3)
    with runner.run(two, Watcher()) as stored:
        assert [audit.suite for audit in stored.audits()] == list(count(stored.folder))


def test_winners_alone_can_be_known_well_enough(options: RunOptions, engine_script: Any, clock: Clock) -> None:
    precise = replace(options, suites=("preference:starter",), budget=Budget(None, 0.2), winners_only=True)
    asked: list[bool] = []
    answer: Callable[[ScoreRequest], Any] = engine_script.answer

    def note(request: ScoreRequest) -> Any:
        asked.append(request.wants_winner)
        return answer(request)

    engine_script.answer = note
    with runner.run(precise, Watcher()) as stored:
        assert all(asked)
        assert stored.info.ends == (SuiteEnd("preference", "precision"),)
        names = {score.metric.name for score in stored.scores()}
        assert {"agreement_sum", "ties_sum"} <= names <= set(SUITES["preference"].WINNER_METRICS)


@pytest.mark.parametrize("budget", [Budget(60), Budget(None, 0.2)], ids=["time", "precision"])
def test_ctrl_c_and_the_same_command_again(
    options: RunOptions, engine_script: Any, clock: Clock, budget: Budget
) -> None:
    here = replace(options, suites=("preference:starter",), budget=budget)
    reference = finish(replace(here, out=options.out / "reference"))
    engine_script.fail_after, engine_script.failure = 5, KeyboardInterrupt()
    began = clock.now
    with pytest.raises(KeyboardInterrupt):
        runner.run(here, Watcher())
    engine_script.fail_after = None
    folder = finish(here)
    assert len(list(options.out.iterdir())) == 2
    if budget.time_s is None:
        query = "SELECT * FROM item ORDER BY ordinal"
        assert read(folder, query) == read(reference, query)
        assert read(folder, "SELECT * FROM score") == read(reference, "SELECT * FROM score")
    else:
        # what was under way when it was interrupted is lost
        assert clock.now - began <= 60 + 3 * CHUNK_S
        n_done, n_reference = count(folder)["preference"], count(reference)["preference"]
        assert n_reference - 6 <= n_done <= n_reference + 3


def test_a_run_that_fails_after_it_went_on_is_unfinished(options: RunOptions, engine_script: Any, clock: Clock) -> None:
    folder = finish(options)
    engine_script.fail_after, engine_script.failure = 2, KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        runner.run(replace(options, budget=Budget(120)), Watcher())
    engine_script.fail_after = None
    with Run(folder) as stored:
        assert not stored.is_finished
        assert stored.info.ends == ()
    assert finish(replace(options, budget=Budget(120))) == folder


# --- the command line ---------------------------------------------------------------------------


@pytest.fixture
def command(
    in_tmp_path: Path, capsys: pytest.CaptureFixture[str], demo_model: Path, clock: Clock
) -> Callable[..., Any]:
    from llamabench.cli.main import run_command_line

    def call(*options: str) -> Any:
        code = run_command_line(["run", str(demo_model), "--suite", "preference:starter", *options])
        return SimpleNamespace(code=code, **capsys.readouterr()._asdict())

    return call


def test_a_budget_from_the_command_line(command: Callable[..., Any]) -> None:
    done = command("--time-budget", "1m")
    assert done.code == 0
    assert "Ended by its budget" in next(Path("llamabench-runs").glob("*/score.html")).read_text(encoding="utf-8")
    assert re.search(r"\d+ of 96 starter items", done.out)
    assert "its time was over" in " ".join(done.out.split())
    assert re.search(r"agreement_sum \d+\.\d to \d+\.\d %, \d+\.?\d*\u00a0s left", done.err)
    assert "?" not in done.err.split("agreement_sum")[1]


def test_the_document_names_budget_and_ends(command: Callable[..., Any]) -> None:
    import json

    document = json.loads(command("--precision", "0.2", "--time-budget", "1h", "--json", "--quiet").out)
    assert document["run"]["budget"] == {"time_s": 3600.0, "precision": 0.2}
    assert document["run"]["ended_early"] == [{"suite": "preference", "reason": "precision"}]
    assert document["run"]["finished"] is True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--time-budget", "20"), "'20' is no time. Write 90s, 20m or 1h30m."),
        (("--time-budget", "0s"), "'0s' is no time"),
        (("--time-budget", "soon"), "'soon' is no time"),
        (("--precision", "0"), "0.0 is not in the range"),
        (("--precision", "2"), "2.0 is not in the range"),
    ],
    ids=str,
)
def test_a_budget_that_is_none(command: Callable[..., Any], options: tuple[str, ...], message: str) -> None:
    done = command(*options)
    assert done.code == 2
    assert message in " ".join(done.err.split())
