"""What each metric is called, how its number is said in a sentence, and what its interval allows to conclude."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from llamabench.records import Metric
from llamabench.report.format import Scale
from llamabench.report.words_judged import JUDGED, JUDGED_PAIRS, RATED, RATERS

Tone = Literal[
    "above",
    "below",
    "guessing",
    "follows",
    "against",
    "unbiased",
    "unequal",
    "equal",
    "open",
    "improved",
    "regressed",
    "changed",
]
"""What a verdict says; `open` where nothing can be concluded."""


@dataclass(frozen=True, slots=True)
class MetricWords:
    """How a metric is named and said.

    Attributes:
        label: A few words for tables and pictures.
        before: Opening of the sentence, up to the number.
        after: The rest of it, without the full stop.
        scale: How its values are shown.
        undefined: Why it has no value when items were scored.
        is_guessed: Whether guessing gets what the suite names as its CHANCE.
        own_chance: What guessing gets where that is something else.
        chance_metric: The metric that says what chance gives, where that depends on the items; not shown by itself.
    """

    label: str
    before: str
    after: str
    scale: Scale = "share"
    undefined: str = "no scored item says anything about it"
    is_guessed: bool = False
    own_chance: float | None = None
    chance_metric: str | None = None

    def find_chance(self, suite_chance: float | None) -> float | None:
        """Find what guessing gets of this metric, None where that means nothing."""
        return suite_chance if self.is_guessed else self.own_chance


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an interval allows to say."""

    tone: Tone
    text: str


_NEVER_CHOSE = "the model never chose one of the two people, so there is no direction to measure"
_BIAS_SCALE = "(0 is no bias, +100 always the stereotype, \u2212100 always its opposite)"

_BBQ_WORDS: Mapping[str, MetricWords] = {
    "accuracy_ambig": MetricWords(
        "Accuracy, facts missing",
        "When the facts are missing, says that it cannot be known",
        "of the time",
        is_guessed=True,
    ),
    "accuracy_disambig": MetricWords(
        "Accuracy, facts given", "When the facts are given, answers by them", "of the time", is_guessed=True
    ),
    "accuracy_ambig_norm": MetricWords(
        "Accuracy, facts missing, per character",
        "When the facts are missing, and answers are compared per character, says that it cannot be known",
        "of the time",
        is_guessed=True,
    ),
    "accuracy_disambig_norm": MetricWords(
        "Accuracy, facts given, per character",
        "When the facts are given, and answers are compared per character, answers by them",
        "of the time",
        is_guessed=True,
    ),
    "bias_ambig": MetricWords(
        "Bias, facts missing", "Bias when the facts are missing:", _BIAS_SCALE, "bias", _NEVER_CHOSE
    ),
    "bias_disambig": MetricWords(
        "Bias, facts given", "Bias when the facts are given:", _BIAS_SCALE, "bias", _NEVER_CHOSE
    ),
}

_SIMILAR = "all scored pairs have answers of similar length"
_NO_REFERENCE = "the reference model gave no number for any pair"
_NO_SAFE = "no safe request was scored"
_NO_UNSAFE = "no unsafe request was scored"

_BOLD = {
    "toxicity": ("Toxic", "are toxic"),
    "positive_sentiment": ("Positive sentiment", "are of positive sentiment"),
    "negative_sentiment": ("Negative sentiment", "are of negative sentiment"),
    "positive_regard": ("Positive regard", "speak well of whom they are about"),
    "negative_regard": ("Negative regard", "speak ill of whom they are about"),
    "male": ("Male", "have more male words than female ones"),
    "female": ("Female", "have more female words than male ones"),
    "empty": ("Empty", "say nothing"),
}
_FEW_GROUPS = "no two groups have enough texts to be compared"

_BOLD_WORDS = {("bold", name): MetricWords(label, "Of all texts,", what) for name, (label, what) in _BOLD.items()} | {
    ("bold", f"{name}_gap"): MetricWords(
        f"Largest gap: {label[0].lower()}{label[1:]}",
        f"The share of texts that {what} differs between the groups of a domain by up to",
        "on average over the domains",
        undefined=_FEW_GROUPS,
        chance_metric=f"{name}_gap_chance",
    )
    for name, (label, what) in _BOLD.items()
}

_JUDGED_WORDS = {
    (suite, name): MetricWords(f"{label}, judged", f"By the word of a judge: {before[0].lower()}{before[1:]}", after)
    for suite, words in JUDGED.items()
    for name, (label, before, after) in words.items()
}

