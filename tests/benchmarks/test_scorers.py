from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks/scorers"))

from agreement import cohen_kappa, f1, roc_auc, spearman
from compose import compose
from labelled import (
    DEV_FOLD,
    TEST_FOLDS,
    read_artifacts,
    read_dynahate,
    read_gptfuzz,
    read_regard,
    read_regard_dialogues,
    read_sbic,
    read_sst2,
    read_toxigen,
    read_tweets,
    read_xstest,
)
from material import gather
from rivals import is_refused_by_phrases, read_bad_words
from tables import DOCS, Table, write_docs
from train_refusal import train

from llamabench.scorers.refusal import AGREEMENT, RefusalJudge

# --- arithmetic ---------------------------------------------------------------------------------


def test_auc_by_hand() -> None:
    # of the six pairs of a true and a false item, four are in order and one is a tie
    assert roc_auc([True, True, False, False, False], [0.9, 0.4, 0.4, 0.5, 0.1]) == pytest.approx(4.5 / 6)
    assert math.isnan(roc_auc([True, True], [0.1, 0.2]))


def test_kappa_by_hand() -> None:
    # the worked table of Cohen 1960's idea: 20 + 15 of 50 agree, 0.5 * 0.6 + 0.5 * 0.4 by chance
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert cohen_kappa(first, second) == pytest.approx((0.7 - 0.5) / (1 - 0.5))
    assert math.isnan(cohen_kappa("aa", "aa"))


def test_f1_and_ranks_by_hand() -> None:
    assert f1([True, True, False, False], [True, False, True, False]) == 0.5
    assert f1([True], [False]) == 0
    assert spearman([1, 2, 3, 4], [10, 20, 40, 30]) == pytest.approx(0.8)


# --- what is compared with ----------------------------------------------------------------------


def test_phrases_are_found_as_the_scripts_find_them() -> None:
    assert is_refused_by_phrases("Well, I'm sorry to say no.")
    assert is_refused_by_phrases("She said that she was sorry. I'm sorry too, but here it is.")
    assert not is_refused_by_phrases("Here is how.")


def test_bad_words_are_whole_words(shared_data: Path) -> None:
    score = read_bad_words(shared_data)
    assert score("what an asshole") > 0
    assert score("the class passed the assessment in Scunthorpe") == 0
    assert score("") == 0


# --- the page -----------------------------------------------------------------------------------


def test_tables_are_put_between_the_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "scorers.md"
    page.write_text(DOCS.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr("tables.DOCS", page)
    for _ in range(2):
        write_docs("measure.py", [Table("Heading", ("a", "b"), [("1", "2")])])
    text = page.read_text(encoding="utf-8")
    assert text.count("**Heading**\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n<!-- end") == 1
    assert text.startswith("# Scorers")
    assert "## Judges" in text


# --- labelled sets ------------------------------------------------------------------------------


def test_sets_have_the_sizes_that_their_publishers_state(shared_data: Path) -> None:
    assert sum(1 for _ in read_dynahate(shared_data)) == 3_571
    assert sum(1 for _ in read_sbic(shared_data)) == 4_666 + 4_691
    assert sum(1 for _ in read_toxigen(shared_data)) == 8_960
    assert sum(1 for _ in read_sst2(shared_data, "test")) == 1_821
    assert sum(1 for _ in read_tweets(shared_data)) == 4_200
    assert sum(1 for _ in read_gptfuzz(shared_data)) == 6_160
    assert sum(1 for _ in read_regard_dialogues(shared_data)) == 604
    assert [sum(1 for _ in read_regard(shared_data, split)) for split in ("train", "dev", "test")] == [212, 60, 30]


def test_xstest_labels_are_those_of_the_paper(shared_data: Path) -> None:
    safe = [row for row in read_xstest(shared_data) if row.source == "llama2orig" and row.is_request_safe]
    assert len(safe) == 250
    assert sum(row.label == "full" for row in safe) / 250 == pytest.approx(0.38)
    assert sum(row.label == "partial" for row in safe) / 250 == pytest.approx(0.216)


def test_artifacts_are_read(shared_data: Path) -> None:
    rows = list(read_artifacts(shared_data))
    assert len(rows) == 546
    assert sum(jailbroken for _, _, _, jailbroken in rows) == 276


def test_nothing_is_learned_that_is_tested(shared_data: Path) -> None:
    material = gather(shared_data)
    learned = {" ".join(row.text.lower().split()).strip(" .!?\"'") for row in material.train}
    for name, rows in material.test.items():
        tested = {" ".join(row.text.lower().split()).strip(" .!?\"'") for row in rows}
        assert not learned & tested, name
    documents = {row.group for row in material.train if row.source == "rtp"}
    assert not documents & {row.group for name in ("rtp", "rtp_nontoxic") for row in material.test[name]}
    assert all(row.fold not in TEST_FOLDS | {DEV_FOLD} for row in material.train if row.group.endswith("txt"))
    assert {row.source for row in material.train} & {"hatecheck", "wikipedia", "dexperts"} == set()


# --- sentences of our own -----------------------------------------------------------------------


def test_composed_sentences_depend_on_the_seed_alone() -> None:
    assert list(compose(50, 3)) == list(compose(50, 3))
    assert list(compose(50, 3)) != list(compose(50, 4))


def test_composed_sentences_are_half_attacks_and_filled_in() -> None:
    sentences = list(compose(400, 1))
    assert 0.4 < sum(sentence.is_attack for sentence in sentences) / len(sentences) < 0.6
    assert not any(mark in sentence.text for sentence in sentences for mark in "{}")
    assert all(sentence.is_toxic for sentence in sentences if sentence.is_attack)


def test_the_refusal_scorer_states_what_is_measured(shared_data: Path) -> None:
    """Each model's answers are judged with weights that have not seen them, as `measure.py` does."""
    answers = list(read_xstest(shared_data))
    binary, classes = [], []
    for model in ("llama2new", "llama2orig", "mistralinstruct"):
        judge = RefusalJudge(train([row for row in answers if row.source != model]))
        left_out = [row for row in answers if row.source == model]
        verdicts = [judge.judge(row.request, row.answer) for row in left_out]
        labels, found = [row.label for row in left_out], [one.label if one else "full" for one in verdicts]
        pair = ([label != "compliance" for label in one] for one in (labels, found))
        binary.append(f"{cohen_kappa(*pair):.2f}")
        classes.append(f"{cohen_kappa(labels, found):.2f}")
    assert f"kappa {binary[0]}, {binary[1]} and {binary[2]}," in AGREEMENT
    assert f"classes with {classes[0]}, {classes[1]} and {classes[2]}:" in AGREEMENT
