"""Pairs of answers of which people preferred one."""

from __future__ import annotations

from llamabench.data.sources.model import Edition, Home, Source, SourceFile

_STARTER = "preference.jsonl"


def _hh_edition(name: str, title: str, n_rows: int, sha256: str | None = None) -> Edition:
    path = f"{name}/test.jsonl.gz"
    others = (f"{name}/test.jsonl", "test.jsonl.gz", "test.jsonl")
    return Edition("hh-rlhf", name, title, (SourceFile(path, "hh", n_rows, True, others, sha256),), n_rows)


HH = Source(
    name="hh-rlhf",
    title="Human preference data about helpfulness and harmlessness",
    hub_id="Anthropic/hh-rlhf",
    homes=(Home("hub", "Anthropic/hh-rlhf", "09be8c5bbc57cb3887f3a9732ad6aa7ec602a1fa"),),
    url="https://github.com/anthropics/hh-rlhf",
    licence="MIT",
    citation=(
        "Bai et al. 2022, Training a Helpful and Harmless Assistant with Reinforcement Learning from Human Feedback, "
        "arXiv:2204.05862"
    ),
    editions=(
        _hh_edition(
            "harmless-base",
            "2,312 held-out pairs about harmlessness",
            2312,
            "ebfaaed21162a4de120ae85366075b34425e2a6303fac59b99555002f7016f03",
        ),
        _hh_edition("helpful-base", "2,354 held-out pairs about helpfulness", 2354),
        _hh_edition("helpful-online", "1,137 held-out pairs about helpfulness, online iterations", 1137),
        _hh_edition("helpful-rejection-sampled", "2,749 held-out pairs about helpfulness, best of 16", 2749),
    ),
    starter=_STARTER,
)

_HHH_TASKS = "bigbench/benchmark_tasks/hhh_alignment"

HHH = Source(
    name="hhh-alignment",
    title="Helpful, Honest, Harmless alignment evaluation",
    hub_id="HuggingFaceH4/hhh_alignment",
    homes=(),
    url="https://github.com/google/BIG-bench/tree/main/bigbench/benchmark_tasks/hhh_alignment",
    licence="Apache-2.0",
    citation="Askell et al. 2021, A General Language Assistant as a Laboratory for Alignment, arXiv:2112.00861",
    editions=(
        Edition(
            source="hhh-alignment",
            name="hhh-tasks",
            title="221 pairs: helpful 59, honest 61, harmless 58, other 43; a task.json for each",
            parts=tuple(
                SourceFile(f"{_HHH_TASKS}/{name}/task.json", "hhh-task", n_rows, True, (f"{name}/task.json",))
                for name, n_rows in (("helpful", 59), ("honest", 61), ("harmless", 58), ("other", 43))
            ),
            n_items=221,
            homes=(Home("hub", "HuggingFaceH4/hhh_alignment", None), Home("github", "google/BIG-bench", None)),
        ),
        Edition(
            source="hhh-alignment",
            name="hhh",
            title="the same 221 pairs as one JSON Lines file with subset, query, chosen, rejected",
            parts=(
                SourceFile(
                    "hhh_alignment.jsonl", "hhh", 221, other_paths=("hhh_alignment/hhh_alignment.jsonl", "hhh*.jsonl")
                ),
            ),
            n_items=221,
            part_of="hhh-tasks",
        ),
    ),
    starter=_STARTER,
)

PKU = Source(
    name="pku-saferlhf",
    title="PKU-SafeRLHF",
    hub_id="PKU-Alignment/PKU-SafeRLHF",
    homes=(Home("hub", "PKU-Alignment/PKU-SafeRLHF", "9421ffafec3fa40a1f1a7d567b4d525079477ecb"),),
    url="https://huggingface.co/datasets/PKU-Alignment/PKU-SafeRLHF",
    licence="CC-BY-NC-4.0",
    citation=(
        "Ji et al. 2024, PKU-SafeRLHF: Towards Multi-Level Safety Alignment for LLMs with Human Preference, "
        "arXiv:2406.15513"
    ),
    editions=(
        Edition(
            source="pku-saferlhf",
            name="pku-test",
            title="the held-out rows of three models: which answer is more helpful, and which is safer",
            parts=tuple(
                SourceFile(f"data/{model}/test.jsonl", "pku", None, False, (f"{model}/test.jsonl",))
                for model in ("Alpaca-7B", "Alpaca2-7B", "Alpaca3-8B")
            ),
            n_items=None,
        ),
    ),
    starter=_STARTER,
)

REWARDBENCH = Source(
    name="rewardbench",
    title="RewardBench",
    hub_id="allenai/reward-bench",
    homes=(Home("hub", "allenai/reward-bench", None),),
    url="https://huggingface.co/datasets/allenai/reward-bench",
    licence="ODC-By-1.0",
    citation="Lambert et al. 2024, RewardBench: Evaluating Reward Models for Language Modeling, arXiv:2403.13787",
    editions=(
        Edition(
            source="rewardbench",
            name="rewardbench-filtered",
            title="2,985 pairs in 23 subsets; Parquet needs pyarrow, JSON Lines do not",
            parts=(
                SourceFile(
                    "data/filtered-00000-of-00001.parquet",
                    "pairs",
                    2985,
                    other_paths=("filtered*.parquet", "filtered*.jsonl", "filtered*.json", "rewardbench*.jsonl"),
                ),
            ),
            n_items=2985,
        ),
    ),
    starter=_STARTER,
)

