"""Whether two runs were asked the same, and what was not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llamabench.records import Mismatch, RunInfo, SuiteChoice
from llamabench.results.compare import PairedRows
from llamabench.results.signature import digest_text

_MOST_SHOWN = 60
"""Characters of a system prompt that a sentence quotes."""


def find_mismatches(first: RunInfo, second: RunInfo, pairs: Sequence[PairedRows]) -> tuple[Mismatch, ...]:
    """Lists what two runs were not asked alike, the grave first.

    Grave is what makes scores be of another thing: other data, another version of a suite, other scorers, other words
    of the prompts. Models, quantizations and machines may differ: that is what is compared. So may prompts that an
    attack makes for each model.

    Args:
        first: A run.
        second: Another.
        pairs: The suites that both have run, their rows joined.
    """
    mine, theirs = ({choice.name: choice for choice in info.suites} for info in (first, second))
    found = [
        mismatch
        for one in pairs
        for mismatch in (
            *_in_suite(mine[one.suite], theirs[one.suite]),
            *_in_prompts(one, first, second),
            *_in_adapted(one, first, second),
        )
    ]
    found += _in_runs(first, second)
    return tuple(sorted(found, key=lambda one: not one.is_grave))


def describe_mismatch(mismatch: Mismatch) -> str:
    """Says what is not alike in a sentence.

    >>> describe_mismatch(Mismatch("bbq", "data", "2022 (abababab)", "starter (cdcdcdcd)", True))
    'bbq: data is 2022 (abababab) in the first run and starter (cdcdcdcd) in the second.'
    """
    where = f"{mismatch.suite}: " if mismatch.suite else ""
    return f"{where}{mismatch.what} is {mismatch.first} in the first run and {mismatch.second} in the second."


def _in_suite(first: SuiteChoice, second: SuiteChoice) -> Iterator[Mismatch]:
    grave = {
        "version": [str(one.version) for one in (first, second)],
        "data": [f"{one.edition} ({one.data_sha256[:8]})" for one in (first, second)],
        "scored by": [", ".join(f"{s.name} ({s.sha256[:8]})" for s in one.scorers) for one in (first, second)],
    }
    for what, (mine, theirs) in grave.items():
        if mine != theirs:
            yield Mismatch(first.name, what, mine or "nobody", theirs or "nobody", is_grave=True)
    if first.winners_only != second.winners_only:
        asked = ["winners only" if one.winners_only else "all answers" for one in (first, second)]
        yield Mismatch(first.name, "asked for", asked[0], asked[1], is_grave=False)


def _in_prompts(pairs: PairedRows, first: RunInfo, second: RunInfo) -> Iterator[Mismatch]:
    if first.system_prompt != second.system_prompt and (pairs.n_other_prompts or pairs.n_adapted):
        texts = [_name_system(info) for info in (first, second)]
        yield Mismatch(pairs.suite, "the system prompt", texts[0], texts[1], is_grave=True)
        return
    if not pairs.n_other_prompts:
        return
    what = f"the prompt of {pairs.n_other_prompts:,} of {pairs.n_paired:,} items, such as {pairs.other_prompt},"
    yield Mismatch(pairs.suite, what, _name_template(first), _name_template(second), is_grave=True)


def _in_adapted(pairs: PairedRows, first: RunInfo, second: RunInfo) -> Iterator[Mismatch]:
    if not pairs.n_adapted:
        return
    what = f"the prompt of {pairs.n_adapted:,} of {pairs.n_paired:,} items, whose attacks adapt to the model,"
    made = [f"made for {info.model.name} {info.model.quant}" for info in (first, second)]
    yield Mismatch(pairs.suite, what, made[0], made[1], is_grave=False)


def _name_system(info: RunInfo) -> str:
    if info.system_prompt is None:
        return "none"
    text = " ".join(info.system_prompt.split())
    shown = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
    return f'"{shown}" ({digest_text(info.system_prompt)})'


def _name_template(info: RunInfo) -> str:
    if info.chat_template_sha256 is None:
        return "without a chat template"
    return f"through the chat template {info.chat_template_sha256[:8]}"


def _in_runs(first: RunInfo, second: RunInfo) -> Iterator[Mismatch]:
    facts = {
        "the seed": [str(info.seed) for info in (first, second)],
        "the limit of items": ["none" if info.limit is None else str(info.limit) for info in (first, second)],
        "the budget": ["none" if info.budget is None else "set" for info in (first, second)],
        "the type of the cache": [info.plan.kv_type for info in (first, second)],
        "llama.cpp": [info.machine.llama_cpp_commit for info in (first, second)],
        "llamabench": [info.llamabench for info in (first, second)],
        "the machine": [info.machine.cpu for info in (first, second)],
    }
    for what, (mine, theirs) in facts.items():
        if mine != theirs:
            yield Mismatch(None, what, mine, theirs, is_grave=False)
