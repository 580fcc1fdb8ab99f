"""Pairs of answers of which people preferred one, in the layouts of their publishers and in one for your own."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from llamabench.data.reading import Row, read_object, read_rows
from llamabench.records import Message

_HUMAN = "\n\nHuman:"
_ASSISTANT = "\n\nAssistant:"


Vote = Literal["chosen", "rejected", "tie"]
"""What one person said of a pair."""

_VOTES: dict[str, Vote] = {"chosen": "chosen", "rejected": "rejected", "tie": "tie"}
_SWAPPED: dict[Vote, Vote] = {"chosen": "rejected", "rejected": "chosen", "tie": "tie"}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one conversation; `problem` says why the pair cannot be scored, None where it can.

    Attributes:
        number: Row of the file, from 1.
        id: An id that is unique in the edition, None where the row brings none.
        group: The row's own category, None where it brings none.
        messages: The conversation up to the answer.
        chosen: The answer that most people preferred; the first one where they were even.
        rejected: The other one.
        problem: Why the pair cannot be scored.
        votes: What each person said, in the order of the file; one vote for "chosen" where only the outcome is known.
        weight: How much the pair counts, 0 or more.
    """

    number: int
    id: str | None
    group: str | None
    messages: tuple[Message, ...]
    chosen: str
    rejected: str
    problem: str | None = None
    votes: tuple[Vote, ...] = ("chosen",)
    weight: float = 1.0

    @property
    def is_tie(self) -> bool:
        """Whether as many people preferred the one answer as the other."""
        return self.votes.count("chosen") == self.votes.count("rejected")


def _rank(pair: Pair, votes: Sequence[Vote]) -> Pair:
    """Puts the votes into a pair, and its answers the other way round where most people preferred the second."""
    if votes.count("rejected") > votes.count("chosen"):
        swapped = tuple(_SWAPPED[vote] for vote in votes)
        return replace(pair, chosen=pair.rejected, rejected=pair.chosen, votes=swapped)
    return replace(pair, votes=tuple(votes))


def _compare(row: Row, messages: tuple[Message, ...], first: str, second: str) -> Pair:
    """Makes the pair of two answers as they stand in the row's fields; an empty one is a problem, not an error."""
    answers = row.text(first).strip(), row.text(second).strip()
    problem = None if all(answers) else _EMPTY
    return Pair(row.number, None, None, messages, answers[0], answers[1], problem)


_EMPTY = "one of the two answers is empty"


# --- Anthropic ----------------------------------------------------------------------------------


def read_hh(path: Path) -> Iterator[Pair]:
    """Streams an HH-RLHF file of whole transcripts, cut where the two of a pair part.

    The common beginning is cut at its last "Assistant:" line. A pair that parts in an earlier turn, or has an empty
    answer, is kept with its problem stated.

    Raises:
        DataError: A row lacks a transcript, or a transcript has no assistant's turn.
    """
    for row in read_rows(path):
        chosen, rejected = row.filled_text("chosen"), row.filled_text("rejected")
        for name, transcript in (("chosen", chosen), ("rejected", rejected)):
            if _ASSISTANT not in transcript:
                raise row.error(f'the transcript "{name}" has no turn of the assistant')
        yield _cut_transcripts(row.number, chosen, rejected)


def _cut_transcripts(number: int, chosen: str, rejected: str) -> Pair:
    common = os.path.commonprefix([chosen, rejected])
    cut = common.rfind(_ASSISTANT)
    if cut < 0:
        return Pair(number, None, None, (), "", "", "the two transcripts have no turn of the assistant in common")
    answers = [text[cut + len(_ASSISTANT) :].strip() for text in (chosen, rejected)]
    problem = None
    if any(_HUMAN in text[cut:] for text in (chosen, rejected)):
        problem = "the two transcripts part before their last answer"
    elif not all(answers):
        problem = _EMPTY
    return Pair(number, None, None, split_turns(common[:cut]), answers[0], answers[1], problem)


def split_turns(transcript: str) -> tuple[Message, ...]:
    r"""Splits a transcript with "Human:" and "Assistant:" lines into turns.

    >>> split_turns("\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Bye")[1]
    Message(role='assistant', content='Hello.')
    """
    parts = re.split(r"\n\n(Human|Assistant):", transcript)
    roles = {"Human": "user", "Assistant": "assistant"}
    return tuple(Message(roles[speaker], text.strip()) for speaker, text in zip(parts[1::2], parts[2::2], strict=True))


