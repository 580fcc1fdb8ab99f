"""The engine's process ends alone: the parent lives on and says in one sentence what happened."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import psutil
import pytest

from llamabench.engine.process import PLAIN_PLAN, Engine
from llamabench.errors import EngineError, ModelFileError
from llamabench.records import (
    ContextPlan,
    Failure,
    GenerateRequest,
    GenerateResult,
    Plan,
    Sampling,
    ScoreRequest,
    ScoreResult,
    TextPrompt,
)

pytestmark = pytest.mark.model

QUESTION = ScoreRequest("q", TextPrompt("The quick brown fox jumps over the lazy"), (" dog", " cat"))
LONG_WORK = [
    ScoreRequest(str(n), TextPrompt(f"{n} " * 700), tuple(f" {m} the end" for m in range(20))) for n in range(100)
]
FEW_OUTPUTS = dataclasses.replace(
    PLAIN_PLAN,
    scoring=ContextPlan(512, n_seq_max=64, n_batch=64, n_ubatch=64, n_outputs_max=4, kv_unified=True),
)
"""llama.cpp ends the process that opens a context with more sequences than output rows."""

OPEN_ENGINE = """
import sys, time
from llamabench.engine.process import Engine

if __name__ == "__main__":
    print("starting", flush=True)
    with Engine(sys.argv[1]) as engine:
        engine.score_tokens([([1, 2], [[3]])])
        print(engine.process_id, flush=True)
        time.sleep(60)
"""


@pytest.fixture
def engine(demo_model: Path) -> Iterator[Engine]:
    with Engine(demo_model) as opened:
        yield opened


@pytest.fixture
def start_script(demo_model: Path, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts a program that opens an engine, in a process group of its own."""
    script = tmp_path / "open_engine.py"
    script.write_text(OPEN_ENGINE, encoding="utf-8")
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(script), str(demo_model)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "starting\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def is_alive(process_id: int) -> bool:
    try:
        return psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until_gone(process_id: int, timeout_s: float = 5) -> None:
    deadline = time.monotonic() + timeout_s
    while is_alive(process_id):
        assert time.monotonic() < deadline, "the process that owns the model is still there"
        time.sleep(0.02)


# --- a life -------------------------------------------------------------------------------------


