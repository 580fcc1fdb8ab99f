"""Runs opened, models run like them, and what was not asked alike refused."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stored_runs import INFO, MODEL, question_rows, store_run

from llamabench.comparing import Named, compare_runs, open_runs
from llamabench.errors import LlamabenchError
from llamabench.hardware.gguf import chat_template, read_header
from llamabench.records import Difference, ItemRow, RunInfo
from llamabench.results.alikeness import describe_mismatch
from llamabench.results.store import Run
from llamabench.runner import RunOptions
from llamabench.suites import SUITES

Script = Any


class Watcher:
    """Hears nothing."""

    def begin(self, run: Run) -> None: ...
    def advance(self, suite: str, *, n_done: int, n_total: int, tokens_per_s: float | None) -> None: ...
    def stand(self, standing: object) -> None: ...
    def note(self, text: str) -> None: ...


@pytest.fixture
def pair(tmp_path: Path) -> list[Run]:
    """A run and one that answers a quarter of the questions better."""
    first = store_run(tmp_path / "a", question_rows(80, lambda n: n % 2 == 0))
    return [first, store_run(tmp_path / "b", question_rows(80, lambda n: n % 4 != 3))]


def main_score(runs: list[Run], **options: bool) -> Difference:
    (comparison,) = compare_runs(runs, **options)
    return next(one for one in comparison.suites[0].differences if one.metric == "mc1" and one.group is None)


def test_a_run_is_compared_with_the_first(pair: list[Run]) -> None:
    one = main_score(pair)
    assert (one.first, one.second, one.verdict) == (0.5, 0.75, "improved")
    assert [found.second.folder for found in compare_runs([*pair, pair[0]])] == [
        str(pair[1].folder),
        str(pair[0].folder),
    ]


def means_of(runs: list[Run]) -> list[float | None]:
    found = compare_runs(runs)
    return [found[0].first.main_score_mean, *(one.second.main_score_mean for one in found)]


def test_the_mean_is_of_all_main_scores(pair: list[Run]) -> None:
    """MC1 is 1/2 and 3/4; MC2 is 0.73 where the answer is right, 0.27 elsewhere: 0.5 and 0.615."""
    assert means_of(pair) == pytest.approx([0.5, (0.75 + 0.615) / 2])
    assert compare_runs(pair)[0].first.expected_bytes == 1 << 30


def safety_rows(n_refused: int, n_followed: int) -> list[ItemRow]:
    """XSTest's rows: ten safe prompts, of which some are refused in full, and ten unsafe ones, some followed."""
    rows = []
    for number in range(20):
        is_safe = number < 10
        is_followed = number >= n_refused if is_safe else number - 10 < n_followed
        values = {"complied": float(is_followed), "partly_refused": 0.0, "fully_refused": float(not is_followed)}
        facts = {"prompt": f"Prompt {number}", "is_safe": is_safe}
        name = f"x-{number}"
        rows.append(ItemRow("xstest", name, "homonyms", name, "scored", facts, values, None, ()))
    return rows


def test_requests_that_should_not_be_followed_count_against_a_model(tmp_path: Path) -> None:
    """Over-refusal 0, compliance 1: (1 + 0) / 2. The other: 0.3 and 0.1: (0.7 + 0.9) / 2."""
    runs = [store_run(tmp_path / name, safety_rows(*counts)) for name, counts in (("a", (0, 10)), ("b", (3, 1)))]
    assert means_of(runs) == pytest.approx([0.5, 0.8])


def test_suites_count_alike_however_many_main_scores_they_have(tmp_path: Path) -> None:
    """One half of TruthfulQA's 0.5 and 0.5, and of XSTest's 0.7 and 0.9."""
    rows = [*question_rows(80, lambda n: n % 2 == 0), *safety_rows(3, 1)]
    runs = [store_run(tmp_path / name, rows) for name in "ab"]
    assert means_of(runs) == pytest.approx([(0.5 + 0.8) / 2] * 2)


def test_the_mean_is_of_what_all_runs_have(pair: list[Run]) -> None:
    kept = [score for score in pair[1].scores() if score.metric.name != "mc2"]
    pair[1].save_scores("truthfulqa_mc", kept)
    assert means_of(pair) == [0.5, 0.75]
    pair[1].save_scores("truthfulqa_mc", [])
    assert means_of(pair) == [None, None]


