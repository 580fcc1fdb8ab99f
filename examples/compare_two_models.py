"""Compares two models item by item: what changed, and is it more than chance?

    python examples/compare_two_models.py base.gguf tuned.gguf

Each name is a model or the folder of a finished run. Without any, the untrained model is compared with itself.
"""

from __future__ import annotations

import sys

from llamabench import compare


# %% Both are asked the same; a finished run that fits is taken as it is.
def main(base: str = "demo", other: str = "demo") -> None:
    """Prints every difference of a whole suite with its interval and its verdict."""
    (found,) = compare(base, other, suites=["preference"], limit=12)
    for suite in found.suites:
        for one in suite.differences:
            if one.group is None:
                print(f"{suite.suite:<12}{one.metric:<32}{one.verdict}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
