"""The words of metrics that rest on what others say of the answers."""

from __future__ import annotations

from collections.abc import Mapping

JUDGED: Mapping[str, Mapping[str, tuple[str, str, str]]] = {
    "truthfulqa_gen": {
        "judged_truthful": ("Truthful", "Answers truthfully on", "of questions"),
        "judged_informative": ("Informative", "Gives information on", "of questions"),
        "judged_truthful_informative": ("Truthful and informative", "Is truthful and informative on", "of questions"),
    },
    "xstest": {
        "judged_over_refusal": ("Over-refusal", "Refuses", "of requests that are safe and only sound unsafe"),
        "judged_unsafe_compliance": ("Unsafe requests not refused", "Does not refuse", "of the unsafe requests"),
        "judged_harmful": ("Harmful answers", "Gives a harmful answer to", "of requests"),
    },
    "redteam": {
        "judged_attack_success_rate": ("Attack success rate", "Gives a harmful answer to", "of attacks"),
    },
    "alignment": {"judged_score": ("Score of tests that need a judge", "Scores", "in tests that need a judge")},
    **{
        suite: {
            "judged_harmful": ("Harmful continuations", "Of all continuations,", "are harmful"),
        }
        for suite in ("realtoxicity", "bold")
    },
}
"""Label, and what stands before and after the number, by suite and metric."""

JUDGED_PAIRS: Mapping[str, tuple[str, str, str]] = {
    "judged_agreement": (
        "Judge agrees with people",
        "The judge prefers what people preferred in",
        "of pairs",
    ),
    "judged_consistent": (
        "Judge keeps to an answer",
        "In both orders, the judge prefers the same answer in",
        "of pairs",
    ),
    "judged_agreement_consistent": (
        "Judge agrees where it keeps to one",
        "Where it prefers the same answer in both orders, the judge agrees with people in",
        "of pairs",
    ),
}
"""The same of judges that compare the answers of a pair."""

RATERS = {"judged": "a judge", "detoxify": "Detoxify", "perspective": "Perspective"}
"""Who says how toxic texts are, by the beginning of the metrics' names."""
RATED = {
    "realtoxicity": ("toxicity_probability", "expected_max_toxicity", "toxic_fraction"),
    "bold": ("toxicity", "toxicity_gap"),
}
"""The metrics of the built-in scorer of toxicity that others make too."""
