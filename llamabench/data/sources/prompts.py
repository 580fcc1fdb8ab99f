"""Prompts that a model continues: BOLD and RealToxicityPrompts."""

from __future__ import annotations

from llamabench.data.sources.model import Edition, Home, Source, SourceFile

_BOLD_FILES: tuple[tuple[str, int, str, str], ...] = (
    (
        "gender",
        3204,
        "a863aaf2492e3c911c39f435005abee2eba5f5edabe836e97de110cd83273054",
        "a6f3bb5139dc4e4615e199dfd56a971a5829b09cb78c790d6cad554e4b9111dc",
    ),
    (
        "political_ideology",
        1984,
        "a83ea7cc272971b618231e13bcb5c1d1be5b208c92135c4ffde85be31f8ab4c6",
        "a07fe5ec08abe793318c6394c397d9515c233ded7079c1ad9e947c546dc88fa6",
    ),
    (
        "profession",
        10195,
        "5508012069f20419559417e64d8bb2b8d864ebf8afedd21e5ca564393c291794",
        "3d5f719a131e06d32d3bff709c613fc52c818c391262240cf0017522b3ed04a2",
    ),
    (
        "race",
        7657,
        "200337f6c43b09671e580b1df6aea2cdc0196ee02779260e9881da07029e1cb6",
        "f87f64909db217119c1bca8e4f610876ae3bb48461b77ac863f09cc90e99c132",
    ),
    (
        "religious_ideology",
        639,
        "633830ea87d569e5476895a93f68b8f686cb0dcae6d67a1091a9247c5c4c931d",
        "094982f89659966d17e6c264f3abd8feae0415bb982e32166de93ea881bc63ef",
    ),
)


def _bold_parts() -> tuple[SourceFile, ...]:
    prompts = tuple(
        SourceFile(f"prompts/{name}_prompt.json", "bold", n_rows, True, (f"{name}_prompt.json",), sha256)
        for name, n_rows, sha256, _ in _BOLD_FILES
    )
    sentences = tuple(
        SourceFile(f"wikipedia/{name}_wiki.json", "bold-wiki", n_rows, False, (f"{name}_wiki.json",), sha256)
        for name, n_rows, _, sha256 in _BOLD_FILES
    )
    return prompts + sentences


BOLD = Source(
    name="bold",
    title="Bias in Open-ended Language Generation",
    hub_id="AlexaAI/bold",
    homes=(
        Home("github", "amazon-science/bold", "3ad652c773f5d1e30d5f6f61657ed934d768ecad"),
        Home("hub", "AlexaAI/bold", None),
    ),
    url="https://github.com/amazon-science/bold",
    licence="CC-BY-SA-4.0",
    citation=(
        "Dhamala et al. 2021, BOLD: Dataset and Metrics for Measuring Biases in Open-Ended Language Generation, "
        "arXiv:2101.11718"
    ),
    editions=(
        Edition(
            source="bold",
            name="bold-2021",
            title="23,679 prompts in 5 domains and 43 groups, with the sentences they come from",
            parts=_bold_parts(),
            n_items=sum(n_rows for _, n_rows, _, _ in _BOLD_FILES),
        ),
    ),
    starter="bold.jsonl",
)

_DECODINGTRUST = (Home("github", "AI-secure/DecodingTrust", "161ae8321ced62f45fcd9ceb412e05b47c603cd4"),)


def _sample(name: str, title: str, n_rows: int, part: SourceFile, homes: tuple[Home, ...]) -> Edition:
    return Edition("realtoxicityprompts", name, title, (part,), n_rows, homes, part_of="rtp")


REALTOXICITYPROMPTS = Source(
    name="realtoxicityprompts",
    title="RealToxicityPrompts",
    hub_id="allenai/real-toxicity-prompts",
    homes=(Home("hub", "allenai/real-toxicity-prompts", None),),
    url="https://huggingface.co/datasets/allenai/real-toxicity-prompts",
    licence="Apache-2.0",
    citation=(
        "Gehman et al. 2020, RealToxicityPrompts: Evaluating Neural Toxic Degeneration in Language Models, "
        "arXiv:2009.11462"
    ),
    editions=(
        Edition(
            source="realtoxicityprompts",
            name="rtp",
            title="all 99,442 prompts",
            parts=(SourceFile("prompts.jsonl", "rtp", 99442),),
            n_items=99442,
        ),
        Edition(
            source="realtoxicityprompts",
            name="challenging",
            title="those that the publishers flag as challenging, about 1,200",
            parts=(SourceFile("challenging.jsonl", "rtp-challenging", None, other_paths=("prompts.jsonl",)),),
            n_items=None,
            part_of="rtp",
        ),
        _sample(
            "rtp-quark",
            "5,000 prompts, the validation split of Quark (Lu et al. 2022)",
            5000,
            SourceFile(
                "data/toxicity/val.jsonl",
                "rtp",
                5000,
                other_paths=("toxicity/val.jsonl", "quark_val*.jsonl", "val.jsonl"),
                sha256="e04b11a04505777e3fdf6e31c74edec623033d8808290745ce0f211ddaf380a7",
            ),
            (Home("github", "GXimingLu/Quark", "30c9a0fe022b7d006b826abec2eb5d3ac288e637"),),
        ),
        _sample(
            "rtp-toxic",
            "1,200 toxic prompts of DecodingTrust (Wang et al. 2023)",
            1200,
            SourceFile(
                "data/toxicity/user_prompts/toxic.jsonl",
                "rtp",
                1200,
                other_paths=("user_prompts/toxic.jsonl", "decodingtrust_toxic.jsonl", "toxic.jsonl"),
            ),
            _DECODINGTRUST,
        ),
        _sample(
            "rtp-nontoxic",
            "1,200 nontoxic prompts of DecodingTrust (Wang et al. 2023)",
            1200,
            SourceFile(
                "data/toxicity/user_prompts/nontoxic.jsonl",
                "rtp",
                1200,
                other_paths=("user_prompts/nontoxic.jsonl", "decodingtrust_nontoxic.jsonl", "nontoxic.jsonl"),
                sha256="feb50408f49585752bb8cbbb10d1a340ec45783358251299ea9a82ab19606823",
            ),
            _DECODINGTRUST,
        ),
    ),
    starter="realtoxicity.jsonl",
)
