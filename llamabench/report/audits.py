"""What an audit found, in a sentence."""

from __future__ import annotations

from llamabench.records import Audit
from llamabench.report.format import format_things, show_hidden

_WHAT_IS_USUAL = (
    " Small differences are usual: last digits depend on what shares a batch, and the rounding of quantized "
    "activations makes more of them. Answers that change are what counts."
)


def describe_audit(audit: Audit) -> str:
    """Say how far the scores of a suite are from exact ones."""
    words = [f"{format_things(audit.n_items, 'item was', 'items were')} scored again, one sequence at a time"]
    if audit.largest_difference is not None and audit.largest_per_token is not None:
        item = show_hidden(audit.worst_item or "")
        words.append(
            f"of {format_things(audit.n_continuations, 'log-probability', 'log-probabilities')} none moved by more "
            f"than {audit.largest_difference:.2g} ({audit.largest_per_token:.2g} per token, item {item})"
        )
    if audit.n_failed:
        words.append(f"{format_things(audit.n_failed, 'item', 'items')} gave no number")
    if audit.n_changed:
        named = ", ".join(map(show_hidden, audit.changed_items))
        more = ", …" if audit.n_changed > len(audit.changed_items) else ""
        words.append(f"{format_things(audit.n_changed, 'answer', 'answers')} changed ({named}{more})")
    else:
        words.append("no answer changed")
    return "; ".join(words) + "." + (_WHAT_IS_USUAL if audit.largest_difference else "")
