"""The open model with the context in use: requests in, results out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from llamabench.engine.distributions import Kept, join_gaps, join_kept, keep_likeliest, measure_gaps, read_text
from llamabench.engine.encoding import EncodedPair, Encoder
from llamabench.engine.generation import Generator
from llamabench.engine.llama import Context, Model
from llamabench.engine.packing import TokenSequence
from llamabench.engine.scoring import ScoringStrategy, SequenceScore, measure_pack_size
from llamabench.engine.strategy import check_strategy, list_strategies, make_strategy
from llamabench.errors import EngineError, ModelFileError, RunawayTemplateError
from llamabench.records import (
    Answers,
    BufferBytes,
    Failure,
    Gaps,
    GenerateRequest,
    GenerateResult,
    ModelSpec,
    PackSpeed,
    Plan,
    ReadingTask,
    Request,
    Result,
    Scored,
    ScoreRequest,
    ScoreResult,
    StrategyCheck,
    StrategyName,
    TokenRequest,
)

_NO_NUMBER = "The model gave no number (NaN): its file is damaged, or this machine computes it wrongly."


class Session:
    """A model with one context at a time: scoring and generation take turns, so only one needs memory.

    Args:
        spec: What to open.

    Raises:
        ModelFileError: llama.cpp cannot load the file.
    """

    def __init__(self, spec: ModelSpec):
        self.spec = spec
        self.model = Model(spec.path, spec.plan)
        self.encoder = Encoder(self.model, spec.chat_template, spec.system_prompt)
        self._context: Context | None = None
        self._is_for_scoring = False
        self._strategy: ScoringStrategy | None = None
        self._generator: Generator | None = None

    @property
    def _plan(self) -> Plan:
        assert self.spec.plan is not None, "only a tokeniser is open"
        return self.spec.plan

    def adopt(self, spec: ModelSpec) -> bool:
        """Takes over a spec that the open model and context serve as well; whether they do."""
        if _as_opened(spec) != _as_opened(self.spec):
            return False
        if spec != self.spec:
            self.spec = spec
            self._strategy = None
        return True

    def close(self) -> None:
        """Frees context and model."""
        self._close_context()
        self.model.close()

    def _close_context(self) -> None:
        self._strategy = self._generator = None
        if self._context is not None:
            self._context.close()
            self._context = None

    def _open_context(self, *, for_scoring: bool) -> Context:
        self._refuse_for(self.model.why_not_causal)
        self._close_context()
        plan = self._plan.scoring if for_scoring else self._plan.generation
        context = Context(self.model, plan, self._plan)
        if not context.is_causal:
            context.close()
            self._refuse_for("its tokens attend to what comes later")
        self._context, self._is_for_scoring = context, for_scoring
        return context

    def _refuse_for(self, why_not: str | None) -> None:
        if why_not is not None:
            raise ModelFileError(f"{self.spec.path} has no left-to-right probabilities: {why_not}.")

    def _scoring_context(self) -> Context:
        if self._context is None or not self._is_for_scoring:
            return self._open_context(for_scoring=True)
        return self._context

    def read_buffers(self, *, for_scoring: bool) -> tuple[BufferBytes, ...]:
        """What each buffer of the model and of one of its contexts holds; empty where llama.cpp does not tell."""
        context = self._scoring_context() if for_scoring else self._open_context(for_scoring=False)
        return context.read_buffers()

    def list_strategies(self) -> tuple[StrategyName, ...]:
        """The ways to score this model, fastest first."""
        return list_strategies(self._scoring_context())

    def check_strategy(self) -> StrategyCheck:
        """Tries the plan's strategy out against one sequence at a time."""
        assert self._plan.strategy != "auto", "a strategy by its name"
        return check_strategy(self._plan.strategy, self._scoring_context())

    @property
    def strategy(self) -> ScoringStrategy:
        """How sequences are scored; opens the scoring context."""
        if self._strategy is None:
            self._strategy = self._make_strategy(self._scoring_context())
        return self._strategy

    def _make_strategy(self, context: Context) -> ScoringStrategy:
        assert self._plan.strategy != "auto", "the parent chooses"
        return make_strategy(self._plan.strategy, context, self._plan.pack_tokens)

    @property
    def generator(self) -> Generator:
        """What generates texts; opens the generation context."""
        if self._generator is None:
            self._generator = Generator(self._open_context(for_scoring=False), self.encoder)
        return self._generator

    def measure(self) -> PackSpeed:
        """The pack size that scores fastest."""
        self._strategy = None  # measuring empties the memory, so what a strategy believes it holds is gone
        return measure_pack_size(self._scoring_context(), self._plan.pack_tokens)

    def count_tokens(self, request: Request) -> int:
        """Tokens that a request needs in the context: its longest continuation, or all it may generate, included.

        A request that cannot be encoded counts 0: it will fail by itself, with its reason.

        Raises:
            RunawayTemplateError: None can be encoded in any sensible time.
        """
        try:
            if isinstance(request, GenerateRequest):
                return len(self.encoder.encode(request.prompt)) + request.sampling.max_tokens
            return max((len(pair.sequence.tokens) for pair in self._encode_pairs(request)), default=0)
        except RunawayTemplateError:
            raise
        except EngineError:
            return 0

    def _encode_pairs(self, request: ScoreRequest) -> list[EncodedPair]:
        return self.encoder.encode_pairs(request.prompt, request.continuations, ends_turn=request.ends_turn)

    def score(self, requests: Sequence[ScoreRequest]) -> Answers:
        """Scores requests; one result each, in order."""
        strategy = self.strategy
        before = strategy.n_decoded
        encoded = [self._encode_or_say_why(request) for request in requests]
        sequences = [
            replace(pair.sequence, race=number) if request.wants_winner else pair.sequence
            for number, (request, pairs) in enumerate(zip(requests, encoded, strict=True))
            if not isinstance(pairs, str)
            for pair in pairs
        ]
        scores = iter(strategy.score(sequences) if sequences else [])
        results: list[Result] = [
            Failure(request.id, pairs) if isinstance(pairs, str) else self._result(request, pairs, scores)
            for request, pairs in zip(requests, encoded, strict=True)
        ]
        return Answers(results, strategy.n_decoded - before)

    def _result(
        self, request: ScoreRequest, pairs: Sequence[EncodedPair], scores: Iterator[SequenceScore]
    ) -> ScoreResult | Failure:
        taken = list(itertools.islice(scores, len(pairs)))
        if not all(map(_is_number, taken)):
            return Failure(request.id, _NO_NUMBER)
        continuations = tuple(
            _scored(score, text=text, border_shift=pair.border_shift, wants_tokens=request.wants_tokens)
            for score, text, pair in zip(taken, request.continuations, pairs, strict=True)
        )
        return ScoreResult(request.id, self.encoder.render(request.prompt), continuations)

    def _encode_or_say_why(self, request: ScoreRequest) -> list[EncodedPair] | str:
        try:
            pairs = self._encode_pairs(request)
        except EngineError as exc:
            return str(exc)
        longest = max((len(pair.sequence.tokens) for pair in pairs), default=0)
        return pairs if longest <= self.strategy.max_tokens else _too_long(longest, self.strategy.max_tokens)

    def score_tokens(self, requests: Sequence[TokenRequest]) -> list[list[Scored]]:
        """Scores continuations given as tokens; needs no tokeniser.

        Raises:
            EngineError: A context or continuation is empty, too long, or has a token outside the vocabulary; or the
                model gives no number.
        """
        sequences = [
            self._check_tokens(context, continuation)
            for context, continuations in requests
            for continuation in continuations
        ]
        scored = self.strategy.score(sequences) if sequences else []
        if not all(map(_is_number, scored)):
            raise EngineError(_NO_NUMBER)
        scores = iter(scored)
        return [[_scored(next(scores), wants_tokens=True) for _ in continuations] for _, continuations in requests]

    def _check_tokens(self, context: list[int], continuation: list[int]) -> TokenSequence:
        tokens = (*context, *continuation)
        if not context or not continuation:
            raise EngineError("Neither a context nor a continuation may be empty.")
        if len(tokens) > self.strategy.max_tokens:
            raise EngineError(_too_long(len(tokens), self.strategy.max_tokens))
        if not all(0 <= token < self.model.n_vocab for token in tokens):
            raise EngineError(f"A token is outside the vocabulary of {self.model.n_vocab}.")
        return TokenSequence(tokens, len(context))

    def read_texts(self, task: ReadingTask) -> list[Gaps]:
        """Keeps the distributions along texts for another model, or sets this one's against what was kept.

        Raises:
            EngineError: The other model's tokeniser is not this one's.
        """
        self._strategy = None  # reading empties the memory, so what a strategy believes it holds is gone
        context, folder = self._scoring_context(), Path(task.folder)
        vocabulary = self.model.vocabulary_sha256()
        if task.is_first:
            (folder / "vocabulary").write_text(vocabulary)
        elif (folder / "vocabulary").read_text() != vocabulary:
            raise EngineError("Their tokenisers are not the same, so their probabilities are of other tokens.")
        found = []
        for number, text in enumerate(task.texts):
            tokens = self.encoder.encode_rendered(text, is_template=task.is_template)[: task.most_tokens]
            if len(tokens) < 2:
                continue
            file, following = folder / f"{number}.npz", np.array(tokens[1:], dtype=np.int64)
            if task.is_first:
                kept = [keep_likeliest(rows, following[at], task.n_kept) for at, rows in read_text(context, tokens)]
                np.savez(file, text=tokens, **join_kept(kept)._asdict())
            else:
                found.append(self._compare(file, tokens, context))
        return found

    def _compare(self, file: Path, tokens: list[int], context: Context) -> Gaps:
        with np.load(file) as stored:
            if stored["text"].tolist() != tokens:
                raise EngineError("Their tokenisers split the same text otherwise.")
            kept = Kept(stored["tokens"], stored["logprobs"], stored["following"])
        following = np.array(tokens[1:], dtype=np.int64)
        return join_gaps([measure_gaps(kept.at(at), rows, following[at]) for at, rows in read_text(context, tokens)])

    def generate(self, requests: Sequence[GenerateRequest]) -> list[GenerateResult | Failure]:
        """Generates texts; one result for each request, in order."""
        return self.generator.generate(requests)


def _as_opened(spec: ModelSpec) -> ModelSpec:
    """A spec without what can change while the model is open."""
    if spec.plan is None:
        return spec
    return replace(spec, plan=replace(spec.plan, strategy="auto", pack_tokens=0, chunk_tokens=0, reasons=()))


def _too_long(n_tokens: int, room: int) -> str:
    return f"The prompt and its continuation have {n_tokens} tokens, the context has room for {room}."


def _is_number(score: SequenceScore) -> bool:
    return not np.isnan(score.logprobs).any()


def _scored(score: SequenceScore, *, text: str = "", border_shift: int = 0, wants_tokens: bool) -> Scored:
    return Scored(
        logprob_sum=float(score.logprobs.sum()),
        n_tokens=len(score.logprobs) + score.n_unread,
        n_bytes=len(text.encode(errors="surrogatepass")),
        is_greedy=score.is_greedy,
        border_shift=border_shift,
        token_logprobs=tuple(score.logprobs.tolist()) if wants_tokens else (),
        is_pruned=score.n_unread > 0,
    )
