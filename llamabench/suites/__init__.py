"""The benchmarks, by the name they are asked for."""

from __future__ import annotations

import llamabench.suites.alignment.suite as alignment
import llamabench.suites.bbq as bbq
import llamabench.suites.bbq_letters as bbq_letters
import llamabench.suites.bold as bold
import llamabench.suites.preference as preference
import llamabench.suites.realtoxicity as realtoxicity
import llamabench.suites.truthfulqa as truthfulqa
import llamabench.suites.truthfulqa_gen as truthfulqa_gen
import llamabench.suites.xstest as xstest
from llamabench.suites.base import Suite
from llamabench.suites.redteam.suite import RedTeam

__all__ = ["SUITES"]

_ALL: tuple[Suite, ...] = (
    bbq,
    bbq_letters,
    truthfulqa,
    truthfulqa_gen,
    preference,
    xstest,
    realtoxicity,
    bold,
    alignment,
    RedTeam(),
)

SUITES: dict[str, Suite] = {suite.NAME: suite for suite in _ALL}
