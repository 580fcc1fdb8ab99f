"""Trains what tells harmful requests from harmless ones, on published lists.

    python benchmarks/scorers/train_request_harm.py DATA_FOLDER

writes `llamabench/scorers/request_harm.npz` and prints its digest; the same data give the same file.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from labelled import Requested, read_requests
from regression import fit_logistic
from scipy.sparse import csr_array

from llamabench.scorers.request_harm import N_SLOTS, PATH, HarmReader, slots_of

RIDGE = 0.2
_LEVELS = 127


def train(rows: Sequence[Requested]) -> dict[str, npt.NDArray[np.generic]]:
    """Fits the regression; each kind weighs as much as the other.

    Returns:
        What `request_harm.npz` holds: `weights` in 8 bits, their `scale`, the `constant`.
    """
    rows = list({row.request: row for row in rows}.values())
    slots = [slots_of(row.request) for row in rows]
    values = np.concatenate([np.full(len(found), 1 / np.sqrt(max(len(found), 1))) for found in slots])
    starts = np.cumsum([0, *map(len, slots)])
    table = csr_array((values, np.concatenate(slots), starts), shape=(len(rows), N_SLOTS))
    truth = np.array([row.is_harmful for row in rows])
    weights = np.where(truth, 0.5 / truth.mean(), 0.5 / (1 - truth.mean()))
    found = fit_logistic(table, truth, weights, RIDGE)
    scale = np.abs(found[:-1]).max() / _LEVELS
    rounded = np.rint(found[:-1] / scale).astype(np.int8)
    return {"weights": rounded, "scale": np.float32(scale), "constant": np.float32(found[-1])}


def reader_of(stored: dict[str, npt.NDArray[np.generic]]) -> HarmReader:
    """The reader with weights that do not ship."""
    return HarmReader(stored["weights"] * float(stored["scale"]), float(stored["constant"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds redteam, preference and truthfulqa")
    np.savez_compressed(PATH, **train(list(read_requests(parser.parse_args().data))))
    print(f"{hashlib.sha256(PATH.read_bytes()).hexdigest()}  {PATH.name}")


if __name__ == "__main__":
    main()
