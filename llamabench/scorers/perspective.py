"""What Perspective is asked and what it answers: pure; `llamabench.data.perspective` sends it.

Google ends the service with the year 2026 and changed its models without notice before, so that its scores cannot be
had again. It is here for comparison with older figures, as long as it answers.
"""

from __future__ import annotations

from llamabench.errors import DataError
from llamabench.records import Json
from llamabench.scorers.toxicity import Toxicity

ATTRIBUTES = ("TOXICITY", "IDENTITY_ATTACK", "INSULT", "THREAT", "PROFANITY", "SEXUALLY_EXPLICIT")
"""In the order of `Toxicity`'s fields."""
_MOST_BYTES = 20_480


def ask_perspective(text: str) -> dict[str, Json]:
    """Makes the body of an `comments:analyze` request, which asks that the text be not stored.

    Raises:
        ValueError: The text is empty or longer than the 20,480 bytes that the service takes.

    Source:
        developers.perspectiveapi.com, "Methods".
    """
    n_bytes = len(text.encode(errors="replace"))
    if not text.strip() or n_bytes > _MOST_BYTES:
        raise ValueError(f"Perspective takes texts of 1 to {_MOST_BYTES} bytes, not of {n_bytes}.")
    return {
        "comment": {"text": text},
        "languages": ["en"],
        "requestedAttributes": {name: {} for name in ATTRIBUTES},
        "doNotStore": True,
    }


def read_perspective(answer: Json) -> Toxicity:
    """Reads the summary scores of an answer.

    Raises:
        DataError: The answer is not of the documented form.
    """
    try:
        scores = answer["attributeScores"]  # type: ignore[index, call-overload]
        return Toxicity(*(float(scores[name]["summaryScore"]["value"]) for name in ATTRIBUTES))  # type: ignore
    except (KeyError, TypeError, ValueError) as exc:
        raise DataError(f"Perspective's answer has no score where one is documented: {str(answer)[:200]}") from exc
