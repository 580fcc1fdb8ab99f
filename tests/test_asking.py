"""Items that are asked once, and items that ask again once they know the answers."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

from llamabench.asking import score_chunks
from llamabench.engine.process import PLAIN_PLAN
from llamabench.engine.recovery import Asker
from llamabench.records import (
    Answers,
    Generated,
    GenerateRequest,
    GenerateResult,
    Item,
    ItemScore,
    Request,
    Result,
    Sampling,
    ScoreRequest,
    ScoreResult,
    TextPrompt,
)


class EchoEngine:
    """Answers a request for text with the prompt in capitals and the seed."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def open(self, plan: object) -> None: ...

    def restart(self) -> None: ...

    def submit(self, requests: Sequence[Request]) -> Future[Answers]:
        self.asked.append([request.id for request in requests])
        future: Future[Answers] = Future()
        future.set_result(Answers([answer(request) for request in requests], len(requests)))
        return future

    def wait(self, future: Future[Answers]) -> Answers:
        return future.result()


def answer(request: Request) -> Result:
    assert isinstance(request.prompt, TextPrompt)
    if isinstance(request, ScoreRequest):
        return ScoreResult(request.id, request.prompt.text, ())
    text = f"{request.prompt.text.upper()}{request.sampling.seed}"
    return GenerateResult(request.id, request.prompt.text, (Generated(text, "stop", 1),))


def ask(name: str, seed: int = 0) -> GenerateRequest:
    return GenerateRequest(name, TextPrompt(name), Sampling(8, seed=seed))


def follow_up(item: Item, results: Sequence[Result]) -> Sequence[Request]:
    """One more question for each exclamation mark in the item's id."""
    wanted = item.id.count("!")
    return [ask(f"{item.id}{len(results)}")] if len(results) <= wanted else []


def score(item: Item, results: Sequence[Result]) -> ItemScore:
    return ItemScore("scored", {"n": float(len(results))})


SUITE: Any = SimpleNamespace(NAME="talk", follow_up=follow_up, score=score)


def item(name: str, request: Request | None = None) -> Item:
    return Item(name, "g", name, (request or ask(name),), {})


def run(chunks: list[list[Item]], *, seed: int = 0) -> tuple[EchoEngine, list[Any]]:
    engine = EchoEngine()
    asker = Asker(engine, PLAIN_PLAN, note=lambda *_: None)
    done = list(score_chunks(SUITE, enumerate(chunks), asker, seed=seed))
    return engine, done


def test_items_that_ask_once_are_stored_in_order() -> None:
    engine, done = run([[item("a"), item("b")], [item("c")], [item("d")]])
    assert engine.asked == [["a", "b"], ["c"], ["d"]]
    assert [(chunk.first, [row.id for row in chunk.rows], chunk.n_decoded) for chunk in done] == [
        (0, ["a", "b"], 2), (1, ["c"], 1), (2, ["d"], 1),
    ]  # fmt: skip


def test_only_those_that_have_more_to_ask_are_asked_again_while_others_go_on() -> None:
    engine, done = run([[item("a!!"), item("b"), item("c!")], [item("d")], [item("e")]])
    assert Asker.n_in_flight == 2
    assert engine.asked == [["a!!", "b", "c!"], ["d"], ["a!!1", "c!1"], ["e"], ["a!!2"]]
    rows = {row.id: row for chunk in done for row in chunk.rows}
    assert {name: row.values["n"] for name, row in rows.items()} == {"a!!": 3, "b": 1, "c!": 2, "d": 1, "e": 1}
    assert [exchange.prompt for exchange in rows["a!!"].exchanges] == ["a!!", "a!!1", "a!!2"]
    assert [chunk.first for chunk in done] == [1, 2, 0]
    assert sum(chunk.n_decoded for chunk in done) == 8


def test_texts_are_drawn_from_the_seed_of_the_run_and_their_own() -> None:
    _, done = run([[item("a", ask("a", seed=5)), item("b!")]], seed=100)
    texts = [exchange.answers[0]["text"] for row in done[0].rows for exchange in row.exchanges]
    assert texts == ["A105", "B!100", "B!1100"]


def test_scores_are_asked_for_as_before() -> None:
    _, done = run([[item("a", ScoreRequest("a", TextPrompt("a"), ())), item("b")]], seed=1)
    assert [exchange.prompt for row in done[0].rows for exchange in row.exchanges] == ["a", "b"]