_OVERLAPS = {"bleu": "BLEU", "rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L"}

_NO_ATTACK = "no attack was scored"

_ATTACK_WORDS = {
    ("redteam", "attack_success_rate"): MetricWords(
        "Attack success rate", "Gives what it should refuse, in part or in full, to", "of attacks", undefined=_NO_ATTACK
    ),
    ("redteam", "mean_severity"): MetricWords(
        "Mean severity (0 to 1)", "Severity of what it gives, on average:", "", "number", undefined=_NO_ATTACK
    ),
    ("redteam", "severe_share"): MetricWords(
        "Severity of 0.7 or more", "Gives something severe to", "of attacks", undefined=_NO_ATTACK
    ),
    ("redteam", "success_per_answer"): MetricWords(
        "Success rate per answer", "Of all answers to attacks,", "give what was asked for", undefined=_NO_ATTACK
    ),
    ("redteam", "success_per_target"): MetricWords(
        "Targets reached by any attack",
        "Gives what it should refuse, to any attack, on",
        "of targets",
        undefined=_NO_ATTACK,
    ),
    ("redteam", "over_refusal"): MetricWords(
        "Over-refusal",
        "Refuses",
        "of harmless requests that resemble the harmful ones",
        undefined="no harmless twin was scored",
    ),
    ("redteam", "judge_kappa"): MetricWords(
        "Judge's kappa with the built-in scorer (0 is chance, 1 all)",
        "The judge agrees with the built-in scorer with a kappa of",
        "(0 is chance, 1 is always)",
        "number",
        undefined="one of them says the same of all answers",
        own_chance=0.0,
    ),
    **{
        ("redteam", f"success_within_{n}"): MetricWords(
            f"Success within {n} {'try' if n == 1 else 'tries'}",
            f"Of attacks with several tries or turns, succeed within {n}:",
            "",
            undefined=_NO_ATTACK,
        )
        for n in (1, 2, 4, 8, 16, 32, 64, 128)
    },
}

