"""Measures every scorer against labels that it has not seen, beside what people use today.

    python benchmarks/scorers/measure.py DATA_FOLDER [--quick] [--write]

prints tables and one line for each target, and exits 1 when one is below. `--write` puts the tables into
`docs/scorers.md`. alt-profanity-check is compared with where it is installed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from agreement import cohen_kappa, f1, roc_auc, spearman
from labelled import Answered, Labelled, read_regard, read_sst2, read_tweets, read_xstest
from material import gather
from measuring import Target
from rivals import is_refused_by_phrases, load_profanity_check, read_bad_words
from tables import Table, write_docs
from train_refusal import train

from llamabench.scorers.refusal import RefusalJudge
from llamabench.scorers.regard import score_regard
from llamabench.scorers.sentiment import score_sentiment
from llamabench.scorers.toxicity import ToxicityScorer, shipped_scorer

_MARK = "measure.py"
_QUICK_ROWS = 300
_TOXIC = 0.5
_SETS = {
    "rtp": "RealToxicityPrompts, documents left out",
    "rtp_nontoxic": "RealToxicityPrompts, non-toxic prompts and their continuations",
    "wikipedia": "Wikipedia comments, people",
    "wikipedia_perspective": "Wikipedia comments, Perspective 2018",
    "hatecheck": "HateCheck",
    "dexperts": "DExperts, texts that models wrote, Perspective",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """What a part of the measurement found."""

    tables: list[Table]
    targets: list[Target]


def measure_toxicity(
    sets: dict[str, list[Labelled]], ours: ToxicityScorer, rivals: dict[str, Callable[[str], float]]
) -> Measured:
    """Compares scores with ratings: AUC and F1 at 0.5, and rank correlation where ratings are graded."""
    columns = ("texts", "n", "scorer", "AUC", "F1", "Spearman")
    rows: list[tuple[str, ...]] = []
    found: dict[str, tuple[float, float]] = {}
    for name, labelled in sets.items():
        attribute = "identity_attack" if name == "hatecheck" else "toxicity"
        ratings = [row.ratings[attribute] for row in labelled]
        truth, is_graded = [rating >= _TOXIC for rating in ratings], len(set(ratings)) > 2
        scorers = {"llamabench": lambda text: ours.score(text).score, **rivals}
        if attribute == "identity_attack":
            scorers["llamabench, identity attack"] = lambda text: ours.score(text).identity_attack
        for scorer, score in scorers.items():
            scores = [score(row.text) for row in labelled]
            auc, rho = roc_auc(truth, scores), spearman(ratings, scores) if is_graded else float("nan")
            if scorer == "llamabench":
                found[name] = (auc, rho)
            cells = (f"{auc:.3f}", f"{f1(truth, [s >= _TOXIC for s in scores]):.3f}", f"{rho:.3f}" if is_graded else "")
            rows.append((_SETS.get(name, name), str(len(labelled)), scorer, *cells))
    targets = [
        Target("toxicity: RealToxicityPrompts, Spearman", found["all of RealToxicityPrompts"][1], 0.75),
        Target("toxicity: RealToxicityPrompts, AUC", found["all of RealToxicityPrompts"][0], 0.90),
        Target("toxicity: Wikipedia comments, AUC", found["wikipedia"][0], 0.93),
        Target("toxicity: HateCheck, AUC", found["hatecheck"][0], 0.72),
    ]
    return Measured([Table("Toxicity", columns, rows)], targets)


def measure_refusal(answers: Sequence[Answered], step: int) -> Measured:
    """Trains on all models but one and judges that one: kappa for refused or not, and for the three classes."""
    rows: list[tuple[str, ...]] = []
    targets = []
    for model in sorted({row.source for row in answers}):
        judge = RefusalJudge(train([row for row in answers if row.source != model]))
        left_out = [row for row in answers if row.source == model][::step]
        labels = [row.label for row in left_out]
        verdicts = [judge.judge(row.request, row.answer) for row in left_out]
        found = [verdict.label if verdict else "full" for verdict in verdicts]
        phrases = [is_refused_by_phrases(row.answer) for row in left_out]
        truth = [label != "compliance" for label in labels]
        ours = cohen_kappa(truth, [label != "compliance" for label in found])
        rows.append((model, str(len(left_out)), "llamabench", f"{ours:.3f}", f"{cohen_kappa(labels, found):.3f}"))
        rows.append((model, str(len(left_out)), "AdvBench's phrases", f"{cohen_kappa(truth, phrases):.3f}", ""))
        targets.append(Target(f"refusal: {model} left out, kappa", ours, 0.75))
    columns = ("model left out", "n", "scorer", "kappa, refused or not", "kappa, three classes")
    return Measured([Table("Refusal, people's labels of XSTest", columns, rows)], targets)


def measure_sentiment(folder: Path, step: int) -> Measured:
    """Compares VADER with people's ratings of tweets, and with the classes of film reviews."""
    tweets, reviews = list(read_tweets(folder))[::step], list(read_sst2(folder, "test"))[::step]
    rho = spearman([rating for _, rating in tweets], [score_sentiment(text).compound for text, _ in tweets])
    auc = roc_auc([rating > 0 for _, rating in reviews], [score_sentiment(text).compound for text, _ in reviews])
    rows = [("tweets", str(len(tweets)), f"{rho:.3f}", ""), ("SST-2, test", str(len(reviews)), "", f"{auc:.3f}")]
    return Measured([Table("Sentiment (VADER)", ("texts", "n", "Spearman", "AUC"), rows)], [])


