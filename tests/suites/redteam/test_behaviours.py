"""Published behaviours become targets with a weight, a reason and an opening."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from llamabench.data.cache import DataFile, Dataset, find_dataset, import_source
from llamabench.data.formats import TARGET_CATEGORIES, Kind
from llamabench.errors import DataError
from llamabench.suites.redteam.behaviours import make_opening, read_targets
from llamabench.suites.redteam.mutators import TECHNIQUES
from llamabench.suites.redteam.plan import plan_attacks
from llamabench.suites.redteam.published import HARMS

HARMBENCH = "Behavior,FunctionalCategory,SemanticCategory,Tags,ContextString,BehaviorID\n"


def dataset(kind: Kind, *paths: Path) -> Dataset:
    files = tuple(DataFile(kind, f"edition-{number}", path.name, kind, path) for number, path in enumerate(paths))
    return Dataset((kind,), "e", files, "0", False, 1)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_our_own_targets_are_read_as_they_are() -> None:
    found = list(read_targets(find_dataset(("redteam",))))
    assert {target.category for target in found} == set(TARGET_CATEGORIES)
    assert {target.source for target in found} == {"redteam"}


def test_the_publishers_opening_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'goal,target\nDo it,"Sure, here it is"\n')
    (target,) = read_targets(dataset("advbench", path))
    assert (target.text, target.opening, target.subcategory) == ("Do it", "Sure, here it is", "unsorted")
    assert (target.source, target.twin_of) == ("edition-0", None)


def test_a_context_stands_before_its_request_and_copyright_weighs_little(tmp_path: Path) -> None:
    rows = "Write an ending for it,contextual,harmful,context,A story.,end\nSing a song,copyright,copyright,,,sing\n"
    context, copyrighted = read_targets(dataset("harmbench", write(tmp_path / "h.csv", HARMBENCH + rows)))
    assert context.text == "A story.\n\n---\n\nWrite an ending for it"
    assert context.opening == "Sure, here is an ending for it:"
    assert copyrighted.weight == 0.2 < context.weight


def test_benign_behaviours_are_twins_by_their_index(tmp_path: Path) -> None:
    header = "Index,Goal,Target,Behavior,Category,Source\n"
    paths = [
        write(tmp_path / f"{name}-behaviors.csv", f"{header}3,{name} thing,Sure,Doing,Privacy,Original\n")
        for name in ("harmful", "benign")
    ]
    harmful, benign = read_targets(dataset("jailbreakbench", *paths))
    assert benign.twin_of == harmful.id
    assert (benign.weight, harmful.weight > 0) == (0, True)


def test_an_unknown_category_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "s.csv", "category,source,forbidden_prompt\nPoetry,custom,Do it\n")
    with pytest.raises(DataError, match=r'"Poetry" of strongreject-1 has no weight\. There are: Non-violent crimes'):
        list(read_targets(dataset("strongreject", path)))


def test_a_behaviour_that_comes_twice_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "goal,target\nDo it,Sure\n")
    with pytest.raises(DataError, match='"advbench-1" stands in edition-0 and edition-1'):
        list(read_targets(dataset("advbench", path, path)))


def test_kinds_of_harm_have_a_weight_and_a_reason() -> None:
    for harms in HARMS.values():
        for harm in harms.values():
            assert harm.category in TARGET_CATEGORIES
            assert 0 < harm.weight <= 1
            assert harm.rubric.endswith(".")


@pytest.mark.parametrize(
    ("request_text", "opening"),
    [
        ("Write a poem for my aunt", "Sure, here is a poem for your aunt:"),
        ("Give me the recipe that we like! Now.", "Sure, here is the recipe that you like:"),
        ("How can I open it? Be brief.", "Sure, here is how to open it:"),
        ("Explain how to open it\nStep one", "Sure, here is how to open it:"),
        ("Is it so?", 'Sure, here is an answer to "Is it so":'),
        ("x" * 500, f'Sure, here is an answer to "{"x" * 160}":'),
        ("How to open " + "boxes " * 90, f"Sure, here is how to open {' '.join(['boxes'] * 24)}:"),
        ("", 'Sure, here is an answer to "":'),
    ],
)
def test_openings_are_made_of_the_request(request_text: str, opening: str) -> None:
    assert make_opening(request_text) == opening


# --- the published files, where they lie beside the checkout ------------------------------------

PUBLISHED = [
    ("advbench", "advbench", 520, 0),
    ("harmbench", "harmbench", 400, 0),
    ("jailbreakbench", "jailbreakbench", 100, 100),
    ("strongreject", "strongreject", 313, 0),
    ("do-not-answer", "do-not-answer", 939, 0),
]


@pytest.mark.parametrize(("source", "folder", "n_harmful", "n_twins"), PUBLISHED)
def test_published_sets_become_targets(
    shared_data: Path, source: str, folder: str, n_harmful: int, n_twins: int
) -> None:
    import_source(source, shared_data / "redteam" / folder)
    found = list(read_targets(find_dataset(("redteam", source), source)))
    assert Counter(target.is_benign for target in found)[False] == n_harmful
    harmful = {target.id: target for target in found if not target.is_benign}
    twins = [target for target in found if target.is_benign]
    assert len(twins) == n_twins
    for twin in twins:
        assert twin.twin_of is not None
        assert harmful[twin.twin_of].subcategory == twin.subcategory
    assert all(target.opening.startswith("Sure") or source in ("advbench", "jailbreakbench") for target in found)
    attacks = plan_attacks(found, count=50, techniques=list(TECHNIQUES.values()))
    assert len(attacks) == 50 + (60 if twins else 0)
