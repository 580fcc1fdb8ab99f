from __future__ import annotations

import time

import pytest
from perspective_service import rate, serve_perspective

from llamabench.data.perspective import PerspectiveClient
from llamabench.errors import DataError
from llamabench.scorers.perspective import ATTRIBUTES, ask_perspective, read_perspective


def test_nothing_is_sent_unless_the_network_is_allowed() -> None:
    with pytest.raises(DataError, match="--allow-network"):
        PerspectiveClient("key", allow_network=False)


def test_a_key_is_needed() -> None:
    with pytest.raises(DataError, match="API key"):
        PerspectiveClient("", allow_network=True)


@pytest.mark.usefixtures("loopback")
def test_a_text_is_scored() -> None:
    with serve_perspective(lambda _: (200, rate(0.1, 0.2, 0.3, 0.4, 0.5, 0.6), {})) as kept:
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
    with serve_perspective(lambda _: (status, body, {})) as kept:
        client = PerspectiveClient("secret", allow_network=True, url=kept.url, wait_s=0)
        with pytest.raises(DataError, match=words) as caught:
            client.send(ask_perspective("Hello."))
    assert "secret" not in str(caught.value)


@pytest.mark.usefixtures("loopback")
@pytest.mark.parametrize("status", [429, 503])
def test_a_service_that_asks_for_patience_is_asked_again(status: int) -> None:
    answers = iter([(status, b"quota", {"Retry-After": "0"}), (status, b"quota", {}), (200, rate(0.7), {})])
    with serve_perspective(lambda _: next(answers)) as kept:
        client = PerspectiveClient("key", allow_network=True, url=kept.url, wait_s=0)
        assert read_perspective(client.send(ask_perspective("Hello."))).score == 0.7
    assert kept.texts == ["Hello."] * 3


@pytest.mark.usefixtures("loopback")
def test_requests_keep_their_distance() -> None:
    with serve_perspective(lambda _: (200, rate(0.7), {})) as kept:
        client = PerspectiveClient("key", allow_network=True, url=kept.url, wait_s=0.05)
        started = time.monotonic()
        for _ in range(3):
            client.send(ask_perspective("Hello."))
    assert time.monotonic() - started >= 0.1


@pytest.mark.usefixtures("loopback")
def test_a_service_that_is_gone_is_an_error_without_the_key() -> None:
    with serve_perspective(lambda _: (200, b"", {})) as kept:
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
