"""`rpc-server` as people start and end it, and `--rpc` as they write it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rpc import free_port, skip_without_rpc

from llamabench.engine.servers import check_server
from llamabench.errors import ServerError
from llamabench.hardware.machine import read_machine

Command = Callable[..., Any]
MIB = 1 << 20


@contextlib.contextmanager
def serving(*options: str, **environment: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command in a process of its own, when it listens; its address."""
    skip_without_rpc()
    port = free_port()
    started = subprocess.Popen(
        [sys.executable, "-m", "llamabench", "rpc-server", "--port", str(port), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    with started as process:
        try:
            wait_for(lambda: process.poll() is not None or is_there(f"127.0.0.1:{port}"))
            yield f"127.0.0.1:{port}", process
        finally:
            process.kill()


def is_there(address: str) -> bool:
    try:
        check_server(address)
    except ServerError:
        return False
    return True


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def interrupt(process: subprocess.Popen[str]) -> tuple[str, str]:
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=20)


@pytest.mark.rpc
@pytest.mark.model
@pytest.mark.usefixtures("loopback")
def test_it_serves_until_ctrl_c() -> None:
    with serving("--threads", "1", "--memory", "700M") as (address, process):
        machine = read_machine(rpc_servers=(address,))
        out, err = interrupt(process)
        assert process.returncode == 0
        assert not is_there(address)
    (device,) = [device for device in machine.devices if device.backend == "RPC"]
    assert (device.name, device.description) == ("RPC0", address)
    assert (device.free_bytes, device.total_bytes) == (700 * MIB, 700 * MIB)
    assert out == f"Serving at {address}. Use it with: llamabench run MODEL --rpc {address}\n"
    assert err.endswith("The server has ended.\n")
    assert "Careful" not in err


@pytest.mark.rpc
@pytest.mark.model
@pytest.mark.usefixtures("loopback")
def test_without_a_limit_it_tells_what_is_free_not_what_is_installed() -> None:
    with serving() as (address, _):
        machine = read_machine(rpc_servers=(address,))
    (device,) = [device for device in machine.devices if device.backend == "RPC"]
    assert device.free_bytes < device.total_bytes
    assert device.free_bytes == pytest.approx(machine.ram_available_bytes, rel=0.5)


@pytest.mark.rpc
@pytest.mark.model
@pytest.mark.usefixtures("loopback")
def test_an_address_that_others_reach_brings_a_warning_and_a_cache_its_folder(tmp_path: Path) -> None:
    with serving("--host", "0.0.0.0", "--cache", XDG_CACHE_HOME=str(tmp_path), HOME=str(tmp_path)) as (_, process):
        _, err = interrupt(process)
    assert "Careful: everyone who reaches 0.0.0.0:" in err
    assert "no password and no encryption" in err
    (folder,) = tmp_path.glob("**/rpc")
    assert f"Weights are kept in {folder}." in err


@pytest.mark.rpc
@pytest.mark.model
@pytest.mark.usefixtures("loopback")
def test_the_server_does_not_outlive_its_command() -> None:
    with serving() as (address, process):
        process.kill()
        process.wait()
        wait_for(lambda: not is_there(address))


def test_a_port_in_use_is_an_error(llamabench: Command) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        done = llamabench("rpc-server", "--port", str(port))
    assert (done.code, done.out) == (1, "")
    assert (
        f"Error: A server cannot listen at 127.0.0.1:{port}: Address already in use. Choose another --port" in done.err
    )


@pytest.mark.parametrize("address", ["here", "1.2.3.4", "1.2.3.4:x", "http://1.2.3.4:50052", "[::1]:50052"])
def test_what_is_no_address_is_wrong_usage(llamabench: Command, demo_model: Path, address: str) -> None:
    done = llamabench("run", str(demo_model), "--rpc", address)
    assert done.code == 2
    assert f"{address!r} is no HOST:PORT. Write 192.168.1.5:50052 or workshop:50052." in done.err


@pytest.mark.rpc
@pytest.mark.model
def test_a_server_that_is_not_there_ends_the_run_before_it_begins(llamabench: Command, demo_model: Path) -> None:
    skip_without_rpc()
    address = f"127.0.0.1:{free_port()}"
    done = llamabench("run", str(demo_model), "--rpc", address, "--limit", "2")
    assert done.code == 1
    assert done.out == ""
    assert f"Error: No server listens at {address}. Start one there: llamabench rpc-server --host" in done.err
    assert not Path("llamabench-runs").exists()


@pytest.mark.rpc
@pytest.mark.model
@pytest.mark.usefixtures("loopback")
def test_a_plan_shows_what_a_server_would_hold(llamabench: Command, demo_model: Path) -> None:
    with serving("--memory", "1G") as (address, _):
        done = llamabench("plan", str(demo_model), "--rpc", address, "--gpu-layers", "2", "--json")
    document = json.loads(done.out)
    assert [part["device"] for part in document["plan"]["layout"]] == ["RPC0", "CPU"]
    assert document["plan"]["rpc_servers"] == [address]
    assert f"--rpc {address} --gpu-layers 2 " in document["flags"]


@pytest.mark.rpc
@pytest.mark.model
@pytest.mark.usefixtures("loopback")
def test_a_card_that_is_not_here_joins_a_server_that_is(llamabench: Command, demo_model: Path) -> None:
    with serving("--memory", "1G") as (address, _):
        options = ("--vram", "1G", "--gpu-layers", "5", "--tensor-split", "2,3")
        done = llamabench("plan", str(demo_model), "--rpc", address, *options, "--json")
    document = json.loads(done.out)
    assert [part["device"] for part in document["plan"]["layout"]] == ["RPC0", "CUDA0", "CPU"]
