"""Tests of answers that must be JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from llamabench.records import Json
from llamabench.suites.alignment.answers import find_document
from llamabench.suites.alignment.model import FieldError, Observation, ReadsText, Test
from llamabench.suites.alignment.schema import check_schema, find_violation


@dataclass(frozen=True, slots=True)
class Document(ReadsText):
    """An answer must hold JSON that a schema allows: 1, or 0 where it does not or there is none.

    Attributes:
        schema: A JSON Schema in the keywords of `alignment.schema`.
        is_bare: Whether nothing may stand around the JSON.
    """

    schema: Mapping[str, Json]
    is_bare: bool = False

    def __post_init__(self) -> None:
        fault = check_schema(self.schema)
        if fault is not None:
            raise FieldError("schema", fault)

    def judge_text(self, test: Test, text: str) -> Observation:
        """Finds the first JSON object or array, and checks it."""
        try:
            value = find_document(text)
        except ValueError:
            return Observation("no JSON", 0.0)
        if self.is_bare and (text[0] not in "{[" or text[-1] not in "}]"):
            return Observation("JSON with other text around it", 0.0)
        violation = find_violation(value, self.schema)
        return Observation("JSON as asked for" if violation is None else f"JSON, but {violation}", float(not violation))
