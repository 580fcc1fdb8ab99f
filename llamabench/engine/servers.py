"""RPC servers of llama.cpp, seen from outside: their addresses, and whether one answers.

llama.cpp ends its process when a server cannot be reached, and waits for ever for one that is busy, so every server is
asked first. This is the only part of a run that opens a network connection, and to the servers that a person named
alone. Imports no llama.cpp.
"""

from __future__ import annotations

import re
import socket
from typing import NamedTuple

from llamabench.errors import EngineError, ServerError

PROTOCOL = (7, 0)
"""`RPC_PROTO_MAJOR_VERSION` and `RPC_PROTO_MINOR_VERSION` in ggml/include/ggml-rpc.h of llama.cpp commit 0c1e57098."""

_ADDRESS = re.compile(r"([^\s:/@\[\]]+):([0-9]{1,5})")
_HELLO = 14  # RPC_CMD_HELLO, the same in all versions
_CAPABILITIES_SIZE = 24  # RPC_CONN_CAPS_SIZE
_VERSION_SIZE = 4  # major, minor, patch, padding
_CONNECT_S, _ANSWER_S = 5.0, 30.0
"""Seconds to wait. A server serves one client at a time, and ends the work for one that left before it sees so."""


class Address(NamedTuple):
    """Where a server listens; a name or an IPv4 address, because llama.cpp knows no other."""

    host: str
    port: int


def parse_address(text: str) -> Address | None:
    """Reads `HOST:PORT`; None where it is none.

    >>> parse_address("192.168.1.5:50052")
    Address(host='192.168.1.5', port=50052)
    >>> parse_address("[::1]:50052")
    """
    match = _ADDRESS.fullmatch(text.strip())
    if match is None or not 0 < int(match[2]) < 1 << 16:
        return None
    return Address(match[1], int(match[2]))


def check_server(address: str) -> None:
    """Connects to a server, greets it and leaves.

    Args:
        address: `HOST:PORT`.

    Raises:
        ServerError: It cannot be reached, is busy, or speaks another version of the protocol.
    """
    parsed = parse_address(address)
    if parsed is None:
        raise ServerError(f"{address!r} is no address of a server. Write HOST:PORT, as in 192.168.1.5:50052.", address)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.settimeout(_CONNECT_S)
        try:
            connection.connect(parsed)
        except OSError as exc:
            raise _unreachable(address, parsed, exc) from exc
        connection.settimeout(_ANSWER_S)
        try:
            version = _greet(connection)
        except TimeoutError as exc:
            raise ServerError(
                f"The server at {address} did not answer within {_ANSWER_S:g} s. It serves one program at a time: "
                "wait until the other one has ended, or start it again.",
                address,
            ) from exc
        except OSError:
            version = b""
    _check_version(version, address)


def _greet(connection: socket.socket) -> bytes:
    """Sends a greeting without capabilities; the version that comes back, empty where something else does."""
    connection.sendall(bytes([_HELLO]) + _CAPABILITIES_SIZE.to_bytes(8, "little") + bytes(_CAPABILITIES_SIZE))
    size = _VERSION_SIZE + _CAPABILITIES_SIZE
    expected = size.to_bytes(8, "little")
    received = b""
    while len(received) < len(expected) + size:
        part = connection.recv(len(expected) + size - len(received))
        if not part:
            return b""
        received += part
    return received[len(expected) :][:3] if received.startswith(expected) else b""


def _unreachable(address: str, parsed: Address, error: OSError) -> ServerError:
    if isinstance(error, socket.gaierror):
        return ServerError(f"There is no machine called {parsed.host!r}, as --rpc {address} has it.", address)
    if isinstance(error, ConnectionRefusedError):
        what = f"No server listens at {address}"
    elif isinstance(error, TimeoutError):
        what = f"{address} cannot be reached within {_CONNECT_S:g} s"
    else:
        what = f"{address} cannot be reached ({error.strerror or error})"
    return ServerError(
        f"{what}. Start one there: llamabench rpc-server --host {parsed.host} --port {parsed.port}", address
    )


def _check_version(version: bytes, address: str) -> None:
    needed = ".".join(map(str, PROTOCOL))
    if not version:
        raise ServerError(
            f"What listens at {address} is no RPC server of llama.cpp that speaks protocol {needed}. "
            "Start one there with the same version of llama-cpp-python: llamabench rpc-server",
            address,
        )
    major, minor, _ = version
    if major != PROTOCOL[0] or minor > PROTOCOL[1]:
        spoken = ".".join(map(str, version))
        raise ServerError(
            f"The server at {address} speaks version {spoken} of llama.cpp's RPC protocol, this machine {needed}. "
            "Install the same version of llama-cpp-python on both.",
            address,
        )


def resolve_host(host: str) -> str:
    """The IPv4 address of one of this machine's names, which is all that llama.cpp can listen at.

    Raises:
        EngineError: There is none.
    """
    try:
        return socket.gethostbyname(host)
    except OSError as exc:
        raise EngineError(f"{host!r} is no name or IPv4 address of this machine: {exc.strerror or exc}.") from exc


def check_port(address: Address) -> None:
    """Tries whether a server could listen at an address.

    Raises:
        EngineError: It could not.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen()
        except OSError as exc:
            raise EngineError(
                f"A server cannot listen at {address.host}:{address.port}: {exc.strerror or exc}. "
                "Choose another --port, or end the program that uses this one."
            ) from exc
