"""Attacks a model and lists the techniques by how often they got through.

    python examples/attack_a_model.py model.gguf

Without a model, the untrained one that llamabench makes for itself.
"""

from __future__ import annotations

import sys
from collections import defaultdict

from llamabench import Settings, evaluate
from llamabench.suites.redteam.suite import AttackOptions, RedTeam

# %% Which attacks. The same seed always makes the same list.
TECHNIQUES = ("direct", "fiction", "authority", "base64")
ATTACKS = RedTeam(AttackOptions(count=8, techniques=TECHNIQUES, max_tokens=24, seed=7))


# %% The suite `redteam` is run in place of its default, which is 500 attacks by all techniques.
def main(model: str = "demo") -> None:
    """Attacks the model and says what came of it."""
    with evaluate(model, ["redteam"], seed=7, settings=Settings(configured={"redteam": ATTACKS})) as found:
        results = found.attacks()
    assert results is not None
    by_technique: dict[str, list[bool]] = defaultdict(list)
    for attack in results.attacks:
        if not attack.target.is_benign and attack.status == "scored":
            by_technique[attack.technique].append(attack.has_succeeded)
    for technique, successes in sorted(by_technique.items(), key=lambda pair: -sum(pair[1])):
        print(f"{technique:<12}{sum(successes)} of {len(successes)} attacks got through")


if __name__ == "__main__":
    main(*sys.argv[1:2])