def read_hhh(path: Path) -> Iterator[Pair]:
    """Streams HHH alignment rows; a query that holds several turns is split into them.

    Raises:
        DataError: A row lacks a field or has an empty one.
    """
    for row in read_rows(path):
        messages = split_turns(f"{_HUMAN} {row.filled_text('query')}")
        chosen, rejected = row.filled_text("chosen").strip(), row.filled_text("rejected").strip()
        yield Pair(row.number, None, row.filled_text("subset"), messages, chosen, rejected)


def read_hhh_task(path: Path) -> Iterator[Pair]:
    """Streams a `task.json` of BIG-bench's HHH alignment; the folder it lies in is its subset.

    Raises:
        DataError: An example lacks a field, or has no two answers of which exactly one is right.
    """
    subset = path.parent.name
    task = read_object(path)
    for number, example in enumerate(task.inners("examples"), start=1):
        row = Row(f"{path}, example {number}", number, example.fields)
        targets = row.inner("target_scores").fields
        right = [answer for answer, value in targets.items() if value == 1]
        wrong = [answer for answer, value in targets.items() if value == 0]
        if (len(right), len(wrong)) != (1, 1):
            raise row.error(f"target_scores should hold one answer with 1 and one with 0, found {len(targets)} answers")
        messages = split_turns(f"{_HUMAN} {row.filled_text('input')}")
        yield Pair(number, f"hhh-{subset}-{number}", subset, messages, right[0].strip(), wrong[0].strip())


# --- a form for your own, and RewardBench's -----------------------------------------------------


def read_pairs(path: Path) -> Iterator[Pair]:
    """Streams pairs of anybody's.

    A row has `chosen` and `rejected`, and `prompt` (a text, or a transcript with "Human:" and "Assistant:" lines) or
    `messages` (turns with `role` and `content`); without either, the two are whole transcripts as in HH-RLHF. It may
    have `id`, `category` or `subset`, `weight`, and `preferred`: chosen, rejected, tie, or a list of these, one for
    each person who was asked.

    Raises:
        DataError: A row lacks a field, has an empty one or one that means nothing, its conversation does not end with
            the user, or its id stands twice.
    """
    seen: set[str] = set()
    for row in read_rows(path):
        pair = _rank(_own_pair(row), _read_votes(row))
        if pair.id is not None and pair.id in seen:
            raise row.error(f'the id "{pair.id}" stands twice')
        if pair.id is not None:
            seen.add(pair.id)
        yield pair


def _own_pair(row: Row) -> Pair:
    chosen, rejected = row.filled_text("chosen"), row.filled_text("rejected")
    if "messages" in row.fields or "prompt" in row.fields:
        pair = Pair(row.number, None, None, _read_conversation(row), chosen.strip(), rejected.strip())
    elif _ASSISTANT in chosen and _ASSISTANT in rejected:
        pair = _cut_transcripts(row.number, chosen, rejected)
    else:
        raise row.error('there is no "prompt", no "messages", and the answers are no transcripts')
    row_id = str(row.integer("id")) if isinstance(row.fields.get("id"), int) else row.optional_text("id")
    group = row.optional_text("category") or row.optional_text("subset")
    weight = row.decimal("weight") if row.fields.get("weight") is not None else 1.0
    if weight < 0:
        raise row.error(f"the weight should be 0 or more, found {weight}")
    return replace(pair, id=row_id, group=group, weight=weight)


def _read_conversation(row: Row) -> tuple[Message, ...]:
    if "messages" not in row.fields:
        text = row.filled_text("prompt").rstrip().removesuffix("Assistant:").rstrip()
        turns = split_turns(text if text.startswith(_HUMAN) else f"{_HUMAN} {text}")
    else:
        turns = tuple(
            Message(turn.choice("role", ("system", "user", "assistant")), turn.filled_text("content"))
            for turn in row.inners("messages")
        )
    if not turns or turns[-1].role != "user":
        raise row.error("the conversation should end with a turn of the user")
    return turns


def _read_votes(row: Row) -> tuple[Vote, ...]:
    value = row.fields.get("preferred")
    if value is None:
        return ("chosen",)
    words = row.texts("preferred") if isinstance(value, list) else (row.text("preferred"),)
    unknown = [word for word in words if word not in _VOTES]
    if unknown or not words:
        raise row.error(f"preferred should be {', '.join(_VOTES)} or a list of these, found {value!r}")
    return tuple(_VOTES[word] for word in words)


