from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from llamabench.data.formats import (
    BbqMetadata,
    BbqTarget,
    count_rows,
    find_category,
    read_bbq,
    read_bbq_metadata,
    read_categories,
    read_hh,
    read_hhh,
    read_pairs,
    read_questions,
)
from llamabench.data.reading import read_rows
from llamabench.errors import DataError
from llamabench.records import Message


def write_lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_rows_are_read_whatever_the_file_is_called(tmp_path: Path) -> None:
    rows = [{"a": 1}, {"a": 2}]
    plain = write_lines(tmp_path / "plain.gz", rows)
    zipped = tmp_path / "zipped.jsonl"
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    array = tmp_path / "array.jsonl"
    array.write_text("\ufeff" + json.dumps(rows), encoding="utf-8")
    for path in (plain, zipped, array):
        assert [(row.number, row.fields["a"]) for row in read_rows(path)] == [(1, 1), (2, 2)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1}\n\n{"a": \n', r"line 3: not valid JSON"),
        (b"[1]", r"entry 1: not a JSON object"),
        (b"7\n", r"line 1: not a JSON object"),
        (b"[{]", r"is not valid JSON"),
        (b'{"a": 1}\n{"a": "\xff"}\n', r"line 2: not UTF-8 text \(byte 0xff\)"),
        (gzip.compress(b'{"a": 1}\n' * 99)[:-20], r"cannot be read"),
    ],
)
def test_broken_rows_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        list(read_rows(path))
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_an_error_for_people(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        list(read_rows(tmp_path / "none.jsonl"))


# --- TruthfulQA ---------------------------------------------------------------------------------

QUESTION = {
    "question": "Is the sky green?",
    "mc1_targets": {"No": 1, "Yes": 0},
    "mc2_targets": {"No": 1, "It is blue": 1, "Yes": 0, "": 0},
}


def test_questions_lose_answers_without_text(tmp_path: Path) -> None:
    (question,) = read_questions(write_lines(tmp_path / "q", [QUESTION]))
    assert question.id == "tqa-0001"
    assert question.category is None
    assert question.mc0 == {}
    assert question.mc2 == {"No": True, "It is blue": True, "Yes": False}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question": " "}, '"question" should be text that is not empty'),
        ({"mc1_targets": {"No": 1, "Yes": 1}}, "mc1_targets has 2 true answers of 2"),
        ({"mc1_targets": {"No": 0, "Yes": 0}}, "mc1_targets has 0 true answers of 2"),
        ({"mc2_targets": {"No": 1}}, "mc2_targets has 1 true answers of 1"),
        ({"mc2_targets": {}}, "there are no answers"),
        ({"mc2_targets": {"No": 0, "Yes": 1}}, '"No" is called both true and false'),
        ({"mc1_targets": {"No": 2}}, "should map answers to 0 or 1"),
        ({"mc1_targets": ["No"]}, '"mc1_targets" should be an object'),
    ],
)
def test_a_bad_question_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    rows = [{**QUESTION, "question": "Fine?"}, {**QUESTION, **change}]
    with pytest.raises(DataError, match=f"line 2: .*{message}"):
        count_rows(write_lines(tmp_path / "q", rows), "truthfulqa")


def test_a_question_stands_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2: .*stands twice"):
        count_rows(write_lines(tmp_path / "q", [QUESTION, QUESTION]), "truthfulqa")


def test_categories_are_found_whatever_the_spacing(tmp_path: Path) -> None:
    path = tmp_path / "TruthfulQA.csv"
    path.write_text('\ufeffType,Category,Question\nA, Law ,"What  is\n law?"\n', encoding="utf-8")
    categories = read_categories(path)
    assert find_category(categories, "What is law?") == "Law"
    assert find_category(categories, "What is it?") is None


def test_a_table_without_its_columns_is_named(tmp_path: Path) -> None:
    path = tmp_path / "TruthfulQA.csv"
    path.write_text("Type,Question\nA,B\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"no column Category in the header \(found: Type, Question\)"):
        read_categories(path)


# --- BBQ ----------------------------------------------------------------------------------------

BBQ_ROW: dict[str, Any] = {
    "example_id": 3,
    "question_index": "1",
    "question_polarity": "neg",
    "context_condition": "ambig",
    "category": "Age",
    "answer_info": {"ans0": ["grandfather", "old"], "ans1": ["grandson", "nonOld"], "ans2": ["Unknown", "unknown"]},
    "additional_metadata": {"stereotyped_groups": ["old"]},
    "context": "Two people.",
    "question": "Who?",
    "ans0": "The grandfather",
    "ans1": "The grandson",
    "ans2": "Unknown",
    "label": 2,
}


def test_a_bbq_row_is_read(tmp_path: Path) -> None:
    stated = {**BBQ_ROW, "example_id": 4, "target_loc": 1, "label_type": "name"}
    untold = {**BBQ_ROW, "example_id": 5, "target_loc": None}
    first, second, third = read_bbq(write_lines(tmp_path / "b", [BBQ_ROW, stated, untold]))
    assert (first.question_index, first.groups, first.target) == (1, ("old", "nonOld", "unknown"), None)
    assert second.target == BbqTarget(1, "name")
    assert third.target == BbqTarget(None, "label")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 3}, "the label should be 0, 1 or 2, found 3"),
        ({"label": True}, '"label" should be a whole number'),
        ({"question_polarity": "positive"}, "should be neg or nonneg"),
        ({"context_condition": ""}, "should be ambig or disambig"),
        ({"ans1": ""}, '"ans1" should be text that is not empty'),
        ({"answer_info": {**BBQ_ROW["answer_info"], "ans1": ["x", "unknown"]}}, "exactly one answer"),
        ({"answer_info": {**BBQ_ROW["answer_info"], "ans1": ["x"]}}, "a text and a group, found 1"),
        ({"additional_metadata": {}}, '"stereotyped_groups" is missing'),
        ({"example_id": 3}, "example_id 3 stands twice"),
        ({"target_loc": 5}, "target_loc should be 0, 1, 2 or null"),
        ({"category": "SES"}, "mixes rows of Age, SES"),
    ],
)
def test_a_bad_bbq_row_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    rows = [BBQ_ROW, {**BBQ_ROW, "example_id": 4, **change}]
    with pytest.raises(DataError, match=message):
        count_rows(write_lines(tmp_path / "b", rows), "bbq")


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    row = {name: value for name, value in BBQ_ROW.items() if name != "question"}
    with pytest.raises(DataError, match='line 1: the field "question" is missing'):
        count_rows(write_lines(tmp_path / "b", [row]), "bbq")


