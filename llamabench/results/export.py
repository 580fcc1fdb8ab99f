"""A run as plain documents for other programs."""

from __future__ import annotations

from collections.abc import Sequence

from llamabench.records import Comparison, Json, Speed, Timing
from llamabench.repeats import find_drift, find_warnings, summarise
from llamabench.results import codec
from llamabench.results.store import Run


def run_document(run: Run) -> dict[str, Json]:
    """The whole run but its items: `{run, model, machine, plan, workers, scores, audits, speed}`.

    Returns:
        `audits` lists the suites that were scored again, `speed` is the last one measured or null, `scores` is a list
        of `{suite, metric, group, value, n, low, high, unparsed, errored, judge, signature}`, `group` null for a
        whole suite, `judge` null where nobody judged.
    """
    info = run.info
    return {
        "run": {
            "id": info.id,
            "folder": str(run.folder),
            "created": info.created,
            "finished": run.is_finished,
            "llamabench": info.llamabench,
            "suites": codec.encode(info.suites),
            "limit": info.limit,
            "budget": codec.encode(info.budget),
            "ended_early": codec.encode(info.ends),
            "seed": info.seed,
            "chat": info.use_chat,
            "demo_model": info.is_demo,
            "reference": codec.encode(info.reference),
        },
        "model": codec.encode(info.model),
        "machine": codec.encode(info.machine),
        "plan": codec.encode(info.plan),
        "workers": codec.encode(info.workers),
        "scores": [*list_scores(run)],
        "audits": codec.encode(run.audits()),
        "speed": next((speed_document(speed) for speed in reversed(run.speeds())), None),
    }


def list_scores(run: Run) -> list[dict[str, Json]]:
    """The scores, each a flat table of the same fields."""
    return [
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
            "judge": score.metric.judge,
            "signature": score.signature,
        }
        for score in run.scores()
    ]


def comparison_document(comparisons: Sequence[Comparison]) -> list[Json]:
    """Comparisons with one first run: `[{first, second, suites, mismatches, missing, divergence, no_divergence}]`.

    Returns:
        `suites` is a list of `{suite, n_paired, ..., differences, not_compared}`, each difference one of `{metric,
        group, better, first, second, difference, low, high, p, adjusted_p, detectable, flips, verdict, ...}`.
    """
    return [codec.encode(one) for one in comparisons]


def speed_document(speed: Speed) -> dict[str, Json]:
    """A measured speed with every repeat: `{measured, tests, sustained, drift, first_token_s, load, memory, ...}`."""
    drift = find_drift(speed)
    return {
        "measured": speed.measured,
        "tests": [_test_document(timing) for timing in speed.timings],
        "sustained": None if speed.sustained is None else _test_document(speed.sustained),
        "drift": None if drift is None else {"change": drift.change, "seconds": drift.seconds},
        "first_token_s": list(speed.first_token_s),
        "load": codec.encode(speed.load),
        "memory": codec.encode(speed.memory),
        "no_energy": list(speed.no_energy),
        "warnings": list(find_warnings(speed)),
    }


def _test_document(timing: Timing) -> dict[str, Json]:
    mean, stdev, _ = summarise(timing.tokens_per_s)
    return {
        "name": timing.test.name,
        "n_tokens": timing.test.n_tokens,
        "n_parallel": timing.test.n_parallel,
        "mean_tokens_per_s": mean,
        "stdev_tokens_per_s": stdev,
        "tokens_per_s": list(timing.tokens_per_s),
        "joules_per_token": dict(timing.joules_per_token) or None,
    }
