"""A run in the layout of lm-evaluation-harness's results, for what reads those.

`OUT/MODEL/results_DATE.json` and `OUT/MODEL/samples_TASK_DATE.jsonl`; source: EleutherAI/lm-evaluation-harness 0.4.13,
`lm_eval/result_schema.py` and `lm_eval/loggers/evaluation_tracker.py`. Tasks are called `llamabench_SUITE`, those of
groups `llamabench_SUITE_GROUP`: the harness's own tasks of similar names ask in other ways, and numbers of one must not
pass for numbers of the other. A `_stderr` is half of our 95 % interval divided by 1.96, since the layout has no place
for intervals; `N/A` where there is none. There are no few-shot counts: primers are part of our prompts.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from llamabench.records import ItemRow, Json, Metric, SuiteChoice
from llamabench.results.store import Run

_FILTER = "none"
_Z_95 = 1.959964
_REPLACED = re.compile(r"[^\w .,()+-]+")
_MOST_NAME = 60

Directions = Mapping[str, Mapping[str, bool | None]]
"""For each suite and metric whether higher is better; None where neither is."""


def write_lm_eval(run: Run, folder: Path, directions: Directions) -> list[Path]:
    """Writes the aggregated results and the samples; the files.

    Raises:
        OSError: A file cannot be written.
    """
    date = datetime.datetime.fromisoformat(run.info.created)
    stamp = date.replace(tzinfo=None).isoformat().replace(":", "-")
    target = folder / _sanitize(f"{run.info.model.name}-{run.info.model.quant}")
    target.mkdir(parents=True, exist_ok=True)
    hashes = {}
    paths = [target / f"results_{stamp}.json"]
    for choice in run.info.suites:
        paths.append(target / f"samples_{_task(choice.name)}_{stamp}.jsonl")
        hashes[_task(choice.name)] = _write_samples(run.rows(choice.name), paths[-1])
    document = _results(run, directions) | {"task_hashes": hashes, "date": date.timestamp()}
    paths[0].write_text(json.dumps(document, indent=2), encoding="utf-8")
    return paths


def _sanitize(name: str) -> str:
    """A name that can be a folder's: without what the harness replaces, and whatever else is no plain character."""
    return _REPLACED.sub("__", name)[:_MOST_NAME]


def _task(suite: str, group: str | None = None) -> str:
    name = f"llamabench_{suite}" if group is None else f"llamabench_{suite}_{group}"
    return re.sub(r"\W", "_", name)


# --- aggregated results -------------------------------------------------------------------------


def _results(run: Run, directions: Directions) -> dict[str, Json]:
    results: dict[str, dict[str, Json]] = {}
    subtasks: dict[str, list[Json]] = {_task(choice.name): [] for choice in run.info.suites}
    directed: dict[str, Json] = {}
    for score in run.scores():
        task, metric = _task(score.suite, score.metric.group), score.metric
        if task not in results:
            alias = score.suite if metric.group is None else metric.group
            results[task] = {"name": task, "alias": alias, "sample_len": metric.n}
            directed[task] = dict(directions.get(score.suite, {}))
            if metric.group is not None:
                subtasks[_task(score.suite)].append(task)
        if metric.value is not None:
            results[task] |= _metric(metric)
    choices = {_task(choice.name): choice for choice in run.info.suites}
    return {
        "results": {**results},
        "group_subtasks": {**subtasks},
        "configs": {task: _config(choice) for task, choice in choices.items()},
        "versions": {task: choice.version for task, choice in choices.items()},
        "n-shot": {},
        "higher_is_better": directed,
        "n-samples": {
            task: {"original": choice.n_available, "effective": choice.n_items} for task, choice in choices.items()
        },
        **_provenance(run),
    }


