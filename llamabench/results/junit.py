"""A run as JUnit XML, for programs that build and test: a suite of tests for each suite, a test for each demand.

Format: https://github.com/testmoapp/junitxml. A demand is a bound on a score, such as `bbq.accuracy_ambig>=0.8`;
tests of the kind that passes or fails by itself, which have a value called `score`, are listed one by one. What ended
in an error is an error there too, what could not be read is skipped.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree as ET  # nosec B405 # it writes, and reads nothing

from llamabench.errors import LlamabenchError
from llamabench.records import ItemRow, Score
from llamabench.results.store import Run

_DEMAND = re.compile(r"\s*(?P<suite>\w+)\.(?P<metric>\w+)\s*(?P<sign>>=|<=)\s*(?P<bound>-?\d+(?:\.\d+)?)\s*")
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Demand:
    """A bound on a score of a whole suite."""

    suite: str
    metric: str
    sign: Literal[">=", "<="]
    bound: float

    def __str__(self) -> str:
        return f"{self.suite}.{self.metric} {self.sign} {self.bound:g}"

    def is_met(self, value: float) -> bool:
        """Whether a score is within the bound."""
        return value >= self.bound if self.sign == ">=" else value <= self.bound


def read_demand(text: str) -> Demand:
    """Reads a demand.

    >>> str(read_demand("bbq.accuracy_ambig>=0.8"))
    'bbq.accuracy_ambig >= 0.8'

    Raises:
        LlamabenchError: It is none.
    """
    match = _DEMAND.fullmatch(text)
    if match is None:
        raise LlamabenchError(f'"{text}" is no bound on a score. It is written like bbq.accuracy_ambig>=0.8.')
    sign: Literal[">=", "<="] = ">=" if match["sign"] == ">=" else "<="
    return Demand(match["suite"], match["metric"], sign, float(match["bound"]))


def find_unmet(run: Run, demands: Sequence[Demand]) -> list[str]:
    """What demands are not met, in a line each; a score that is not there meets nothing."""
    scores = run.scores()
    return [fault for demand in demands if (fault := _fault(demand, scores)) is not None]


def _fault(demand: Demand, scores: Sequence[Score]) -> str | None:
    found = [
        score.metric.value
        for score in scores
        if (score.suite, score.metric.name, score.metric.group) == (demand.suite, demand.metric, None)
    ]
    if not found:
        known = {f"{score.suite}.{score.metric.name}": None for score in scores if score.metric.group is None}
        near = difflib.get_close_matches(f"{demand.suite}.{demand.metric}", known, n=1)
        guess = f" (did you mean {near[0]}?)" if near else f"; there are {', '.join(known) or 'none'}"
        return f"{demand}: there is no such score{guess}"
    (value, *_) = found
    if value is None:
        return f"{demand}: the score has no value"
    return None if demand.is_met(value) else f"{demand}: found {value:.4f}"


def write_junit(run: Run, path: Path, demands: Sequence[Demand]) -> None:
    """Writes the XML.

    Raises:
        OSError: The file cannot be written.
    """
    root = ET.Element("testsuites", name=_clean(f"llamabench {run.info.model.name} {run.info.model.quant}"))
    scores, timings = run.scores(), run.timings()
    for choice in run.info.suites:
        suite = ET.SubElement(root, "testsuite", name=_clean(choice.name), timestamp=_clean(run.info.created))
        suite.set("time", f"{timings.get(choice.name, 0.0):.3f}")
        _add_properties(suite, [score for score in scores if score.suite == choice.name])
        for demand in demands:
            if demand.suite == choice.name:
                _add_case(suite, str(demand), "scores", failure=_fault(demand, scores))
        for row in run.rows(choice.name):
            _add_item(suite, row)
        _count(suite)
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _add_properties(suite: ET.Element, scores: Sequence[Score]) -> None:
    properties = ET.SubElement(suite, "properties")
    for score in scores:
        if score.metric.group is None and score.metric.value is not None:
            ET.SubElement(properties, "property", name=_clean(score.metric.name), value=f"{score.metric.value:.6g}")


def _add_item(suite: ET.Element, row: ItemRow) -> None:
    if row.outcome == "errored":
        _add_case(suite, row.id, row.group, error=row.error or "no reason is stored")
    elif row.outcome == "scored" and "score" in row.values:
        expected = f" Expected: {str(row.facts['expected']).rstrip('.')}." if "expected" in row.facts else ""
        is_passed = row.values["score"] >= 1
        failure = None if is_passed else f"Scored {row.values['score']:.3g} of 1.{expected}"
        _add_case(suite, row.id, row.group, failure=failure)
    elif row.outcome == "unparsed":
        _add_case(suite, row.id, row.group, skipped=row.error or "the answer could not be read")


def _add_case(suite: ET.Element, name: str, group: str, **ends: str | None) -> None:
    case = ET.SubElement(suite, "testcase", name=_clean(name), classname=_clean(f"{suite.get('name')}.{group}"))
    for end, message in ends.items():
        if message is not None:
            ET.SubElement(case, end, message=_clean(message))


def _count(suite: ET.Element) -> None:
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(tag) is not None for case in cases)))


def _clean(text: str) -> str:
    """Text without the characters that XML cannot hold, which are written out."""
    return _NOT_IN_XML.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
