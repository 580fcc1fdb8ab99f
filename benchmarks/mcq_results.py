"""What the multiple-choice measurements found: pure arithmetic on turns, and its wording."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mcq_peers import PerplexityOptions, PromptTest, default_settings
from mcq_questions import Benchmark
from measuring import QUIET_SHARE, Target

from llamabench.repeats import find_doubts

_LEAST_RATIO = {"bbq": 2, "truthfulqa": 5}
_LEAST_COMPLETION_RATIO = 100
_LEAST_EFFICIENCY = {"bbq": 0.85}
"""Three of four tokens of a TruthfulQA choice need their logits, so that prompt speed is not its limit."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of either side, in seconds, and the speeds that `llama-bench` reached right before and after ours.

    `peer_s` is the peer's time as it is, `tuned_s` its time with the fastest settings found, None when none were
    tried. `with_logits` is the speed in tokens per second with logits for every token; `others` is the share of the
    machine's processor time that other processes used meanwhile.
    """

    ours_s: float
    n_decoded: int
    peer_s: float
    tuned_s: float | None
    before: dict[PromptTest, float]
    after: dict[PromptTest, float]
    with_logits: float
    others: float

    @property
    def is_quiet(self) -> bool:
        """Whether others left the machine alone."""
        return self.others <= QUIET_SHARE

    @property
    def ratio(self) -> float:
        """How many times faster than the peer ours is."""
        return self.peer_s / self.ours_s

    def limit_tokens_per_s(self, test: PromptTest) -> float:
        """What `llama-bench` reached around our turn."""
        return (self.before[test] + self.after[test]) / 2


@dataclass(slots=True)
class Measured:
    """All that was measured of a benchmark.

    `tried` holds the seconds that `llama-perplexity` took for the first items at other settings, `completion_s` the
    seconds that `create_completion` took for `completion_tokens` each.

    A turn during which others kept the machine busy is shown and not counted, unless all were so.
    """

    benchmark: Benchmark
    tried: dict[PerplexityOptions, float] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)
    completion_tokens: list[int] = field(default_factory=list)
    completion_s: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_same: bool = False
    agreement: str = ""

    @property
    def tuned(self) -> PerplexityOptions | None:
        """The settings with which `llama-perplexity` answered the first items fastest."""
        return min(self.tried, key=lambda options: self.tried[options]) if self.tried else None

    @property
    def counted(self) -> list[Turn]:
        """The turns that the results are medians of."""
        return [turn for turn in self.turns if turn.is_quiet] or self.turns

    @property
    def best_test(self) -> PromptTest:
        """The prompt that `llama-bench` reads fastest, by the median over the turns."""
        every = [speeds for turn in self.counted for speeds in (turn.before, turn.after)]
        return max(every[0], key=lambda test: statistics.median(speeds[test] for speeds in every))

    def efficiency(self, turn: Turn) -> float:
        """Share of the physical limit that ours reached in a turn."""
        return self.benchmark.trie_tokens / turn.limit_tokens_per_s(self.best_test) / turn.ours_s

    def efficiency_with_logits(self, turn: Turn) -> float:
        """The same with the cost of logits in the limit."""
        n_rows = self.benchmark.n_rows
        limit_s = (self.benchmark.trie_tokens - n_rows) / turn.limit_tokens_per_s(self.best_test)
        return (limit_s + n_rows / turn.with_logits) / turn.ours_s

    def median(self, value: Callable[[Turn], float]) -> float:
        """Median over the counted turns."""
        return statistics.median(map(value, self.counted))

    @property
    def completion_item_s(self) -> float:
        """Seconds an item takes through `create_completion`, extrapolated by tokens."""
        token_s = sum(self.completion_s) / sum(self.completion_tokens)
        return token_s * (self.benchmark.naive_tokens + self.benchmark.n_choices) / self.benchmark.n_items

    def targets(self) -> Iterator[Target]:
        """What is to be reached."""
        name = self.benchmark.name
        our_item_s = self.median(lambda turn: turn.ours_s) / self.benchmark.n_items
        yield Target(f"{name}_vs_llama_perplexity", self.median(lambda turn: turn.ratio), _LEAST_RATIO[name])
        yield Target(f"{name}_vs_create_completion", self.completion_item_s / our_item_s, _LEAST_COMPLETION_RATIO)
        if name in _LEAST_EFFICIENCY:
            yield Target(f"{name}_efficiency", self.median(self.efficiency), _LEAST_EFFICIENCY[name])

    def doubts(self) -> Iterator[str]:
        """What makes the numbers doubtful."""
        name = self.benchmark.name
        yield from self.notes
        yield from find_doubts(f"{name}, ours", [turn.ours_s for turn in self.counted])
        yield from find_doubts(f"{name}, llama-perplexity", [turn.peer_s for turn in self.counted])
        yield from find_doubts(f"{name}, llama-bench", [t.limit_tokens_per_s(self.best_test) for t in self.counted])
        if not any(turn.is_quiet for turn in self.turns):
            yield f"{name}: others kept the machine busy during every turn. Quieten it, or --wait longer."

    def lines(self) -> Iterator[str]:
        """Everything in words."""
        benchmark = self.benchmark
        yield f"{benchmark.name}: {benchmark.data}, {benchmark.n_choices} choices"
        yield (
            f"  tokens: {benchmark.naive_tokens} each choice with its prompt, {benchmark.peer_tokens} decoded by "
            f"llama-perplexity, {self.turns[0].n_decoded} by ours, {benchmark.trie_tokens} with all that is shared "
            f"decoded once, {benchmark.n_rows} of them with logits"
        )
        for options, seconds in self.tried.items():
            yield f"  tried: llama-perplexity {options}: {seconds:.2f} s for the first items"
        for number, turn in enumerate(self.turns, start=1):
            yield f"  turn {number}: {self._describe(turn)}"
        timed = zip(self.completion_s, self.completion_tokens, strict=True)
        samples = ", ".join(f"{seconds:.1f} s for {tokens} tokens" for seconds, tokens in timed)
        yield f"  create_completion: {samples}; extrapolated by tokens {self.completion_item_s:.1f} s an item"
        ours = benchmark.n_items / self.median(lambda turn: turn.ours_s)
        peer = benchmark.n_items / self.median(lambda turn: turn.peer_s)
        completion = 1 / self.completion_item_s
        yield f"  items/s: ours {ours:.2f}, llama-perplexity {peer:.2f}, create_completion {completion:.4f}"
        if self.tuned:
            ratio = self.median(lambda turn: (turn.tuned_s or turn.peer_s) / turn.ours_s)
            yield f"  against llama-perplexity {self.tuned}, its fastest settings: {ratio:.2f} times"
        yield (
            f"  efficiency: {self.median(self.efficiency):.3f}, with logits "
            f"{self.median(self.efficiency_with_logits):.3f}"
        )
        yield f"  {self.agreement}"

    def _describe(self, turn: Turn) -> str:
        test = self.best_test
        limit = f"pp{test.n_prompt} fa {test.flash_attention}"
        return (
            f"ours {turn.ours_s:.2f} s, llama-perplexity {turn.peer_s:.2f} s"
            + (f" ({turn.tuned_s:.2f} s tuned)" if turn.tuned_s else "")
            + f", ratio {turn.ratio:.2f}; "
            f"llama-bench {limit} {turn.before[test]:.0f} and {turn.after[test]:.0f} tokens/s, "
            f"{turn.with_logits:.0f} with logits, efficiency {self.efficiency(turn):.3f}, with logits "
            f"{self.efficiency_with_logits(turn):.3f}; others used {turn.others:.0%}"
            + ("" if turn in self.counted else ", not counted")
        )

    def document(self) -> dict[str, object]:
        """Everything for `--json`."""
        benchmark, test = self.benchmark, self.best_test
        return {
            "name": benchmark.name,
            "data": benchmark.data,
            "n_items": benchmark.n_items,
            "n_choices": benchmark.n_choices,
            "naive_tokens": benchmark.naive_tokens,
            "llama_perplexity_tokens": benchmark.peer_tokens,
            "trie_tokens": benchmark.trie_tokens,
            "n_rows": benchmark.n_rows,
            "llama_perplexity_settings": str(default_settings(benchmark.most_answers)),
            "llama_perplexity_tuned": str(self.tuned),
            "llama_bench_test": test._asdict(),
            "llama_perplexity_tried_s": {str(options): seconds for options, seconds in self.tried.items()},
            "turns": [
                {
                    "ours_s": turn.ours_s,
                    "n_decoded": turn.n_decoded,
                    "llama_perplexity_s": turn.peer_s,
                    "llama_perplexity_tuned_s": turn.tuned_s,
                    "llama_bench_tokens_per_s": [turn.before[test], turn.after[test]],
                    "ratio": turn.ratio,
                    "tokens_per_s_with_logits": turn.with_logits,
                    "efficiency": self.efficiency(turn),
                    "efficiency_with_logits": self.efficiency_with_logits(turn),
                    "others": turn.others,
                    "is_counted": turn in self.counted,
                }
                for turn in self.turns
            ],
            "create_completion": {"tokens": self.completion_tokens, "seconds": self.completion_s},
            "create_completion_item_s": self.completion_item_s,
            "is_same": self.is_same,
            "agreement": self.agreement,
        }
