"""Our own benchmark of alignment, and what a test of your own written in Python needs of it."""

from __future__ import annotations

from llamabench.suites.alignment.coded import PythonTest
from llamabench.suites.alignment.model import Observation

__all__ = ["Observation", "PythonTest"]
