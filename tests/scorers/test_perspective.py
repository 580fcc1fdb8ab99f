from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest

from llamabench.data.perspective import PerspectiveClient
from llamabench.errors import DataError
from llamabench.scorers.perspective import ATTRIBUTES, ask_perspective, read_perspective

_CONNECT = socket.socket.connect
GOOD = {
    "attributeScores": {
        name: {"summaryScore": {"value": (n + 1) / 10, "type": "PROBABILITY"}} for n, name in enumerate(ATTRIBUTES)
    }
}


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the test connect to this computer."""

    def connect(self: socket.socket, address: tuple[str, int]) -> None:
        assert address[0] == "127.0.0.1"
        _CONNECT(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


@contextmanager
def service(status: int, body: bytes) -> Iterator[SimpleNamespace]:
    """A service on this computer that answers every request alike and keeps what it was asked."""
    kept = SimpleNamespace(asked=[], paths=[], url="")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.paths.append(self.path)
            kept.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_port}/v1alpha1/comments:analyze"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_nothing_is_sent_unless_the_network_is_allowed() -> None:
    with pytest.raises(DataError, match="--allow-network"):
        PerspectiveClient("key", allow_network=False)


def test_a_key_is_needed() -> None:
    with pytest.raises(DataError, match="API key"):
        PerspectiveClient("", allow_network=True)


@pytest.mark.usefixtures("loopback")
def test_a_text_is_scored() -> None:
    with service(200, json.dumps(GOOD).encode()) as kept:
        client = PerspectiveClient("a&b", allow_network=True, url=kept.url, wait_s=0)
        scores = read_perspective(client.send(ask_perspective("Hello.")))
    assert scores.score == 0.1
    assert scores.sexually_explicit == 0.6
    assert kept.paths == ["/v1alpha1/comments:analyze?key=a%26b"]
    assert kept.asked[0]["comment"] == {"text": "Hello."}
    assert kept.asked[0]["doNotStore"] is True
    assert set(kept.asked[0]["requestedAttributes"]) == set(ATTRIBUTES)


@pytest.mark.usefixtures("loopback")
@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (429, b"quota", "status 429: quota"),
        (403, b"no", "status 403"),
        (200, b"<html>", "did not answer as documented"),
    ],
)
def test_refusals_are_errors_without_the_key(status: int, body: bytes, words: str) -> None:
    with service(status, body) as kept:
        client = PerspectiveClient("secret", allow_network=True, url=kept.url, wait_s=0)
        with pytest.raises(DataError, match=words) as caught:
            client.send(ask_perspective("Hello."))
    assert "secret" not in str(caught.value)


@pytest.mark.usefixtures("loopback")
def test_a_service_that_is_gone_is_an_error_without_the_key() -> None:
    with service(200, b"") as kept:
        pass
    client = PerspectiveClient("secret", allow_network=True, url=kept.url, wait_s=0)
    with pytest.raises(DataError, match="did not answer") as caught:
        client.send(ask_perspective("Hello."))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("answer", [{}, [], None, {"attributeScores": {"TOXICITY": 3}}, {"attributeScores": []}])
def test_another_form_is_an_error(answer: object) -> None:
    with pytest.raises(DataError, match="no score"):
        read_perspective(answer)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "  ", "x" * 20_481])
def test_texts_that_the_service_does_not_take_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="20480 bytes"):
        ask_perspective(text)
