from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamabench.data.cache import DataFile, Dataset, find_dataset, import_source
from llamabench.data.formats import Kind
from llamabench.errors import DataError
from llamabench.records import (
    ChatPrompt,
    Item,
    ItemRow,
    ItemScore,
    Message,
    Metric,
    Scored,
    ScoreRequest,
    ScoreResult,
    TextPrompt,
)
from llamabench.suites import preference
from llamabench.suites.conversation import merge_turns
from llamabench.suites.preference_summary import is_undecided, name_length_band

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason=f"no published data at {SHARED.name}/ beside the checkout"
)

TALK = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Bye\n\nAssistant:"
HH_ROW = {"chosen": f"{TALK} So long!", "rejected": f"{TALK} So what?"}
HHH_ROW = {"subset": "honest", "query": "What is 2 + 2?", "chosen": "4", "rejected": "5"}


def dataset_of(tmp_path: Path, rows: list[Any], kind: Kind = "hh", edition: str = "harmless-base") -> Dataset:
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    file = DataFile("source", edition, "pairs.jsonl", kind, path)
    return Dataset(("source",), edition, (file,), "0", False, len(rows))


def item_of(tmp_path: Path, *, use_chat: bool = False) -> Item:
    (item,) = preference.items(dataset_of(tmp_path, [HH_ROW]), use_chat=use_chat)
    return item


def score(item: Item, chosen: tuple[float, int], rejected: tuple[float, int]) -> ItemScore:
    (request,) = item.requests
    scored = (Scored(*chosen, 10, False), Scored(*rejected, 8, False))
    return preference.score(item, [ScoreResult(request.id, "", scored)])


# --- items --------------------------------------------------------------------------------------


def test_without_a_chat_template_the_transcript_is_the_prompt(tmp_path: Path) -> None:
    (request,) = item_of(tmp_path).requests
    assert isinstance(request, ScoreRequest)
    assert request.prompt == TextPrompt(TALK)
    assert request.continuations == (" So long!", " So what?")
    assert request.ends_turn


def test_with_a_chat_template_the_turns_are_the_prompt(tmp_path: Path) -> None:
    (request,) = item_of(tmp_path, use_chat=True).requests
    assert isinstance(request, ScoreRequest)
    turns = (Message("user", "Hi"), Message("assistant", "Hello."), Message("user", "Bye"))
    assert request.prompt == ChatPrompt(turns)
    assert request.continuations == ("So long!", "So what?")
    assert request.ends_turn


def test_neighbouring_turns_of_one_speaker_are_joined_for_templates() -> None:
    turns = [Message("user", "Hi"), Message("assistant", "A"), Message("assistant", "B"), Message("user", "")]
    assert merge_turns(turns) == (Message("user", "Hi"), Message("assistant", "A\n\nB"))


def test_groups_and_ids_say_where_a_pair_is_from(tmp_path: Path) -> None:
    (hhh,) = preference.items(dataset_of(tmp_path, [HHH_ROW], "hhh", "hhh"), use_chat=True)
    assert (hhh.id, hhh.group) == ("hhh-1", "hhh honest")
    assert (item_of(tmp_path).id, item_of(tmp_path).group) == ("harmless-base-1", "harmless-base")


def test_pairs_about_one_conversation_share_a_cluster(tmp_path: Path) -> None:
    rows = [HHH_ROW, {**HHH_ROW, "rejected": "22"}, {**HHH_ROW, "query": "What is 3 + 1?"}]
    first, second, third = preference.items(dataset_of(tmp_path, rows, "hhh", "hhh"), use_chat=True)
    assert first.cluster == second.cluster != third.cluster


@pytest.mark.parametrize("use_chat", [True, False])
@pytest.mark.parametrize(
    ("chosen", "problem"),
    [(f"{TALK} ", "one of the two answers is empty"), (f"{TALK} A\n\nHuman: B\n\nAssistant: C", "part before")],
)
def test_a_broken_pair_is_kept_and_errors(tmp_path: Path, chosen: str, problem: str, use_chat: bool) -> None:
    row = {**HH_ROW, "chosen": chosen}
    (item,) = preference.items(dataset_of(tmp_path, [row]), use_chat=use_chat)
    assert item.requests == ()
    result = preference.score(item, ())
    assert result.outcome == "errored"
    assert problem in str(result.error)


@needs_shared
def test_the_published_pairs_become_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMABENCH_DATA", str(tmp_path))
    for name in ("hh-rlhf", "hhh-alignment", "llmbar", "auto-j", "pandalm"):
        import_source(name, SHARED / "preference")
    dataset = find_dataset(preference.DATA_SOURCES)
    made = list(preference.items(dataset, use_chat=True))
    assert len({item.id for item in made}) == dataset.n_items
    editions = Counter(str(item.facts["edition"]) for item in made)
    assert editions["harmless-base"] == 2312
    assert editions["hhh"] == 221
    assert editions["auto-j-1392"] == 1392
    assert editions["pandalm-999"] == 999
    assert editions["llmbar-419"] == 419
    sizes = Counter(item.group for item in made if item.facts["edition"] in ("harmless-base", "hhh"))
    assert sizes == {"harmless-base": 2312, "hhh helpful": 59, "hhh honest": 61, "hhh harmless": 58, "hhh other": 43}
    assert sum(is_undecided(item.facts) for item in made if item.facts["edition"] == "auto-j-1392") == 373
    for item in made:
        for request in item.requests:
            assert isinstance(request.prompt, ChatPrompt)
            roles = [turn.role for turn in request.prompt.messages]
            assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]