_LLMBAR_SUBSETS: tuple[tuple[str, int, str], ...] = (
    ("Natural", 100, "f7127b7aa78104cb8e03a2b1b3ac0077e95b125714dd441a8ee63666145a3375"),
    ("Adversarial/Neighbor", 134, "6712c7eda6342602e0bc7c06c282fa95e2110d4e741a284026a62d937f9780a0"),
    ("Adversarial/GPTInst", 92, "1002425f73c2cf54b6e6de99bce3f6c60fa2a17d13194772e37d7481c1351d42"),
    ("Adversarial/GPTOut", 47, "1ff56e520d7607750a9866a3be0f5b850392ca4477a1f69d80f32bd3e310f561"),
    ("Adversarial/Manual", 46, "0d9598769a39cdbbd265778c37e49939d41d5f76dcfb17bd75dcfa07516d3837"),
)

_LLMBAR_OTHERS: tuple[tuple[str, str, int, str], ...] = (
    ("MT-Bench", "MT-Bench.json", 200, "c152249bc095d152485954bd2abd9ea79528ee5e4c045bfe9ef78755b03c20d8"),
    ("FairEval", "FairEval.json", 66, "5b4a129258c1efa273a1b10fec399f5462b458facf900e8e1948f4acb1b37dd6"),
    ("LLMEval^2", "LLMEval_2.json", 200, "deffdaeccda39c0fb9337c7e20925ec2b973bfd456832c2f1ba0e9ca4cf107de"),
)

LLMBAR = Source(
    name="llmbar",
    title="LLMBar",
    hub_id="princeton-nlp/LLMBar",
    homes=(Home("github", "princeton-nlp/LLMBar", "900616bff90b6c6c8e1681f7d079250637c55992"),),
    url="https://github.com/princeton-nlp/LLMBar",
    licence="MIT",
    citation=(
        "Zeng et al. 2023, Evaluating Large Language Models at Evaluating Instruction Following, arXiv:2310.07641"
    ),
    editions=(
        Edition(
            source="llmbar",
            name="llmbar-419",
            title="419 pairs of which one follows the instruction and the other does not",
            parts=tuple(
                SourceFile(
                    f"Dataset/LLMBar/{name}/dataset.json",
                    "llmbar",
                    n_rows,
                    other_paths=(f"{name}/dataset.json",),
                    sha256=sha256,
                )
                for name, n_rows, sha256 in _LLMBAR_SUBSETS
            ),
            n_items=sum(n_rows for _, n_rows, _ in _LLMBAR_SUBSETS),
        ),
        Edition(
            source="llmbar",
            name="llmbar-others",
            title="466 pairs of MT-Bench, FairEval and LLMEval^2 with people's majority, ties removed",
            parts=tuple(
                SourceFile(
                    f"Dataset/Processed/{name}/dataset.json",
                    "llmbar",
                    n_rows,
                    other_paths=(f"{name}/dataset.json", other),
                    sha256=sha256,
                )
                for name, other, n_rows, sha256 in _LLMBAR_OTHERS
            ),
            n_items=sum(n_rows for _, _, n_rows, _ in _LLMBAR_OTHERS),
        ),
    ),
    starter=_STARTER,
)

AUTO_J = Source(
    name="auto-j",
    title="Auto-J, pairwise test set",
    hub_id=None,
    homes=(Home("github", "GAIR-NLP/auto-j", "2ae17a3965d933232e9cd50302aa0f176249c83b"),),
    url="https://github.com/GAIR-NLP/auto-j",
    licence="not stated",
    citation="Li et al. 2023, Generative Judge for Evaluating Alignment, arXiv:2310.05470",
    editions=(
        Edition(
            source="auto-j",
            name="auto-j-1392",
            title="1,392 pairs in 58 scenarios; 373 of them are ties",
            parts=(
                SourceFile(
                    "data/test/testdata_pairwise.jsonl",
                    "auto-j",
                    1392,
                    other_paths=("testdata_pairwise.jsonl",),
                    sha256="56f32fad71d9b6b33bc4d51794c324981e26355bcbf3ce4908d7f8ddcc61f80e",
                ),
            ),
            n_items=1392,
        ),
    ),
    starter=_STARTER,
)

PANDALM = Source(
    name="pandalm",
    title="PandaLM, human-annotated test set",
    hub_id=None,
    homes=(Home("github", "WeOpenML/PandaLM", "3871806e72b4832f815ecafd24d3503c73403f48"),),
    url="https://github.com/WeOpenML/PandaLM",
    licence="Apache-2.0",
    citation=(
        "Wang et al. 2023, PandaLM: An Automatic Evaluation Benchmark for LLM Instruction Tuning Optimization, "
        "arXiv:2306.05087"
    ),
    editions=(
        Edition(
            source="pandalm",
            name="pandalm-999",
            title="999 pairs with the votes of three people each",
            parts=(
                SourceFile(
                    "data/testset-v1.json",
                    "pandalm",
                    999,
                    other_paths=("testset-v1.json",),
                    sha256="cc154f9067c7382d7ea86f8f246511a5e1ac87e1fddd845c5938d789505b07a4",
                ),
            ),
            n_items=999,
        ),
    ),
    starter=_STARTER,
)

PAIRS = Source(
    name="pairs",
    title="pairs of your own",
    hub_id=None,
    homes=(),
    url="docs/data.md",
    licence="yours",
    citation="none",
    editions=(
        Edition(
            source="pairs",
            name="own",
            title="one file of rows with prompt, chosen, rejected",
            parts=(SourceFile("pairs.jsonl", "pairs", None, other_paths=("*.jsonl", "*.jsonl.gz", "*.json")),),
            n_items=None,
        ),
    ),
    starter=_STARTER,
)
