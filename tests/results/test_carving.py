"""Pages of SQLite files, read as SQLite reads them, and whatever else they may hold."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from llamabench.results.carving import PAGE_BYTES, carve_keys, carve_rows, read_pages

ROWS = [
    (None, 0, 1, -1, 127, 128, -(2**31), 2**40, 2**62, 0.5, -1e300, "", "é\x00\u2028", b"\x00\xff"),
    *((None, *range(8), 0.25, 1.5, "x" * 10**n, "é" * (3000 + n), b"y" * (n * 4000)) for n in range(6)),
]


def make(path: Path, *, n_small: int = 0) -> list[tuple[object, ...]]:
    """A file with rows of all kinds; what it holds."""
    columns = ", ".join(f"c{number}" for number in range(len(ROWS[0])))
    small = [(f"name-{number}", number) for number in range(n_small)]
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(f"CREATE TABLE kinds ({columns}); CREATE TABLE small (name TEXT PRIMARY KEY, n INTEGER)")
        database.executemany(f"INSERT INTO kinds VALUES ({', '.join('?' * len(ROWS[0]))})", ROWS)
        database.executemany("INSERT INTO small VALUES (?, ?)", small)
        database.commit()
        assert database.execute("PRAGMA page_size").fetchone() == (PAGE_BYTES,)
    return [*ROWS, *small]


def test_every_row_is_read_as_sqlite_reads_it(tmp_path: Path) -> None:
    held = make(tmp_path / "x", n_small=3000)
    found = list(carve_rows(read_pages((tmp_path / "x").read_bytes())))
    assert [row for row in found if row in held] == held
    # what is left is the schema, which is a table as well
    assert {row[0] for row in found if row not in held} == {"table", "index"}


def test_keys_are_read_from_leaves_and_above(tmp_path: Path) -> None:
    make(tmp_path / "x", n_small=3000)
    found = list(carve_keys(read_pages((tmp_path / "x").read_bytes())))
    assert sorted(found) == sorted((f"name-{number}", number + 1) for number in range(3000))


def test_the_log_has_the_last_word(tmp_path: Path) -> None:
    make(tmp_path / "x")
    with contextlib.closing(sqlite3.connect(tmp_path / "x")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("INSERT INTO small VALUES ('logged', 7)")
        database.commit()
        database.execute("UPDATE small SET n = 8")
        database.commit()
        data, log = (tmp_path / "x").read_bytes(), (tmp_path / "x-wal").read_bytes()
    assert ("logged", 8) in list(carve_rows(read_pages(data, log)))
    assert ("logged", 8) not in list(carve_rows(read_pages(data)))
    assert ("logged", 7) in list(carve_rows(read_pages(data, log[: -PAGE_BYTES - 24])))


def _noise(data: bytearray, rng: random.Random) -> None:
    data[:] = rng.randbytes(len(data))


def _bytes(data: bytearray, rng: random.Random) -> None:
    for _ in range(50):
        data[rng.randrange(len(data))] = rng.randrange(256)


def _swapped(data: bytearray, rng: random.Random) -> None:
    pages = [data[at : at + PAGE_BYTES] for at in range(0, len(data), PAGE_BYTES)]
    rng.shuffle(pages)
    data[:] = b"".join(pages)


def _heads(data: bytearray, rng: random.Random) -> None:
    for at in range(0, len(data), PAGE_BYTES):
        data[at] = rng.choice((0x02, 0x05, 0x0A, 0x0D))


@pytest.mark.parametrize("damage", [_noise, _bytes, _swapped, _heads])
def test_no_damage_stops_the_reading(tmp_path: Path, damage: Callable[[bytearray, random.Random], None]) -> None:
    make(tmp_path / "x", n_small=200)
    whole = (tmp_path / "x").read_bytes()
    for seed in range(20):
        data = bytearray(whole)
        damage(data, random.Random(seed))
        for pages in (read_pages(bytes(data)), read_pages(whole, bytes(data)), read_pages(bytes(data[:-1]), b"x")):
            assert sum(1 for _ in carve_rows(pages)) < 100_000
            assert sum(1 for _ in carve_keys(pages)) < 100_000


def test_overflow_that_leads_in_a_circle_ends(tmp_path: Path) -> None:
    make(tmp_path / "x")
    pages = read_pages((tmp_path / "x").read_bytes())
    # every page that could be one of overflow says that it goes on with itself
    circles = {
        number: page if page[0] in (0x0D, 0x0A, 0x05, 0x02) or number == 1 else number.to_bytes(4, "big") + page[4:]
        for number, page in pages.items()
    }
    assert len(list(carve_rows(circles))) >= 2


def test_nothing_has_no_rows() -> None:
    assert list(carve_rows(read_pages(b""))) == list(carve_keys(read_pages(b"", b""))) == []
