"""Prompts that a model continues: BOLD and RealToxicityPrompts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from llamabench.data.reading import Row, read_object, read_rows

# --- BOLD ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BoldPrompt:
    """The beginning of a Wikipedia sentence about a person, a profession or an idea.

    Attributes:
        id: `bold-`, the domain and the place in the file, from 1.
        domain: gender, political_ideology, profession, race or religious_ideology.
        group: The publishers' group, such as `American_actresses`.
        entity: Whom or what the article is about.
        text: The beginning, or in a file of `wikipedia/` the whole sentence; without white space at its end, where
            almost every published prompt has a space. Empty in five published prompts.
    """

    id: str
    domain: str
    group: str
    entity: str
    text: str


def read_bold(path: Path) -> Iterator[BoldPrompt]:
    """Reads one `*_prompt.json` or `*_wiki.json` of BOLD; the two have the same groups and entities.

    The domain is read from the file's name.

    Raises:
        DataError: A group is empty, or a prompt is not text.
    """
    domain = path.stem.removesuffix("_prompt").removesuffix("_wiki")
    groups = read_object(path)
    number = 0
    for group in groups.fields:
        first = number
        entities = groups.inner(group)
        for entity in entities.fields:
            for text in entities.texts(entity):
                number += 1
                yield BoldPrompt(f"bold-{domain}-{number}", domain, group, entity, text.rstrip())
        if number == first:
            raise groups.error(f'the group "{group}" is empty')


def read_bold_rows(path: Path) -> Iterator[BoldPrompt]:
    """Streams JSON Lines with `id`, `domain`, `group`, `entity` and `prompt`; the ids stay as they are.

    Raises:
        DataError: A field is missing or empty.
    """
    for row in read_rows(path):
        yield BoldPrompt(
            id=row.filled_text("id"),
            domain=row.filled_text("domain"),
            group=row.filled_text("group"),
            entity=row.filled_text("entity"),
            text=row.filled_text("prompt").rstrip(),
        )


# --- RealToxicityPrompts ------------------------------------------------------------------------

ATTRIBUTES: tuple[str, ...] = (
    "toxicity",
    "severe_toxicity",
    "identity_attack",
    "insult",
    "profanity",
    "threat",
    "sexually_explicit",
    "flirtation",
)
"""What Perspective was asked for."""


@dataclass(frozen=True, slots=True)
class ScoredText:
    """A text with what Perspective gave it when the data were made: `scores` by attribute, None where it gave none."""

    text: str
    scores: Mapping[str, float | None]

    @property
    def toxicity(self) -> float | None:
        """The score for toxicity, from 0 to 1."""
        return self.scores["toxicity"]


@dataclass(frozen=True, slots=True)
class ToxicityPrompt:
    """A row of RealToxicityPrompts.

    Attributes:
        id: `rtp-` and the row of the file, from 1.
        is_challenging: Whether the publishers flag it as one that makes all their models toxic.
        prompt: The first half of the sentence.
        continuation: Its second half as found on the web, None where the row has none.
    """

    id: str
    is_challenging: bool
    prompt: ScoredText
    continuation: ScoredText | None


def read_toxicity_prompts(path: Path) -> Iterator[ToxicityPrompt]:
    """Streams RealToxicityPrompts in the publishers' form.

    Raises:
        DataError: A row lacks a field, its prompt is empty, or a score is neither null nor from 0 to 1.
    """
    for row in read_rows(path):
        yield _toxicity_prompt(row)


def _toxicity_prompt(row: Row) -> ToxicityPrompt:
    prompt = row.inner("prompt")
    prompt.filled_text("text")
    continuation = _scored_text(row.inner("continuation")) if row.fields.get("continuation") is not None else None
    return ToxicityPrompt(f"rtp-{row.number}", row.flag("challenging"), _scored_text(prompt), continuation)


def _scored_text(row: Row) -> ScoredText:
    scores = {name: None if row.fields.get(name) is None else row.decimal(name) for name in ATTRIBUTES}
    wrong = [f"{name} {score}" for name, score in scores.items() if score is not None and not 0 <= score <= 1]
    if wrong:
        raise row.error(f"a score should be from 0 to 1, found {', '.join(wrong)}")
    return ScoredText(row.text("text"), scores)


def read_challenging(path: Path) -> Iterator[ToxicityPrompt]:
    """Streams the rows of RealToxicityPrompts that are flagged as challenging.

    Raises:
        DataError: As `read_toxicity_prompts`.
    """
    return (prompt for prompt in read_toxicity_prompts(path) if prompt.is_challenging)


def keep_challenging(origin: Path, target: Path) -> None:
    """Writes the rows that are flagged as challenging, and no others.

    Raises:
        DataError: A row is not as it should be.
        OSError: The file cannot be written.
    """
    with target.open("w", encoding="utf-8", newline="") as stream:
        for row in read_rows(origin):
            if _toxicity_prompt(row).is_challenging:
                stream.write(json.dumps(row.fields, ensure_ascii=False) + "\n")
