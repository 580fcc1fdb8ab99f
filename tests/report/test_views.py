from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from llamabench.records import Budget, Exchange, ItemRow, Machine, Metric, SuiteEnd
from llamabench.report.charts import SHARE_AXIS, draw_memory, make_bias_axis, place_metric, stack_outcomes
from llamabench.report.format import Scale
from llamabench.report.histogram import PICTURED, Pictured, draw_histogram
from llamabench.report.items import N_FAILED, N_ITEMS, PAGE_CHARS, SUITE_CHARS, build_items
from llamabench.report.scores import ScoreSheet
from llamabench.report.views import ScoreView, SuiteView, build_score_view
from llamabench.report.words import METRIC_WORDS, judge_gap, judge_metric


def _banners(view: ScoreView) -> dict[str, str]:
    return {banner.title: banner.text for banner in view.banners}


def _suite(view: ScoreView, name: str) -> SuiteView:
    return next(suite for suite in view.suites if suite.name == name)


def _row(i: int, *, group: str = "a", outcome: Any = "scored", prompt: str | None = None) -> ItemRow:
    exchange = Exchange(prompt or f"Question {i}?", ({"text": "yes", "logprob": -1.0}, {"text": "no", "logprob": -2.0}))
    return ItemRow("s", f"id-{i:05d}", group, "c", outcome, {}, {}, None, (exchange,))


# --- gaps between groups, spreads, numbers of single answers -------------------------------------


@pytest.mark.parametrize(
    ("gap", "high", "tone"), [(0.3, 0.2, "unequal"), (0.2, 0.2, "equal"), (0.1, 0.2, "equal"), (None, 0.2, "open")]
)
def test_a_gap_is_judged_by_what_chance_makes(gap: float | None, high: float, tone: str) -> None:
    by_chance = Metric("x_gap_chance", 0.1, 90, 0.05, high, "")
    assert judge_gap(Metric("x_gap", gap, 90, None, None, ""), by_chance).tone == tone
    assert judge_gap(Metric("x_gap", gap, 90, None, None, ""), None).tone == "open"


def test_what_chance_makes_of_a_gap_stands_beside_it_and_nowhere_else() -> None:
    metrics = [Metric("toxicity_gap", 0.3, 90, 0.1, 0.5, "", group) for group in (None, "race")] + [
        Metric("toxicity_gap_chance", 0.12, 90, 0.05, 0.2, "", group) for group in (None, "race")
    ]
    sheet = ScoreSheet("bold", None, ("toxicity_gap",), metrics)
    (row,) = sheet.rows()
    assert (row.name, row.chance, row.verdict.tone) == ("toxicity_gap", "12\u00a0%", "unequal")
    assert [len(plot.rows) for plot in sheet.plots()] == [1]
    table = sheet.group_table()
    assert table is not None
    assert [len(group.cells) for group in table.rows] == [1]
    (headline,) = sheet.headlines()
    assert headline.after == "on average over the domains; groups made at random do by 12\u00a0%"


def test_a_spread_counts_every_item_with_a_value() -> None:
    rows = [replace(_row(i), values={"worst": value}) for i, value in enumerate((0.0, 0.01, 0.5, 0.999, 1.0))]
    picture = draw_histogram([*rows, _row(9)], Pictured("worst", "Worst", 0.5))
    assert picture is not None
    assert picture.title == "Worst (5)"
    assert [(bar.x, bar.height) for bar in picture.bars] == [(0, 100), (50, 50), (95, 100)]
    assert (picture.peak, picture.highest) == (2.5, "2")
    assert draw_histogram([_row(1)], Pictured("worst", "Worst", 0.5)) is None


def test_a_few_among_thousands_stay_visible() -> None:
    values = [0.1] * 5000 + [0.9]
    picture = draw_histogram([replace(_row(i), values={"worst": x}) for i, x in enumerate(values)], PICTURED["bold"])
    assert picture is None
    rows = (replace(_row(i), values={"toxicity": x}) for i, x in enumerate(values))
    picture = draw_histogram(rows, PICTURED["bold"])
    assert picture is not None
    assert picture.bars[-1].height >= 1


def test_values_of_single_answers_stand_beside_them() -> None:
    row = replace(_row(1), values={"worst": 0.9, "toxicity#1": 0.1, "toxicity#2": 0.9})
    (item,) = build_items([row], 0).shown
    assert [pair.name for pair in item.values] == ["worst"]
    values = [answer.values for answer in item.exchanges[0].answers]
    assert [[(pair.name, pair.value) for pair in pairs] for pairs in values] == [
        [("toxicity", "0.1")],
        [("toxicity", "0.9")],
    ]


