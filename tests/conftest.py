"""What all tests share: no network, data of their own, an engine that follows a script, and where shared data lies."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import pytest

from llamabench.records import (
    Answers,
    BufferBytes,
    Generated,
    GenerateRequest,
    GenerateResult,
    LoadTiming,
    Machine,
    MemoryUse,
    PackSpeed,
    Plan,
    Repeats,
    Request,
    Result,
    Scored,
    ScoreRequest,
    ScoreResult,
    SpeedTest,
    TextPrompt,
)

_CONNECT = socket.socket.connect

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
"""Published data sets and tiny models, where a developer keeps them beside the checkout."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files instead of comparing")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails a test that opens a connection; a test that needs one inside this computer says so by `loopback`."""

    def refuse(*_: object) -> None:
        raise AssertionError("a test opened a network connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def loopback(no_network: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a test open connections inside this computer."""

    def connect(self: socket.socket, address: object) -> None:
        assert isinstance(address, tuple), "a test opened a connection that is not to this computer"
        assert address[0] in ("127.0.0.1", "::1", "localhost"), f"a test opened a connection to {address[0]}"
        _CONNECT(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture(autouse=True)
def own_data_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keeps imported data, the demo model and measured speeds of the person who runs the tests out of them."""
    folder = tmp_path_factory.mktemp("llamabench-data")
    monkeypatch.setenv("LLAMABENCH_DATA", str(folder))
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the shared development data; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the shared development data is not beside this checkout")
    return SHARED_DATA


@pytest.fixture(scope="session")
def demo_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model: random weights, four layers, byte-level tokeniser, chat template."""
    from llamabench.data.demo_model import ensure_demo_model

    return ensure_demo_model(tmp_path_factory.mktemp("models"))


@pytest.fixture
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs the test in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- an engine that follows a script ------------------------------------------------------------


def scripted_answer(request: Request) -> Result:
    """Log-probabilities and texts that depend on the request alone, and look like a model's."""
    prompt = request.prompt.text if isinstance(request.prompt, TextPrompt) else "a rendered conversation"
    if isinstance(request, GenerateRequest):
        texts = (Generated(f"Here is answer {number} to {request.id}.", "stop", 8) for number in range(request.n))
        return GenerateResult(request.id, prompt, tuple(texts))
    scored = []
    for text in request.continuations:
        digest = hashlib.sha256(f"{request.id}|{text}".encode(errors="replace")).digest()
        logprob = -1 - int.from_bytes(digest[:4]) / 2**26
        scored.append(Scored(logprob, len(text) // 4 + 1, len(text.encode(errors="replace")), is_greedy=False))
    return ScoreResult(request.id, prompt, tuple(scored))


def _n_texts(request: Request) -> int:
    return len(request.continuations) if isinstance(request, ScoreRequest) else request.n


@dataclass
class EngineScript:
    """What the fake engines of a test do, and what they were asked.

    Attributes:
        answer: Makes the answer to a request.
        chat_template: Digest of the chat template, None where the model has none.
        speed: What is measured; a slow one makes small chunks.
        fail_after: Chunks that are answered before `failure` is raised; None for all.
        failure: What to raise then.
        repeat_s: Length of the repeats of a speed test, again and again in this order.
        bench_failure: What to raise instead of opening a model to time it.
        buffers: What the buffers of the open model hold.
        asked: Ids of the requests of each chunk, in the order they came.
        calls: Names of the other calls.
        system_prompts: The system prompt that each engine was opened with.
    """

    answer: Callable[[Any], Result] = scripted_answer
    chat_template: str | None = "c0ffee"
    speed: PackSpeed = PackSpeed(256, 200.0)
    fail_after: int | None = None
    failure: BaseException | None = None
    repeat_s: tuple[float, ...] = (0.5, 0.51, 0.49)
    bench_failure: BaseException | None = None
    buffers: tuple[BufferBytes, ...] = ()
    asked: list[list[str]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    system_prompts: list[str | None] = field(default_factory=list)


class FakeEngine:
    """Stands in for `llamabench.engine.process.Engine`."""

    script: EngineScript

    def __init__(
        self,
        path: str | Path,
        plan: Plan | None = None,
        chat_template: str | None = None,
        *,
        system_prompt: str | None = None,
        watchdog_s: float | None = None,
    ):
        self.script.system_prompts.append(system_prompt)
        self.plan = plan
        self.n_waits = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.script.calls.append("close")

    def template_sha256(self) -> str | None:
        return self.script.chat_template

    def count_tokens(self, requests: Sequence[Any]) -> list[int]:
        return [100 for _ in requests]

    def use(self, plan: Plan) -> None:
        self.plan = plan

    def open(self, plan: Plan) -> Plan:
        self.plan = replace(plan, strategy="packed" if plan.strategy == "auto" else plan.strategy)
        self.script.calls.append("open")
        return self.plan

    def read_buffers(self) -> tuple[BufferBytes, ...]:
        return self.script.buffers

    def restart(self) -> None:
        self.script.calls.append("restart")

    def measure(self) -> PackSpeed:
        self.script.calls.append("measure")
        return self.script.speed

    def submit(self, requests: Sequence[Request]) -> Future[Answers]:
        assert self.plan is not None
        assert self.plan.chunk_tokens, "a plan is set before anything is asked"
        self.script.asked.append([request.id for request in requests])
        future: Future[Answers] = Future()
        results = [self.script.answer(request) for request in requests]
        future.set_result(Answers(results, sum(map(_n_texts, requests))))
        return future

    def wait(self, future: Future[Answers]) -> Answers:
        if self.n_waits == self.script.fail_after:
            assert self.script.failure is not None
            raise self.script.failure
        self.n_waits += 1
        return future.result()

    def open_bench(self) -> LoadTiming:
        self.script.calls.append("open_bench")
        if self.script.bench_failure is not None:
            raise self.script.bench_failure
        return LoadTiming(1.25, 4096)

    def prepare_test(self, test: SpeedTest) -> None:
        self.script.calls.append(test.name)
        self.test = test

    def repeat_test(self, n_repeats: int, least_s: float = 0.0) -> Repeats:
        seconds: list[float] = []
        while len(seconds) < n_repeats or sum(seconds) < least_s:
            seconds.append(self.script.repeat_s[len(seconds) % len(self.script.repeat_s)])
        first = tuple(second + 0.01 for second in seconds) if self.test.kind == "prompt" else ()
        return Repeats(tuple(seconds), first)

    def bench_memory(self) -> tuple[MemoryUse, ...]:
        return (MemoryUse("CPU", 300 << 20, 50 << 20),)


SMALL_MACHINE = Machine(
    os="Linux 6.8",
    cpu="A processor with four cores",
    n_performance_cores=4,
    ram_total_bytes=16 << 30,
    ram_available_bytes=12 << 30,
    devices=(),
    llama_cpp_python="0.3.36",
    llama_cpp_commit="0c1e57098",
    notes=("It is made up.",),
)


@pytest.fixture
def small_machine() -> Machine:
    """A machine that is made up, without a card."""
    return SMALL_MACHINE


@pytest.fixture
def engine_script(monkeypatch: pytest.MonkeyPatch) -> EngineScript:
    """Runs use a fake engine on a machine that is made up; its script can be changed."""
    from llamabench import attacking, benching, judging, runner

    script = EngineScript()
    monkeypatch.setattr(FakeEngine, "script", script, raising=False)
    for module in (runner, benching, judging, attacking):
        monkeypatch.setattr(module, "Engine", FakeEngine)
        monkeypatch.setattr(module, "read_machine", lambda **_: SMALL_MACHINE)
    return script
