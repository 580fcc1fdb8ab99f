"""The script that kills runs counts whatever is lost."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from reliability_damage import KINDS
from reliability_kills import KillTally, compare, count_process
from reliability_runs import Stored


def stored(*names: str, value: str = "1", is_finished: bool = True) -> Stored:
    return Stored({("bbq", name): ("bbq", name, value) for name in names}, [("bbq", 0)], [], is_finished)


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (stored("a", "b"), []),
        (stored("a"), ["item ('bbq', 'b')"]),
        (stored("a", "b", "c"), ["item ('bbq', 'c') that was not asked"]),
        (stored("a", "b", value="2"), ["item ('bbq', 'a')", "item ('bbq', 'b')"]),
        (stored("a", "b")._replace(scores=[]), ["scores"]),
        (stored("a", "b", is_finished=False), ["it is not finished"]),
        (None, ["there is no run"]),
    ],
)
def test_whatever_differs_is_named(found: Stored | None, wrong: list[str]) -> None:
    assert compare(found, stored("a", "b")) == wrong


@pytest.mark.parametrize(
    ("before", "after", "asked", "n_lost", "n_again", "n_in_flight"),
    [
        (None, None, [], 0, 0, 0),
        (None, stored("a"), [["a"], ["b"]], 0, 0, 1),
        (stored("a"), stored("a", "b"), [["b"], ["c", "d"]], 0, 0, 2),
        (stored("a", "b"), stored("a"), [], 1, 0, 0),
        (stored("a"), stored("a", value="2"), [], 1, 0, 0),
        (stored("a"), stored("a"), [["a"]], 0, 1, 0),
        (stored("rt-1:suffix"), stored("rt-1:suffix"), [["rt-1:suffix#2", "rt-1:suffix/0.1"], ["rt-2"]], 0, 1, 1),
    ],
)
def test_a_process_is_counted(
    before: Stored | None,
    after: Stored | None,
    asked: Sequence[Sequence[str]],
    n_lost: int,
    n_again: int,
    n_in_flight: int,
) -> None:
    tally = KillTally()
    count_process(before, after, asked, tally)
    assert (len(tally.lost), len(tally.asked_again), tally.n_in_flight) == (n_lost, n_again, n_in_flight)
    assert tally.n_lost == n_lost + n_again


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_damage_does_some(tmp_path: Path, name: str) -> None:
    path, log = tmp_path / "run.sqlite", tmp_path / "run.sqlite-wal"
    content = b"SQLite 0123456789 " * 2000
    path.write_bytes(content)
    log.write_bytes(content)
    KINDS[name](path, random.Random(1))
    assert path.read_bytes() != content or not log.exists() or log.read_bytes() != content