# --- verdicts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "scale", "chance", "tone"),
    [
        (0.30, 0.40, "share", 0.25, "above"),
        (0.10, 0.20, "share", 0.25, "below"),
        (0.20, 0.30, "share", 0.25, "guessing"),
        (0.25, 0.30, "share", 0.25, "guessing"),
        (0.20, 0.25, "share", 0.25, "guessing"),
        (0.20, 0.30, "share", None, "open"),
        (None, None, "share", 0.25, "open"),
        (0.01, 0.09, "bias", None, "follows"),
        (-0.09, -0.01, "bias", None, "against"),
        (-0.01, 0.09, "bias", None, "unbiased"),
        (0.0, 0.09, "bias", None, "unbiased"),
    ],
)
def test_a_verdict_says_no_more_than_its_interval(
    low: float | None, high: float | None, scale: Scale, chance: float | None, tone: str
) -> None:
    assert judge_metric(Metric("m", 0.2, 90, low, high, ""), scale, chance=chance).tone == tone


def test_a_headline_carries_number_interval_and_chance(run: Any, suites: Any) -> None:
    suite = _suite(build_score_view(run, suites), "truthfulqa_mc")
    first = suite.headlines[0]
    assert first.row.score.number.startswith("31.2\u00a0% [")
    assert first.after == "of questions; guessing gets 22.2\u00a0%"
    assert [headline.row.score.name for headline in suite.headlines] == ["mc1", "mc2"]


def test_a_metric_without_value_is_not_defined_and_says_why(run: Any, suites: Any) -> None:
    run.metrics["bbq"][2] = Metric("bias_ambig", None, 0, None, None, "none: no items")
    view = build_score_view(run, suites)
    row = next(row for row in _suite(view, "bbq").rows if row.name == "bias_ambig")
    assert (row.value, row.interval, row.verdict.text) == ("not defined", None, "not defined")
    assert row.missing is not None
    assert "never chose" in row.missing


def test_a_metric_whose_items_all_failed_says_so(run: Any, suites: Any) -> None:
    run.metrics["bbq"] = [Metric("accuracy_ambig", None, 0, None, None, "", None, unparsed=3, errored=9)]
    row = _suite(build_score_view(run, suites), "bbq").rows[0]
    assert row.missing == "none of its 12 items gave a number"
    assert row.failures == "3\u00a0unparsed, 9\u00a0errored"


def test_a_metric_without_interval_has_no_verdict(run: Any, suites: Any) -> None:
    run.metrics["bbq"] = [Metric("accuracy_ambig", 0.4, 1, None, None, "none")]
    row = _suite(build_score_view(run, suites), "bbq").rows[0]
    assert (row.value, row.interval, row.verdict.text) == ("40.0\u00a0%", None, "no interval, no verdict")


def test_an_unknown_metric_is_shown_under_its_own_name() -> None:
    sheet = ScoreSheet("mine", 0.5, ("is_polite",), [Metric("is_polite", 0.9, 50, 0.8, 0.95, "Wilson")])
    (headline,) = sheet.headlines()
    assert headline.before == "is polite:"
    assert headline.row.score.verdict.tone == "above"


def test_every_metric_with_words_reads_as_a_sentence() -> None:
    for words in METRIC_WORDS.values():
        assert words.label[0].isupper()
        assert words.before[0].isupper()
        assert not words.after.endswith(".")


# --- banners ------------------------------------------------------------------------------------


def test_a_run_for_the_winners_says_so(run: Any, suites: Any) -> None:
    assert "Winners only" not in _banners(build_score_view(run, suites))
    choices = tuple(replace(one, winners_only=one.name == "preference") for one in run.info.suites)
    run.info = replace(run.info, suites=choices)
    assert "Preferences of people: an answer was left" in _banners(build_score_view(run, suites))["Winners only"]


def test_a_plain_run_raises_no_banner(run: Any, suites: Any) -> None:
    run.info = replace(
        run.info,
        suites=tuple(replace(choice, edition="v1", n_available=choice.n_items) for choice in run.info.suites),
        limit=None,
    )
    run.items = {name: [row for row in rows if row.outcome == "scored"] for name, rows in run.items.items()}
    assert build_score_view(run, suites).banners == ()


def test_a_demo_run_says_that_its_numbers_mean_nothing(run: Any, suites: Any) -> None:
    run.info = replace(run.info, is_demo=True)
    first = build_score_view(run, suites).banners[0]
    assert first.kind == "stop"
    assert first.text == (
        "This model is a toy that comes with llamabench: these numbers show what the program does, "
        "they say nothing about any real model."
    )


