"""Reads a finished run into tables: one row an item, ready for a data frame.

    python examples/read_a_run.py llamabench-runs/model-1a2b3c4d

Without a folder, a small run of the untrained model is made first. pandas is not needed; where it is there,
`pandas.DataFrame(item_table(found))` takes the rows as they are.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from llamabench import Evaluation, evaluate

Row = dict[str, str | float | None]


# %% One row an item: what it is, how it ended, and every number that was made of it.
def item_table(found: Evaluation) -> list[Row]:
    """The items of a run as flat rows."""
    return [
        {
            "suite": row.suite,
            "id": row.id,
            "group": row.group,
            "outcome": row.outcome,
            "prompt": row.exchanges[0].prompt if row.exchanges else None,
            "error": row.error,
            **row.values,
        }
        for row in found.items()
    ]


# %% One row a score.
def score_table(found: Evaluation) -> list[Row]:
    """The scores of a run as flat rows."""
    return [
        {"suite": one.suite, "metric": one.metric.name, "group": one.metric.group, "value": one.metric.value}
        for one in found.scores()
    ]


def open_run(folder: str | None) -> Evaluation:
    """The run in a folder, or a small one of the demo model."""
    return evaluate("demo", ["preference"], limit=12) if folder is None else Evaluation(Path(folder))


def main(folder: str | None = None) -> None:
    """Prints how items ended, and the first rows of both tables."""
    with open_run(folder) as found:
        items, scores = item_table(found), score_table(found)
    print(Counter((row["suite"], row["outcome"]) for row in items))
    for row in (*items[:3], *scores[:3]):
        print(row)


if __name__ == "__main__":
    main(*sys.argv[1:2])
