"""Exports, read back by the programs that they are for."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from llamabench.errors import LlamabenchError, MissingPackageError
from llamabench.records import ItemRow, Metric, RunInfo, Score
from llamabench.results.junit import Demand, find_unmet, read_demand, write_junit
from llamabench.results.lm_eval import write_lm_eval
from llamabench.results.model_card import write_model_index
from llamabench.results.store import Run
from llamabench.results.tables import write_csv, write_parquet

_DIRECTIONS = {"bbq": {"accuracy": True}}


@pytest.fixture
def run(tmp_path: Path, info: RunInfo, make_rows: Callable[..., list[ItemRow]], scores: list[Score]) -> Iterator[Run]:
    rows = make_rows(5)
    rows[1] = replace(rows[1], values={**rows[1].values, "score": 0.5}, facts={"expected": "Says so."})
    rows[2] = replace(rows[2], outcome="errored", error="=cmd|' /C calc'!A0", values={})
    rows[3] = replace(rows[3], outcome="unparsed", error="\x1b[31mno\x00 answer", values={})
    with Run.create(tmp_path / "run", info) as stored:
        stored.commit_chunk("bbq", rows, first=0, seconds=1.5)
        stored.commit_chunk("alpha", make_rows(1, suite="alpha"), first=0, seconds=0.5)
        judged = Metric("judged", 0.5, 4, 0.1, 0.9, "Wilson", judge="A judge Q8_0, rubric")
        stored.save_scores("bbq", [*scores, Score("bbq", judged, "suite:bbq|v:1|judge:a")])
        yield stored


# --- tables -------------------------------------------------------------------------------------


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_csv_holds_scores_and_items(run: Run, tmp_path: Path) -> None:
    paths = write_csv(run, tmp_path / "csv")
    assert [path.name for path in paths] == ["scores.csv", "items_bbq.csv", "items_alpha.csv"]
    scores = read_csv(paths[0])
    assert [float(row["value"] or "nan") for row in scores][0] == 0.1 + 0.2
    assert [row["group"] for row in scores] == ["", "Age", ""]
    items = read_csv(paths[1])
    assert [row["id"] for row in items] == [row.id for row in run.rows("bbq")]
    assert float(items[4]["margin"]) == -0.4
    assert items[2]["margin"] == ""
    assert json.loads(items[0]["answers"])[0][0]["logprob"] == -1.2345678901234567


def test_text_is_no_formula_and_numbers_stay_numbers(run: Run, tmp_path: Path) -> None:
    items = read_csv(write_csv(run, tmp_path / "csv")[1])
    assert items[2]["error"] == "'=cmd|' /C calc'!A0"
    assert items[1]["margin"] == "-0.1"
    assert "\0" not in (tmp_path / "csv" / "items_bbq.csv").read_text(encoding="utf-8")


def test_parquet_holds_the_same(run: Run, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    scores, items = (parquet.read_table(path).to_pylist() for path in write_parquet(run, tmp_path / "parquet"))
    assert (scores[0]["value"], scores[0]["n"], scores[1]["value"]) == (0.1 + 0.2, 3, None)
    assert len(items) == 6
    assert dict(items[4]["values"]) == {"correct": 0.0, "margin": -0.4}
    assert json.loads(items[0]["prompts"])[0] == "Q0\x00\u2028?"


def test_parquet_says_what_it_needs(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackageError, match=r"-m pip install 'pyarrow>=15'$"):
        write_parquet(run, tmp_path / "parquet")


# --- lm-evaluation-harness ----------------------------------------------------------------------


def test_results_have_the_harness_layout(run: Run, tmp_path: Path) -> None:
    paths = write_lm_eval(run, tmp_path / "out", _DIRECTIONS)
    assert [path.name for path in paths] == [
        "results_2026-03-04T14-05-09.json",
        "samples_llamabench_bbq_2026-03-04T14-05-09.jsonl",
        "samples_llamabench_alpha_2026-03-04T14-05-09.jsonl",
    ]
    assert {path.parent for path in paths} == {tmp_path / "out" / "tiny-Q8_0"}
    document = json.loads(paths[0].read_text(encoding="utf-8"))
    whole = document["results"]["llamabench_bbq"]
    assert whole["accuracy,none"] == 0.1 + 0.2
    assert whole["accuracy_stderr,none"] == pytest.approx(1 / 2 / 1.96, rel=1e-4)
    assert "judged_by_A_judge_Q8_0_rubric,none" in whole
    assert document["group_subtasks"] == {"llamabench_bbq": ["llamabench_bbq_Age"], "llamabench_alpha": []}
    assert document["higher_is_better"]["llamabench_bbq"] == {"accuracy": True}
    assert document["n-samples"]["llamabench_bbq"] == {"original": 58492, "effective": 4}
    samples = [json.loads(line) for line in paths[1].read_text(encoding="utf-8").splitlines()]
    assert [sample["doc"]["id"] for sample in samples] == [row.id for row in run.rows("bbq")]
    assert samples[0]["arguments"]["gen_args_0"] == {"arg_0": "Q0\x00\u2028?", "arg_1": " a"}
    assert samples[0]["filtered_resps"] == [["-1.2345678901234567", "False"]]
    assert (samples[0]["correct"], samples[0]["metrics"]) == (0.0, ["correct", "margin"])
    assert samples[2]["metrics"] == []


def test_the_harness_reads_them(run: Run, tmp_path: Path) -> None:
    utils = pytest.importorskip("lm_eval.utils")
    names = [str(path) for path in write_lm_eval(run, tmp_path / "out", _DIRECTIONS)]
    (found,) = utils.get_results_filenames(names)
    samples = utils.get_sample_results_filenames(names)
    assert [utils.get_file_task_name(Path(name).name) for name in samples] == ["llamabench_bbq", "llamabench_alpha"]
    table = utils.make_table(json.loads(Path(found).read_text(encoding="utf-8")))
    assert "|bbq " in table
    assert re.search(r"\|\s*0\.30*\|±", table)


# --- model card ---------------------------------------------------------------------------------


def test_the_hub_reads_the_model_index(run: Run, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard, ModelCardData

    path = tmp_path / "index.yaml"
    write_model_index(run, path, {"bbq": ("accuracy",)}, {})
    card = ModelCard(f"---\n{path.read_text(encoding='utf-8')}---\n# tiny\n")
    assert isinstance(card.data, ModelCardData)
    results = card.data.eval_results
    assert results is not None
    assert [(one.dataset_name, one.metric_type, one.metric_value) for one in results] == [
        ("bbq", "accuracy", 0.1 + 0.2),
        ("bbq", "judged", 0.5),
    ]
    assert results[0].metric_args["signature"] == "suite:bbq|v:1"
    assert card.data.model_name == "tiny"


def test_a_published_edition_has_its_name_on_the_hub(run: Run, tmp_path: Path) -> None:
    write_model_index(run, tmp_path / "index.yaml", {"bbq": ("accuracy",)}, {"2022": "org/bbq"})
    document = yaml.safe_load((tmp_path / "index.yaml").read_text(encoding="utf-8"))
    assert document["model-index"][0]["results"][0]["dataset"]["type"] == "org/bbq"


def test_a_run_without_scores_has_no_model_index(tmp_path: Path, info: RunInfo) -> None:
    with Run.create(tmp_path / "run", info) as run, pytest.raises(LlamabenchError, match="no scores for a model card"):
        write_model_index(run, tmp_path / "index.yaml", {}, {})


# --- JUnit --------------------------------------------------------------------------------------


def test_junit_is_read_back(run: Run, tmp_path: Path) -> None:
    junitparser = pytest.importorskip("junitparser")
    path = tmp_path / "junit.xml"
    write_junit(run, path, [Demand("bbq", "accuracy", ">=", 0.5), Demand("bbq", "accuracy", "<=", 0.5)])
    suite, other = junitparser.JUnitXml.fromfile(str(path))
    assert (suite.name, suite.tests, suite.failures, suite.errors, suite.skipped) == ("bbq", 5, 2, 1, 1)
    assert (other.name, other.tests) == ("alpha", 0)
    results = {case.name: [type(result).__name__ for result in case.result] for case in suite}
    assert results["bbq.accuracy >= 0.5"] == ["Failure"]
    assert results["bbq.accuracy <= 0.5"] == []
    ids = [row.id for row in run.rows("bbq")]
    assert [results[id] for id in ids[1:4]] == [["Failure"], ["Error"], ["Skipped"]]
    assert {prop.name: prop.value for prop in suite.properties()}["accuracy"] == "0.3"


def test_what_xml_cannot_hold_is_written_out(run: Run, tmp_path: Path) -> None:
    write_junit(run, tmp_path / "junit.xml", [])
    tree = ElementTree.parse(tmp_path / "junit.xml")  # noqa: S314
    messages = [element.get("message") for element in tree.iter("skipped")]
    assert messages == ["\\x1b[31mno\\x00 answer"]


@pytest.mark.parametrize(
    ("text", "demand"),
    [
        ("bbq.accuracy>=0.8", Demand("bbq", "accuracy", ">=", 0.8)),
        (" bbq.bias <= -1 ", Demand("bbq", "bias", "<=", -1.0)),
    ],
)
def test_demands_are_read(text: str, demand: Demand) -> None:
    assert read_demand(text) == demand


@pytest.mark.parametrize("text", ["", "bbq>=1", "bbq.accuracy", "bbq.accuracy>1", "bbq.accuracy>=x"])
def test_what_is_no_demand_is_refused(text: str) -> None:
    with pytest.raises(LlamabenchError, match="is no bound on a score"):
        read_demand(text)


def test_what_is_not_met_is_told(run: Run) -> None:
    demands = [
        Demand("bbq", "accuracy", ">=", 0.2),
        Demand("bbq", "accuracy", ">=", 0.9),
        Demand("bbq", "acuracy", ">=", 0.0),
    ]
    assert find_unmet(run, demands) == [
        "bbq.accuracy >= 0.9: found 0.3000",
        "bbq.acuracy >= 0: there is no such score (did you mean bbq.accuracy?)",
    ]