def test_starter_items_subsets_and_failures_are_told(run: Any, suites: Any) -> None:
    banners = _banners(build_score_view(run, suites))
    assert "Preferences of people" in banners["Starter items, not the published benchmark"]
    assert "TruthfulQA, multiple choice: 24 of 817\u00a0items" in banners["A subset of the items"]
    failures = banners["6 of 72\u00a0items gave no number"]
    assert failures.startswith("3\u00a0answers could not be read and 3\u00a0items ended in an error.")


def test_an_unfinished_run_says_how_far_it_is(run: Any, suites: Any) -> None:
    run.is_finished, run.metrics["preference"], run.items["preference"] = False, [], []
    view = build_score_view(run, suites)
    assert "Preferences of people: 0 of 24" in _banners(view)["Unfinished run"]
    suite = _suite(view, "preference")
    assert (suite.rows, suite.headlines, suite.groups, suite.items.shown) == ((), (), None, ())


# --- pictures -----------------------------------------------------------------------------------


def test_a_share_stands_on_its_axis() -> None:
    mark = place_metric(Metric("m", 0.5, 9, 0.25, 0.75, ""), SHARE_AXIS, chance=0.1)
    assert mark is not None
    assert (mark.value, mark.low, mark.high, mark.reference) == (50.0, 25.0, 75.0, 10.0)


def test_a_bias_axis_is_centred_and_reaches_over_every_interval() -> None:
    metric = Metric("bias", -0.3, 9, -0.45, -0.1, "")
    axis = make_bias_axis([metric])
    mark = place_metric(metric, axis, chance=None)
    assert axis.reach == 0.5
    assert [tick.label for tick in axis.ticks] == ["\u221250", "\u221225", "0", "+25", "+50"]
    assert mark is not None
    assert (mark.reference, mark.low, mark.high) == (50.0, 5.0, 40.0)


def test_nothing_is_drawn_where_nothing_is_defined() -> None:
    assert place_metric(Metric("m", None, 0, None, None, ""), SHARE_AXIS, chance=None) is None


def test_biases_of_groups_share_one_axis(run: Any, suites: Any) -> None:
    plots = _suite(build_score_view(run, suites), "bbq").group_plots
    assert len({plot.axis.reach for plot in plots if plot.axis.scale == "bias"}) == 1


def test_groups_without_a_value_come_last(run: Any, suites: Any) -> None:
    plot = _suite(build_score_view(run, suites), "bbq").group_plots[2]
    assert (plot.rows[-1].label, plot.rows[-1].mark) == ("Age", None)


def test_outcomes_fill_the_bar_and_rare_ones_stay_visible() -> None:
    segments = stack_outcomes({"scored": 99_999, "unparsed": 0, "errored": 1})
    assert [segment.outcome for segment in segments] == ["scored", "errored"]
    assert segments[-1].width > 0.5
    assert sum(segment.width for segment in segments) == pytest.approx(100, abs=0.02)


def test_missing_items_leave_room_in_the_bar() -> None:
    (segment,) = stack_outcomes({"scored": 25}, n_missing=75)
    assert segment.width == 25.0
    assert stack_outcomes({}, n_missing=5) == ()


