"""Files of tests: what is understood, and on which line what is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llamabench.errors import DataError
from llamabench.suites.alignment import reading
from llamabench.suites.alignment.kinds import KINDS
from llamabench.suites.alignment.lines import find_tables

DOCS = Path(__file__).parents[3] / "docs" / "alignment.md"
GOOD = {"id": "a", "category": "safety", "kind": "refusal", "prompt": "How?", "expected": "Refuses."}


def read(tmp_path: Path, text: str | bytes, name: str = "my.toml", *, tries: bool = False) -> reading.TestFile:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(errors="surrogatepass"))
    return reading.read_tests(path, tries_examples=tries)


def faults(tmp_path: Path, text: str | bytes, name: str = "my.toml") -> list[str]:
    return [str(fault) for fault in read(tmp_path, text, name).faults]


TOML = '''# a comment with [[test]] in it
[[test]]
id = "a"
category = "safety"
kind = "refusal"
prompt = """
[[test]]
id = "not me"
"""
expected = "Refuses."

[[test]]  # the second
id = "b"
category = 'helpfulness'
"kind" = "json"
prompt = \'\'\'
prompt = "not me"\'\'\'
expected = "JSON."
[test.schema]
type = "object"
kind = "not me"
'''


def test_tests_and_fields_are_found_on_their_lines() -> None:
    first, second = find_tables(TOML, "test")
    assert (first.line, first.fields) == (2, {"id": 3, "category": 4, "kind": 5, "prompt": 6, "expected": 10})
    assert (second.line, second.fields) == (12, {"id": 13, "category": 14, "prompt": 16, "expected": 18, "schema": 19})


def test_toml_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, TOML.replace('kind = "not me"\n', ""))
    assert found.faults == ()
    assert [(one.test.id, one.line) for one in found.tests] == [("a", 2), ("b", 12)]
    assert found.tests[0].test.turns == ('[[test]]\nid = "not me"\n',)


def test_json_lines_are_read(tmp_path: Path) -> None:
    rows = [json.dumps(GOOD), "", json.dumps({**GOOD, "id": "b"})]
    found = read(tmp_path, "\ufeff" + "\r\n".join(rows), "my.jsonl")
    assert [(one.test.id, one.line) for one in found.tests] == [("a", 1), ("b", 3)]
    assert found.faults == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[[test]]\nid = "a"\nid = "b"\n', "line 3: not valid TOML: Cannot overwrite a value"),
        ('[[test]]\nid = "a\n', "line 2: not valid TOML: Illegal character"),
        ("[[test]]\nid = ", "line 2: not valid TOML: Invalid value"),
        ("", "the file holds no test; one begins with [[test]]"),
        ("# nothing\n", "the file holds no test"),
        ('[[tests]]\nid = "a"\n', "line 1: `tests` cannot stand here; a test begins with [[test]]"),
        ('name = "x"\n', "`name` cannot stand here"),
        ("test = 3\n", "`test` must be tables"),
        ('[test]\nid = "a"\n', "`test` must be tables"),
        ("test = [1]\n", "`test` must be tables"),
        ('[[test]]\nid = "a"\n\n[[test]]\nkind = "refusl"\n', "line 5: test 2: `kind` is none that there is"),
    ],
)
def test_what_is_wrong_with_toml_has_its_line(tmp_path: Path, text: str, expected: str) -> None:
    assert any(fault.startswith(expected) for fault in faults(tmp_path, text)), faults(tmp_path, text)


def test_every_fault_of_a_file_is_said_in_the_order_of_its_lines(tmp_path: Path) -> None:
    text = TOML.replace('"safety"', '"safty"').replace('expected = "JSON."', 'expcted = "JSON."')
    assert faults(tmp_path, text) == [
        "line 4: a: `category` must be safety or helpfulness or honesty or fairness (did you mean safety?), found "
        '"safty".',
        "line 12: b: `expected` is missing.",
        "line 18: b: `expcted` is no field of this kind of test; did you mean `expected`?",
        'line 19: b: `schema` has the unknown keyword "kind"; there are type, enum, const, properties, required, '
        "additionalProperties, items, minItems, maxItems, minLength, maxLength, minimum, maximum.",
    ]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["{}", "x"], "line 2: not valid JSON: Expecting value"),
        (["[1]"], "line 1: not a JSON object"),
        ([json.dumps(GOOD), json.dumps({**GOOD, "kind": 3})], "line 2: a: `kind` is none that there is"),
        ([json.dumps(GOOD), json.dumps(GOOD)], "line 2: a: `id` stands on line 1 already"),
        (['{"id": "a", "id": "b"}'], "line 1: not valid JSON: the field 'id' stands twice"),
        (["[" * 100_000], "line 1: not valid JSON"),
        (['{"id": ' + "9" * 5000 + "}"], "line 1: not valid JSON"),
    ],
)
def test_what_is_wrong_with_json_lines_has_its_line(tmp_path: Path, lines: list[str], expected: str) -> None:
    found = faults(tmp_path, "\n".join(lines), "my.jsonl")
    assert any(fault.startswith(expected) for fault in found), found


def test_a_wrong_encoding_has_its_line(tmp_path: Path) -> None:
    assert faults(tmp_path, b'[[test]]\nid = "\xff"\n') == [
        "line 2: not UTF-8 text (byte 0xff); save the file as UTF-8."
    ]


def test_tests_that_are_written_inline_have_no_lines_but_their_numbers(tmp_path: Path) -> None:
    assert faults(tmp_path, 'test = [{id = "a"}, {kind = "x"}]')[1].startswith("test 2: `kind` is none that there is")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must end in \.toml or \.jsonl"):
        read(tmp_path, "", "my.yaml")
    with pytest.raises(DataError, match=r"none\.toml cannot be read: No such file"):
        reading.read_tests(tmp_path / "none.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        reading.read_tests(tmp_path / "folder.toml")


def test_a_file_with_faults_is_not_run(tmp_path: Path) -> None:
    found = read(tmp_path, "\n".join(["{}"] * 9), "my.jsonl")
    with pytest.raises(DataError) as caught:
        found.need_sound()
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("my.jsonl, line 1: test 1: `kind` is missing; there are " + ", ".join(KINDS) + ".")
    assert len(lines) == 6
    assert lines[-1] == f"4 more: llamabench alignment validate {tmp_path / 'my.jsonl'}"


def test_examples_are_judged(tmp_path: Path) -> None:
    row = {**GOOD, "kind": "contains", "all": ["red"], "good": "blue", "bad": "red"}
    assert read(tmp_path, json.dumps(row), "my.jsonl").faults == ()
    assert [str(fault) for fault in read(tmp_path, json.dumps(row), "my.jsonl", tries=True).faults] == [
        "line 1: a: `good` should score 1, and gets 0: says nothing of what was expected.",
        'line 1: a: `bad` should score less than 1, and gets 1: says "red".',
    ]
    slow = {**GOOD, "kind": "regex", "pattern": "(a|a|aa)+$", "good": "a" * 99 + "b"}
    (fault,) = read(tmp_path, json.dumps(slow), "my.jsonl", tries=True).faults
    assert "took longer than 1 s" in fault.message


# --- whatever stands in a file ------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = [
    "id",
    "category",
    "kind",
    "prompt",
    "turns",
    "expected",
    "system",
    "max_tokens",
    "options",
    "answer",
    "pattern",
]
NAMES += ["schema", "groups", "measure", "all", "any", "right", "paraphrases", "rubric", "good", "bad", "tolerance"]
ROWS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8)
anything = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@anything
@given(data=st.binary(max_size=200), name=st.sampled_from(["a.toml", "a.jsonl"]))
def test_any_bytes_are_read_or_found_faulty(tmp_path: Path, data: bytes, name: str) -> None:
    found = read(tmp_path, data, name)
    assert found.tests or found.faults
    for fault in found.faults:
        str(fault).encode()


@anything
@given(text=st.text(st.sampled_from("[]test=\"'\\\n#abc.{}0,"), max_size=80))
def test_any_toml_like_text_is_read_or_found_faulty(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, f"[[test]]\n{text}")
    assert found.tests or found.faults


@anything
@given(row=ROWS, kind=st.sampled_from(sorted(KINDS)))
def test_any_fields_are_understood_or_found_faulty(tmp_path: Path, row: dict[str, Any], kind: str) -> None:
    found = read(tmp_path, json.dumps({**GOOD, "kind": kind, **row}), "a.jsonl", tries=True)
    assert found.tests or found.faults
    assert {fault.line for fault in found.faults} <= {1}
    for fault in found.faults:
        str(fault).encode()


# --- the documentation --------------------------------------------------------------------------


def test_the_documented_examples_are_sound(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    found = read(tmp_path, "\n".join(blocks), tries=True)
    assert [str(fault) for fault in found.faults] == []
    assert {str(one.fields["kind"]) for one in found.tests} == set(KINDS)
