"""What a person asks of a run, and what of it would be of no use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from llamabench.budget import can_be_precise
from llamabench.cluster.job import ClusterOptions
from llamabench.errors import LlamabenchError
from llamabench.hardware.planner import NO_OVERRIDES
from llamabench.records import Budget, Overrides
from llamabench.suites import SUITES
from llamabench.suites.base import Suite


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a person asked for.

    Attributes:
        model: The GGUF file.
        suites: Suites to run, each `NAME` or `NAME:EDITION`.
        tests: Files of tests of a person's own, for the suites that take them.
        out: Folder that receives the run's own folder.
        name: What the folder is called after; None for the file's name.
        limit: Items per suite, None for all.
        seed: Seed of every random choice.
        resume: True insists on an unfinished run, False on a new one, None takes what there is.
        use_chat: Whether conversations go through the chat template; None when the model has one.
        chat_template: Template to use instead of the file's.
        system_prompt: System message of conversations that have none of their own; None for none.
        is_demo: Whether the model is one of the demo models that come with llamabench, toys all of them.
        is_exact: Whether sequences are scored one at a time, sharing nothing.
        winners_only: Whether suites ask for the likeliest continuation alone, where their answers are long.
        n_audited: Items of each suite that are scored again so, to compare; 0 for none.
        is_benched: Whether the machine's speed is measured first.
        reference: Model file, or folder of a finished run, to compare with; None for none.
        watchdog_s: Seconds that a decode may take, 0 for any time, None for what is generous on this machine.
        overrides: What is decided of the plan.
        cluster: Where workers are found who are asked in place of this machine; None for this machine.
        budget: What is to end the run before all items are done, None for nothing.
        configured: Suites in place of those of the same name in `SUITES`, where something of them is decided.
    """

    model: Path
    suites: tuple[str, ...]
    out: Path
    name: str | None = None
    tests: tuple[Path, ...] = ()
    limit: int | None = None
    seed: int = 0
    resume: bool | None = None
    use_chat: bool | None = None
    chat_template: str | None = None
    system_prompt: str | None = None
    is_demo: bool = False
    is_exact: bool = False
    winners_only: bool = False
    n_audited: int = 0
    is_benched: bool = False
    reference: Path | None = None
    watchdog_s: float | None = None
    overrides: Overrides = NO_OVERRIDES
    cluster: ClusterOptions | None = None
    budget: Budget | None = None
    configured: Mapping[str, Suite] = field(default_factory=dict)


def refuse_what_is_useless(options: RunOptions, suites: Sequence[Suite]) -> None:
    """Refuses, before anything is opened, what would say nothing about these suites, or contradicts itself.

    Raises:
        LlamabenchError: With what would be of use.
    """
    if options.winners_only and not any(suite.WINNER_METRICS for suite in suites):
        able = ", ".join(name for name, suite in SUITES.items() if suite.WINNER_METRICS)
        raise LlamabenchError(
            f"--winners-only saves nothing for these suites: their answers are short. Of use: {able}."
        )
    if options.budget is not None and options.budget.precision and not any(map(can_be_precise, suites)):
        able = ", ".join(name for name, suite in SUITES.items() if can_be_precise(suite))
        raise LlamabenchError(
            f"--precision ends none of these suites: their first score is no mean over items. Of use: {able}."
        )
    if options.system_prompt is not None and options.use_chat is False:
        raise LlamabenchError(
            "A system prompt goes through the chat template: run without --no-chat, or with --system-prompt ''."
        )
    if options.cluster is not None and options.is_benched:
        raise LlamabenchError("--bench measures this machine, and a run with --scheduler is asked on others.")
    if options.cluster is not None and options.overrides.rpc_servers:
        raise LlamabenchError("--rpc and --scheduler exclude each other: a worker has the whole model.")
    if options.reference is None:
        return
    if options.budget is not None:
        raise LlamabenchError("--reference needs both models asked the same: run it with --limit in place of a budget.")
    if not any(suite.REFERENCE_METRICS for suite in suites):
        able = ", ".join(name for name, suite in SUITES.items() if suite.REFERENCE_METRICS)
        raise LlamabenchError(f"--reference says nothing about these suites. Of use: {able}.")
    if options.winners_only:
        raise LlamabenchError("--reference needs whole answers scored: run it without --winners-only.")
