"""Attacks with what was said: bounded, evidence marked, what could hurt veiled, and answers left out on demand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass

from markupsafe import escape

from llamabench.records import AttackResult, AttemptResult, Message, Sign
from llamabench.report.attack_names import Names, cut_id, name_plainly
from llamabench.report.format import format_count, format_score, format_things, shorten, show_hidden
from llamabench.report.items import Pair

N_ATTACKS = 1_000
"""Most attacks in a page."""
PAGE_BYTES = 2_500_000
"""Bytes of transcripts, as they stand in a page's source, after which no further one is shown."""

_TURN_CHARS = 6_000
_BRIEF_CHARS = 1_500
_REQUEST_CHARS = 300
_N_TRIES = 100
_N_SIGNS = 12
_QUOTE_CHARS = 32
"""A request quotes an answer where it repeats so many characters of it, ..."""
_NEW_CHARS = 16
"""... and so many of those that the answer did not repeat from an earlier request."""
_HARMFUL_FROM = 0.5
_ROLES = {"system": "System prompt", "user": "User", "assistant": "Model"}
_RANKS = (None, "refused", "evaded", "partial", "complied")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text; `sign` is the number of the evidence that it is, None where it is none."""

    text: str
    sign: int | None


@dataclass(frozen=True, slots=True)
class TurnView:
    """What was said in one turn.

    Attributes:
        who: Who said it.
        pieces: The text, none where it is left out.
        n_cut: Characters left out at […], or at the end where evidence is marked.
        is_veiled: Whether it is shown on demand only.
        absent: Why there is no text, None where there is.
    """

    who: str
    pieces: tuple[Piece, ...]
    n_cut: int
    is_veiled: bool
    absent: str | None


@dataclass(frozen=True, slots=True)
class AttackView:
    """One attack.

    Attributes:
        number: Its place in the page, from 1.
        category: The category in words.
        technique: The technique in words.
        outcome: How it ended.
        severity: Its severity in words, None where it has none.
        level: Its severity as a plain number, empty where it has none.
        request: What it asks for, in plain words.
        error: Why there is no verdict.
        facts: What else is known of it.
        tries: How each of its tries ended, none where there is only one.
        shown_try: Which of them is shown, None where there is only one.
        turns: The conversation, none where there was no more room for it.
        signs: Evidence, numbered from 1.
    """

    number: int
    category: str
    technique: str
    outcome: str
    severity: str | None
    level: str
    request: str
    error: str | None
    facts: tuple[Pair, ...]
    tries: tuple[str, ...]
    shown_try: str | None
    turns: tuple[TurnView, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AttackList:
    """Attacks of one kind: `note` says how many there are and which are shown."""

    key: str
    title: str
    note: str
    attacks: tuple[AttackView, ...]


@dataclass(slots=True)
class TranscriptWriter:
    """Writes the lists of a page, in the order of what matters, until its room is used up.

    Attributes:
        names: What techniques are called.
        threshold: Severity that counts; no severity is shown equal to it that is not.
        is_redacted: Whether answers are left out.
        n_attacks: Attacks written so far.
        n_bytes: Bytes of their transcripts.
    """

    names: Names
    threshold: float
    is_redacted: bool
    n_attacks: int = 0
    n_bytes: int = 0

    def write(self, key: str, title: str, attacks: Iterable[AttackResult], *, is_brief: bool) -> AttackList:
        """Write a list, the worst attack first.

        Args:
            key: Name of the list.
            title: Its heading.
            attacks: What it holds.
            is_brief: Whether long texts are cut to a few lines.
        """
        ordered = sorted(attacks, key=_worst_first)
        shown = ordered[: max(N_ATTACKS - self.n_attacks, 0)]
        views = tuple(self._view(attack, _BRIEF_CHARS if is_brief else _TURN_CHARS) for attack in shown)
        note = f"{format_things(len(ordered), 'attack', 'attacks')}, the worst first."
        if len(shown) < len(ordered):
            note = f"{format_count(len(shown))} of {note} All are in the results file."
        return AttackList(key, title, note, views)

    def _view(self, attack: AttackResult, n_chars: int) -> AttackView:
        self.n_attacks += 1
        shown = _find_worst_try(attack)
        turns: tuple[TurnView, ...] = ()
        if shown is not None and self.n_bytes < PAGE_BYTES:
            turns = tuple(_Transcript(attack, shown, n_chars, self.is_redacted).turns())
            self.n_bytes += sum(_count_bytes(piece.text) for turn in turns for piece in turn.pieces)
        target, has_several = attack.target, len(attack.attempts) > 1
        return AttackView(
            number=self.n_attacks,
            category=name_plainly(target.category),
            technique=self.names.technique(attack.technique),
            outcome=attack.outcome or attack.status,
            severity=None if attack.severity is None else self._format(attack.severity),
            level="" if attack.severity is None else f"{attack.severity:.6f}",
            request=shorten(target.text, _REQUEST_CHARS)[0],
            error=None if self.is_redacted or attack.error is None else shorten(attack.error, _BRIEF_CHARS)[0],
            facts=tuple(self._facts(attack, shown)),
            tries=tuple(map(self._say_try, attack.attempts[:_N_TRIES])) if has_several else (),
            shown_try=str(attack.attempts.index(shown) + 1) if shown is not None and has_several else None,
            turns=turns,
            signs=() if self.is_redacted else tuple(shorten(one.why, _REQUEST_CHARS)[0] for one in _signs_of(shown)),
        )

    def _format(self, severity: float) -> str:
        return format_severity(severity, threshold=self.threshold)

    def _say_try(self, attempt: AttemptResult) -> str:
        outcome = "no verdict" if attempt.verdict is None else attempt.verdict.outcome
        return f"{outcome} {self._format(attempt.severity)}" if attempt.severity else outcome

    def _facts(self, attack: AttackResult, shown: AttemptResult | None) -> Iterator[Pair]:
        target = attack.target
        yield Pair("attack", cut_id(attack.id))
        yield Pair("target", f"{cut_id(target.id)} ({cut_id(target.source)}, {name_plainly(target.subcategory)})")
        if target.twin_of is not None:
            yield Pair("harmless twin of", cut_id(target.twin_of))
        else:
            yield Pair("harm weight", f"{target.weight:.2g}")
        if shown is not None and shown.verdict is not None:
            yield Pair("compliance", f"{shown.verdict.compliance:.2f}")
            yield Pair("specificity", f"{shown.verdict.specificity:.2f}")
        if shown is not None and shown.judged_harmful is not None:
            yield Pair("harmful by the judge", f"{shown.judged_harmful:.2f}")
        if not target.is_benign and target.rubric:
            yield Pair("why that weight", shorten(target.rubric, _REQUEST_CHARS)[0])


@dataclass(frozen=True, slots=True)
class _Transcript:
    """The conversation that one try is a part of."""

    attack: AttackResult
    shown: AttemptResult
    n_chars: int
    is_redacted: bool

    def turns(self) -> Iterator[TurnView]:
        """View its turns; a conversation that went on is shown to its end."""
        judged = len(self.shown.turns) - 1
        whole = self._find_whole()
        quoting = _find_quoting(self.attack, whole) if self.is_redacted else frozenset()
        for place, turn in enumerate(whole.turns):
            if place == judged and self.shown.prefill:
                yield self._view("Opening put into its mouth", self.shown.prefill, is_veiled=False)
            if self.is_redacted and (turn.role == "assistant" or place in quoting):
                what = "Answer" if turn.role == "assistant" else "It quotes an answer:"
                absent = f"{what} left out, {format_things(len(turn.content), 'character', 'characters')}."
                yield TurnView(_name_role(turn), (), 0, is_veiled=False, absent=absent)
            elif place == judged:
                yield self._view_judged(turn)
            else:
                is_veiled = turn.role == "assistant" and self._is_harmful()
                yield self._view(_name_role(turn), turn.content, is_veiled=is_veiled)

    def _find_whole(self) -> AttemptResult:
        n = len(self.shown.turns)
        going_on = (one for one in reversed(self.attack.attempts) if one.turns[:n] == self.shown.turns)
        return next(going_on, self.shown)

    def _view(self, who: str, text: str, *, is_veiled: bool) -> TurnView:
        cut, n_cut = shorten(text, self.n_chars)
        return TurnView(who, (Piece(cut, None),), n_cut, is_veiled, None)

    def _view_judged(self, turn: Message) -> TurnView:
        text = turn.content[: self.n_chars]
        pieces = tuple(_mark(text, _signs_of(self.shown)))
        return TurnView(_name_role(turn), pieces, len(turn.content) - len(text), self._is_harmful(), None)

    def _is_harmful(self) -> bool:
        """Whether an answer may hurt those who read it: all that is not clearly refused."""
        if self.attack.target.is_benign:
            return False
        judged = max((attempt.judged_harmful or 0.0 for attempt in self.attack.attempts), default=0.0)
        return self.attack.outcome != "refused" or judged >= _HARMFUL_FROM


def format_severity(severity: float, *, threshold: float) -> str:
    """Format a severity so that it is shown equal neither to 0 nor to a threshold unless it is.

    >>> format_severity(0.0, threshold=0.7), format_severity(0.8125, threshold=0.7)
    ('0', '0.812')
    >>> format_severity(0.69998, threshold=0.7), format_severity(0.0001, threshold=0.7)
    ('0.6999', '0.0001')
    """
    return "0" if severity == 0 else format_score(severity, "number", apart_from=(0.0, threshold))


def _worst_first(attack: AttackResult) -> tuple[bool, float, int, str]:
    rank = _RANKS.index(attack.outcome)
    is_judged = attack.outcome is not None
    return is_judged, -(attack.severity or 0.0), rank if attack.target.is_benign else -rank, attack.id


def _find_worst_try(attack: AttackResult) -> AttemptResult | None:
    def badness(attempt: AttemptResult) -> tuple[float, int]:
        outcome = None if attempt.verdict is None else attempt.verdict.outcome
        return attempt.severity or 0.0, _RANKS.index(outcome)

    tries = [attempt for attempt in attack.attempts if attempt.turns]
    return max(tries, key=badness, default=None)


def _signs_of(attempt: AttemptResult | None) -> Sequence[Sign]:
    return () if attempt is None or attempt.verdict is None else attempt.verdict.signs[:_N_SIGNS]


def _mark(text: str, signs: Sequence[Sign]) -> Iterator[Piece]:
    """Part a text at its evidence; of two signs that overlap, the weightier one is marked."""
    marked: list[tuple[int, int, int]] = []
    for number, sign in enumerate(signs, 1):
        start, stop = max(sign.start, 0), min(sign.stop, len(text))
        if start < stop and all(stop <= low or high <= start for low, high, _ in marked):
            marked.append((start, stop, number))
    place = 0
    for start, stop, number in sorted(marked):
        if place < start:
            yield Piece(text[place:start], None)
        yield Piece(text[start:stop], number)
        place = stop
    if place < len(text):
        yield Piece(text[place:], None)


def _find_quoting(attack: AttackResult, whole: AttemptResult) -> frozenset[int]:
    """Find the turns that repeat an answer that came before them, and did not take it from what was asked before."""
    asked, answered = set(_windows(attack.target.text)), set[str]()
    tries = attack.attempts[: attack.attempts.index(whole)]
    for attempt in (one for one in tries if whole.turns[: len(one.turns)] != one.turns):
        for turn in attempt.turns:
            (answered if turn.role == "assistant" else asked).update(_windows(turn.content))
    quoting = set()
    for place, turn in enumerate(whole.turns):
        windows = set(_windows(turn.content))
        if turn.role == "assistant":
            answered |= windows
            continue
        if _count_quoted(turn.content, answered - asked, asked) >= _NEW_CHARS:
            quoting.add(place)
        asked |= windows
    return frozenset(quoting)


def _count_quoted(text: str, answered: Set[str], asked: Set[str]) -> int:
    """Count the characters of a text that repeat an answer, and do not repeat a request at the same time."""
    quoted, known = set[int](), set[int]()
    for start, window in enumerate(_windows(text)):
        if window in answered or window in asked:
            (quoted if window in answered else known).update(range(start, start + _QUOTE_CHARS))
    return len(quoted - known)


def _windows(text: str) -> Iterator[str]:
    """All pieces of a text of the length from which on it counts as quoted."""
    return (text[start : start + _QUOTE_CHARS] for start in range(len(text) - _QUOTE_CHARS + 1))


def _name_role(turn: Message) -> str:
    return _ROLES.get(turn.role) or name_plainly(turn.role)


def _count_bytes(text: str) -> int:
    return len(escape(show_hidden(text)).encode())
