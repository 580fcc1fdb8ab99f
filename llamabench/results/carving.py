"""What is left in a damaged SQLite file, page by page: a page is read without those that should lead to it.

Pure: takes bytes, gives records. SQLite itself reads nothing below a page that is damaged, and nothing at all without
the first one. Whether a record is sound, nobody here can tell: who asks for it must know a sign.

Source: "Database File Format", https://sqlite.org/fileformat2.html, sections 1.6, 2.1 and 4.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

PAGE_BYTES = 4096
"""What SQLite takes where nobody asks for another size, as nobody here does."""

Value = int | float | str | bytes | None
Record = tuple[Value, ...]
Pages = Mapping[int, bytes]
"""Pages by their numbers, which begin with 1."""

_TABLE_LEAF, _INDEX_LEAF, _INDEX_INNER = 0x0D, 0x0A, 0x02
_FILE_HEADER_BYTES = 100
_LOG_HEADER_BYTES, _FRAME_HEADER_BYTES = 32, 24
_MOST_VARINT_BYTES = 9


def read_pages(data: bytes, log: bytes = b"") -> dict[int, bytes]:
    """The pages of a file, as its write-ahead log last left them; a page that is cut short is left out.

    Frames of the log are taken whether they were committed or not, and whatever their checksums say.
    """
    n_pages = len(data) // PAGE_BYTES
    pages = {number + 1: data[number * PAGE_BYTES : (number + 1) * PAGE_BYTES] for number in range(n_pages)}
    salts = log[16:24]
    step = _FRAME_HEADER_BYTES + PAGE_BYTES
    for start in range(_LOG_HEADER_BYTES, len(log) - step + 1, step):
        if log[start + 8 : start + 16] == salts:  # older frames may lie behind those of now
            (number,) = struct.unpack_from(">I", log, start)
            pages[number] = log[start + _FRAME_HEADER_BYTES : start + step]
    return pages


def carve_rows(pages: Pages) -> Iterator[Record]:
    """Every row of every table that can be read, in the order of the pages."""
    for page, start in _pages_of(pages, _TABLE_LEAF):
        for cell in _cells(page, start, 8):
            try:
                size, at = _varint(page, cell)
                _, at = _varint(page, at)
                yield _record(_payload(pages, page, at, size))
            except (ValueError, struct.error):
                continue


def carve_keys(pages: Pages) -> Iterator[Record]:
    """Every entry of every index that can be read: the columns that it is made of, and the row's number."""
    for kind, head_bytes, child_bytes in ((_INDEX_LEAF, 8, 0), (_INDEX_INNER, 12, 4)):
        for page, start in _pages_of(pages, kind):
            for cell in _cells(page, start, head_bytes):
                try:
                    size, at = _varint(page, cell + child_bytes)
                    if size <= _most_local(is_table=False):
                        yield _record(page[at : at + size])
                except (ValueError, struct.error):
                    continue


def _pages_of(pages: Pages, kind: int) -> Iterator[tuple[bytes, int]]:
    """Pages of a kind, each with where its head begins."""
    for number, page in sorted(pages.items()):
        start = _FILE_HEADER_BYTES if number == 1 else 0
        if page[start] == kind:
            yield page, start


def _cells(page: bytes, start: int, head_bytes: int) -> Iterator[int]:
    (n_cells,) = struct.unpack_from(">H", page, start + 3)
    most = (PAGE_BYTES - start - head_bytes) // 2
    if n_cells <= most:
        yield from struct.unpack_from(f">{n_cells}H", page, start + head_bytes)


def _varint(page: bytes, at: int) -> tuple[int, int]:
    """A number of one to nine bytes, and where what follows it begins."""
    value = 0
    for number, byte in enumerate(page[at : at + _MOST_VARINT_BYTES], 1):
        if number == _MOST_VARINT_BYTES:
            return value << 8 | byte, at + number
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + number
    raise ValueError("the page ends in a number")


def _most_local(*, is_table: bool) -> int:
    """Most bytes of a record that lie on its own page whole."""
    return PAGE_BYTES - 35 if is_table else (PAGE_BYTES - 12) * 64 // 255 - 23


def _payload(pages: Pages, page: bytes, at: int, size: int) -> bytes:
    """The bytes of a row's record, with those on pages of overflow."""
    if size <= _most_local(is_table=True):
        return page[at : at + size]
    if size > len(pages) * PAGE_BYTES:
        raise ValueError("longer than the file")
    least = (PAGE_BYTES - 12) * 32 // 255 - 23
    wanted = least + (size - least) % (PAGE_BYTES - 4)
    n_local = wanted if wanted <= _most_local(is_table=True) else least
    pieces, n_missing = [page[at : at + n_local]], size - n_local
    (following,) = struct.unpack_from(">I", page, at + n_local)
    while n_missing > 0:
        more = pages.get(following)
        if more is None:
            raise ValueError("a page of overflow is missing")
        (following,) = struct.unpack_from(">I", more)
        pieces.append(more[4 : 4 + n_missing])
        n_missing -= len(pieces[-1])
    return b"".join(pieces)


def _record(data: bytes) -> Record:
    n_head, at = _varint(data, 0)
    kinds = []
    while at < n_head:
        kind, at = _varint(data, at)
        kinds.append(kind)
    values = []
    for kind in kinds:
        size = _size_of(kind)
        if at + size > len(data):
            raise ValueError("the record is cut short")
        values.append(_value(kind, data[at : at + size]))
        at += size
    return tuple(values)


def _size_of(kind: int) -> int:
    if kind >= 12:
        return (kind - 12) // 2
    sizes = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)
    if kind >= len(sizes):
        raise ValueError("no kind of value")
    return sizes[kind]


def _value(kind: int, data: bytes) -> Value:
    if kind == 0:
        return None
    if kind >= 12:
        return data.decode() if kind % 2 else data
    if kind == 7:
        (number,) = struct.unpack(">d", data)
        return float(number)
    return kind - 8 if kind in (8, 9) else int.from_bytes(data, "big", signed=True)