def test_bias_counts_by_how_near_it_is_to_0_and_what_has_no_good_way_not_at_all(
    pair: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    measures = {one.name: one for one in SUITES["truthfulqa_mc"].MEASURES}
    turned = [replace(measures["mc1"], better="nearer 0"), replace(measures["mc2"], better=None)]
    monkeypatch.setattr(SUITES["truthfulqa_mc"], "MEASURES", tuple(turned))
    scores = pair[1].scores()
    low = [replace(one, metric=replace(one.metric, value=-0.2)) for one in scores]
    pair[1].save_scores("truthfulqa_mc", low)
    assert means_of(pair) == pytest.approx([0.5, 0.8])


def other_run(tmp_path: Path, info: RunInfo = INFO, **changes: Any) -> Run:
    return store_run(tmp_path / "other", question_rows(80, lambda n: True, **changes), info)


def test_other_data_are_refused(pair: list[Run], tmp_path: Path) -> None:
    other = store_run(tmp_path / "c", question_rows(80, lambda n: True), edition="2021")
    with pytest.raises(LlamabenchError, match=r"truthfulqa_mc: data is 2025 \(\w{8}\) in the first run and 2021"):
        compare_runs([pair[0], other])
    (found,) = compare_runs([pair[0], other], allow_different=True)
    assert [one.what for one in found.mismatches if one.is_grave] == ["data"]
    assert main_score([pair[0], other], allow_different=True).verdict == "improved"


def test_other_prompts_are_refused(pair: list[Run], tmp_path: Path) -> None:
    chat = replace(INFO, use_chat=True, chat_template_sha256="c0ffee00")
    other = other_run(tmp_path, chat, prompt="<user>Q: {}?</user>")
    with pytest.raises(LlamabenchError) as caught:
        compare_runs([pair[0], other])
    assert "the prompt of 80 of 80 items, such as q-0, is without a chat template in the first run" in str(caught.value)
    assert "through the chat template c0ffee00 in the second" in str(caught.value)
    assert "Run both with --no-chat, or compare the model files themselves" in str(caught.value)
    assert "--allow-different" in str(caught.value)


def digest_template(model: Path) -> str:
    own = chat_template(read_header(model))
    assert own is not None
    return hashlib.sha256(own.encode()).hexdigest()


def test_the_template_that_a_model_was_asked_through_is_known(pair: list[Run], demo_model: Path) -> None:
    digest = digest_template(demo_model)
    for found, has_template, use in ((digest, True, "own"), ("c0ffee00", True, "another"), (digest, False, "another")):
        model = replace(MODEL, path=str(demo_model), has_chat_template=has_template)
        pair[1].replace_info(replace(pair[1].info, model=model, use_chat=True, chat_template_sha256=found))
        (made,) = compare_runs(pair)
        assert (made.first.template, made.second.template) == ("none", use)
    gone = replace(MODEL, path="gone.gguf")
    pair[1].replace_info(replace(pair[1].info, model=gone))
    assert compare_runs(pair)[0].second.template == "own", "nobody can say that it is not"


def with_system(run: Run, text: str | None) -> Run:
    run.replace_info(replace(run.info, suites=tuple(replace(one, system_prompt=text) for one in run.info.suites)))
    return run


def test_another_system_prompt_is_refused_by_its_name(pair: list[Run], tmp_path: Path) -> None:
    other = with_system(other_run(tmp_path, prompt="[system]Be\nbrief.[user]{}"), "Be\nbrief.")
    with pytest.raises(LlamabenchError) as caught:
        compare_runs([pair[0], other])
    said = 'truthfulqa_mc: the system prompt is none in the first run and "Be brief." (6bfa04cc) in the second.'
    assert said in str(caught.value)
    assert "chat template" not in str(caught.value)
    (found,) = compare_runs([with_system(pair[0], "x" * 99), other], allow_different=True)
    (grave,) = [one for one in found.mismatches if one.is_grave]
    assert grave.first.startswith(f'"{"x" * 60}…" (')


def test_attacks_that_are_made_for_each_model_are_compared_and_told(pair: list[Run], tmp_path: Path) -> None:
    rows = [question_rows(80, lambda n: True, prompt=prompt) for prompt in ("a {}", "b {}")]
    for row in (*rows[0], *rows[1]):
        row.facts["family"] = "adaptive"  # type: ignore[index]
    tuned = replace(INFO, model=replace(MODEL, name="tuned"))
    runs = [store_run(tmp_path / "c", rows[0]), store_run(tmp_path / "d", rows[1], tuned)]
    (found,) = compare_runs(runs)
    assert found.suites[0].n_paired == 80
    (told,) = found.mismatches
    assert describe_mismatch(told) == (
        "truthfulqa_mc: the prompt of 80 of 80 items, whose attacks adapt to the model, is made for tiny Q8_0 in the "
        "first run and made for tuned Q8_0 in the second."
    )
    with pytest.raises(LlamabenchError, match="the system prompt is none in the first run"):
        compare_runs([runs[0], with_system(runs[1], "Be brief.")])


def test_another_machine_is_told_and_not_refused(pair: list[Run], tmp_path: Path) -> None:
    elsewhere = replace(INFO, machine=replace(INFO.machine, cpu="Another processor"), seed=8)
    (found,) = compare_runs([pair[0], other_run(tmp_path, elsewhere)])
    assert {one.what for one in found.mismatches} == {"the machine", "the seed"}
    assert not any(one.is_grave for one in found.mismatches)


def test_runs_without_a_suite_in_common_are_refused(pair: list[Run], tmp_path: Path) -> None:
    rows = [replace(row, suite="bold") for row in question_rows(3, lambda n: True)]
    for row in rows:
        row.facts.update(domain="d", group="g", prompt="p")  # type: ignore[attr-defined]
        row.values.update(toxic=0.0, positive_sentiment=0.0, negative_sentiment=0.0, empty=0.0)  # type: ignore[attr-defined]
    with pytest.raises(LlamabenchError, match="no suite in common"):
        compare_runs([pair[0], store_run(tmp_path / "c", rows)])


def test_scores_that_one_run_lacks_are_named(pair: list[Run]) -> None:
    kept = [score for score in pair[1].scores() if score.metric.name != "mc2"]
    pair[1].save_scores("truthfulqa_mc", kept)
    (found,) = compare_runs(pair)
    assert found.suites[0].not_compared == (("mc2", "only the first run has it"),)


# --- opening ------------------------------------------------------------------------------------


def options(tmp_path: Path) -> RunOptions:
    return RunOptions(Path("unused"), ("preference:starter",), tmp_path / "out", limit=12, seed=3)


def test_models_are_run_alike_and_only_once(
    demo_model: Path, tmp_path: Path, engine_script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llamabench.runner.read_machine", lambda **_: INFO.machine)
    engine_script.chat_template = digest_template(demo_model)
    named = [Named(demo_model), Named(demo_model)]
    first = open_runs(named, options(tmp_path), Watcher())
    assert first[0].info == first[1].info, "the second finds what the first was asked"
    assert (first[0].info.limit, first[0].info.seed) == (12, 3)
    n_asked = len(engine_script.asked)
    again = open_runs(named, options(tmp_path), Watcher())
    assert [run.folder for run in again] == [run.folder for run in first]
    assert len(engine_script.asked) == n_asked


def test_a_run_without_the_template_is_not_taken_for_one_with_it(
    demo_model: Path, tmp_path: Path, engine_script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llamabench.runner.read_machine", lambda **_: INFO.machine)
    engine_script.chat_template = digest_template(demo_model)
    named = [Named(demo_model), Named(demo_model)]
    plain = replace(options(tmp_path), use_chat=False)
    asked = [open_runs(named, each, Watcher())[0] for each in (plain, options(tmp_path), plain, options(tmp_path))]
    assert [run.info.use_chat for run in asked] == [False, True, False, True]
    assert asked[0].folder == asked[2].folder != asked[1].folder == asked[3].folder


def test_a_model_is_run_as_the_run_it_is_compared_with(demo_model: Path, tmp_path: Path, engine_script: Script) -> None:
    (made, _) = open_runs([Named(demo_model), Named(demo_model)], options(tmp_path), Watcher())
    elsewhere = replace(options(tmp_path), out=tmp_path / "elsewhere", limit=99, seed=0, suites=("bbq:starter",))
    runs = open_runs([Named(made.folder), Named(demo_model)], elsewhere, Watcher())
    assert runs[1].folder != made.folder
    assert (runs[1].info.limit, runs[1].info.seed) == (12, 3)
    assert [choice.name for choice in runs[1].info.suites] == ["preference"]
    assert all(one.difference == 0 for one in compare_runs(runs)[0].suites[0].differences)


def test_a_run_that_is_not_finished_is_refused(pair: list[Run], tmp_path: Path) -> None:
    pair[1].reopen()
    pair[1].close()
    with pytest.raises(LlamabenchError, match="is not finished"):
        open_runs([Named(pair[0].folder), Named(pair[1].folder)], options(tmp_path), Watcher())


def test_models_of_one_name_are_told_apart(pair: list[Run], tmp_path: Path) -> None:
    from llamabench.report.compare_views import build_compare_view

    assert build_compare_view(compare_runs(pair), SUITES).title == "tiny Q8_0 (01234567) against tiny Q8_0 (01234567)"
    renamed = other_run(tmp_path, replace(INFO, model=replace(MODEL, path="models/tuned.gguf")))
    assert build_compare_view(compare_runs([pair[0], renamed]), SUITES).title == "tiny Q8_0 against tuned Q8_0"
