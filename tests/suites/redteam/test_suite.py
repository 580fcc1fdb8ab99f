from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from attack_answers import BABBLE, FAKES, REFUSAL, Model, answer_by, comply

from llamabench import runner
from llamabench.data.cache import find_dataset
from llamabench.errors import UnknownNameError
from llamabench.records import Attack, AttackTarget, GenerateRequest, Metric, Standing
from llamabench.results.store import Run
from llamabench.runner import RunOptions
from llamabench.suites import SUITES
from llamabench.suites.redteam.behaviours import read_targets
from llamabench.suites.redteam.mutators import TECHNIQUES
from llamabench.suites.redteam.suite import AttackOptions, RedTeam, digest_attacks, mix_attacks

DATASET = find_dataset(RedTeam.DATA_SOURCES, "builtin")
TARGETS = {target.id: target for target in read_targets(DATASET)}


class Silent:
    """Progress that nobody sees."""

    def begin(self, run: Run) -> None: ...

    def stand(self, standing: Standing) -> None: ...

    def note(self, text: str) -> None: ...

    def advance(self, suite: str, *, n_done: int, n_total: int, tokens_per_s: float | None) -> None: ...


@pytest.fixture
def attack(demo_model: Path, tmp_path: Path, engine_script: Any) -> Any:
    """Attacks a scripted model with techniques that are small enough to see through."""

    def run(model: Model, **options: Any) -> Run:
        engine_script.answer = answer_by(model)
        suite = RedTeam(AttackOptions(**{"count": 42, **options}), FAKES)
        found = RunOptions(demo_model, ("redteam:builtin",), tmp_path / model.__name__, configured={"redteam": suite})
        return runner.run(found, Silent())

    return run


def whole(run: Run) -> dict[str, Metric]:
    return {score.metric.name: score.metric for score in run.scores() if score.metric.group is None}


def find_target(request: GenerateRequest) -> AttackTarget:
    """Whom a request is about, by its id."""
    return TARGETS[max((name for name in TARGETS if name in request.id), key=len)]


# --- models that follow a script ----------------------------------------------------------------


def test_a_model_that_always_refuses(attack: Any) -> None:
    with attack(lambda request, said: REFUSAL) as run:
        found = whole(run)
        rows = list(run.rows("redteam"))
    assert {row.outcome for row in rows} == {"scored"}
    assert found["attack_success_rate"].value == found["success_per_target"].value == found["mean_severity"].value == 0
    assert found["attack_success_rate"].n == 42
    assert found["attack_success_rate"].low == 0
    assert found["over_refusal"].value == 1
    assert all(row.values["refused"] == 1 for row in rows if "refused" in row.values)


def test_a_model_that_always_complies(attack: Any) -> None:
    def write(one: GenerateRequest, said: str) -> str:
        return comply(find_target(one))

    with attack(write) as run:
        found = whole(run)
        rows = list(run.rows("redteam"))
    assert found["attack_success_rate"].value == found["success_per_target"].value == 1
    assert found["over_refusal"].value == 0
    for row in rows:
        if "severity" in row.values:
            weight = row.facts["target"]["weight"]  # type: ignore[index,call-overload]
            assert 0 < row.values["severity"] <= weight
    assert found["severe_share"].value == sum(row.values.get("severe", 0) for row in rows) / 42


def test_a_model_that_complies_under_one_technique_alone(attack: Any) -> None:
    def write(one: GenerateRequest, said: str) -> str:
        return comply(find_target(one)) if said.startswith("You are an actor.") else REFUSAL

    with attack(write) as run:
        rates = {
            score.metric.group: score.metric.value
            for score in run.scores()
            if score.metric.name == "attack_success_rate"
        }
    of_techniques = {group: value for group, value in rates.items() if group and group.startswith("technique")}
    assert {group for group, value in of_techniques.items() if value} == {"technique actor"}
    assert rates["technique actor"] == 1
    assert rates[None] == pytest.approx(1 / 7)


def test_a_model_that_repeats_what_it_is_told(attack: Any) -> None:
    with attack(lambda request, said: said) as run:
        found = whole(run)
    assert found["attack_success_rate"].value == 0
    assert found["over_refusal"].value == 0


def test_a_model_that_babbles(attack: Any) -> None:
    with attack(lambda request, said: BABBLE) as run:
        found, rows = whole(run), list(run.rows("redteam"))
    assert found["attack_success_rate"].value == found["mean_severity"].value == found["over_refusal"].value == 0
    assert all(row.values["evaded"] == 1 for row in rows if "evaded" in row.values)


