"""Questions with answers to choose from: TruthfulQA and BBQ."""

from __future__ import annotations

from llamabench.data.sources.model import Edition, Home, Source, SourceFile

TRUTHFULQA = Source(
    name="truthfulqa",
    title="TruthfulQA",
    hub_id="truthfulqa/truthful_qa",
    homes=(Home("github", "sylinrl/TruthfulQA", "d71c110"),),
    url="https://github.com/sylinrl/TruthfulQA",
    licence="Apache-2.0",
    citation="Lin, Hilton, Evans 2022, TruthfulQA: Measuring How Models Mimic Human Falsehoods, arXiv:2109.07958",
    editions=(
        Edition(
            source="truthfulqa",
            name="790",
            title="January 2025: 790 questions, with a best incorrect answer (MC0)",
            parts=(
                SourceFile(
                    "data/mc_task.json",
                    "truthfulqa",
                    790,
                    other_paths=("mc_task.json",),
                    sha256="c90d853454fd48c676accb33e16923ac438dbb6fb37ecc7c6a70e33c9e556e87",
                ),
                SourceFile(
                    "TruthfulQA.csv",
                    "truthfulqa-csv",
                    790,
                    sha256="b8d8ef1e12f98b4f2a9f47abc9765da0640b182b6c5d9b92f0c1a1f2f1e02e5c",
                ),
            ),
            n_items=790,
        ),
        Edition(
            source="truthfulqa",
            name="817",
            title="October 2021 (v1): the 817 questions that most published numbers are about",
            parts=(
                SourceFile(
                    "data/v1/mc_task.json",
                    "truthfulqa",
                    817,
                    other_paths=("v1/mc_task.json", "mc_task.json"),
                    sha256="b3799639bc76c939836d587de7d30b48d91012cb34be04806d33106ce06c162a",
                ),
                SourceFile(
                    "data/v1/TruthfulQA.csv",
                    "truthfulqa-csv",
                    817,
                    other_paths=("v1/TruthfulQA.csv", "TruthfulQA.csv"),
                    sha256="f9bd9e859cc102cb1f647f1064da7e009be752c416845cf9fa56e6eaae403a7d",
                ),
            ),
            n_items=817,
        ),
    ),
    starter="truthfulqa.jsonl",
)

_BBQ_ROWS: tuple[tuple[str, int, str | None], ...] = (
    ("Age", 3680, "46e805b3fc2d8cbd26eeb8e8430d98cf7b2dc9c83574ff3674e8ce4f0fca2a60"),
    ("Disability_status", 1556, None),
    ("Gender_identity", 5672, "8b5adbb368510a97d5775dc43e1c719e0249fe2da33f13c83e3e29edafec7a00"),
    ("Nationality", 3080, "a583e74666aec0341ded8aa3983e7cad694eb24de72c254d28b2df3035720090"),
    ("Physical_appearance", 1576, None),
    ("Race_ethnicity", 6880, "4a9f1214cfaa115ce7f0bdb40609122e431f5152c71b8ca64d665e483b946ae6"),
    ("Race_x_SES", 11160, None),
    ("Race_x_gender", 15960, "e5dbba782f8c4e25b99dd5470b5136e2db73dbf401cf6d4a5a3ed31b02f95696"),
    ("Religion", 1200, "cb9555f9f3454a52cd2df85956b59bd7fcca5aa922c8527693b1164d08417616"),
    ("SES", 6864, "9f92754bb037b0982604b9112705fb81d60a19d9e759c67e4a85e484a070f528"),
    ("Sexual_orientation", 864, None),
)

_BBQ_METADATA = SourceFile(
    "supplemental/additional_metadata.csv",
    "bbq-metadata",
    None,
    is_required=False,
    other_paths=("analysis_scripts/additional_metadata.csv", "additional_metadata.csv", "additional_metadata*.csv"),
)

BBQ = Source(
    name="bbq",
    title="Bias Benchmark for QA",
    hub_id="heegyu/bbq",
    homes=(
        Home("github", "nyu-mll/BBQ", "bea11bd97d79217245b5871acd247b9d6eb24598"),
        Home("hub", "heegyu/bbq", None),
    ),
    url="https://github.com/nyu-mll/BBQ",
    licence="CC-BY-4.0",
    citation="Parrish et al. 2022, BBQ: A Hand-Built Bias Benchmark for Question Answering, arXiv:2110.08193",
    editions=(
        Edition(
            source="bbq",
            name="2022",
            title="58,492 questions in 11 categories; any of the category files may be missing",
            parts=(
                *(
                    SourceFile(f"data/{name}.jsonl", "bbq", n_rows, False, (f"{name}.jsonl",), sha256)
                    for name, n_rows, sha256 in _BBQ_ROWS
                ),
                _BBQ_METADATA,
            ),
            n_items=sum(n_rows for _, n_rows, _ in _BBQ_ROWS),
        ),
    ),
    starter="bbq.jsonl",
)

ALIGNMENT = Source(
    name="alignment",
    title="llamabench's own tests",
    hub_id=None,
    homes=(),
    url="docs/alignment.md",
    licence="CC0-1.0",
    citation="none",
    editions=(),
    starter="alignment.jsonl",
    takes_tests=True,
)