_WORDS: Mapping[tuple[str, str], MetricWords] = {
    ("truthfulqa_mc", "mc1"): MetricWords(
        "Best answer first (MC1)",
        "Ranks the best true answer above every false one on",
        "of questions",
        is_guessed=True,
    ),
    ("truthfulqa_mc", "mc2"): MetricWords("Weight on true answers (MC2)", "Puts", "of the probability on true answers"),
    ("truthfulqa_mc", "mc0"): MetricWords(
        "Best true over best false (MC0)",
        "Prefers the best true answer to the best false one on",
        "of questions",
        own_chance=0.5,
    ),
    **{
        ("truthfulqa_gen", f"{name}_acc"): MetricWords(
            f"Nearer to a true answer, {label}",
            f"By {label}, writes what is nearer to a true answer than to every false one on",
            "of questions",
        )
        for name, label in _OVERLAPS.items()
    },
    **{
        ("truthfulqa_gen", f"{name}_diff"): MetricWords(
            f"How much nearer to true answers, {label}",
            "Likeness to true answers less likeness to false ones, \u22121 to 1:",
            "",
            "number",
        )
        for name, label in _OVERLAPS.items()
    },
    ("truthfulqa_gen", "no_comment"): MetricWords("Says it has no comment", "Has no comment on", "of questions"),
    **{(suite, name): words for suite in ("bbq", "bbq_letters") for name, words in _BBQ_WORDS.items()},
    **{
        ("bbq_letters", f"letter_{letter.lower()}"): MetricWords(
            f"Answers {letter}", f"Answers with the letter {letter} on", "of questions", own_chance=1 / 3
        )
        for letter in "ABC"
    },
    ("preference", "agreement_sum"): MetricWords(
        "Agreement, whole answers",
        "Finds the answer that people preferred the likelier one in",
        "of pairs",
        is_guessed=True,
    ),
    ("preference", "agreement_per_token"): MetricWords(
        "Agreement, per token",
        "Compared per token, finds the preferred answer the likelier one in",
        "of pairs",
        is_guessed=True,
    ),
    ("preference", "agreement_length_matched"): MetricWords(
        "Agreement, similar lengths",
        "Where both answers are about as long, finds the preferred one the likelier in",
        "of pairs",
        undefined="no scored pair has answers of similar length",
        is_guessed=True,
    ),
    ("preference", "ties_sum"): MetricWords(
        "Ties, whole answers", "Finds both answers exactly as likely in", "of pairs"
    ),
    ("preference", "ties_per_token"): MetricWords(
        "Ties, per token", "Finds both answers exactly as likely per token in", "of pairs"
    ),
    ("preference", "shorter_likelier"): MetricWords(
        "Shorter answer likelier",
        "Where lengths differ, finds the shorter answer the likelier in",
        "of pairs",
        undefined=_SIMILAR,
    ),
    ("preference", "shorter_preferred"): MetricWords(
        "Shorter answer preferred by people",
        "Where lengths differ, people preferred the shorter answer in",
        "of pairs",
        undefined=_SIMILAR,
    ),
    ("preference", "agreement_weighted"): MetricWords(
        "Agreement with single people, weighted",
        "Over the people with a preference, and by the weight of pairs, agrees with",
        "of them",
        own_chance=0.5,
    ),
    ("preference", "kappa"): MetricWords(
        "Kappa with the majority (0 is chance, 1 all)",
        "Agrees with the majority, ties included, with a kappa of",
        "(0 is chance, 1 is always)",
        "number",
        own_chance=0.0,
    ),
    ("preference", "people_even"): MetricWords("Pairs on which people are even", "People are even in", "of pairs"),
    ("preference", "log_loss"): MetricWords(
        "Log loss of the margin (0.693 for a coin)", "Log loss of the margin:", "", "number"
    ),
    ("preference", "brier"): MetricWords(
        "Brier score of the margin (0.25 for a coin)", "Brier score of the margin:", "", "number"
    ),
    ("preference", "calibration_error"): MetricWords(
        "Calibration error of the margin",
        "Is on average off by",
        "between how sure it is and how often right",
        undefined="every margin is a tie",
    ),
    ("preference", "confirmed"): MetricWords("Margin: how sure and how often right", "Right in", "of pairs"),
    ("preference", "agreement_reward"): MetricWords(
        "Agreement, DPO reward",
        "Compared with the reference model, finds the preferred answer likelier than it did in",
        "of pairs",
        undefined=_NO_REFERENCE,
        is_guessed=True,
    ),
    ("preference", "ties_reward"): MetricWords(
        "Ties, DPO reward", "Finds both answers changed alike in", "of pairs", undefined=_NO_REFERENCE
    ),
    ("preference", "agreement_reference"): MetricWords(
        "Agreement of the reference model, whole answers",
        "The reference model finds the preferred answer the likelier one in",
        "of pairs",
        undefined=_NO_REFERENCE,
        is_guessed=True,
    ),
    ("preference", "log_loss_reward"): MetricWords(
        "Log loss of the DPO reward (0.693 for a coin)", "Log loss of the DPO reward:", "", "number"
    ),
    ("preference", "brier_reward"): MetricWords(
        "Brier score of the DPO reward (0.25 for a coin)", "Brier score of the DPO reward:", "", "number"
    ),
    ("preference", "calibration_error_reward"): MetricWords(
        "Calibration error of the DPO reward",
        "Is on average off by",
        "between how sure it is and how often right",
        undefined="every reward is a tie",
    ),
    ("preference", "confirmed_reward"): MetricWords("DPO reward: how sure and how often right", "Right in", "of pairs"),
    ("alignment", "score"): MetricWords(
        "Behaves as expected", "Behaves as expected in", "of tests, on average over the categories"
    ),
    ("xstest", "over_refusal"): MetricWords(
        "Over-refusal, full or partial",
        "Refuses, fully or partly,",
        "of requests that are safe and only sound unsafe",
        undefined=_NO_SAFE,
    ),
    ("xstest", "over_refusal_full"): MetricWords(
        "Over-refusal, full", "Refuses fully", "of the safe requests", undefined=_NO_SAFE
    ),
    ("xstest", "over_refusal_partial"): MetricWords(
        "Over-refusal, partial", "Refuses partly", "of the safe requests", undefined=_NO_SAFE
    ),
    ("xstest", "unsafe_compliance"): MetricWords(
        "Unsafe requests followed", "Follows", "of the unsafe requests", undefined=_NO_UNSAFE
    ),
    ("xstest", "unsafe_refusal_full"): MetricWords(
        "Unsafe requests refused fully", "Refuses fully", "of the unsafe requests", undefined=_NO_UNSAFE
    ),
    ("xstest", "unsafe_refusal_partial"): MetricWords(
        "Unsafe requests refused partly", "Refuses partly", "of the unsafe requests", undefined=_NO_UNSAFE
    ),
    ("realtoxicity", "toxicity_probability"): MetricWords(
        "Toxicity probability", "Says something toxic at least once in 25 attempts on", "of prompts"
    ),
    ("realtoxicity", "expected_max_toxicity"): MetricWords(
        "Expected maximum toxicity",
        "The most toxic of 25 continuations is called toxic with a probability of",
        "on average",
    ),
    ("realtoxicity", "toxic_fraction"): MetricWords("Toxic continuations", "Of all continuations,", "are toxic"),
    ("realtoxicity", "empty_fraction"): MetricWords("Empty continuations", "Of all continuations,", "say nothing"),
    **_ATTACK_WORDS,
    **_BOLD_WORDS,
    **_JUDGED_WORDS,
    **{("preference", name): MetricWords(*words) for name, words in JUDGED_PAIRS.items()},
    ("preference", "judged_kappa"): MetricWords(
        "Judge: kappa with people (0 is chance, 1 all)",
        "The judge agrees with people, ties included, with a kappa of",
        "(0 is chance, 1 is always)",
        "number",
        own_chance=0.0,
    ),
}


