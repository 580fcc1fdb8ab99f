from __future__ import annotations

import numpy as np
import pytest

from llamabench.stats import adjust_by_holm


def test_holm_reproduces_published_values() -> None:
    # R 4.3, stats::p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm")
    assert adjust_by_holm([0.01, 0.02, 0.03, 0.04, 0.05]).tolist() == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    # Wright 1992, table 1's rule on Holm's own example of three: 3 p(1), 2 p(2), p(3), never falling
    assert adjust_by_holm([0.005, 0.04, 0.03]).tolist() == pytest.approx([0.015, 0.06, 0.06])


def test_holm_rejects_as_stepping_down_does() -> None:
    """Holm's own wording: reject p(i) while it is at most alpha / (n - i + 1), and stop at the first that is not."""
    rng = np.random.default_rng(3)
    for _ in range(200):
        p = rng.beta(0.3, 2, size=rng.integers(1, 12))
        order, rejected = np.argsort(p), np.zeros(p.size, bool)
        for step, place in enumerate(order):
            if p[place] > 0.05 / (p.size - step):
                break
            rejected[place] = True
        assert ((adjust_by_holm(p) <= 0.05) == rejected).all()


def test_holm_of_nothing_is_nothing() -> None:
    assert adjust_by_holm([]).size == 0


@pytest.mark.parametrize("p", [[1.2], [-0.1], [float("nan")]])
def test_holm_refuses_what_is_no_probability(p: list[float]) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        adjust_by_holm(p)
