"""A run's scores as the `model-index` of a Hugging Face model card.

Source: https://github.com/huggingface/hub-docs/blob/main/modelcard.md and huggingface_hub's `ModelCardData`. The main
metrics of whole suites stand in it; `verified` is false, as it is for whoever is not the Hub itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from llamabench.errors import LlamabenchError
from llamabench.records import Json, Metric, SuiteChoice
from llamabench.results.store import Run


def write_model_index(
    run: Run, path: Path, main_metrics: Mapping[str, Collection[str]], hub_ids: Mapping[str, str]
) -> None:
    """Writes the YAML that goes between the dashes at the head of a model card.

    Args:
        run: The run.
        path: Where to.
        main_metrics: The metrics to name, by suite.
        hub_ids: Names of data sets on the Hub, by edition.

    Raises:
        LlamabenchError: There are no scores of whole suites to name.
        OSError: The file cannot be written.
    """
    import yaml

    results = [
        _result(choice, metrics, hub_ids)
        for choice in run.info.suites
        if (metrics := _metrics(run, choice, main_metrics))
    ]
    if not results:
        raise LlamabenchError(f"The run {run.folder} has no scores for a model card yet. Let it finish first.")
    document = {"model-index": [{"name": run.info.model.name, "results": results}]}
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def _metrics(run: Run, choice: SuiteChoice, main_metrics: Mapping[str, Collection[str]]) -> list[Json]:
    return [
        _metric(score.metric, score.signature)
        for score in run.scores()
        if (score.suite, score.metric.group) == (choice.name, None)
        and score.metric.value is not None
        and (score.metric.name in main_metrics.get(choice.name, ()) or score.metric.judge is not None)
    ]


def _result(choice: SuiteChoice, metrics: list[Json], hub_ids: Mapping[str, str]) -> dict[str, Json]:
    own_name = f"llamabench-{choice.name}"
    return {
        "task": {"type": "text-generation", "name": "Text Generation"},
        "dataset": {
            "name": choice.name,
            # our own items have no name there, and say so
            "type": next((hub_ids[one] for one in choice.edition.split("+") if one in hub_ids), own_name),
            "config": choice.edition,
            "args": {"n_items": choice.n_items, "sha256": choice.data_sha256},
        },
        "metrics": metrics,
    }


def _metric(metric: Metric, signature: str) -> dict[str, Json]:
    args: dict[str, Json] = {"n": metric.n, "low": metric.low, "high": metric.high, "signature": signature}
    if metric.judge is not None:
        args["judge"] = metric.judge
    return {"type": metric.name, "name": metric.name, "value": metric.value, "verified": False, "args": args}
