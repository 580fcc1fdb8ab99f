"""When a decode takes so long that it hangs: pure, fed with what the worker's process counts."""

from __future__ import annotations

_LEAST_S = 120.0
_FIRST_S = 1200.0
_LOADING_S = 7200.0
_PATIENCE = 50

_LOOKS = 20
_LOOK_EVERY_S = (0.02, 1.0)
_LATE_S = 5.0
"""Seconds between two looks above which this process itself stood still: asleep with the machine, or stopped."""


class Watchdog:
    """Watches decodes one after the other.

    Nobody can know how long a decode takes on a machine; only this machine can tell. So the time allowed is 50 times
    the longest that was seen to end, and two minutes at least; before the first, 20 minutes. All work on sequences
    between two decodes counts to the second. Loading a model may take two hours: it may come from a slow disk, and
    llama.cpp counts nothing meanwhile.

    Time in which nobody looked counts for one look only: whoever stopped this process, or closed the lid of the
    machine, stopped the other one too.

    Args:
        limit_s: Seconds to allow a decode whatever was seen; 0 for any time, None for the rule above.
    """

    def __init__(self, limit_s: float | None = None):
        self._fixed_s = limit_s
        self._longest_s = 0.0
        self._n_decodes = 0
        self._is_decoding = False
        self._since_s = 0.0
        self._looked_s = 0.0

    @property
    def limit_s(self) -> float:
        """Seconds that a decode may take, infinite where nothing is watched."""
        if self._fixed_s is not None:
            return self._fixed_s or float("inf")
        return max(_LEAST_S, _PATIENCE * self._longest_s) if self._longest_s else _FIRST_S

    @property
    def allowed_s(self) -> float:
        """Seconds that what the process is at may take."""
        return self.limit_s if self._is_decoding else max(self.limit_s, _LOADING_S)

    @property
    def look_every_s(self) -> float | None:
        """Seconds between two looks; None where nothing is watched."""
        if self._fixed_s == 0:
            return None
        return min(max(self.limit_s / _LOOKS, _LOOK_EVERY_S[0]), _LOOK_EVERY_S[1])

    def begin(self, n_decodes: int, *, is_decoding: bool, now_s: float) -> None:
        """Counts from now on, with the decodes that ended so far."""
        self._n_decodes, self._is_decoding, self._since_s = n_decodes, is_decoding, now_s
        self._looked_s = now_s

    def is_hung(self, n_decodes: int, *, is_decoding: bool, now_s: float) -> bool:
        """Takes a look; whether the process has taken too long for what it is at.

        Args:
            n_decodes: Decodes that ended so far.
            is_decoding: Whether the process is at work on sequences, not loading or waiting.
            now_s: The time, in seconds from any moment.
        """
        pause_s, every_s = now_s - self._looked_s, self.look_every_s or 0.0
        self._looked_s = now_s
        if pause_s > every_s + _LATE_S:
            self._since_s += pause_s - every_s
        elapsed_s = now_s - self._since_s
        n_new = n_decodes - self._n_decodes
        if n_new == 0 and is_decoding == self._is_decoding:
            return elapsed_s > self.allowed_s
        if n_new > 0:
            self._longest_s = max(self._longest_s, elapsed_s / n_new)
        self.begin(n_decodes, is_decoding=is_decoding, now_s=now_s)
        return False
