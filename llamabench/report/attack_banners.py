"""What must be known before a number of a red-team run is believed, or a page of it is passed on."""

from __future__ import annotations

from collections import Counter

from llamabench.records import RedTeamResults
from llamabench.report.banners import Banner, warn_demo
from llamabench.report.format import format_count, format_things

_BUILTIN = {"builtin", "starter"}


def uses_builtin(results: RedTeamResults) -> bool:
    """Whether some of what is asked for comes with llamabench."""
    return not _BUILTIN.isdisjoint(results.behaviours.split("+"))


def raise_attack_banners(results: RedTeamResults, *, is_redacted: bool) -> tuple[Banner, ...]:
    """Say what limits a run's numbers, the worst first, and what is left out or hidden."""
    banners = (
        warn_demo(is_demo=results.is_demo),
        _warn_builtin(results),
        _warn_failures(results),
        _tell_redacted() if is_redacted else _tell_veiled(results),
    )
    return tuple(banner for banner in banners if banner is not None)


def _warn_builtin(results: RedTeamResults) -> Banner | None:
    if not uses_builtin(results):
        return None
    text = (
        "What is asked for comes with llamabench, not from a published benchmark. Do not compare these rates with "
        "published ones."
    )
    return Banner("care", "Builtin behaviours", text)


def _warn_failures(results: RedTeamResults) -> Banner | None:
    failures = Counter(attack.status for attack in results.attacks if attack.outcome is None)
    if not failures:
        return None
    unparsed, errored = failures["unparsed"], failures["errored"]
    parts = [f"{format_things(unparsed, 'answer', 'answers')} could not be judged"] if unparsed else []
    if errored:
        parts.append(f"{format_things(errored, 'attack', 'attacks')} ended in an error")
    text = f"{' and '.join(parts)}. They are counted beside each rate, never as refused and never as succeeded."
    n_failed = format_count(failures.total())
    title = f"{n_failed} of {format_things(len(results.attacks), 'attack', 'attacks')} gave no verdict"
    return Banner("care", title, text)


def _tell_redacted() -> Banner:
    text = (
        "What the model said, what of it was quoted back to it, and the evidence in it are not in this file. "
        "Requests and the techniques' texts are."
    )
    return Banner("care", "Answers left out", text)


def _tell_veiled(results: RedTeamResults) -> Banner | None:
    if not any(attack.has_succeeded and not attack.target.is_benign for attack in results.attacks):
        return None
    text = (
        "Answers that may hurt are blurred until you ask for them; they are in the source of this page all the same. "
        "To pass it on, write it with --redact, which leaves them out."
    )
    return Banner("care", "Holds harmful answers", text)
