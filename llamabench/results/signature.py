"""What a score depends on beside the model's weights."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence

from llamabench.records import AnyJudge, RaterFacts, RunInfo, SuiteChoice


def make_signature(
    info: RunInfo, choice: SuiteChoice, *, uses_reference: bool = False, judges: Sequence[AnyJudge] = ()
) -> str:
    """Names everything a suite's scores depend on; scores with different ones are not comparable as they are.

    Args:
        info: The run.
        choice: The suite.
        uses_reference: Whether the score compares the model with the run's reference model.
        judges: Whose verdicts the score rests on.

    Source: the form is sacrebleu's, sacrebleu/metrics/base.py.
    """
    plan, other = info.plan, info.reference if uses_reference else None
    parts = {
        "suite": choice.name,
        "v": choice.version,
        "data": f"{choice.edition}@{choice.data_sha256[:8]}",
        **({"set": _digest(choice.settings)} if choice.settings else {}),
        "n": choice.n_items,
        "seed": info.seed,
        **({"scored-by": "+".join(f"{one.name}@{one.sha256[:8]}" for one in choice.scorers)} if choice.scorers else {}),
        **({"order": "drawn"} if info.budget else {}),
        **({"asked": "winners"} if choice.winners_only else {}),
        "chat": (info.chat_template_sha256 or "none")[:8],
        **({"system": digest_text(choice.system_prompt)} if choice.system_prompt is not None else {}),
        "quant": info.model.quant,
        **({"ref": f"{other.model.fingerprint[:8]}@{other.model.quant}"} if other else {}),
        **({"judge": "+".join(map(_name_judge, judges))} if judges else {}),
        "kv": plan.kv_type,
        "fa": plan.flash_attention,
        "ub": plan.scoring.n_ubatch,
        "how": plan.strategy,
        "pack": plan.pack_tokens,
        "ngl": plan.n_gpu_layers,
        **({"rpc": len(plan.rpc_servers)} if plan.rpc_servers else {}),
        **({"workers": len({one.name for one in info.workers})} if info.workers else {}),
        **({"mixed": mixed} if (mixed := "+".join(find_mixed(info))) else {}),
        **({} if plan.is_repacked else {"repack": "off"}),
        "llama.cpp": info.machine.llama_cpp_commit,
        "llamabench": info.llamabench,
    }
    return "|".join(f"{name}:{value}" for name, value in parts.items())


_OF_THE_MODEL = (
    "chat",
    "quant",
    "ref",
    "kv",
    "fa",
    "ub",
    "how",
    "pack",
    "ngl",
    "rpc",
    "workers",
    "mixed",
    "repack",
    "llama.cpp",
    "llamabench",
)
"""Parts of a signature that are about the model and how it was run, not about what was asked and scored."""


def asked_part(signature: str) -> str:
    """What of a signature must agree for the scores of two models to stand in one column.

    >>> asked_part("suite:bbq|v:1|data:2022@00|n:4|seed:0|chat:none|quant:Q8_0")
    'suite:bbq|v:1|data:2022@00|n:4|seed:0'
    """
    return "|".join(part for part in signature.split("|") if part.partition(":")[0] not in _OF_THE_MODEL)


def find_mixed(info: RunInfo) -> tuple[str, ...]:
    """What the workers of a run did not have in common: builds of llama.cpp, model files; nothing where none did."""
    builds = {one.machine.llama_cpp_commit for one in info.workers}
    files = {one.fingerprint for one in info.workers}
    return (*(("builds",) if len(builds) > 1 else ()), *(("files",) if files - {info.model.fingerprint} else ()))


def _digest(settings: Mapping[str, str]) -> str:
    return digest_text(json.dumps(settings, sort_keys=True))


def digest_text(text: str) -> str:
    """The first digits of a text's SHA-256."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]


def _name_judge(judge: AnyJudge) -> str:
    if isinstance(judge, RaterFacts):
        return f"{judge.name}@{judge.version}"
    name = re.sub(r"[^\w.-]+", "-", judge.model.name)
    template = (judge.chat_template_sha256 or "none")[:8]
    return (
        f"{judge.format}@{name}@{judge.model.fingerprint[:8]}@{judge.model.quant}@{template}@{judge.llama_cpp_commit}"
    )
