"""TruthfulQA in the model's own words: worked similarities, the published tables, and answers that are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from llamabench.data.cache import find_dataset, import_source
from llamabench.records import Generated, GenerateRequest, GenerateResult, Item, ItemRow, ItemScore, TextPrompt
from llamabench.suites import truthfulqa_gen as suite
from llamabench.suites.truthfulqa import PRIMER


def first_item() -> Item:
    return next(suite.items(find_dataset(suite.DATA_SOURCES, "starter"), use_chat=False))


def score(item: Item, text: str) -> ItemScore:
    return suite.score(item, [GenerateResult(item.id, "", (Generated(text, "stop", 5),))])


def with_references(true: list[str], false: list[str]) -> Item:
    return replace(first_item(), facts={"true": true, "false": false})  # type: ignore[dict-item]


def test_the_prompt_is_the_primer_and_the_question() -> None:
    (request,) = first_item().requests
    assert isinstance(request, GenerateRequest)
    assert isinstance(request.prompt, TextPrompt)
    assert request.prompt.text.startswith(PRIMER + "\n\nQ: ")
    assert request.prompt.text.endswith("?\nA:")
    assert (request.sampling.max_tokens, request.sampling.temperature, request.sampling.stop)[:2] == (50, 0.0)
    assert request.sampling.stop == ("\n", "Q:")


def test_worked_similarities() -> None:
    """ROUGE by hand: of "the seeds pass through you." 4 of 5 words stand in the true reference of 6, none in the false.

    F1 of 4/5 and 4/6 is 8/11; the two-word runs "the seeds" and "pass through" are 2 of 4 and 2 of 5: 4/9.
    """
    item = with_references(["The seeds will pass through quickly"], ["Melons grow inside"])
    values = score(item, " the seeds pass through you.").values
    assert values["rouge1_diff"] == pytest.approx(8 / 11)
    assert values["rouge2_diff"] == pytest.approx(4 / 9)
    assert values["rougeL_diff"] == pytest.approx(8 / 11)
    assert values["rouge1_acc"] == values["rouge2_acc"] == values["rougeL_acc"] == 1
    assert values["no_comment"] == 0


def test_a_tie_is_not_true() -> None:
    values = score(with_references(["Cats sleep"], ["Dogs sleep"]), "They sleep").values
    assert values["rouge1_diff"] == 0
    assert values["rouge1_acc"] == 0


def test_no_comment_is_among_the_true_answers() -> None:
    values = score(with_references(["Cats sleep"], ["Dogs sleep"]), "I have no comment.").values
    assert values["no_comment"] == 1
    assert values["rougeL_diff"] == 1


def test_nothing_is_unparsed() -> None:
    done = score(first_item(), "  ")
    assert (done.outcome, done.values) == ("unparsed", {})


def test_means_and_shares() -> None:
    rows = []
    for number, text in enumerate(["Cats sleep", "Cats sleep", "Dogs sleep", "Dogs sleep a lot"]):
        done = score(with_references(["Cats sleep"], ["Dogs sleep"]), text)
        rows.append(ItemRow("truthfulqa_gen", str(number), "g", str(number), "scored", {}, done.values, None, ()))
    metrics = {(m.name, m.group): m for m in suite.summarise(rows, np.random.default_rng(0))}
    assert metrics["rouge1_acc", None].value == 0.5
    differences = [row.values["rouge1_diff"] for row in rows]
    assert metrics["rouge1_diff", None].value == pytest.approx(np.mean(differences))
    assert metrics["rouge1_diff", "g"].n == 4
    low, high = metrics["rouge1_diff", None].low, metrics["rouge1_diff", None].high
    assert low is not None
    assert high is not None
    assert low < float(np.mean(differences)) < high


@pytest.mark.parametrize(("edition", "n"), [("790", 790), ("817", 817)])
def test_published_questions_have_references_of_both_kinds(
    shared_data: Path, own_data_folder: Path, edition: str, n: int
) -> None:
    import_source("truthfulqa", shared_data / "truthfulqa")
    items = list(suite.items(find_dataset(suite.DATA_SOURCES, edition), use_chat=True))
    assert len(items) == n
    assert len({item.id for item in items}) == n
    for item in items[::50]:
        best = str(item.facts["true"][0])  # type: ignore[index]
        done = score(item, best)
        assert done.outcome == "scored"
        assert done.values["rougeL_acc"] == 1
