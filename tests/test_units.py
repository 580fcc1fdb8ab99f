from __future__ import annotations

import pytest

from llamabench.units import format_bytes, format_part


@pytest.mark.parametrize(
    ("n_bytes", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1024**3 - 1, "1.0 GiB"),
        (1024**3, "1.0 GiB"),
        (5_476_083_302, "5.1 GiB"),
        (137_438_953_472, "128.0 GiB"),
        (5 * 1024**4, "5.0 TiB"),
    ],
)
def test_sizes_are_in_binary_units(n_bytes: int, shown: str) -> None:
    assert format_bytes(n_bytes) == shown


@pytest.mark.parametrize(
    ("part", "shown"), [(4_939_212_390, "4.6 of 7.6 GiB"), (1 << 20, "1.0 MiB of 7.6 GiB"), (0, "0 B of 7.6 GiB")]
)
def test_a_part_shares_the_unit_of_the_whole(part: int, shown: str) -> None:
    assert format_part(part, 8_160_437_862) == shown
