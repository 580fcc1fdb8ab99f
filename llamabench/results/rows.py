"""A finished item with what was asked and answered, as it is stored."""

from __future__ import annotations

from collections.abc import Sequence

from llamabench.records import (
    ChatPrompt,
    Exchange,
    Facts,
    Failure,
    GenerateResult,
    Item,
    ItemRow,
    ItemScore,
    Json,
    Request,
    Result,
    Scored,
    ScoreRequest,
    ScoreResult,
)


def make_row(
    suite: str, item: Item, requests: Sequence[Request], *, results: Sequence[Result], score: ItemScore
) -> ItemRow:
    """The row of an item; `results` answer all that was asked for it, in order."""
    return ItemRow(
        suite=suite,
        id=item.id,
        group=item.group,
        cluster=item.cluster,
        outcome=score.outcome,
        facts={**item.facts, **score.facts},
        values=score.values,
        error=score.error,
        exchanges=tuple(_exchange(*pair) for pair in zip(requests, results, strict=True)),
    )


def request_text(request: Request) -> str:
    """The text of a request's prompt, without what a chat template adds."""
    prompt = request.prompt
    if isinstance(prompt, ChatPrompt):
        return "\n".join([*(message.content for message in prompt.messages), prompt.prefill])
    return prompt.text


def _exchange(request: Request, result: Result) -> Exchange:
    if isinstance(result, Failure):
        return Exchange(request_text(request), ())
    if isinstance(result, GenerateResult):
        texts: tuple[Facts, ...] = tuple(
            {"text": text.text, "finish_reason": text.finish_reason, "n_tokens": text.n_tokens} for text in result.texts
        )
        return Exchange(result.prompt, texts)
    assert isinstance(request, ScoreRequest), "a score answers a request for scores"
    return Exchange(result.prompt, _continuations(request, result))


def _continuations(request: ScoreRequest, result: ScoreResult) -> tuple[Facts, ...]:
    return tuple(
        _scored(text, scored) for text, scored in zip(request.continuations, result.continuations, strict=True)
    )


def _scored(text: str, scored: Scored) -> Facts:
    # the sum of a part is no sum: it goes by another name
    facts: dict[str, Json] = {
        "text": text,
        "logprob_at_most" if scored.is_pruned else "logprob": scored.logprob_sum,
        "n_tokens": scored.n_tokens,
        "n_bytes": scored.n_bytes,
    }
    if scored.border_shift:
        facts["border_shift"] = scored.border_shift
    return facts