def test_memory_is_set_against_what_a_device_has(run: Any) -> None:
    machine: Machine = run.info.machine
    gpu, cpu, other = draw_memory({"CUDA0": machine.devices[0].total_bytes // 2, "CPU": 1024**3, "RPC9": 9}, machine)
    assert (gpu.fill, gpu.free) == (50.0, 85.0)
    assert cpu.available == "20.0\u00a0GiB free of 31.0\u00a0GiB"
    assert (other.available, other.free) == (None, None)


# --- items --------------------------------------------------------------------------------------


def test_all_items_are_shown_while_they_are_few() -> None:
    view = build_items([_row(i) for i in range(5)], seed=1)
    assert (len(view.shown), view.n_total, view.is_all) == (5, "5", True)
    assert view.first_prompt == "Question 0?"


def test_failures_come_first_and_leave_room_for_the_rest() -> None:
    kinds = {0: "errored", 1: "unparsed"}
    view = build_items([_row(i, outcome=kinds.get(i % 3, "scored")) for i in range(3000)], seed=1)
    counts = Counter(item.outcome for item in view.shown)
    assert len(view.shown) == N_ITEMS
    assert counts["errored"] + counts["unparsed"] == N_FAILED
    assert [item.outcome for item in view.shown] == sorted(
        (item.outcome for item in view.shown), key=["errored", "unparsed", "scored"].index
    )
    assert not view.is_all


def test_the_sample_is_even_over_groups_and_seeded() -> None:
    rows = [_row(i, group="rare" if i % 100 == 0 else "common" if i % 2 else "usual") for i in range(9000)]
    view = build_items(iter(rows), seed=1)
    assert set(Counter(item.group for item in view.shown).values()) == {90, 105}
    assert view == build_items(iter(rows), seed=1)
    assert view != build_items(iter(rows), seed=2)


def test_a_shared_opening_is_shown_once() -> None:
    primer = "Q: one?\nA: two.\n\n" * 20
    view = build_items([_row(i, prompt=f"{primer}Q: number {i}?\nA:") for i in range(4)], seed=1)
    assert view.opening == primer
    assert view.shown[0].exchanges[0].prompt.startswith("Q: number")
    assert view.first_prompt.startswith(primer)


def test_long_texts_are_cut_and_the_page_stays_small() -> None:
    view = build_items([_row(i, prompt=f"{i}" + "x" * 9000) for i in range(1000)], seed=1)
    exchange = view.shown[0].exchanges[0]
    assert exchange.n_cut + 2000 == pytest.approx(9001, abs=3)
    assert len(view.shown) * 2000 < SUITE_CHARS
    assert len(view.shown) > 150


def test_suites_that_share_a_page_share_its_room() -> None:
    rows = [_row(i, prompt=f"{i}" + "x" * 9000) for i in range(1000)]
    n_shown = len(build_items(rows, seed=1, n_suites=10).shown)
    assert n_shown * 2000 < PAGE_CHARS / 10
    assert 60 < n_shown < len(build_items(rows, seed=1).shown) / 2


def test_the_likeliest_answer_is_marked_unless_there_is_a_tie() -> None:
    tie = Exchange("?", ({"text": "a", "logprob": -1.0}, {"text": "b", "logprob": -1.0}))
    rows = [_row(0), replace(_row(1), exchanges=(tie,))]
    first, second = build_items(rows, seed=1).shown
    assert [answer.is_likeliest for answer in first.exchanges[0].answers] == [True, False]
    assert first.exchanges[0].answers[0].share == "73.1\u00a0%"
    assert [answer.is_likeliest for answer in second.exchanges[0].answers] == [False, False]


def test_a_bound_is_shown_as_one() -> None:
    answers = ({"text": "a", "logprob_at_most": -9.0}, {"text": "b", "logprob": -5.0})
    (item,) = build_items([replace(_row(0), exchanges=(Exchange("?", answers),))], seed=1).shown
    pruned, winner = item.exchanges[0].answers
    assert (pruned.logprob, pruned.share, pruned.is_likeliest) == ("at most\u00a0\u22129.00", None, False)
    assert winner.is_likeliest


def test_a_logprob_that_is_no_number_is_left_out() -> None:
    answers = ({"text": "a", "logprob": float("nan")}, {"text": "b", "logprob": -1.0})
    (item,) = build_items([replace(_row(0), exchanges=(Exchange("?", answers),))], seed=1).shown
    assert [answer.logprob for answer in item.exchanges[0].answers] == [None, "\u22121.00"]
    assert [answer.share for answer in item.exchanges[0].answers] == [None, None]


def test_an_item_that_was_never_asked_shows_its_error() -> None:
    row = replace(_row(0, outcome="errored"), error="The data hold no such pair.", exchanges=())
    (item,) = build_items([row], seed=1).shown
    assert item.preview == "The data hold no such pair."


def test_the_model_is_named_by_its_file_and_not_by_its_folder(run: Any, suites: Any) -> None:
    view = build_score_view(run, suites)
    values = [pair.value for part in view.settings for pair in part.pairs]
    assert "qwen2.5-7b-instruct-q4_k_m.gguf" in values
    assert not [value for value in values if "/home" in value]


# --- budgets ------------------------------------------------------------------------------------


def test_a_budget_that_ended_nothing_is_a_setting_and_no_warning(run: Any, suites: Any) -> None:
    run.info = replace(run.info, budget=Budget(5400, 0.025))
    view = build_score_view(run, suites)
    assert not any(title.startswith("Ended") for title in _banners(view))
    pairs = {pair.name: pair.value for pair in view.settings[0].pairs}
    assert pairs["Budget"] == "1\u00a0h 30\u00a0min or first score within \u00b12.5 points"


def test_what_a_budget_ended_is_told_with_the_rest(run: Any, suites: Any) -> None:
    run.info = replace(run.info, budget=Budget(60), ends=(SuiteEnd("bbq", "time"),))
    text = _banners(build_score_view(run, suites))["Ended by its budget: 1\u00a0min 00\u00a0s"]
    for part in ("24 of 24\u00a0items, its time was over", "24 of 24\u00a0items;", "larger budget goes on"):
        assert part in text
    assert "repeated looking" not in text
