"""Every technique of attack, by name."""

from __future__ import annotations

from llamabench.suites.redteam.adaptive import ADAPTIVE
from llamabench.suites.redteam.conversations import CONVERSATIONS
from llamabench.suites.redteam.encodings import ENCODINGS
from llamabench.suites.redteam.framing import DIRECT, FRAMING
from llamabench.suites.redteam.injection import INJECTION
from llamabench.suites.redteam.language import LANGUAGE
from llamabench.suites.redteam.pressure import PRESSURE
from llamabench.suites.redteam.sampling import SAMPLING
from llamabench.suites.redteam.shots import SHOTS
from llamabench.suites.redteam.splitting import SPLITTING
from llamabench.suites.redteam.technique import Technique

TECHNIQUES: dict[str, Technique] = {
    technique.name: technique
    for technique in (
        DIRECT,
        *FRAMING,
        *PRESSURE,
        *INJECTION,
        *SPLITTING,
        *SHOTS,
        *ENCODINGS,
        *LANGUAGE,
        *SAMPLING,
        *CONVERSATIONS,
        *ADAPTIVE.values(),
    )
}
"""Every technique that may be asked for."""
