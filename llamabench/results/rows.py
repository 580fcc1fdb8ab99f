"""A finished item with what was asked and answered, as it is stored."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

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
    Judgement,
    OutcomeKind,
    Request,
    Result,
    RunInfo,
    Scored,
    ScoreRequest,
    ScoreResult,
)
from llamabench.results import codec
from llamabench.results.digests import digest_values, is_sound


def make_row(
    suite: str, item: Item, requests: Sequence[Request], *, results: Sequence[Result], score: ItemScore
) -> ItemRow:
    """The row of an item; `results` answer all that was asked for it, in order."""
    pairs = list(zip(requests, results, strict=True))
    return ItemRow(
        suite=suite,
        id=item.id,
        group=item.group,
        cluster=item.cluster,
        outcome=score.outcome,
        facts={**item.facts, **score.facts},
        values=score.values,
        error=score.error,
        exchanges=tuple(
            _exchange(*pair) for pair in (pairs if score.kept is None else map(pairs.__getitem__, score.kept))
        ),
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


# --- as it lies in the file ---------------------------------------------------------------------

N_COLUMNS = 10
"""Columns of an item before its digest."""

INSERT_ITEM = f"INSERT INTO item VALUES ({', '.join('?' * (N_COLUMNS + 1))})"  # noqa: S608 - question marks alone
"""Stores what `row_values` gives."""

INSERT_RUN = "INSERT INTO run (info, digest) VALUES (?, ?)"
"""Stores what `info_values` gives."""


def info_values(info: RunInfo) -> tuple[str, str]:
    """What a run is, as columns: JSON and its digest."""
    text = json.dumps(codec.encode(info))
    return text, digest_values([text])


def read_info(text: str, digest: str | None) -> RunInfo:
    """What a run is, from columns.

    Raises:
        ValueError: It is not what was stored.
    """
    if not is_sound([text], digest):
        raise ValueError("what was run has changed on the disk")
    return codec.decode(RunInfo, json.loads(text))


def row_values(row: ItemRow, ordinal: int) -> tuple[object, ...]:
    """A row as the columns of the table, its digest the last of them.

    Args:
        row: The row.
        ordinal: Its place in the suite's order.
    """
    exchanges = [{"prompt": exchange.prompt, "answers": list(exchange.answers)} for exchange in row.exchanges]
    values = (
        row.suite,
        storable(row.id),
        ordinal,
        storable(row.group),
        storable(row.cluster),
        row.outcome,
        json.dumps(row.facts),
        json.dumps(dict(row.values)),
        None if row.error is None else storable(row.error),
        json.dumps(exchanges),
    )
    return (*values, digest_values(values))


def storable(text: str) -> str:
    """Writes out half a surrogate pair, which JSON can hold and SQLite cannot."""
    return text.encode(errors="backslashreplace").decode()


def read_row(columns: tuple[str, ...], judges: Mapping[str, int]) -> ItemRow:
    """A row from columns, in the order in which `Run.rows` names them.

    Args:
        columns: The columns of the table, then what a reference model gave and what judges said.
        judges: Number of the judge that counts, by what it was asked.

    Raises:
        ValueError: It is not what was stored.
    """
    *stored, digest, reference, said = columns
    suite, id, _, group, cluster, outcome, facts, values, error, exchanges = stored
    if not is_sound(stored, digest):
        raise ValueError(f"the item {id} of {suite} has changed on the disk")
    others = {f"reference_{name}": value for name, value in json.loads(reference or "{}").items()}
    for judge, verdicts in json.loads(said).items():
        found = codec.decode(tuple[Judgement, ...], json.loads(verdicts))
        others |= name_judgements(one for one in found if judges.get(one.aspect) == int(judge))
    return ItemRow(
        suite=suite,
        id=id,
        group=group,
        cluster=cluster,
        outcome=cast(OutcomeKind, outcome),
        facts=cast(Facts, json.loads(facts)),
        values=cast(dict[str, float], json.loads(values)) | others,
        error=error,
        exchanges=tuple(Exchange(e["prompt"], tuple(e["answers"])) for e in json.loads(exchanges)),
    )


def name_judgements(judgements: Iterator[Judgement]) -> dict[str, float]:
    """What a judge said as values, one for each question and answer.

    `judged_ASPECT` is how far it holds, 0 to 1; where there is no verdict, `judged_ASPECT_unclear` is the probability
    of any verdict at all, and `judged_ASPECT_failed` is 1 where there is no number. `#2` follows where it is about the
    second of several answers.

    >>> name_judgements(iter([Judgement("harmful", 2, "scored", "unsafe", 0.75, 0.99)]))
    {'judged_harmful#2': 0.75}
    """
    values = {}
    for one in judgements:
        end, number = "" if one.outcome == "scored" else _NO_VERDICT[one.outcome], one.number
        value = {"scored": one.value, "unparsed": one.mass, "errored": 1.0}[one.outcome]
        assert value is not None, "a verdict has numbers"
        values[f"judged_{one.aspect}{end}" + (f"#{number}" if number else "")] = value
    return values


_NO_VERDICT = {"unparsed": "_unclear", "errored": "_failed"}
