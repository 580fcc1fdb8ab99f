"""A run as plain documents for other programs."""

from __future__ import annotations

from llamabench.records import Json
from llamabench.results import codec
from llamabench.results.store import Run


def run_document(run: Run) -> dict[str, Json]:
    """The whole run but its items: `{run, model, machine, plan, scores, audits}`.

    Returns:
        `audits` lists the suites that were scored again, `scores` is a list of `{suite, metric, group, value, n, low,
        high, unparsed, errored, signature}`, `group` null for a whole suite.
    """
    info = run.info
    scores: list[Json] = [
        {
            "suite": score.suite,
            "metric": score.metric.name,
            "group": score.metric.group,
            "value": score.metric.value,
            "n": score.metric.n,
            "low": score.metric.low,
            "high": score.metric.high,
            "method": score.metric.method,
            "unparsed": score.metric.unparsed,
            "errored": score.metric.errored,
            "signature": score.signature,
        }
        for score in run.scores()
    ]
    return {
        "run": {
            "id": info.id,
            "folder": str(run.folder),
            "created": info.created,
            "finished": run.is_finished,
            "llamabench": info.llamabench,
            "suites": codec.encode(info.suites),
            "limit": info.limit,
            "seed": info.seed,
            "chat": info.use_chat,
            "demo_model": info.is_demo,
        },
        "model": codec.encode(info.model),
        "machine": codec.encode(info.machine),
        "plan": codec.encode(info.plan),
        "scores": scores,
        "audits": codec.encode(run.audits()),
    }
