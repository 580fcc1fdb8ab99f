"""The fields of a test, as a file gives them, turned into a typed test; everything that is wrong with them is found."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from llamabench.records import Json
from llamabench.suites.alignment.kinds import KINDS
from llamabench.suites.alignment.kinds.counterfactual import PLACE, Counterfactual
from llamabench.suites.alignment.model import MOST_TURNS, Category, FieldError, Kind, Observation, Reply, Test

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,79}")
_MOST_TOKENS = 4096

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class _Common:
    """The fields that tests of all kinds have; see `docs/alignment.md`."""

    id: str
    category: Category
    kind: str
    expected: str
    prompt: str | None = None
    turns: tuple[str, ...] = ()
    system: str | None = None
    max_tokens: int | None = None
    good: str | None = None
    bad: str | None = None

    def __post_init__(self) -> None:
        if (self.prompt is None) == (not self.turns):
            raise FieldError(None, "needs either `prompt` or `turns`")
        if not _ID.fullmatch(self.id):
            raise FieldError("id", "must be letters, digits and . _ : - only, at most 80")
        if len(self.turns) > MOST_TURNS:
            raise FieldError("turns", f"holds {len(self.turns)} texts, at most {MOST_TURNS} are possible")
        if self.max_tokens is not None and not 1 <= self.max_tokens <= _MOST_TOKENS:
            raise FieldError("max_tokens", f"must be 1 to {_MOST_TOKENS}, found {self.max_tokens}")


class FaultyTestError(ValueError):
    """A test cannot be made of its fields.

    Args:
        faults: All that is wrong.
    """

    def __init__(self, faults: Sequence[FieldError]):
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = tuple(faults)


def make_test(fields: Mapping[str, object]) -> Test:
    """Makes a test of the fields that a file gives.

    Raises:
        FaultyTestError: With all that is wrong.
    """
    kind_type = _find_kind(fields)
    own, common = _names(kind_type), _names(_Common)
    faults = [_unknown(name, [*common, *own]) for name in fields if name not in (*common, *own)]
    shared = _fill(_Common, {name: fields[name] for name in fields if name in common}, faults)
    kind = _fill(kind_type, {name: fields[name] for name in fields if name in own}, faults)
    if shared is None or kind is None or faults:
        raise FaultyTestError(faults)
    test = _join(shared, cast(Kind, kind))
    faults = list(_find_misfits(test))
    if faults:
        raise FaultyTestError(faults)
    return test


def _join(common: _Common, kind: Kind) -> Test:
    return Test(
        id=common.id,
        category=common.category,
        expected=common.expected,
        turns=common.turns or (common.prompt or "",),
        system=common.system,
        max_tokens=common.max_tokens or kind.MAX_TOKENS,
        kind=kind,
        good=common.good,
        bad=common.bad,
    )


def _find_misfits(test: Test) -> Iterable[FieldError]:
    """What is wrong with fields together."""
    if len(test.turns) > 1 and not test.kind.HAS_TURNS:
        yield FieldError("turns", "must be a single `prompt` for this kind")
    if isinstance(test.kind, Counterfactual) and PLACE not in test.turns[0]:
        yield FieldError("prompt", f"must hold {PLACE}, where the groups go")
    for name, text in (("good", test.good), ("bad", test.bad)):
        if text is not None and not test.kind.READS_TEXT:
            yield FieldError(name, "is for kinds that read one answer's text")


def find_misjudged(test: Test) -> Iterable[FieldError]:
    """Judges the answers that a test gives as `good` and `bad`, and says which is not judged so."""
    if test.good is not None:
        found = _try(test, test.good)
        if found.score != 1:
            score = "no score" if found.score is None else f"{found.score:.2g}"
            yield FieldError("good", f"should score 1, and gets {score}: {found.observed}")
    if test.bad is not None:
        found = _try(test, test.bad)
        if found.score == 1:
            yield FieldError("bad", f"should score less than 1, and gets 1: {found.observed}")


def _try(test: Test, text: str) -> Observation:
    try:
        return test.kind.judge(test, [Reply()] * (len(test.turns) - 1) + [Reply(text)])
    except TimeoutError as exc:
        return Observation(str(exc), None)


def _find_kind(fields: Mapping[str, object]) -> type:
    kind = fields.get("kind")
    if isinstance(kind, str) and kind in KINDS:
        return KINDS[kind]
    if kind is None:
        raise FaultyTestError([FieldError("kind", f"is missing; there are {', '.join(KINDS)}")])
    near = difflib.get_close_matches(str(kind), KINDS, n=1)
    guess = f"did you mean {near[0]}?" if near else f"there are {', '.join(KINDS)}"
    raise FaultyTestError([FieldError("kind", f"is none that there is, {_show(kind)}; {guess}")])


def _unknown(name: str, known: Sequence[str]) -> FieldError:
    near = difflib.get_close_matches(name, known, n=1)
    guess = f"did you mean `{near[0]}`?" if near else f"this kind has {', '.join(sorted(known))}"
    return FieldError(name, f"is no field of this kind of test; {guess}")


# --- one field ----------------------------------------------------------------------------------


def _names(cls: type) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]


def _fill(cls: type[T], fields: Mapping[str, object], faults: list[FieldError]) -> T | None:
    """Makes a dataclass of fields whose types its annotations name; what is wrong is added to `faults`."""
    n_before = len(faults)
    values, hints = {}, get_type_hints(cls)
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        if field.name in fields:
            try:
                values[field.name] = _convert(fields[field.name], hints[field.name])
            except _Unfit as exc:
                faults.append(FieldError(field.name, f"must be {exc}, found {_show(fields[field.name])}"))
        elif field.default is dataclasses.MISSING:
            faults.append(FieldError(field.name, "is missing"))
    if len(faults) > n_before:
        return None
    try:
        return cls(**values)
    except FieldError as exc:
        faults.append(exc)
        return None


class _Unfit(Exception):
    """What a value should have been."""


def _convert(value: object, wanted: Any) -> object:
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        return _convert(value, next(one for one in get_args(wanted) if one is not type(None)))
    if origin is Literal:
        if value not in get_args(wanted):
            near = difflib.get_close_matches(str(value), get_args(wanted), n=1)
            guess = f" (did you mean {near[0]}?)" if near else ""
            raise _Unfit(f"{' or '.join(get_args(wanted))}{guess}")
        return value
    if origin is tuple:
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise _Unfit("a list of texts")
        return tuple(_convert(one, str) for one in value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _convert_table(value)
    return _convert_plain(value, wanted)


def _convert_plain(value: object, wanted: type) -> object:
    if wanted is str:
        if not isinstance(value, str) or not value.strip():
            raise _Unfit("text that is not empty")
        try:
            value.encode()
        except UnicodeEncodeError as exc:
            raise _Unfit("text, without halves of characters") from exc
        return value
    if wanted is bool:
        if not isinstance(value, bool):
            raise _Unfit("true or false")
        return value
    if isinstance(value, bool) or not isinstance(value, int if wanted is int else int | float):
        raise _Unfit("a whole number" if wanted is int else "a number")
    try:
        number = wanted(value)
    except OverflowError as exc:
        raise _Unfit("a number of ordinary size") from exc
    if not math.isfinite(number):
        raise _Unfit("a number that is finite")
    return number


def _convert_table(value: object) -> Mapping[str, Json]:
    try:
        text = json.dumps(value, allow_nan=False) if isinstance(value, dict) else ""
        text.encode()
    except (TypeError, ValueError, RecursionError) as exc:
        raise _Unfit("a table of JSON values") from exc
    if not text:
        raise _Unfit("a table")
    return cast(Mapping[str, Json], value)


def _show(value: object) -> str:
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else str(value)
    return f'"{text}"' if len(text) <= 60 else f'"{text[:57]}..."'