def _metric(metric: Metric) -> dict[str, Json]:
    name = metric.name if metric.judge is None else f"{metric.name}_by_{re.sub(r'[^0-9A-Za-z]+', '_', metric.judge)}"
    has_interval = metric.low is not None and metric.high is not None
    spread = (metric.high - metric.low) / (2 * _Z_95) if metric.low is not None and metric.high is not None else None
    return {f"{name},{_FILTER}": metric.value, f"{name}_stderr,{_FILTER}": spread if has_interval else "N/A"}


def _config(choice: SuiteChoice) -> dict[str, Json]:
    return {
        "task": _task(choice.name),
        "dataset_name": choice.edition,
        "dataset_path": f"llamabench/{choice.name}",
        "metadata_version": str(choice.version),
        "dataset_sha256": choice.data_sha256,
    }


def _provenance(run: Run) -> dict[str, Json]:
    info = run.info
    return {
        "config": {
            "model": "llamabench",
            "model_args": {"path": Path(info.model.path).name, "quant": info.model.quant},
            "model_num_parameters": info.model.n_params,
            "model_dtype": info.model.quant,
            "model_sha": info.model.fingerprint,
            "batch_size": str(info.plan.scoring.n_batch),
            "limit": info.limit,
            "random_seed": info.seed,
            "numpy_seed": info.seed,
        },
        "git_hash": info.machine.llama_cpp_commit,
        "lm_eval_version": f"written by llamabench {info.llamabench}",
        "model_source": "llamabench",
        "model_name": info.model.name,
        "model_name_sanitized": _sanitize(info.model.name),
        "max_length": info.plan.scoring.n_ctx,
        "chat_template_sha": info.chat_template_sha256,
        "system_instruction": info.system_prompt,
        "system_instruction_sha": None if info.system_prompt is None else _sha256(info.system_prompt),
        "fewshot_as_multiturn": None,
        "total_evaluation_time_seconds": str(sum(run.timings().values())),
    }


# --- samples ------------------------------------------------------------------------------------


def _write_samples(rows: Iterable[ItemRow], path: Path) -> str:
    """Writes a line for each item, and returns the digest of all of them."""
    digest = hashlib.sha256()
    with path.open("w", encoding="utf-8") as file:
        for number, row in enumerate(rows):
            sample = _sample(number, row)
            digest.update(f"{sample['doc_hash']}{sample['prompt_hash']}{sample['target_hash']}".encode())
            file.write(json.dumps(sample) + "\n")
    return digest.hexdigest()


def _sample(number: int, row: ItemRow) -> dict[str, Json]:
    asked = list(_asked(row))
    doc: dict[str, Json] = {"id": row.id, "group": row.group, "cluster": row.cluster, **row.facts}
    target = str(row.facts.get("target", ""))
    values: dict[str, Json] = {name: value for name, value in row.values.items() if "#" not in name}
    return {
        "doc_id": number,
        "doc": doc,
        "target": target,
        "arguments": {f"gen_args_{place}": arguments for place, (arguments, _) in enumerate(asked)},
        "resps": [[answer] for _, answer in asked],
        "filtered_resps": [answer for _, answer in asked],
        "filter": _FILTER,
        "metrics": list(values),
        "doc_hash": _sha256(json.dumps(doc, sort_keys=True)),
        "prompt_hash": _sha256(row.exchanges[0].prompt if row.exchanges else ""),
        "target_hash": _sha256(target),
        "outcome": row.outcome,
        "error": row.error,
        **values,
    }


def _asked(row: ItemRow) -> Iterator[tuple[dict[str, Json], Json]]:
    """What was asked and answered, a continuation or a text at a time."""
    for exchange in row.exchanges:
        for answer in exchange.answers:
            logprob = answer.get("logprob", answer.get("logprob_at_most"))
            if logprob is None:
                yield {"arg_0": exchange.prompt, "arg_1": {}}, answer.get("text")
            else:
                # whether a continuation was greedy is not stored
                yield {"arg_0": exchange.prompt, "arg_1": answer.get("text")}, [str(logprob), "False"]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