def test_metadata_keep_every_kind_of_target() -> None:
    targets = [BbqTarget(loc, kind) for loc in (0, 1, 2, None) for kind in ("name", "label")]
    metadata = BbqMetadata()
    for number, target in enumerate(targets):
        metadata.put("Age", 3 * number, target)
    assert [metadata.find("Age", 3 * number) for number in range(len(targets))] == targets
    assert metadata.find("Age", 1) is None
    assert metadata.find("Age", 999) is None
    assert metadata.find("SES", 0) is None


def test_metadata_are_read_as_the_publishers_write_them(tmp_path: Path) -> None:
    path = tmp_path / "additional_metadata.csv"
    path.write_text(
        '"category","question_index","example_id","target_loc","label_type"\n'
        '"Age","1",0,"0","label"\n"SES","2",7,NA,"name"\n"SES","9",NA,NA,"name"\n',
        encoding="utf-8",
    )
    metadata = read_bbq_metadata(path)
    assert metadata.find("Age", 0) == BbqTarget(0, "label")
    assert metadata.find("SES", 7) == BbqTarget(None, "name")
    assert count_rows(path, "bbq-metadata") == 2


def test_a_bad_target_is_named(tmp_path: Path) -> None:
    path = tmp_path / "additional_metadata.csv"
    path.write_text("category,example_id,target_loc,label_type\nAge,0,4,label\n", encoding="utf-8")
    with pytest.raises(DataError, match='line 2: target_loc should be 0, 1, 2, empty or NA, found "4"'):
        count_rows(path, "bbq-metadata")


# --- preference pairs ---------------------------------------------------------------------------

TALK = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Bye\n\nAssistant:"


@pytest.mark.parametrize(
    ("chosen", "rejected", "answers", "problem"),
    [
        (f"{TALK} So long.", f"{TALK} So what?", ("So long.", "So what?"), None),
        (f"{TALK} A \n", f"{TALK}  B", ("A", "B"), None),
        (f"{TALK} A\n\nHuman: C\n\nAssistant: D", f"{TALK} B", None, "part before their last answer"),
        (f"{TALK} A\n\nHuman: C\n\nAssistant: D", f"{TALK} A\n\nHuman: E\n\nAssistant: D", None, "part before"),
        (f"{TALK} ", f"{TALK} B", None, "one of the two answers is empty"),
        ("\n\nHuman: Hi\n\nAssistant: A", "\n\nHuman: Ho\n\nAssistant: A", None, "no turn of the assistant in common"),
    ],
)
def test_transcripts_are_cut_where_they_part(
    tmp_path: Path, chosen: str, rejected: str, answers: tuple[str, str] | None, problem: str | None
) -> None:
    (pair,) = read_hh(write_lines(tmp_path / "hh", [{"chosen": chosen, "rejected": rejected}]))
    if answers is None:
        assert pair.problem is not None
        assert str(problem) in pair.problem
    else:
        assert (pair.problem, (pair.chosen, pair.rejected)) == (None, answers)
        assert pair.messages == (Message("user", "Hi"), Message("assistant", "Hello."), Message("user", "Bye"))


def test_a_transcript_without_an_answer_is_named(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "hh", [{"chosen": "Hi", "rejected": TALK}])
    with pytest.raises(DataError, match='line 1: the transcript "chosen" has no turn of the assistant'):
        count_rows(path, "hh")


def test_a_query_with_turns_is_split(tmp_path: Path) -> None:
    query = "Hi\n\nAssistant: Hello.\n\nHuman: Bye"
    (pair,) = read_hhh(
        write_lines(tmp_path / "h", [{"subset": "honest", "query": query, "chosen": "A", "rejected": "B"}])
    )
    assert [turn.role for turn in pair.messages] == ["user", "assistant", "user"]
    assert (pair.group, pair.messages[2].content) == ("honest", "Bye")


def test_a_conversation_ends_with_the_user(tmp_path: Path) -> None:
    row = {"id": "1", "category": "x", "chosen": "A", "rejected": "B", "messages": [{"role": "user", "content": "Hi"}]}
    assert next(read_pairs(write_lines(tmp_path / "p", [row]))).messages == (Message("user", "Hi"),)
    row["messages"] = [{"role": "assistant", "content": "Hi"}]
    with pytest.raises(DataError, match="line 1: the conversation should end with a turn of the user"):
        count_rows(write_lines(tmp_path / "p", [row]), "pairs")