# --- other publishers ---------------------------------------------------------------------------


def read_pku(path: Path) -> Iterator[Pair]:
    """Streams PKU-SafeRLHF: two pairs a row, by which answer is more helpful and by which is safer.

    The groups are `helpful` and `safe`; the folder that the file lies in, which names the model, is part of the ids.

    Raises:
        DataError: A row lacks a field, or an answer's number is not 0 or 1.
    """
    for row in read_rows(path):
        messages = (Message("user", row.filled_text("prompt").strip()),)
        pair = _compare(row, messages, "response_0", "response_1")
        for name, field in (("helpful", "better_response_id"), ("safe", "safer_response_id")):
            best = row.integer(field)
            if best not in (0, 1):
                raise row.error(f"{field} should be 0 or 1, found {best}")
            ranked = _rank(pair, ("rejected",) if best else ("chosen",))
            yield replace(ranked, id=f"pku-{path.parent.name}-{row.number}-{name}", group=name)


def read_llmbar(path: Path) -> Iterator[Pair]:
    """Streams a `dataset.json` of LLMBar; the folder it lies in, or else its name, is its subset.

    Raises:
        DataError: A row lacks a field, or a label is not 1 or 2.
    """
    subset = path.parent.name if path.stem == "dataset" else path.stem
    for row in read_rows(path):
        messages = (Message("user", row.filled_text("input").strip()),)
        label = row.integer("label")
        if label not in (1, 2):
            raise row.error(f"the label should be 1 or 2, found {label}")
        pair = _rank(_compare(row, messages, "output_1", "output_2"), ("chosen",) if label == 1 else ("rejected",))
        yield replace(pair, id=f"llmbar-{subset}-{row.number}", group=subset)


_AUTO_J: tuple[Vote, ...] = ("chosen", "rejected", "tie")


def read_auto_j(path: Path) -> Iterator[Pair]:
    """Streams Auto-J's `testdata_pairwise.jsonl`, whose labels are 0 (first answer), 1 (second) and 2 (tie).

    Raises:
        DataError: A row lacks a field, or a label is none of these.
    """
    for row in read_rows(path):
        messages = (Message("user", row.filled_text("prompt").strip()),)
        label = row.integer("label")
        if not 0 <= label < len(_AUTO_J):
            raise row.error(f"the label should be 0, 1 or 2, found {label}")
        pair = _rank(_compare(row, messages, "response 1", "response 2"), (_AUTO_J[label],))
        yield replace(pair, group=row.filled_text("scenario"))


_PANDALM: tuple[Vote, ...] = ("tie", "chosen", "rejected")


def read_pandalm(path: Path) -> Iterator[Pair]:
    """Streams PandaLM's test set, with the votes of its three annotators: 0 (tie), 1 (first answer), 2 (second).

    The input, where there is one, follows the instruction after an empty line. Six answers that are the word "True"
    are published as the value true.

    Raises:
        DataError: A row lacks a field, or a vote is none of these.
    """
    for published in read_rows(path):
        words = {name: str(value) for name, value in published.fields.items() if isinstance(value, bool)}
        row = replace(published, fields={**published.fields, **words})
        parts = (row.text("instruction").strip(), row.text("input").strip())
        if not any(parts):
            raise row.error("there is no instruction and no input")
        messages = (Message("user", "\n\n".join(part for part in parts if part)),)
        numbers = [row.integer(f"annotator{person}") for person in (1, 2, 3)]
        if not all(0 <= number < len(_PANDALM) for number in numbers):
            raise row.error(f"a vote should be 0, 1 or 2, found {', '.join(map(str, numbers))}")
        pair = _rank(_compare(row, messages, "response1", "response2"), [_PANDALM[number] for number in numbers])
        yield replace(pair, id=f"pandalm-{row.integer('idx')}", group=row.optional_text("motivation_app"))


PAIR_READERS: Mapping[str, Callable[[Path], Iterator[Pair]]] = {
    "hh": read_hh,
    "hhh": read_hhh,
    "hhh-task": read_hhh_task,
    "pairs": read_pairs,
    "pku": read_pku,
    "llmbar": read_llmbar,
    "auto-j": read_auto_j,
    "pandalm": read_pandalm,
}
"""The reader of each format of pairs."""
