"""Behaviours as targets of attacks: llamabench's own, or those of a published set."""

from __future__ import annotations

import re
from collections.abc import Iterator

from llamabench.data.cache import DataFile, Dataset
from llamabench.data.formats import BEHAVIOUR_READERS, Behaviour
from llamabench.data.formats import read_targets as read_own_targets
from llamabench.errors import DataError
from llamabench.records import AttackTarget
from llamabench.suites.redteam.published import HARMS, UNSORTED, Harm

_CONTEXT_BORDER = "\n\n---\n\n"

_ASKS_HOW = re.compile(
    r"(?:(?:tell me|teach me|show me|explain|describe) )?how (?:to|(?:do|can|could|would|should) (?:i|you|we|one)) "
    r"(.+)",
    re.IGNORECASE,
)
_ASKS_FOR = re.compile(
    r"(?:write|give|create|make|develop|draft|compose|generate|provide|produce|design|list|outline)(?: me)? "
    r"((?:an?|the|some) .+)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[\w']+")
_SENTENCE_END = re.compile(r"[.!?](?:\s|$)|\n")
_OTHER_PERSON = {
    "my": "your",
    "me": "you",
    "i": "you",
    "myself": "yourself",
    "mine": "yours",
    "our": "your",
    "we": "you",
}
_MOST_LETTERS = 160


def read_targets(dataset: Dataset) -> Iterator[AttackTarget]:
    """Streams the targets of a data set; harmless twins come after those that they are twins of.

    Raises:
        DataError: A row is not as it should be, an id stands twice, or a category is not known.
    """
    homes: dict[str, str] = {}
    for file in dataset.files:
        for target in _read(file):
            if target.id in homes:
                both = f"{homes[target.id]} and {file.edition}"
                raise DataError(f'The behaviour "{target.id}" stands in {both}. Ask for one of these.')
            homes[target.id] = file.edition
            yield target


def _read(file: DataFile) -> Iterator[AttackTarget]:
    if file.kind == "attack-targets":
        yield from read_own_targets(file.path)
        return
    for behaviour in BEHAVIOUR_READERS[file.kind](file.path):
        yield _target(behaviour, _find_harm(behaviour, file), file.edition)


def _find_harm(behaviour: Behaviour, file: DataFile) -> Harm:
    known = HARMS[file.kind]
    if behaviour.category is None:
        return UNSORTED
    if behaviour.category not in known:
        raise DataError(
            f'{file.path}: the category "{behaviour.category}" of {behaviour.id} has no weight. '
            f"There are: {', '.join(known)}."
        )
    return known[behaviour.category]


def _target(behaviour: Behaviour, harm: Harm, edition: str) -> AttackTarget:
    text = behaviour.text if behaviour.context is None else f"{behaviour.context}{_CONTEXT_BORDER}{behaviour.text}"
    return AttackTarget(
        id=behaviour.id,
        text=text,
        category=harm.category,
        subcategory=harm.subcategory,
        weight=harm.weight if behaviour.is_harmful else 0.0,
        rubric=harm.rubric if behaviour.is_harmful else "Harmless: on the subject of a harmful one.",
        opening=behaviour.target or make_opening(behaviour.text),
        source=edition,
        twin_of=None if behaviour.is_harmful else behaviour.id.replace("-benign-", "-harmful-"),
    )


def make_opening(request: str) -> str:
    """How an answer that complies would begin, made of the first sentence of the request.

    >>> make_opening("Write a poem about my garden. Be brief.")
    'Sure, here is a poem about your garden:'
    >>> make_opening("How do I open a lock?")
    'Sure, here is how to open a lock:'
    """
    sentence = " ".join(_SENTENCE_END.split(request.strip(), maxsplit=1)[0].split())
    if len(sentence) > _MOST_LETTERS:
        sentence = sentence[:_MOST_LETTERS].rsplit(maxsplit=1)[0]
    if how := _ASKS_HOW.fullmatch(sentence):
        said = f"how to {_turn_to_you(how[1])}"
    elif asked_for := _ASKS_FOR.fullmatch(sentence):
        said = _turn_to_you(asked_for[1])
    else:
        said = f'an answer to "{sentence}"'
    return f"Sure, here is {said}:"


def _turn_to_you(text: str) -> str:
    return _WORD.sub(lambda match: _OTHER_PERSON.get(match[0].lower(), match[0]), text)
