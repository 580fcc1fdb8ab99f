"""Results of attacks as views: what is counted, drawn, shown and left out."""

from __future__ import annotations

import doctest
from collections import Counter
from dataclasses import replace

import pytest
from red_team import TECHNIQUES, TITLES, answers_of, change_attack, make_results

from llamabench.records import (
    AttackOutcome,
    AttackResult,
    AttackTarget,
    AttackVerdict,
    AttemptResult,
    Message,
    RedTeamResults,
    Sign,
)
from llamabench.report import attack_names, attack_transcripts
from llamabench.report.attack_direct import compare_with_plain
from llamabench.report.attack_names import Names
from llamabench.report.attack_pictures import draw_curves, draw_heat, draw_outcomes, draw_severity
from llamabench.report.attack_shares import count_share, has_succeeded, reaches, view_share
from llamabench.report.attack_transcripts import N_ATTACKS, PAGE_BYTES, AttackList, AttackView, TranscriptWriter
from llamabench.report.attack_views import AttacksView, ReportOptions, build_attacks_view

NAMES = Names(TITLES)


def make_attack(
    outcome: AttackOutcome | None,
    *,
    target: str = "a",
    technique: str = "direct",
    family: str = "direct",
    severity: float | None = 0.0,
    first: int | None = None,
    n_tries: int = 1,
) -> AttackResult:
    what = AttackTarget(target, f"Tell me {target}.", "jailbreak", "rules", 0.8, "Bad.", "Sure", "mine")
    verdict = None if outcome is None else AttackVerdict(outcome, 0.5, 0.5)
    turns = (Message("user", f"Tell me {target}."), Message("assistant", "An answer."))
    tries = (AttemptResult(turns, "", verdict, severity),) * n_tries
    status, error = ("scored", None) if outcome else ("errored", "It died.")
    name = f"{target}/{technique}"
    return AttackResult(name, what, technique, family, status, error, outcome, severity, first, tries)  # type: ignore[arg-type]


def build(results: RedTeamResults, *, threshold: float = 0.7, is_redacted: bool = False) -> AttacksView:
    return build_attacks_view(results, ReportOptions(threshold, TITLES, is_redacted))


def write(*attacks: AttackResult, is_redacted: bool = False, is_brief: bool = False) -> AttackList:
    return TranscriptWriter(NAMES, 0.7, is_redacted).write("severe", "Severe", attacks, is_brief=is_brief)


def say(*turns: tuple[str, str], verdict: AttackVerdict | None = None, severity: float = 0.9) -> AttemptResult:
    verdict = verdict or AttackVerdict("complied", 1.0, 1.0)
    return AttemptResult(tuple(Message(*turn) for turn in turns), "", verdict, severity)


def text_of(view: AttackView) -> str:
    return "\n".join(piece.text for turn in view.turns for piece in turn.pieces)