def measure_regard(folder: Path) -> Measured:
    """Compares regard with people's labels on the publishers' own dev and test splits."""
    rows = []
    for split in ("dev", "test"):
        labelled = list(read_regard(folder, split))
        labels = [label for _, label in labelled]
        found = [score_regard(text).label for text, _ in labelled]
        vader = [score_sentiment(text).label for text, _ in labelled]
        for name, guesses in (("llamabench", found), ("VADER, BOLD's thresholds", vader)):
            accuracy = sum(a == b for a, b in zip(labels, guesses, strict=True)) / len(labels)
            rows.append((split, str(len(labels)), name, f"{accuracy:.3f}", f"{cohen_kappa(labels, guesses):.3f}"))
    return Measured([Table("Regard (Sheng et al. 2019)", ("split", "n", "scorer", "accuracy", "kappa"), rows)], [])


def _thin(rows: list[Labelled], is_quick: bool) -> list[Labelled]:
    return rows[:: max(1, len(rows) // _QUICK_ROWS)] if is_quick else rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds validation and realtoxicityprompts")
    parser.add_argument("--quick", action="store_true", help="some 300 texts of each set: under a minute")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/scorers.md")
    parser.add_argument("--toxicity", type=Path, help="weights to measure instead of those that ship")
    asked = parser.parse_args()
    sets = {name: _thin(rows, asked.quick) for name, rows in gather(asked.data).test.items()}
    sets = {"all of RealToxicityPrompts": [*sets["rtp"], *sets["rtp_nontoxic"]], **sets}
    rivals: dict[str, Callable[[str], float]] = {"list of bad words": read_bad_words(asked.data)}
    if check := load_profanity_check():
        rivals["alt-profanity-check"] = check
    ours = ToxicityScorer(asked.toxicity) if asked.toxicity else shipped_scorer()
    step = 5 if asked.quick else 1
    parts = [
        measure_toxicity(sets, ours, rivals),
        measure_refusal(list(read_xstest(asked.data)), step),
        measure_sentiment(asked.data, step),
        measure_regard(asked.data),
    ]
    tables = [table for part in parts for table in part.tables]
    targets = [target for part in parts for target in part.targets]
    print("\n\n".join(table.text() for table in tables), end="\n\n")
    if asked.write:
        write_docs(_MARK, tables)
    for target in targets:
        print(target.line())
    sys.exit(any(not target.is_met for target in targets))


if __name__ == "__main__":
    main()
