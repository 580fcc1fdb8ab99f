"""What two runs over the same items differ by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from llamabench.records.bench import Speed
from llamabench.records.planning import ModelFacts

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Better = Literal["higher", "lower", "nearer 0"]
"""Which way a metric is to go."""

TemplateUse = Literal["none", "own", "another"]
"""What conversations with a model went through: no chat template, the one of its file, or another."""

Verdict = Literal["improved", "regressed", "changed", "no evidence", "too few items"]
"""What a difference allows to say; `changed` where neither way is good by itself."""


@dataclass(frozen=True, slots=True)
class Flips:
    """Items on which two runs are on different sides of one half.

    Attributes:
        n_rose: Items below one half in the first run, and not in the second.
        n_fell: The other way round.
        rose: Ids of the first of them.
        fell: The same of those that fell.
    """

    n_rose: int
    n_fell: int
    rose: tuple[str, ...] = ()
    fell: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric in two runs, over the items that say something of it in both.

    Attributes:
        metric: The metric.
        group: The part of the suite it is about; None for the whole.
        better: Which way it is to go, None where neither is good by itself.
        is_main: Whether it is one of the suite's main metrics, of the whole.
        first: The metric in the first run, None where it is not defined.
        second: In the second.
        difference: Second less first; where a metric is to go to 0, of their distances from it.
        low: Lower end of its 95 % interval, None where there is none.
        high: Upper end.
        method: How the interval was made.
        error: Its standard error.
        p: Two-sided p-value of no difference, None where there is no test.
        adjusted_p: The same after correction for how many differences were looked at.
        test: How the p-value was made.
        detectable: The smallest true difference that would be seen four times in five with these items.
        n_items: Items.
        n_clusters: Clusters of items that are independent of each other.
        flips: Items that changed sides; None where items are not 0 to 1.
        verdict: What all this allows to say.
    """

    metric: str
    group: str | None
    better: Better | None
    is_main: bool
    first: float | None
    second: float | None
    difference: float | None
    low: float | None
    high: float | None
    method: str
    error: float | None
    p: float | None
    adjusted_p: float | None
    test: str
    detectable: float | None
    n_items: int
    n_clusters: int
    flips: Flips | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class SuiteComparison:
    """A suite in two runs.

    Attributes:
        suite: The suite.
        n_paired: Items that both runs hold.
        n_first_only: Items that the first alone holds.
        n_second_only: Items that the second alone holds.
        n_other_prompts: Items that the two were asked in other words.
        other_prompt: Id of the first of them, None where there is none.
        n_other_answers: Items that the two answered otherwise: another choice, or another text.
        differences: Its metrics, those of the whole first.
        not_compared: Metrics that cannot be compared, and why.
    """

    suite: str
    n_paired: int
    n_first_only: int
    n_second_only: int
    n_other_prompts: int
    other_prompt: str | None
    n_other_answers: int
    differences: tuple[Difference, ...]
    not_compared: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Something that two runs were not asked alike.

    Attributes:
        suite: The suite it is about, None for the whole run.
        what: What is not the same.
        first: How it is in the first run.
        second: How it is in the second.
        is_grave: Whether scores are of another thing because of it.
    """

    suite: str | None
    what: str
    first: str
    second: str
    is_grave: bool


@dataclass(frozen=True, slots=True)
class ReadingTask:
    """Texts for two models to read, one after the other.

    Attributes:
        texts: What to read, as a model was asked it.
        is_template: Whether special tokens spelled in the texts are special tokens.
        folder: Folder where what the first model found is kept for the second.
        most_tokens: Tokens of a text that are read.
        n_kept: Likeliest tokens to keep at each place.
        is_first: Whether this is the first of the models.
    """

    texts: tuple[str, ...]
    is_template: bool
    folder: str
    most_tokens: int
    n_kept: int
    is_first: bool


class Gaps(NamedTuple):
    """How two models differ at the places of a text, shape `(n,)` each.

    Attributes:
        divergences: Kullback-Leibler divergence of the second from the first, in nats.
        is_same: Whether both find the same token the likeliest.
        first_following: Natural-log probability of the token that follows, in the first model.
        second_following: In the second.
        rest: Probability of the tokens that are not told apart, in the first.
    """

    divergences: npt.NDArray[np.float64]
    is_same: npt.NDArray[np.bool_]
    first_following: npt.NDArray[np.float64]
    second_following: npt.NDArray[np.float64]
    rest: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Divergence:
    """How far the next-token distributions of two models are apart on the same text.

    Attributes:
        n_prompts: Prompts read.
        n_tokens: Places in them at which the two were compared.
        mean: Mean Kullback-Leibler divergence of the second model from the first, in nats.
        mean_error: Its standard error, over prompts.
        percentiles: Divergence at percentiles, by their number.
        agreement: Share of places where both find the same token the likeliest.
        mean_change: Mean change of the probability of the token that follows, second less first.
        root_mean_square_change: Root of the mean square of that change.
        log_perplexity_ratio: Log of the second model's perplexity over the first's, on these prompts.
        n_kept: Likeliest tokens of the first model that are told apart; what is left counts as one token.
        mean_rest: Mean probability of what is left.
    """

    n_prompts: int
    n_tokens: int
    mean: float
    mean_error: float | None
    percentiles: dict[str, float]
    agreement: float
    mean_change: float
    root_mean_square_change: float
    log_perplexity_ratio: float
    n_kept: int
    mean_rest: float


@dataclass(frozen=True, slots=True)
class Side:
    """One of the runs that are compared, with what it costs.

    Attributes:
        folder: The run's folder.
        run_id: Id of the run.
        model: The model.
        is_demo: Whether the model is a toy that ships with llamabench.
        expected_bytes: Memory that its plan expects to take on all devices.
        speed: The last measured speed, None where none was.
        template: What conversations with it went through; "own" where its file is gone and cannot be asked.
        main_score_mean: Mean over suites of the mean of their main scores, of those that all the runs have and that
            have a good way, turned so that 1 is best; None without any.
    """

    folder: str
    run_id: str
    model: ModelFacts
    is_demo: bool
    expected_bytes: int
    speed: Speed | None
    template: TemplateUse
    main_score_mean: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A run against the first of those that are compared.

    Attributes:
        first: The run it is compared with.
        second: The run.
        suites: What both have run.
        mismatches: What they were not asked alike.
        missing: Suites that one of them alone has run.
        divergence: How far their distributions are apart; None where that was not asked for, or cannot be had.
        no_divergence: Why it cannot.
    """

    first: Side
    second: Side
    suites: tuple[SuiteComparison, ...]
    mismatches: tuple[Mismatch, ...]
    missing: tuple[str, ...]
    divergence: Divergence | None = None
    no_divergence: str | None = None
