"""Which target is attacked by which technique: balanced, and the same for the same seed.

The list is so ordered that its beginning, wherever it is cut, is balanced too. What is drawn for an attack depends on
the seed and on the attack alone, so a longer list asks what it shares with a shorter one in the same words.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import NamedTuple

import numpy as np

from llamabench.data.formats import TARGET_CATEGORIES
from llamabench.errors import DataError, UnknownNameError
from llamabench.records import Attack, AttackTarget
from llamabench.suites.redteam.framing import DIRECT
from llamabench.suites.redteam.technique import Technique

N_TWINS = 60
"""Harmless items that come on top of the attacks."""

LIGHT_TECHNIQUES: tuple[str, ...] = ("direct", "hypothetical", "authority", "rapport")
"""What harmless twins are asked by: plainly, and as people ask who mean no harm."""


class _Pair(NamedTuple):
    target: AttackTarget
    technique: Technique


def plan_attacks(
    targets: Iterable[AttackTarget],
    *,
    count: int,
    techniques: Sequence[Technique],
    categories: Sequence[str] = (),
    seed: int = 0,
) -> list[Attack]:
    """Makes the list of attacks, and of the harmless twins that come on top of them.

    The numbers of attacks of any two categories, of any two techniques, and of any two pairs of both differ by one at
    most; so do the numbers of attacks on any two targets of a category. A target meets a technique again only where
    there are more attacks than pairs.

    Args:
        targets: What may be asked for, harmless twins among them; their order does not matter.
        count: Attacks to make, 1 or more.
        techniques: Techniques to use; their order does not matter.
        categories: Categories to use; none for all that the targets have.
        seed: Seed of every choice.

    Returns:
        The attacks, and after them `N_TWINS` harmless twins of the categories, fewer where there are no more. They are
        asked by those of the techniques that are light, or plainly where none is, as balanced as the attacks.

    Raises:
        UnknownNameError: There is no such category; a near match is offered.
        DataError: There is no target of a category, no technique, or the count is not positive.
    """
    ordered = sorted(targets, key=lambda target: target.id)
    harmful = _group([target for target in ordered if not target.is_benign], categories)
    if not harmful:
        raise DataError("There are no behaviours that a model should refuse. Ask for an edition that has some.")
    if not techniques or count < 1:
        raise DataError(f"{count:,} attacks by {len(techniques)} techniques were asked for: name at least one of each.")
    known = sorted({technique.name: technique for technique in techniques}.values(), key=lambda each: each.name)
    pairs = _pair_up(harmful, known, count, np.random.default_rng(seed))
    twins = _group([target for target in ordered if target.is_benign and target.category in harmful], ())
    light = [technique for technique in known if technique.name in LIGHT_TECHNIQUES] or [DIRECT]
    if twins:
        n_twins = min(N_TWINS, sum(map(len, twins.values())) * len(light))
        pairs += _pair_up(twins, light, n_twins, np.random.default_rng([seed, 1]))
    return list(_write(pairs, seed))


def _group(targets: Sequence[AttackTarget], categories: Sequence[str]) -> dict[str, list[AttackTarget]]:
    """The targets of each category that is asked for, or of all that have any."""
    groups: defaultdict[str, list[AttackTarget]] = defaultdict(list)
    for target in targets:
        groups[target.category].append(target)
    for name in categories:
        if name not in TARGET_CATEGORIES:
            raise UnknownNameError.for_name("category", name, TARGET_CATEGORIES)
        if name not in groups:
            there = ", ".join(sorted(groups)) or "nothing"
            raise DataError(f"The behaviours have nothing of the category {name}, only of {there}. Ask for these.")
    return {name: groups[name] for name in sorted(set(categories) or groups)}


# --- pairs of target and technique --------------------------------------------------------------


def _pair_up(
    groups: dict[str, list[AttackTarget]], techniques: Sequence[Technique], count: int, rng: np.random.Generator
) -> list[_Pair]:
    names = [str(name) for name in rng.permutation(sorted(groups))]
    order = [techniques[int(number)] for number in rng.permutation(len(techniques))]
    cells = [(names[row], order[column]) for row, column in balance(len(names), len(order), count)]
    waiting = {name: _assign(groups[name], [technique for of, technique in cells if of == name], rng) for name in names}
    return [_Pair(next(waiting[name]), technique) for name, technique in cells]


def balance(n_rows: int, n_columns: int, count: int) -> Iterator[tuple[int, int]]:
    """Walks over a table so that, wherever the walk ends, it was balanced.

    Any two rows, any two columns and any two cells have been visited equally often, or one of them once more. The walk
    goes down the diagonal, which meets every row and every column in turn; each time it comes back to where it began,
    after their least common multiple of steps, it moves on by a column.

    >>> list(balance(2, 2, 5))
    [(0, 0), (1, 1), (0, 1), (1, 0), (0, 0)]
    """
    period = math.lcm(n_rows, n_columns)
    for step in range(count):
        yield step % n_rows, (step + step // period) % n_columns


def _assign(
    targets: Sequence[AttackTarget], techniques: Sequence[Technique], rng: np.random.Generator
) -> Iterator[AttackTarget]:
    """A target for each technique in turn: every target once before any comes again, each with a technique new to it.

    A round of all targets is an assignment problem: the sum of how often each has met its technique is to be least.
    """
    from scipy.optimize import linear_sum_assignment

    n_met: Counter[tuple[str, str]] = Counter()
    for start in range(0, len(techniques), len(targets)):
        turn = techniques[start : start + len(targets)]
        cost = np.array([[n_met[target.id, technique.name] for target in targets] for technique in turn], dtype=float)
        _, chosen = linear_sum_assignment(cost + rng.random(cost.shape) / (len(turn) + 1))
        for technique, number in zip(turn, chosen, strict=True):
            target = targets[int(number)]
            n_met[target.id, technique.name] += 1
            yield target


# --- attacks ------------------------------------------------------------------------------------


def _write(pairs: Iterable[_Pair], seed: int) -> Iterator[Attack]:
    seen: Counter[str] = Counter()
    for target, technique in pairs:
        name = f"{target.id}:{technique.name}"
        seen[name] += 1
        attack_id = name if seen[name] == 1 else f"{name}:{seen[name]}"
        attempts = technique.write(target, _make_rng(seed, attack_id))
        yield Attack(attack_id, target, technique.name, attempts)


def _make_rng(seed: int, attack_id: str) -> np.random.Generator:
    digest = hashlib.sha256(attack_id.encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8])])


def spell_attacks(attacks: Iterable[Attack]) -> bytes:
    """The list of attacks as canonical JSON: the same attacks are the same bytes.

    One object a line, its fields in alphabetical order, ASCII alone.
    """
    lines = (json.dumps(asdict(attack), sort_keys=True, separators=(",", ":")) for attack in attacks)
    return "".join(f"{line}\n" for line in lines).encode("ascii")