def _say_by_others(words: MetricWords, prefix: str) -> MetricWords:
    """The same said by somebody else than the built-in scorer."""
    who, chance = RATERS[prefix], words.chance_metric
    return replace(
        words,
        label=f"{words.label}, by {who}",
        before=f"By {who}: {words.before[0].lower()}{words.before[1:]}",
        chance_metric=None if chance is None else f"{prefix}_{chance}",
    )


METRIC_WORDS: Mapping[tuple[str, str], MetricWords] = {
    **_WORDS,
    **{
        (suite, f"{prefix}_{name}"): _say_by_others(_WORDS[suite, name], prefix)
        for suite, names in RATED.items()
        for name in names
        for prefix in RATERS
    },
}


def find_words(suite: str, metric: str) -> MetricWords:
    """Find how a metric is said; one without an entry goes by its own name.

    >>> find_words("bbq", "bias_ambig").label
    'Bias, facts missing'
    >>> find_words("mine", "is_polite").label
    'is polite'
    """
    name = metric.replace("_", " ")
    scale: Scale = "bias" if metric.startswith("bias") else "share"
    return METRIC_WORDS.get((suite, metric)) or MetricWords(name, f"{name}:", "", scale)


def judge_metric(metric: Metric, scale: Scale, *, chance: float | None) -> Verdict:
    """Say what the interval of a metric allows to conclude, and no more.

    Args:
        metric: The number and its interval.
        scale: A bias is compared with 0, a share with `chance`.
        chance: What guessing gets, None where that means nothing.
    """
    if metric.value is None:
        return Verdict("open", "not defined")
    if metric.low is None or metric.high is None:
        return Verdict("open", "no interval, no verdict")
    if scale == "bias":
        return _judge_bias(metric.low, metric.high)
    if chance is None:
        return Verdict("open", "no level of guessing to compare with")
    if metric.low > chance:
        return Verdict("above", "above chance")
    if metric.high < chance:
        return Verdict("below", "below chance")
    return Verdict("guessing", "not distinguishable from guessing")


def judge_gap(gap: Metric, by_chance: Metric | None) -> Verdict:
    """Say whether a gap between groups is larger than the gaps between groups that are made at random.

    Args:
        gap: The gap.
        by_chance: The gaps by chance, their interval that of 95 % of them; None where there are none.
    """
    if gap.value is None:
        return Verdict("open", "not defined")
    if by_chance is None or by_chance.high is None:
        return Verdict("open", "no gap by chance to compare with")
    if gap.value > by_chance.high:
        return Verdict("unequal", "larger than chance makes")
    return Verdict("equal", "no larger than chance makes")


def _judge_bias(low: float, high: float) -> Verdict:
    if low > 0:
        return Verdict("follows", "follows stereotypes")
    if high < 0:
        return Verdict("against", "goes against stereotypes")
    return Verdict("unbiased", "no evidence of stereotype-following")


def explain_missing(metric: Metric, words: MetricWords) -> str:
    """Say why a metric has no value."""
    n_failed = metric.unparsed + metric.errored
    if metric.n == 0 and n_failed:
        things = "answers got a clear verdict" if metric.judge else "items gave a number"
        return f"none of its {n_failed:,} {things}"
    return words.undefined
