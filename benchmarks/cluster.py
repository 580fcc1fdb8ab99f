"""What a cluster costs and brings: a run on this machine, by one worker and by two of them over loopback.

    python benchmarks/cluster.py
    python benchmarks/cluster.py --quick

A model with random weights answers BBQ's starter items, one thread to a process, so that two workers on two cores are
two machines as far as one computer can be that. Seconds are those that the run stored for its chunks, without opening
the model. Every stored number is compared with that of the run on this machine.

Not covered: a network, whose latency is hidden as long as a chunk takes longer than its texts travel; machines that
differ; memory bandwidth, which two workers on one machine share and two machines do not.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from measuring import OthersWatch, Target, wait_until_quiet

from llamabench.data.demo_model import Shape, byte_vocabulary, write_random_model
from llamabench.results.store import Run

_SHAPE = Shape(n_layer=12, n_embd=512, n_head=8, n_head_kv=2, n_ff=1536, n_ctx=8192)


@contextlib.contextmanager
def started(*arguments: str, ready: str) -> Iterator[None]:
    """A process that is there while the block lasts, from the line on that holds some words."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    try:
        if not any(ready in line for line in process.stdout):
            raise SystemExit(f"{' '.join(arguments)} ended.")
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def workers(n_workers: int) -> Iterator[str]:
    """A scheduler with so many workers; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    host, _, port = address.rpartition(":")
    scheduler = ("dask", "scheduler", "--host", host, "--port", port, "--dashboard-address", "127.0.0.1:0")
    with contextlib.ExitStack() as stack:
        stack.enter_context(started(*scheduler, ready="Scheduler at:"))
        for number in range(n_workers):
            worker = ("llamabench", "worker", address, "--host", "127.0.0.1", "--name", f"worker-{number}")
            stack.enter_context(started(*worker, ready="is ready at"))
        yield address


def run(model: Path, out: Path, n_items: int, *more: str) -> tuple[float, list[tuple[str, ...]]]:
    """Seconds for the chunks of a run, and its rows."""
    command = ["run", str(model), "--suite", "bbq:starter", "--limit", str(n_items), "--threads", "1"]
    subprocess.run(
        [sys.executable, "-m", "llamabench", *command, "--out", str(out), "--quiet", *more],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (folder,) = out.iterdir()
    with Run(folder) as stored, contextlib.closing(sqlite3.connect(folder / "run.sqlite")) as database:
        rows = database.execute("SELECT id, outcome, facts, vals, exchanges FROM item ORDER BY ordinal").fetchall()
        return sum(stored.timings().values()), rows


def measure(folder: Path, n_items: int) -> list[Target]:
    """Runs all three, prints a line for each."""
    model = folder / "model.gguf"
    write_random_model(model, _SHAPE, byte_vocabulary(), name="random", quant="Q8_0")
    run(model, folder / "warm", n_items)  # measures the size of packs, which all others recall
    local_s, local = run(model, folder / "local", n_items)
    print(f"this machine alone\t{local_s:.2f} s", flush=True)
    targets = []
    for n_workers, least in ((1, 0.85), (2, 1.5)):
        with workers(n_workers) as address:
            seconds, rows = run(model, folder / f"by-{n_workers}", n_items, "--scheduler", address)
        print(f"{n_workers} worker(s)\t{seconds:.2f} s", flush=True)
        n_other = sum(mine != theirs for mine, theirs in zip(local, rows, strict=True))
        targets += [
            Target(f"times as fast, {n_workers} worker(s)", local_s / seconds, least),
            Target(f"items that differ, {n_workers} worker(s)", n_other, 0, at_most=True),
        ]
    return targets


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few items, under a minute")
    args = parser.parse_args(arguments)
    wait_until_quiet(2 if args.quick else 60)
    watch, began = OthersWatch(), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="llamabench-") as folder:
        os.environ["LLAMABENCH_DATA"] = folder
        targets = measure(Path(folder), 24 if args.quick else 288)
    print(f"{time.perf_counter() - began:.0f} s in all, others took {watch.share() * 100:.0f} % of the processor")
    for target in targets:
        print(target.line())
    return 0 if all(target.is_met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
