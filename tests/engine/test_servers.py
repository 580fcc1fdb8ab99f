"""Servers that are not there, are busy, or are something else; addresses that are none."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from rpc import Server, free_port

from llamabench.engine import servers
from llamabench.engine.servers import PROTOCOL, Address, check_port, check_server, parse_address, resolve_host
from llamabench.errors import EngineError, ServerError

GREETING = bytes([14]) + (24).to_bytes(8, "little") + bytes(24)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:50052", Address("127.0.0.1", 50052)),
        (" workshop.local:1 ", Address("workshop.local", 1)),
        ("h:65535", Address("h", 65535)),
        ("h:65536", None),
        ("h:0", None),
        ("h:-1", None),
        ("h", None),
        (":50052", None),
        ("h:port", None),
        ("h:50052:1", None),
        ("http://h:50052", None),
        ("[::1]:50052", None),
        ("::1:50052", None),
        ("me@h:50052", None),
        ("h 1:50052", None),
        ("", None),
    ],
)
def test_addresses(text: str, address: Address | None) -> None:
    assert parse_address(text) == address


@contextlib.contextmanager
def listener(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Something that listens, takes the greeting of one client and answers it."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def serve() -> None:
            client, _ = listening.accept()
            with client:
                assert client.recv(1024) == GREETING
                answer(client)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


def speak(*version: int) -> Callable[[socket.socket], None]:
    return lambda client: client.sendall((28).to_bytes(8, "little") + bytes(version) + bytes(25))


@pytest.mark.usefixtures("loopback")
@pytest.mark.parametrize("version", [(*PROTOCOL, 0), (*PROTOCOL, 9)])
def test_a_server_of_the_same_protocol_is_fine(version: tuple[int, ...]) -> None:
    with listener(speak(*version)) as address:
        check_server(address)


@pytest.mark.usefixtures("loopback")
@pytest.mark.parametrize("version", [(6, 0, 0), (7, 1, 0), (8, 0, 0)])
def test_another_version_of_the_protocol_is_named(version: tuple[int, ...]) -> None:
    spoken = ".".join(map(str, version))
    words = f"speaks version {spoken} of llama.cpp's RPC protocol, this machine 7.0. Install the same"
    with listener(speak(*version)) as address, pytest.raises(ServerError, match=words) as caught:
        check_server(address)
    assert caught.value.address == address


@pytest.mark.usefixtures("loopback")
@pytest.mark.parametrize(
    "answer",
    [
        lambda client: None,
        lambda client: client.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"),
        lambda client: client.sendall((3).to_bytes(8, "little") + bytes(3)),
    ],
    ids=["silence", "web", "old"],
)
def test_something_else_that_listens(answer: Callable[[socket.socket], None]) -> None:
    with listener(answer) as address, pytest.raises(ServerError, match=r"is no RPC server of llama\.cpp that speaks"):
        check_server(address)


@pytest.mark.usefixtures("loopback")
def test_a_busy_server_takes_the_connection_and_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_ANSWER_S", 0.1)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(ServerError, match=r"did not answer within 0\.1 s\. It serves one program at a time"):
            check_server(address)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(), "No server listens at far:7. Start one there: llamabench rpc-server --host far "),
        (TimeoutError(), "far:7 cannot be reached within 5 s. Start one there"),
        (socket.gaierror(-2, "Name or service not known"), "There is no machine called 'far'"),
        (OSError(113, "No route to host"), r"far:7 cannot be reached \(No route to host\)"),
    ],
)
def test_servers_that_cannot_be_reached(error: OSError, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(socket.socket, "connect", fail)
    with pytest.raises(ServerError, match=words) as caught:
        check_server("far:7")
    assert caught.value.address == "far:7"


def test_an_address_that_is_none_is_not_asked() -> None:
    with pytest.raises(ServerError, match="'far' is no address of a server"):
        check_server("far")


@pytest.mark.rpc
@pytest.mark.model
@pytest.mark.usefixtures("loopback")
def test_the_protocol_is_that_of_the_installed_library() -> None:
    with Server() as server, socket.socket() as connection:
        check_server(server.address)
        host, port = server.address.split(":")
        connection.connect((host, int(port)))
        assert tuple(servers._greet(connection))[:2] == PROTOCOL


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        address = Address("127.0.0.1", listening.getsockname()[1])
        with pytest.raises(EngineError, match=rf"cannot listen at 127\.0\.0\.1:{address.port}: .+ --port"):
            check_port(address)
    check_port(Address("127.0.0.1", free_port()))


def test_names_become_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_host("127.0.0.1") == "127.0.0.1"

    def fail(_: str) -> str:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "gethostbyname", fail)
    with pytest.raises(EngineError, match="'nowhere' is no name or IPv4 address of this machine: Name or service"):
        resolve_host("nowhere")