def test_engine_scores_generates_and_ends(demo_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Engine(demo_model) as engine:
        (scored,) = engine.score([QUESTION])
        assert isinstance(scored, ScoreResult)
        assert [s.n_tokens for s in scored.continuations] == [3, 2]
        (generated,) = engine.generate([GenerateRequest("g", TextPrompt("The sea"), Sampling(5))])
        assert isinstance(generated, GenerateResult)
        ((tokens,),) = engine.score_tokens([([1, 2, 3], [[4, 5]])])
        assert len(tokens.token_logprobs) == 2
        assert engine.count_tokens([QUESTION]) == [33]
        assert len(engine.template_sha256() or "") == 64
        assert engine.open(dataclasses.replace(PLAIN_PLAN, pack_tokens=64)).strategy == "packed"
        assert engine.score([QUESTION])[0].id == "q"
        process_id, folder = engine.process_id, Path(engine._folder.name)
        assert process_id is not None
        assert process_id != os.getpid()
    assert not psutil.pid_exists(process_id)
    assert not folder.exists()
    assert capfd.readouterr() == ("", "")


def test_chat_template_given_is_used(demo_model: Path) -> None:
    with Engine(demo_model, chat_template="{{ messages[0].content }}") as given, Engine(demo_model) as own:
        assert given.template_sha256() != own.template_sha256()


def test_bad_requests_are_errors_and_do_no_harm(engine: Engine) -> None:
    before = engine.score([QUESTION])
    for bad in (([], [[1]]), ([1], [[]]), ([1], [[-1]]), ([1], [[10**6]]), ([1] * 5000, [[2]])):
        with pytest.raises(EngineError, match=r"empty|outside the vocabulary|room for"):
            engine.score_tokens([bad])
    assert isinstance(engine.score([dataclasses.replace(QUESTION, continuations=("",))])[0], Failure)
    assert engine.score([QUESTION]) == before


def test_many_calls_keep_the_memory(engine: Engine) -> None:
    process = psutil.Process(engine.process_id)
    request = GenerateRequest("g", TextPrompt("The sea"), Sampling(2, 1.0), n=2)
    sizes = []
    for _ in range(5):
        for _ in range(40):
            engine.score([QUESTION])
        sizes.append(process.memory_info().rss)
    engine.generate([request])
    start = process.memory_info().rss
    for _ in range(40):
        engine.generate([request])
    sizes.append(sizes[1] + process.memory_info().rss - start)
    print("RSS", [x / 1e6 for x in sizes])
    assert max(sizes[2:]) - sizes[1] < 2 << 20, sizes


# --- files that are no models -------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda _: b"no model at all" * 100, id="no_gguf"),
        pytest.param(lambda whole: whole[:1000], id="header_cut"),
        pytest.param(lambda whole: whole[: len(whole) // 2], id="weights_cut"),
        pytest.param(lambda whole: whole.replace(b"llama", b"lmama"), id="unknown_architecture"),
    ],
)
def test_damaged_file(
    damage: Callable[[bytes], bytes], demo_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "damaged.gguf"
    path.write_bytes(damage(demo_model.read_bytes()))
    with Engine(path) as engine:
        for _ in range(2):
            with pytest.raises(ModelFileError, match=r"llama\.cpp cannot load .+damaged\.gguf: .+"):
                engine.score([QUESTION])
        with pytest.raises(ModelFileError):
            engine.open(PLAIN_PLAN)
    assert capfd.readouterr() == ("", "")


def test_missing_file(tmp_path: Path) -> None:
    with Engine(tmp_path / "missing.gguf") as engine, pytest.raises(ModelFileError, match=r"missing\.gguf"):
        engine.count_tokens([QUESTION])


# --- deaths -------------------------------------------------------------------------------------


def test_abort_is_told_in_its_own_words(demo_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Engine(demo_model, FEW_OUTPUTS) as engine:
        for _ in range(2):
            with pytest.raises(EngineError, match=r"llama\.cpp gave up on .+\.gguf: .*GGML_ASSERT\(.+\) failed"):
                engine.score([QUESTION])
        with pytest.raises(EngineError, match="GGML_ASSERT"):
            engine.count_tokens([QUESTION])
    assert capfd.readouterr() == ("", "")


def test_kill_in_the_middle_of_work(engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    engine.score([QUESTION])
    future = engine.submit(LONG_WORK)
    time.sleep(0.2)
    assert not future.done()
    assert engine.process_id is not None
    os.kill(engine.process_id, signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(EngineError, match=r"ended by SIGKILL\. The system .+ memory"):
            engine.wait(future)
    with pytest.raises(EngineError, match="SIGKILL"):
        engine.submit([QUESTION])
    assert capfd.readouterr() == ("", "")


def test_close_now_ends_work_in_progress(demo_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    engine = Engine(demo_model)
    engine.score([QUESTION])
    process_id = engine.process_id
    assert process_id is not None
    future = engine.submit(LONG_WORK)
    started = time.monotonic()
    engine.close(now=True)
    assert time.monotonic() - started < 2
    assert not psutil.pid_exists(process_id)
    with pytest.raises((EngineError, CancelledError)):
        engine.wait(future)
    assert capfd.readouterr() == ("", "")


def test_library_that_cannot_be_loaded(demo_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", str(tmp_path))
    with pytest.raises(EngineError, match=r"llama-cpp-python cannot be loaded \(.+\)\. Reinstall it: pip install"):
        Engine(demo_model)


def test_process_that_does_not_start(
    demo_model: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("multiprocessing.spawn._python_exe", b"/bin/false")
    with pytest.raises(EngineError, match=r"was to run .+ ended before it was ready"):
        Engine(demo_model)
    assert capfd.readouterr().out == ""


def test_a_script_without_a_guard_is_told_so_in_one_sentence(demo_model: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from llamabench import Engine, LlamabenchError\n"
        f"try:\n    Engine({str(demo_model)!r})\nexcept LlamabenchError as exc:\n    print(exc)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        f"The process that was to run {demo_model} ended before it was ready. Like every process of Python's "
        "multiprocessing it imports the script that starts it, and there it met the same call again. Put what the "
        'script does below `if __name__ == "__main__":`.'
    ]


def test_child_ends_with_a_killed_parent(start_script: Callable[[], subprocess.Popen[str]]) -> None:
    parent = start_script()
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert psutil.Process(child).ppid() == parent.pid
    parent.kill()
    wait_until_gone(child)


@pytest.mark.parametrize("after_s", [0.02, 0.06, 0.1, None], ids=["at_start", "soon", "importing", "at_work"])
def test_ctrl_c_is_the_parents(after_s: float | None, start_script: Callable[[], subprocess.Popen[str]]) -> None:
    parent = start_script()
    assert parent.stdout is not None
    if after_s is None:
        parent.stdout.readline()
    else:
        time.sleep(after_s)
    os.killpg(parent.pid, signal.SIGINT)
    _, errors = parent.communicate(timeout=10)
    assert errors.count("Traceback (most recent call last)") == 1
    assert errors.endswith("KeyboardInterrupt\n")
    assert "SpawnProcess" not in errors
    assert "worker" not in errors


def test_parent_never_loads_llama_cpp() -> None:
    check = "import sys, llamabench.engine.process as p; sys.exit('llama_cpp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_plain_plan_is_one_that_llama_cpp_takes() -> None:
    for context in (PLAIN_PLAN.scoring, PLAIN_PLAN.generation):
        assert context.n_seq_max <= context.n_outputs_max <= context.n_batch
    assert isinstance(PLAIN_PLAN, Plan)
