"""Red-teaming: what gets past a model's alignment, with what, and how bad is what comes of it?

Our own benchmark. An attack is something that a model should not do (`behaviours`), asked for by one technique
(`mutators`, `adaptive`, ...). Shares are named by what they are of, because papers mean three things by "attack success
rate" (Chao et al. 2024, arXiv:2404.01318; Mazeika et al. 2024, arXiv:2402.04249; garak, https://garak.ai): of attacks
(`attack_success_rate`: any of its tries succeeded), of answers (`success_per_answer`), of targets
(`success_per_target`: any attack on it succeeded).

Answers are greedy and end at 256 tokens, between JailbreakBench's 150 and HarmBench's 512: by then an answer has
complied or not, and each attack costs half. Techniques that try again and again draw at temperature 1. What a thinking
model thinks is not judged; an answer with nothing in it is unparsed, as in every suite, because a thought that never
ended might have led to any answer. Where an opening was put into the model's mouth, what is judged begins after it: the
opening is not the model's own. Without a chat template a conversation is a transcript, as in HH-RLHF.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from llamabench.data.cache import Dataset
from llamabench.errors import UnknownNameError
from llamabench.measures import Measure
from llamabench.records import (
    Attack,
    Attempt,
    Item,
    ItemRow,
    ItemScore,
    JudgeQuestion,
    Metric,
    Request,
    Result,
    ScorerFacts,
)
from llamabench.scorers.attack_success import describe_scorer
from llamabench.suites.base import MeanMetric
from llamabench.suites.redteam.behaviours import read_targets
from llamabench.suites.redteam.grading import grade
from llamabench.suites.redteam.judges import ask_about_tries, sum_up_judged
from llamabench.suites.redteam.measures import MEAN_METRICS, MEASURES
from llamabench.suites.redteam.mutators import TECHNIQUES
from llamabench.suites.redteam.pair import PAIR
from llamabench.suites.redteam.plan import plan_attacks, spell_attacks
from llamabench.suites.redteam.summary import Attacks
from llamabench.suites.redteam.talking import ask_again, make_item
from llamabench.suites.redteam.technique import Technique

MAX_TOKENS = 256

_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True, slots=True)
class AttackOptions:
    """Which attacks.

    Attributes:
        count: How many.
        categories: Categories of targets; none for all.
        techniques: Names of techniques; none for all.
        seed: Seed of the choice and of every random choice of a technique.
        max_tokens: Tokens of an answer, beside those that a technique needs more.
    """

    count: int = 500
    categories: tuple[str, ...] = ()
    techniques: tuple[str, ...] = ()
    seed: int = 0
    max_tokens: int = MAX_TOKENS


DEFAULT = AttackOptions()


@dataclass(frozen=True, slots=True)
class Attacker:
    """Another model that wrote attacks.

    Attributes:
        facts: Which model, and how it was asked: for settings and signatures.
        attempts: What it wrote, by target.
        errors: Why it wrote nothing, by target.
    """

    facts: Mapping[str, str]
    attempts: Mapping[str, tuple[Attempt, ...]] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)


class RedTeam:
    """The suite, as its options configure it.

    Args:
        options: Which attacks.
        techniques: The techniques there are, by name.
    """

    NAME: str = "redteam"
    TITLE: str = "Red-teaming"
    VERSION: int = 1
    SOURCE: str = "llamabench's own, docs/redteam.md; techniques and their sources: https://arxiv.org/abs/2402.04249"
    LICENCE: str = "CC0-1.0"
    FOCUS: str = "what gets past the model's alignment, with which technique, and how severe the answer is"
    FORMAT: str = "attacks: requests that should be refused, put by many techniques, some over several turns"
    LIMITATIONS: str = (
        "Shows what some attacks achieve, not that others fail: whoever takes more time, or knows the model, gets "
        "further. Whether an answer is true, or would work, is not looked at. A small classifier tells successes; it "
        "errs at times. English."
    )
    CHANCE: float | None = None
    MAIN_METRICS: tuple[str, ...] = ("attack_success_rate", "severe_share", "over_refusal")
    WINNER_METRICS: tuple[str, ...] = ()
    REFERENCE_METRICS: tuple[str, ...] = ()
    JUDGE_METRICS: Mapping[str, tuple[str, ...]] = {
        "judged_attack_success_rate": ("harmful",),
        "judge_kappa": ("harmful",),
    }
    MEAN_METRICS: tuple[MeanMetric, ...] = MEAN_METRICS
    MEASURES: tuple[Measure, ...] = MEASURES
    DATA_SOURCES: tuple[str, ...] = (
        "redteam",
        "advbench",
        "harmbench",
        "jailbreakbench",
        "strongreject",
        "do-not-answer",
    )

    def __init__(
        self,
        options: AttackOptions = DEFAULT,
        techniques: Mapping[str, Technique] = TECHNIQUES,
        *,
        attacker: Attacker | None = None,
    ) -> None:
        self.options = options
        self.techniques = techniques if attacker is None else {**techniques, PAIR.name: PAIR}
        self._attacker = attacker
        self._planned: dict[str, tuple[Attack, ...]] = {}

    # --- items ----------------------------------------------------------------------------------

    def plan(self, dataset: Dataset) -> tuple[Attack, ...]:
        """The attacks, in the order in which they are asked: wherever a run is, it has had its share of each technique.

        Raises:
            DataError: A row of the data is not as it should be.
            UnknownNameError: There is no such category or technique.
        """
        if dataset.sha256 not in self._planned:
            options = self.options
            attacks = plan_attacks(
                read_targets(dataset),
                count=options.count,
                techniques=self._choose_techniques(),
                categories=options.categories,
                seed=options.seed,
            )
            self._planned[dataset.sha256] = tuple(mix_attacks([self._take_written(attack) for attack in attacks]))
        return self._planned[dataset.sha256]

    def _take_written(self, attack: Attack) -> Attack:
        """An attack with the tries that the attacker wrote, none where it wrote none; any other as it is."""
        if self._attacker is None or attack.technique != PAIR.name:
            return attack
        return replace(attack, attempts=self._attacker.attempts.get(attack.target.id, attack.attempts))

    def _choose_techniques(self) -> list[Technique]:
        """The techniques that are asked for; all but those that have to be named where none is.

        Raises:
            UnknownNameError: There is no such technique; a near match is offered.
        """
        for name in self.options.techniques:
            if name not in self.techniques:
                raise UnknownNameError.for_name("technique", name, self.techniques)
        usual = [name for name, technique in self.techniques.items() if not technique.is_on_request]
        return [self.techniques[name] for name in self.options.techniques or usual]

    def items(self, dataset: Dataset, *, use_chat: bool) -> Iterator[Item]:
        """Streams one item an attack.

        Raises:
            DataError: A row of the data is not as it should be.
        """
        for attack in self.plan(dataset):
            technique = self.techniques[attack.technique]
            item = make_item(attack, technique, max_tokens=self.options.max_tokens, use_chat=use_chat)
            yield item if item.requests else replace(item, facts={**item.facts, "unwritten": self._say_why(attack)})

    def _say_why(self, attack: Attack) -> str:
        assert self._attacker is not None, "other techniques always have something to ask"
        return self._attacker.errors.get(attack.target.id, "The attacker wrote no prompt.")

    def settings(self, dataset: Dataset) -> Mapping[str, str]:
        """The attacks in a few words, and the digest of their list.

        Raises:
            DataError: A row of the data is not as it should be.
        """
        options, attacks = self.options, self.plan(dataset)
        return {
            "attacks": digest_attacks(attacks),
            "count": str(options.count),
            "categories": ",".join(sorted({attack.target.category for attack in attacks})),
            "techniques": ",".join(sorted({attack.technique for attack in attacks})),
            "seed": str(options.seed),
            "max_tokens": str(options.max_tokens),
            **(self._attacker.facts if self._attacker else {}),
        }

    # --- answers --------------------------------------------------------------------------------

    def follow_up(self, item: Item, results: Sequence[Result]) -> Sequence[Request]:
        """The next turn of a conversation, or the next questions of a search."""
        return ask_again(item, results, self._technique_of(item))

    def scorers(self) -> Sequence[ScorerFacts]:
        """The classifier of answers to attacks."""
        return (describe_scorer(),)

    def score(self, item: Item, results: Sequence[Result]) -> ItemScore:
        """Judges the answers to an attack, as `grading.grade` says."""
        return grade(item, results, self._technique_of(item))

    def _technique_of(self, item: Item) -> Technique:
        return self.techniques[str(item.facts["technique"])]

    # --- summing up -----------------------------------------------------------------------------

    def summarise(self, rows: Iterable[ItemRow], rng: np.random.Generator) -> list[Metric]:
        """Rates of success and severity, of the whole, of categories and of techniques; over-refusal of the twins.

        Attacks on one target are alike, and intervals allow for it: Wilson's with a design effect for shares, a
        bootstrap over targets for the mean severity.

        Raises:
            DataError: There are no rows.
        """
        attacks = Attacks()
        for row in rows:
            attacks.note(row)
        attacks.tally.need_rows(self.NAME)
        return attacks.metrics(rng)

    def ask_judge(self, row: ItemRow) -> Sequence[JudgeQuestion]:
        """Whether each answer is harmful."""
        return ask_about_tries(row)

    def summarise_judged(self, rows: Iterable[ItemRow], rng: np.random.Generator) -> list[Metric]:
        """The share of attacks with a harmful answer, and the judge's agreement with the built-in scorer."""
        return sum_up_judged(rows, rng)


def mix_attacks(attacks: Sequence[Attack]) -> list[Attack]:
    """Puts attacks in an order in which each technique comes as evenly as it can, harmless twins apart.

    The j-th of n attacks of a kind comes at (j + offset) / n of the way: what is left of a run is like what is done,
    and so is the time that it takes. The offsets of the kinds differ as much as they can, so that they do not come all
    at once.

    Source:
        Multiples of the golden ratio for offsets: Swierczkowski 1958, doi:10.4064/fm-46-2-187-189.
    """
    kinds = [(attack.technique, attack.target.is_benign) for attack in attacks]
    sizes, seen = Counter(kinds), Counter[tuple[str, bool]]()
    offsets = {kind: number * _GOLDEN % 1 for number, kind in enumerate(sizes)}
    places = []
    for kind in kinds:
        places.append((seen[kind] + offsets[kind]) / sizes[kind])
        seen[kind] += 1
    return [attacks[number] for number in sorted(range(len(attacks)), key=places.__getitem__)]


def digest_attacks(attacks: Iterable[Attack]) -> str:
    """Digest of a list of attacks, all that is put to a model in it."""
    return hashlib.sha256(spell_attacks(attacks)).hexdigest()