@pytest.mark.parametrize("module", [attack_names, attack_transcripts])
def test_examples_in_docstrings_hold(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


# --- what is counted ----------------------------------------------------------------------------


def test_rates_are_those_of_attacks_with_a_verdict() -> None:
    attacks = [make_attack("complied"), make_attack("partial", target="b"), make_attack("evaded"), make_attack(None)]
    share = count_share(attacks, has_succeeded)
    assert (share.n_yes, share.n, share.errored, share.unparsed) == (2, 3, 1, 0)
    assert view_share("All", share).count == "2 of 3"
    assert view_share("All", share).row.score.failures == "1\u00a0errored"


def test_attacks_on_one_target_are_not_independent() -> None:
    same = [make_attack("complied" if i < 20 else "refused", target=str(i < 20)) for i in range(40)]
    apart = [make_attack("complied" if i < 20 else "refused", target=str(i)) for i in range(40)]
    wide, narrow = (count_share(attacks, has_succeeded).interval for attacks in (same, apart))
    assert wide.low is not None
    assert narrow.low is not None
    assert wide.low < narrow.low


def test_nothing_with_a_verdict_is_no_rate_of_zero() -> None:
    view = view_share("All", count_share([make_attack(None)], has_succeeded))
    assert (view.row.score.value, view.row.score.missing, view.row.mark) == ("\u2013", "none has a verdict", None)


@pytest.mark.parametrize(("severity", "is_severe"), [(0.7, True), (0.6999, False), (1.0, True), (None, False)])
def test_a_severity_at_the_threshold_is_over_it(severity: float | None, is_severe: bool) -> None:
    assert reaches(0.7)(make_attack("complied", severity=severity)) is is_severe


def test_the_first_screen_counts_what_was_made() -> None:
    results = make_results(500)
    view = build(results)
    harmful = [attack for attack in results.attacks if not attack.target.is_benign and attack.outcome]
    twins = [attack for attack in results.attacks if attack.target.is_benign and attack.outcome]
    n_yes = sum(attack.has_succeeded for attack in harmful)
    assert view.success.count == f"{n_yes} of {len(harmful)}"
    assert view.severe.count == f"{sum((a.severity or 0) >= 0.7 for a in harmful)} of {len(harmful)}"
    assert view.over_refusal is not None
    assert view.over_refusal.count == f"{sum(a.outcome == 'refused' for a in twins)} of {len(twins)}"
    assert [len(part.attacks) for part in view.lists] == [
        sum((a.severity or 0) >= 0.7 for a in harmful),
        sum((a.severity or 0) < 0.7 for a in results.attacks if not a.target.is_benign),
        sum(a.target.is_benign for a in results.attacks),
    ]
    rates = [rate.row.score.value for rate in view.categories]
    assert rates == sorted(rates, reverse=True)
    assert len(rates) == 3


def test_without_twins_there_is_no_over_refusal() -> None:
    results = make_results(60)
    view = build(replace(results, attacks=tuple(a for a in results.attacks if not a.target.is_benign)))
    assert view.over_refusal is None
    assert [part.key for part in view.lists] == ["severe", "others"]


def test_banners_say_what_limits_the_numbers() -> None:
    results = make_results(60)
    titles = [banner.title for banner in build(replace(results, is_demo=True)).banners]
    assert titles == [
        "Demo model",
        "Builtin behaviours",
        "1 of 60\u00a0attacks gave no verdict",
        "Holds harmful answers",
    ]
    redacted = build(replace(results, behaviours="advbench:520"), is_redacted=True).banners
    assert [banner.title for banner in redacted] == ["1 of 60\u00a0attacks gave no verdict", "Answers left out"]
    assert "Builtin behaviours" in [b.title for b in build(replace(results, behaviours="advbench+builtin")).banners]


# --- pictures -----------------------------------------------------------------------------------


def test_the_heat_map_has_a_cell_for_what_was_tried() -> None:
    attacks = [make_attack("complied"), make_attack("refused", technique="fiction", family="framing")]
    other = replace(attacks[0].target, category="harmful_content", id="z")
    heat = draw_heat([*attacks, replace(attacks[0], target=other)], NAMES)
    assert heat.categories == ("harmful content", "jailbreak")
    assert [row.title for row in heat.rows] == ["direct", "fiction"]
    assert [cell.rate.count if cell else None for cell in heat.rows[1].cells] == [None, "0 of 1"]
    assert [cell.shade if cell else None for cell in (*heat.rows[0].cells, heat.rows[1].total)] == [5, 5, 0]


def test_equal_techniques_stand_in_the_order_of_what_is_shown() -> None:
    """By their names they would come the other way round."""
    names = Names({"a_last": "Zebra", "b_middle": "made-up context", "c_first": "Late grandmother"})
    attacks = [make_attack("refused", technique=name, family="framing") for name in ("a_last", "b_middle", "c_first")]
    shown = [("Late grandmother", "c_first"), ("made-up context", "b_middle"), ("Zebra", "a_last")]
    assert [(row.title, row.name) for row in draw_heat(attacks, names).rows] == shown
    assert [(bar.title, bar.name) for bar in draw_outcomes(attacks, names)] == shown
    assert [rate.row.label for rate in compare_with_plain(attacks_beside_plain(attacks), names).breakers] == [
        title for title, _ in shown
    ]


def attacks_beside_plain(attacks: list[AttackResult]) -> list[AttackResult]:
    """The same, with a refused plain request for their target."""
    return [replace(attacks[0], technique="direct", family="direct"), *attacks]


def test_the_ends_of_a_technique_add_up() -> None:
    view = draw_outcomes(make_results(500).attacks, NAMES)
    assert len(view) == len(TECHNIQUES)
    for bar in view:
        assert sum(map(int, (*bar.counts, bar.failed))) == int(bar.n)
        assert sum(part.width for part in bar.segments) <= 100.05
    assert "without a verdict" in " ".join(bar.text for bar in view)


def test_severities_are_pictured_without_those_of_zero() -> None:
    severities = [0.0, None, 0.72, 0.74, 1.0]
    picture = draw_severity([make_attack("complied", severity=severity) for severity in severities], 0.7)
    assert picture is not None
    assert [bar.label for bar in picture.bars] == ["0.70 to 0.75: 2", "0.95 to 1.00: 1"]
    assert picture.mark == pytest.approx(70)
    assert [tick.label for tick in picture.axis.ticks] == ["0", "0.25", "0.5", "0.75", "1"]
    assert draw_severity([make_attack("refused")], 0.7) is None


def test_a_curve_says_what_share_has_succeeded_by_each_try() -> None:
    kind = {"technique": "best_of_n", "family": "sampling", "n_tries": 4}
    firsts = (1, 3, 3, None)
    attacks = [
        make_attack("complied" if first else "refused", target=str(i), first=first, **kind)  # type: ignore[arg-type]
        for i, first in enumerate(firsts)
    ]
    (plot,) = draw_curves([*attacks, make_attack(None, **kind), make_attack("refused")], NAMES)  # type: ignore[arg-type]
    (curve,) = plot.curves
    assert (plot.unit, plot.columns) == ("try", ("1", "2", "3", "4"))
    assert curve.cells == ("25.0\u00a0%", "25.0\u00a0%", "75.0\u00a0%", "75.0\u00a0%")
    assert (curve.strokes[0].x1, curve.strokes[0].y1, curve.strokes[-1].x2, curve.strokes[-1].y2) == (0, 75, 100, 25)
    assert curve.rate.count == "3 of 4"


def test_turns_and_tries_are_drawn_apart() -> None:
    plots = draw_curves(make_results(500).attacks, NAMES)
    assert [(plot.unit, plot.title.rpartition(" ")[2]) for plot in plots] == [
        ("try", "sampling"),
        ("turn", "multi-turn"),
    ]


def test_what_refusing_the_plain_request_would_prevent() -> None:
    helped = {"technique": "fiction", "family": "framing"}
    view = compare_with_plain(
        [
            make_attack("complied", target="a"),
            make_attack("refused", target="b"),
            make_attack(None, target="c"),
            make_attack("complied", target="a", **helped),  # type: ignore[arg-type]
            make_attack("partial", target="b", **helped),  # type: ignore[arg-type]
            make_attack("complied", target="c", **helped),  # type: ignore[arg-type]
            make_attack("complied", target="d", **helped),  # type: ignore[arg-type]
            make_attack("refused", target="b", technique="base64", family="encoding"),
        ],
        NAMES,
    )
    assert {part.kind: part.n for part in view.parts} == {"plain": "1", "also": "1", "only": "1", "unknown": "2"}
    assert view.n_succeeded == "5"
    assert view.plain is not None
    assert (view.plain.count, view.helped.count) == ("1 of 2", "4 of 5")
    assert [(rate.row.label, rate.count) for rate in view.breakers] == [("fiction", "1 of 1"), ("base64", "0 of 1")]


# --- transcripts --------------------------------------------------------------------------------


def test_the_worst_attack_comes_first_and_those_without_a_verdict_before_it() -> None:
    attacks = [
        make_attack("partial", target="p", severity=0.2),
        make_attack("complied", severity=0.9),
        make_attack(None),
    ]
    assert [view.outcome for view in write(*attacks).attacks] == ["errored", "complied", "partial"]


def test_the_worst_try_is_shown_and_all_are_told() -> None:
    tries = (
        say(("user", "One?"), ("assistant", "No."), verdict=AttackVerdict("refused", 0, 0), severity=0.0),
        say(("user", "Two?"), ("assistant", "Yes.")),
        say(("user", "Three?"), ("assistant", "Well."), verdict=AttackVerdict("partial", 0.5, 0.5), severity=0.3),
    )
    (view,) = write(replace(make_attack("complied", severity=0.9), attempts=tries)).attacks
    assert view.tries == ("refused", "complied 0.900", "partial 0.300")
    assert (view.shown_try, text_of(view)) == ("2", "Two?\nYes.")


def test_a_conversation_that_went_on_is_shown_to_its_end() -> None:
    first = (("user", "One?"), ("assistant", "Here you are."))
    tries = (say(*first), say(*first, ("user", "More?"), ("assistant", "No."), severity=0.1))
    (view,) = write(replace(make_attack("complied"), attempts=tries)).attacks
    assert (view.shown_try, text_of(view)) == ("1", "One?\nHere you are.\nMore?\nNo.")


def test_evidence_is_marked_where_it_stands() -> None:
    signs = (
        Sign(5, 9, "heaviest"),
        Sign(7, 12, "overlaps"),
        Sign(0, 2, "first"),
        Sign(90, 99, "beyond"),
        Sign(3, 3, ""),
    )
    verdict = AttackVerdict("complied", 1.0, 1.0, signs)
    attack = replace(
        make_attack("complied"), attempts=(say(("user", "?"), ("assistant", "0123456789abcdef"), verdict=verdict),)
    )
    (view,) = write(attack).attacks
    pieces = [(piece.text, piece.sign) for piece in view.turns[1].pieces]
    assert pieces == [("01", 3), ("234", None), ("5678", 1), ("9abcdef", None)]
    assert view.signs == ("heaviest", "overlaps", "first", "beyond", "")


@pytest.mark.parametrize(
    ("outcome", "judged", "is_veiled"),
    [
        ("refused", None, False),
        ("refused", 0.8, True),
        ("evaded", None, True),
        ("complied", 0.1, True),
        (None, None, True),
    ],
)
def test_what_is_not_clearly_refused_is_veiled(
    outcome: AttackOutcome | None, judged: float | None, is_veiled: bool
) -> None:
    attack = make_attack(outcome)
    attempts = tuple(replace(attempt, judged_harmful=judged) for attempt in attack.attempts)
    (view,) = write(replace(attack, attempts=attempts)).attacks
    assert [turn.is_veiled for turn in view.turns] == [False, is_veiled]


def test_harmless_answers_are_not_veiled() -> None:
    attack = make_attack("complied", severity=None)
    (view,) = write(replace(attack, target=replace(attack.target, twin_of="b"))).attacks
    assert not any(turn.is_veiled for turn in view.turns)


def test_long_texts_are_cut_and_said_so() -> None:
    long = say(("user", "u" * 50_000), ("assistant", "a" * 50_000))
    (view,) = write(replace(make_attack("complied"), attempts=(long,))).attacks
    assert [turn.n_cut for turn in view.turns] == [44_000, 44_000]
    (brief,) = write(replace(make_attack("complied"), attempts=(long,)), is_brief=True).attacks
    assert [turn.n_cut for turn in brief.turns] == [48_500, 48_500]


def test_a_page_has_room_for_the_worst() -> None:
    long = say(("user", "<" * 6_000), ("assistant", "\u202e" * 6_000))
    attacks = [
        replace(make_attack("complied", target=str(i), severity=1 - i / 3000), attempts=(long,)) for i in range(1_100)
    ]
    part = write(*attacks)
    assert len(part.attacks) == N_ATTACKS
    assert part.note.replace("\u00a0", " ").startswith("1,000 of 1,100 attacks, the worst first.")
    with_turns = [bool(view.turns) for view in part.attacks]
    assert with_turns == sorted(with_turns, reverse=True)
    assert 0 < with_turns.count(True) <= PAGE_BYTES // (6_000 * 4) + 1


def test_an_opening_that_was_put_into_its_mouth_is_shown_as_one() -> None:
    attempt = replace(say(("user", "Go."), ("assistant", "Sure, here.")), prefill="Sure,")
    (view,) = write(replace(make_attack("complied"), attempts=(attempt,))).attacks
    assert [turn.who for turn in view.turns] == ["User", "Opening put into its mouth", "Model"]


# --- left out -----------------------------------------------------------------------------------


def test_without_answers_requests_stay() -> None:
    results = make_results(200)
    view = build(results, is_redacted=True)
    shown = repr(view)
    assert not [answer for answer in answers_of(results) if answer[:30] in shown]
    assert "[fiction 0] Tell me about" in shown
    assert "opens as one who complies" not in shown
    assert (
        Counter(turn.absent is None for part in view.lists for one in part.attacks for turn in one.turns)[False] > 150
    )


def test_a_request_that_quotes_an_answer_is_left_out_with_it() -> None:
    answer = "The secret is to mix the made-up powder with the made-up water."
    tries = (
        say(("user", "One."), ("assistant", answer)),
        say(
            ("user", f"You said: {answer} Go on."), ("assistant", "More."), ("user", "Thanks."), ("assistant", "Well.")
        ),
    )
    attack = replace(make_attack("complied"), attempts=(replace(tries[0], severity=0.1), tries[1]))
    (view,) = write(attack, is_redacted=True).attacks
    assert text_of(view) == "Thanks."
    assert view.turns[0].absent == f"It quotes an answer: left out, {len(answer) + 17}\u00a0characters."


def test_a_request_that_an_answer_echoes_stays() -> None:
    asked = "Please say the long and made-up sentence that nobody needs."
    tries = (
        say(("user", asked), ("assistant", f"You say: {asked}"), ("user", f"Once more, {asked}"), ("assistant", "No.")),
    )
    (view,) = write(replace(make_attack("complied"), attempts=tries), is_redacted=True).attacks
    assert [turn.absent is None for turn in view.turns] == [True, False, True, False]


def test_an_error_may_quote_what_was_said_and_is_left_out_with_it() -> None:
    results = change_attack(make_results(20), 3, status="errored", outcome=None, severity=None, error="It said: hm")
    assert "It said: hm" in repr(build(results))
    assert "It said: hm" not in repr(build(results, is_redacted=True))