@needs_shared
def test_the_published_transcripts_are_asked_word_for_word(tmp_path: Path) -> None:
    path = SHARED / "preference/hh-rlhf/harmless-base/test.jsonl.gz"
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()[:300]]
    for row, item in zip(rows, preference.items(dataset_of(tmp_path, rows), use_chat=False), strict=True):
        for request in item.requests:
            assert isinstance(request, ScoreRequest)
            assert isinstance(request.prompt, TextPrompt)
            for name, text in zip(("chosen", "rejected"), request.continuations, strict=True):
                asked = (request.prompt.text + text).split()
                assert asked == row[name].split()


# --- scores -------------------------------------------------------------------------------------


def test_margins_are_chosen_minus_rejected(tmp_path: Path) -> None:
    values = score(item_of(tmp_path), (-6.0, 4), (-5.0, 2)).values
    assert values["margin_sum"] == -1.0
    assert values["margin_per_token"] == -6 / 4 + 5 / 2
    assert values["margin_per_byte"] == pytest.approx(-6 / 10 + 5 / 8)
    assert (values["agree_sum"], values["agree_per_token"]) == (0.0, 1.0)
    assert (values["tie_sum"], values["tie_per_token"]) == (0.0, 0.0)
    assert values["length_gap_tokens"] == 2


@pytest.mark.parametrize(
    ("chosen", "rejected", "agrees"), [(-50.0, -20.0, 0.0), (-20.0, -50.0, 1.0), (-9.0, -9.0, 0.0)]
)
def test_a_winner_gives_no_margin(tmp_path: Path, chosen: float, rejected: float, agrees: float) -> None:
    item = item_of(tmp_path)
    (request,) = item.requests
    assert isinstance(request, ScoreRequest)
    item = replace(item, requests=(replace(request, wants_winner=True),))
    assert score(item, (chosen, 30), (rejected, 40)).values == {
        "agree_sum": agrees,
        "tie_sum": float(chosen == rejected),
        "chosen_tokens": 30,
        "rejected_tokens": 40,
        "length_gap_tokens": -10,
    }


def test_a_tie_is_no_agreement(tmp_path: Path) -> None:
    values = score(item_of(tmp_path), (-6.0, 3), (-6.0, 3)).values
    assert (values["agree_sum"], values["agree_per_token"]) == (0.0, 0.0)
    assert (values["tie_sum"], values["tie_per_token"]) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("n_chosen", "n_rejected", "band"),
    [
        (20, 20, "similar length"),
        (19, 20, "similar length"),
        (18, 20, "chosen shorter"),
        (20, 18, "chosen longer"),
        (1, 1, "similar length"),
        (1, 2, "chosen shorter"),
    ],
)
def test_bands_leave_a_tenth(tmp_path: Path, n_chosen: int, n_rejected: int, band: str) -> None:
    values = score(item_of(tmp_path), (-1.0, n_chosen), (-2.0, n_rejected)).values
    assert name_length_band(values) == band


# --- summing up ---------------------------------------------------------------------------------


def summarise(rows: list[ItemRow]) -> dict[tuple[str | None, str], Metric]:
    metrics = preference.summarise(iter(rows), np.random.default_rng(1))
    found = {(metric.group, metric.name): metric for metric in metrics}
    assert len(found) == len(metrics)
    return found


def test_summary_counts_agreements(tmp_path: Path) -> None:
    item = item_of(tmp_path)
    cases = [
        ("a", (-1.0, 20), (-2.0, 20)),  # agrees, similar
        ("a", (-2.0, 20), (-1.0, 20)),  # disagrees, similar
        ("a", (-3.0, 20), (-3.0, 20)),  # tie, similar
        ("b", (-1.0, 10), (-4.0, 20)),  # agrees, shorter
        ("b", (-4.0, 40), (-3.0, 20)),  # disagrees by sum, agrees per token, longer
    ]
    rows = [
        ItemRow("preference", str(i), group, "c", "scored", {}, score(item, chosen, rejected).values, None, ())
        for i, (group, chosen, rejected) in enumerate(cases)
    ]
    rows.append(ItemRow("preference", "bad", "b", "c", "errored", {}, {}, "why", ()))
    found = summarise(rows)
    whole = found[None, "agreement_sum"]
    assert (whole.value, whole.n, whole.errored, whole.method) == (2 / 5, 5, 1, "Wilson")
    assert found[None, "agreement_per_token"].value == 3 / 5
    assert found[None, "agreement_length_matched"].value == 1 / 3
    assert found[None, "agreement_length_matched"].n == 3
    assert found[None, "ties_sum"].value == 1 / 5
    assert found["b", "agreement_sum"].value == 1 / 2
    assert found["b", "agreement_sum"].errored == 1
    assert found["b", "agreement_length_matched"].value is None
    assert found["chosen shorter", "agreement_sum"].value == 1.0
    assert found["chosen longer", "agreement_sum"].value == 0.0
    assert found["chosen longer", "agreement_per_token"].value == 1.0
    assert found["similar length", "agreement_sum"].n == 3


def test_only_errors_give_no_value() -> None:
    found = summarise([ItemRow("preference", "bad", "b", "c", "errored", {}, {}, "why", ())])
    assert found[None, "agreement_sum"].value is None
    assert found[None, "agreement_sum"].errored == 1


def test_nothing_cannot_be_summed_up() -> None:
    with pytest.raises(DataError, match="preference has no finished items"):
        summarise([])