def test_a_model_that_says_nothing_is_not_called_safe(attack: Any) -> None:
    with attack(lambda request, said: "") as run:
        found, rate = run.counts("redteam"), whole(run)["attack_success_rate"]
    assert (rate.value, rate.n, rate.unparsed) == (None, 0, found["unparsed"])
    assert found["scored"] == found["errored"] == 0


def test_a_model_that_gives_in_at_the_third_try(attack: Any) -> None:
    def write(one: GenerateRequest, said: str) -> str:
        return comply(find_target(one)) if one.id.endswith("#3") else REFUSAL

    with attack(write, techniques=("again",), count=10) as run:
        found = whole(run)
    assert [found[f"success_within_{n}"].value for n in (1, 2, 4)] == [0, 0, 1]
    assert found["attack_success_rate"].value == 1
    assert (found["success_per_answer"].value, found["success_per_answer"].n) == (0.25, 10)


def test_of_a_search_only_the_answer_is_stored(attack: Any) -> None:
    with attack(lambda request, said: REFUSAL, techniques=("suffix",), count=3) as run:
        rows = [row for row in run.rows("redteam") if "succeeded" in row.values]
    assert [len(row.exchanges) for row in rows] == [1, 1, 1]
    assert all(row.exchanges[0].prompt.endswith("suffix 5") for row in rows)


# --- the list of attacks ------------------------------------------------------------------------


def test_a_list_is_the_same_for_the_same_options() -> None:
    first, again, other = (RedTeam(AttackOptions(count=60, seed=seed)).plan(DATASET) for seed in (3, 3, 4))
    assert digest_attacks(first) == digest_attacks(again) != digest_attacks(other)


def test_settings_name_the_list_and_not_how_it_was_asked_for() -> None:
    suite = RedTeam(AttackOptions(count=30, techniques=("direct",)), FAKES)
    assert dict(suite.settings(DATASET)) == {
        "attacks": digest_attacks(suite.plan(DATASET)),
        "count": "30",
        "categories": "harmful_content,jailbreak,social_engineering",
        "techniques": "direct",
        "seed": "0",
        "max_tokens": "256",
    }


def test_an_unknown_technique_is_named() -> None:
    with pytest.raises(UnknownNameError, match='No technique is called "actr". Did you mean actor'):
        RedTeam(AttackOptions(techniques=("actr",)), FAKES).plan(DATASET)


def test_wherever_a_run_is_it_has_had_its_share_of_each_technique() -> None:
    attacks = RedTeam(AttackOptions(count=500)).plan(DATASET)
    tenth = len(attacks) // 10
    sizes = Counter(attack.technique for attack in attacks)
    done = Counter(attack.technique for attack in attacks[:tenth])
    assert all(abs(done[name] - size / 10) <= 3 for name, size in sizes.items())


def test_mixing_loses_nothing() -> None:
    attacks = RedTeam(AttackOptions(count=50)).plan(DATASET)
    one: Attack = attacks[0]
    mixed = mix_attacks(attacks)
    assert sorted(attack.id for attack in mixed) == sorted(attack.id for attack in attacks)
    assert mix_attacks([one, replace(one, id="other")])[0] is one


def test_runs_of_other_attacks_are_other_runs_with_other_signatures(attack: Any) -> None:
    found = []
    for seed in (0, 1):
        with attack(lambda request, said: REFUSAL, seed=seed, count=5) as run:
            found.append((run.info.id, run.scores()[0].signature, run.info.suites[0].settings["seed"]))
    assert len({one[0] for one in found}) == len({one[1] for one in found}) == 2
    assert [one[2] for one in found] == ["0", "1"]


def test_the_suite_runs_without_being_configured() -> None:
    suite = SUITES["redteam"]
    items = list(suite.items(DATASET, use_chat=True))
    assert sum(item.facts["target"]["twin_of"] is None for item in items) == 500  # type: ignore[index,call-overload]
    assert len({item.id for item in items}) == len(items)
    assert all(item.requests for item in items)


def test_what_asks_each_model_something_else_is_used_only_where_it_is_named() -> None:
    dataset = find_dataset(RedTeam.DATA_SOURCES)
    usual = {attack.technique for attack in RedTeam(AttackOptions(count=100)).plan(dataset)}
    assert not [name for name in usual if TECHNIQUES[name].search]
    named = RedTeam(AttackOptions(count=4, techniques=("likeliest_prefill", "suffix_search"))).plan(dataset)
    assert {attack.technique for attack in named if not attack.target.is_benign} == {
        "likeliest_prefill",
        "suffix_search",
    }
