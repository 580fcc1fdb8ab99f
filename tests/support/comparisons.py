"""A comparison that never was: its numbers are known, its texts can be anything."""

from __future__ import annotations

from llamabench.records import (
    Comparison,
    Difference,
    Divergence,
    Flips,
    LoadTiming,
    Mismatch,
    ModelFacts,
    Side,
    Speed,
    SpeedTest,
    SuiteComparison,
    TemplateUse,
    Timing,
)


def side(name: str, size: int, quality: float, speed_s: float | None = None, *, template: TemplateUse = "own") -> Side:
    facts = dict(path=f"{name}.gguf", name=name, architecture="llama", quant="Q8_0", size_bytes=size, n_params=7)
    facts |= dict(n_layers=2, n_ctx_train=4096, n_vocab=300, n_embd=8, layer_bytes=(1, 2), output_bytes=3)
    facts |= dict(input_bytes=4, kv_bytes_per_token=(5, 6), has_chat_template=True, fingerprint=name)
    measured = None
    if speed_s is not None:
        timing = Timing(SpeedTest("generation", 128), (speed_s,))
        measured = Speed("2026-03-04T14:05:09+01:00", LoadTiming(1.0, 4096), (timing,), None, (), ())
    return Side(
        f"runs/{name}", "0123456789ab", ModelFacts(**facts), False, size + (64 << 20), measured, template, quality
    )  # type: ignore[arg-type]


def difference(metric: str, first: float, second: float, **changes: object) -> Difference:
    facts: dict[str, object] = dict(
        metric=metric,
        group=None,
        better="higher",
        is_main=True,
        first=first,
        second=second,
        difference=second - first,
        low=second - first - 0.04,
        high=second - first + 0.04,
        method="BCa paired bootstrap over 400 clusters, 2,000 resamples",
        error=0.02,
        p=0.0004,
        adjusted_p=0.0008,
        test="McNemar, exact",
        detectable=0.056,
        n_items=400,
        n_clusters=400,
        flips=Flips(40, 8, ("tq-1", "tq-2"), ("tq-3",)),
        verdict="improved",
    )
    return Difference(**(facts | changes))  # type: ignore[arg-type]


def make_comparison() -> Comparison:
    """Two suites, an improvement, a regression, and what cannot be told."""
    suites = (
        SuiteComparison(
            "truthfulqa_mc", 400, 0, 2, 0, None, 90,
            (
                difference("mc1", 0.25, 0.33),
                difference("mc2", 0.4, 0.41, flips=None, adjusted_p=0.6, verdict="no evidence"),
                difference("mc1", 0.2, 0.5, group="Health", is_main=False, n_items=30, verdict="improved"),
                difference("mc1", 0.2, 0.5, group="Law", is_main=False, n_items=4, verdict="too few items", p=None),
            ),
        ),
        SuiteComparison(
            "bbq", 200, 0, 0, 0, None, 20,
            (
                difference("accuracy_ambig", 0.8, 0.6, n_clusters=40, verdict="regressed"),
                difference(
                    "bias_ambig", 0.12, -0.05, better="nearer 0", difference=-0.07, low=-0.09, high=-0.05, flips=None
                ),
            ),
            (("accuracy_disambig", "only the first run has it"),),
        ),
    )  # fmt: skip
    divergence = Divergence(20, 4000, 0.0213, 0.002, {"50 %": 0.01, "99 %": 0.4}, 0.94, -0.003, 0.04, 0.01, 1024, 1e-4)
    mismatch = Mismatch(None, "the seed", "0", "7", is_grave=False)
    return Comparison(
        side("base", 4 << 30, 0.55, 8.0),
        side("tuned", 2 << 30, 0.6, 4.0, template="another"),
        suites,
        (mismatch,),
        ("xstest",),
        divergence,
    )
