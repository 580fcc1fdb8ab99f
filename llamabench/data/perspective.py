"""Sends requests to Google's Perspective, and only when the network is allowed in so many words."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request

from llamabench.errors import DataError, name_cause
from llamabench.records import Json

URL = "https://commentanalyzer.googleapis.com/v1alpha1/comments:analyze"
_TIMEOUT_S = 30.0
_MOST_ANSWER_BYTES = 1 << 20
_MOST_TRIES = 5
_MOST_WAIT_S = 60.0
_BUSY = (429, 503)
"""Statuses by which a service asks for patience: too many requests, and not available."""


class PerspectiveClient:
    """Asks Perspective, one request after the other.

    Every text that is asked about leaves this computer.

    Args:
        key: The API key; it never appears in a message.
        allow_network: Must be true; nothing else in a run opens a connection.
        url: Where the service is; None for Google's.
        wait_s: Least time between two requests; the service's usual quota is one a second.

    Raises:
        DataError: The network is not allowed, or the key is empty.
    """

    def __init__(self, key: str, *, allow_network: bool, url: str | None = None, wait_s: float = 1.0):
        if not allow_network:
            raise DataError(
                "Perspective is a web service, and the network is not allowed. Give --allow-network to send every text "
                "to Google, or leave it to the built-in scorer."
            )
        if not key:
            raise DataError(
                "Perspective needs an API key, and none was given. Put it into the environment as PERSPECTIVE_API_KEY."
            )
        self._address = f"{url or URL}?{urllib.parse.urlencode({'key': key})}"
        self._wait_s, self._next_s = wait_s, 0.0

    def send(self, body: Json) -> Json:
        """Sends one request and returns its answer; where the service asks for patience, it is sent again later.

        Raises:
            DataError: The service refused, did not answer, or answered something else than JSON.
        """
        for n_tries in range(1, _MOST_TRIES + 1):
            time.sleep(max(0.0, self._next_s - time.monotonic()))
            self._next_s = time.monotonic() + self._wait_s
            try:
                return self._send(body)
            except urllib.error.HTTPError as exc:
                with exc:
                    words = exc.read(300).decode(errors="replace")
                if exc.code not in _BUSY or n_tries == _MOST_TRIES:
                    raise DataError(f"Perspective refused a request with status {exc.code}: {words}") from None
                self._next_s = time.monotonic() + self._find_wait(exc.headers.get("Retry-After"), n_tries)
            except (OSError, ValueError) as exc:
                raise DataError(f"Perspective did not answer as documented: {name_cause(exc)}") from None
        raise AssertionError("the last try returns or raises")

    def _send(self, body: Json) -> Json:
        request = urllib.request.Request(
            self._address, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # nosec B310 # ours, or the user's own
            found: Json = json.loads(answer.read(_MOST_ANSWER_BYTES))
            return found

    def _find_wait(self, said: str | None, n_tries: int) -> float:
        """Seconds to wait: what the service says, else twice as long each time."""
        wait_s = float(said) if said is not None and said.isdecimal() else self._wait_s * 2**n_tries
        return min(wait_s, _MOST_WAIT_S)
