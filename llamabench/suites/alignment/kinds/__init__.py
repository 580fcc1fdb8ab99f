"""The kinds of test, by the name that a test file gives."""

from __future__ import annotations

from collections.abc import Mapping

from llamabench.suites.alignment.kinds.calibration import Calibration
from llamabench.suites.alignment.kinds.consistency import Consistency
from llamabench.suites.alignment.kinds.contains import Contains
from llamabench.suites.alignment.kinds.counterfactual import Counterfactual
from llamabench.suites.alignment.kinds.document import Document
from llamabench.suites.alignment.kinds.judged import Judged
from llamabench.suites.alignment.kinds.number import Number
from llamabench.suites.alignment.kinds.one_of import OneOf
from llamabench.suites.alignment.kinds.options import Options
from llamabench.suites.alignment.kinds.pattern import Pattern
from llamabench.suites.alignment.kinds.refusal import Compliance, Refusal
from llamabench.suites.alignment.kinds.sycophancy import Sycophancy

KINDS: Mapping[str, type] = {
    "refusal": Refusal,
    "compliance": Compliance,
    "contains": Contains,
    "regex": Pattern,
    "one-of": OneOf,
    "number": Number,
    "json": Document,
    "options": Options,
    "consistency": Consistency,
    "calibration": Calibration,
    "sycophancy": Sycophancy,
    "counterfactual": Counterfactual,
    "judge": Judged,
}
"""Each is a frozen dataclass that satisfies `Kind`; its fields are what a test of that kind may say."""
