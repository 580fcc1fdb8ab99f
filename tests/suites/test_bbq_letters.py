"""BBQ with lettered options: the same rows and scores as BBQ, whatever letter an answer stands at."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from llamabench.data.cache import STARTER, Dataset, find_dataset, import_source
from llamabench.records import ChatPrompt, Item, ItemRow, Scored, ScoreRequest, ScoreResult, TextPrompt
from llamabench.suites import bbq, bbq_letters


@pytest.fixture
def dataset() -> Dataset:
    return find_dataset(["bbq"], STARTER)


def request_of(item: Item) -> ScoreRequest:
    (request,) = item.requests
    assert isinstance(request, ScoreRequest)
    return request


def answer(item: Item, likely: int | None, suite: object = bbq_letters) -> ItemRow:
    """The row of an item whose model finds one continuation the likeliest, or all alike."""
    scored = tuple(Scored(-1.0 if place == likely else -2.0, 1, 2, False) for place in range(3))
    score = bbq_letters.score if suite is bbq_letters else bbq.score
    found = score(item, [ScoreResult(item.id, "", scored)])
    return ItemRow("bbq", item.id, item.group, item.cluster, found.outcome, item.facts, found.values, None, ())


def test_options_stand_at_letters(dataset: Dataset) -> None:
    item = next(bbq_letters.items(dataset, use_chat=False))
    answers, order = item.facts["answers"], item.facts["order"]
    assert isinstance(answers, list)
    assert isinstance(order, list)
    shown = [answers[int(str(place))] for place in order]
    prompt = request_of(item).prompt
    assert isinstance(prompt, TextPrompt)
    assert prompt.text.endswith(f"?\nA. {shown[0]}\nB. {shown[1]}\nC. {shown[2]}\nAnswer:")
    assert request_of(item).continuations == (" A", " B", " C")


def test_chat_models_are_told_what_to_say(dataset: Dataset) -> None:
    request = request_of(next(bbq_letters.items(dataset, use_chat=True)))
    assert isinstance(request.prompt, ChatPrompt)
    (message,) = request.prompt.messages
    assert message.role == "user"
    assert "\nC. " in message.content
    assert message.content.endswith("Answer with the letter of the right option only.")
    assert request.continuations == ("A", "B", "C")


def test_it_asks_about_the_same_rows_as_bbq(dataset: Dataset) -> None:
    for ours, theirs in zip(bbq_letters.items(dataset, use_chat=True), bbq.items(dataset, use_chat=True), strict=True):
        assert (ours.id, ours.group, ours.cluster) == (theirs.id, theirs.group, theirs.cluster)
        assert {name: value for name, value in ours.facts.items() if name != "order"} == theirs.facts


def test_the_same_picks_give_the_same_scores_as_bbq(dataset: Dataset) -> None:
    """A model that picks by what the answers say, whatever the letter: both suites see the same."""
    picks = np.random.default_rng(5).integers(0, 4, 10_000)
    plain, lettered = [], []
    for pick, ours, theirs in zip(
        picks, bbq_letters.items(dataset, use_chat=False), bbq.items(dataset, use_chat=False), strict=False
    ):
        order = ours.facts["order"]
        assert isinstance(order, list)
        lettered.append(answer(ours, order.index(int(pick)) if pick < 3 else None))
        plain.append(answer(theirs, int(pick) if pick < 3 else None, bbq))
    mine = {(one.group, one.name): one for one in bbq_letters.summarise(lettered, np.random.default_rng(1))}
    for metric in bbq.summarise(plain, np.random.default_rng(1)):
        if not metric.name.endswith("_norm"):
            found = mine[metric.group, metric.name]
            assert (found.value, found.n, found.unparsed) == (metric.value, metric.n, metric.unparsed)


def test_a_model_that_always_says_a_is_at_chance_and_told(dataset: Dataset) -> None:
    rows = [answer(item, 0) for item in bbq_letters.items(dataset, use_chat=False)]
    found = {one.name: one for one in bbq_letters.summarise(rows, np.random.default_rng(1)) if one.group is None}
    assert [found[f"letter_{letter}"].value for letter in "abc"] == [1, 0, 0]
    for name in ("accuracy_ambig", "accuracy_disambig"):
        value = found[name].value
        assert value is not None
        assert abs(value - 1 / 3) < 0.1


def test_a_tie_picks_nobody(dataset: Dataset) -> None:
    row = answer(next(bbq_letters.items(dataset, use_chat=False)), None)
    assert row.values == {"letter": -1, "pick": -1, "correct": 0}


def test_no_order_is_favoured(shared_data: Path) -> None:
    import_source("bbq", shared_data / "bbq")
    orders, right = Counter[str](), Counter[int]()
    for item in bbq_letters.items(find_dataset(["bbq"]), use_chat=False):
        order = item.facts["order"]
        assert isinstance(order, list)
        orders[str(order)] += 1
        right[order.index(item.facts["label"])] += 1
    n = orders.total()
    assert n > 50_000
    assert len(orders) == 6
    assert all(abs(count / n - 1 / 6) < 0.005 for count in orders.values())
    assert all(abs(count / n - 1 / 3) < 0.01 for count in right.values())
