from __future__ import annotations

import json
from pathlib import Path

from llamabench.records import RunInfo, Score
from llamabench.results.export import run_document
from llamabench.results.signature import make_signature
from llamabench.results.store import Run


def test_the_document_has_what_other_programs_need(tmp_path: Path, info: RunInfo, scores: list[Score]) -> None:
    with Run.create(tmp_path / "run", info) as run:
        run.save_scores("bbq", scores)
        document = json.loads(json.dumps(run_document(run), allow_nan=False))
    assert list(document) == ["run", "model", "machine", "plan", "scores", "audits"]
    assert document["run"]["id"] == info.id
    assert document["run"]["finished"] is False
    assert document["run"]["suites"][0]["edition"] == "2022"
    assert document["model"]["quant"] == "Q8_0"
    assert document["machine"]["devices"][0]["name"] == "CUDA0"
    assert document["plan"]["scoring"]["n_ctx"] == 4096
    whole, group = document["scores"]
    wanted = ("suite", "metric", "group", "value", "n", "low", "high", "unparsed", "errored", "signature")
    assert set(wanted) <= whole.keys()
    assert whole["group"] is None
    assert whole["value"] == 0.1 + 0.2
    assert (whole["unparsed"], whole["errored"]) == (1, 2)
    assert group["group"] == "Age"
    assert (group["value"], group["low"], group["high"]) == (None, None, None)


def test_a_run_without_scores_has_a_document(tmp_path: Path, info: RunInfo) -> None:
    with Run.create(tmp_path / "run", info) as run:
        assert run_document(run)["scores"] == []


def test_the_signature_names_what_decides_the_scores(info: RunInfo) -> None:
    assert make_signature(info, info.suites[0]) == (
        "suite:bbq|v:1|data:2022@abababab|n:4|seed:7|chat:none|quant:Q8_0|kv:f16|fa:on|ub:256|how:packed|pack:128|ngl:3"
        "|llama.cpp:0c1e57098|llamabench:0.1.0"
    )
