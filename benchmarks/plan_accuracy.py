"""What is planned against what llama.cpp takes: model, cache and compute buffers on each device.

    python benchmarks/plan_accuracy.py            # all models, contexts and placements: some minutes
    python benchmarks/plan_accuracy.py --quick    # a few of them: under a minute

Every case is laid out without memory, as a plan is, and then loaded for real; the actual sizes are those of
llama.cpp's own log of the real load. A second process of this machine stands in for a device (`llamabench
rpc-server`): layers, cache and buffers really go there. Weights are read, not mapped: a mapping shows the whole file,
whatever is used of it.

Models: the F32 ones below `--models`, where that folder is at hand, and two of 135 million random weights, Q4_0 and
Q8_0, made on the spot. `--markdown` prints the table as docs/measurements.md holds it.

Not covered: what a driver takes for itself, the program's own memory, and the rows of logits.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from llama_tools import default_cache, ensure_source
from make_model import SHAPES, read_vocabulary
from measuring import Target

from llamabench.data.demo_model import write_random_model
from llamabench.engine import worker
from llamabench.engine.process import PLAIN_PLAN
from llamabench.hardware.dry_layout import DryLayouts
from llamabench.hardware.gguf import read_model
from llamabench.hardware.layout import HOST, Layout, Placement
from llamabench.hardware.machine import read_machine
from llamabench.records import ContextPlan, Device, DeviceBytes, Plan

_MODELS = Path(__file__).resolve().parents[2] / "shared" / "data" / "archs"
_REFUSED = {"dream-dense"}
"""Diffusion models: there is nothing to plan."""

_MIB = 1 << 20
_ROUNDING_BYTES = 5243
"""Half of the last digit that the log shows, 0.01 MiB."""

_MOST_OVER = 0.02
_BUFFER = re.compile(r"(\S+) (model|KV|RS|compute) buffer size =\s*([\d.]+) MiB")
_KINDS = {"model": "weights", "KV": "cache", "RS": "cache", "compute": "compute"}
_START_S = 30.0

CONTEXTS = {
    "scoring, small": ContextPlan(1024, 16, 256, 256, 256, kv_unified=True),
    "scoring, usual": ContextPlan(2048, 64, 512, 512, 512, kv_unified=True),
    "scoring, large": ContextPlan(8192, 256, 2048, 1024, 512, kv_unified=True),
    "texts, 1": ContextPlan(1024, 1, 512, 512, 1, kv_unified=False),
    "texts, 16": ContextPlan(8192, 16, 512, 512, 16, kv_unified=False),
    "texts, 32": ContextPlan(16384, 32, 1024, 256, 32, kv_unified=False),
}
_QUICK_CONTEXTS = ("scoring, usual", "texts, 16")
SHARES = (0.0, 0.4, 1.0)


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison: bytes planned and taken, by device and by what they are for."""

    model: str
    context: str
    n_gpu_layers: int
    n_layers: int
    place: str
    kind: str
    planned: int
    actual: int
    n_lines: int

    @property
    def over(self) -> float:
        """What was planned beyond the actual, as a share of it; the log's rounding is not counted."""
        excess = self.planned - self.actual - self.n_lines * _ROUNDING_BYTES
        return max(excess, 0) / max(self.actual, 1)

    @property
    def under_bytes(self) -> int:
        """What was planned too little; the log's rounding is not counted."""
        return max(self.actual - self.planned - self.n_lines * _ROUNDING_BYTES, 0)


def read_real(path: str, plan: Plan, context: ContextPlan) -> dict[str, list[int]]:
    """Loads a model and opens a context, in a process of its own; bytes by place and kind, a number for each line."""
    from llamabench.engine.llama import Context, Model
    from llamabench.engine.llama.library import last_words

    worker.load()
    lines: list[str] = []
    last_words.record = lines
    model = Model(path, plan)
    Context(model, context, plan).close()
    model.close()
    found: dict[str, list[int]] = {}
    for line in lines:
        match = _BUFFER.search(line)
        if match and not line.startswith("~"):
            place = "RPC0" if match[1].startswith("RPC") else HOST
            found.setdefault(f"{place} {_KINDS[match[2]]}", []).append(round(float(match[3]) * _MIB))
    return found


def compare(path: Path, devices: list[Device], plan: Plan, *, contexts: list[str]) -> Iterator[Case]:
    """Every context and placement of a model."""
    model = read_model(path)
    n_all = model.n_layers + 1
    counts = dict.fromkeys(round(share * n_all) for share in (SHARES if devices else (0.0,)))
    for name in contexts:
        with DryLayouts(model, devices, plan) as layouts:
            planned = {n: layouts.lay_out(_place(n, devices), CONTEXTS[name]) for n in counts}
            assert layouts.note is None, layouts.note
        for n_gpu_layers, layout in planned.items():
            real_plan = replace(plan, n_gpu_layers=n_gpu_layers)
            start = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, mp_context=start, initializer=worker.start) as child:
                actual = child.submit(read_real, str(path), real_plan, CONTEXTS[name]).result()
            for place, kind, size in _sizes(layout):
                lines = actual.get(f"{place} {kind}", [])
                if size or lines:
                    yield Case(path.stem, name, n_gpu_layers, n_all, place, kind, size, sum(lines), max(len(lines), 1))


def _place(n_gpu_layers: int, devices: list[Device]) -> Placement:
    return Placement(n_gpu_layers, (1.0 if n_gpu_layers else 0.0,) * len(devices))


def _sizes(layout: Layout) -> Iterator[tuple[str, str, int]]:
    parts: list[DeviceBytes] = [*layout.devices, layout.host]
    for part in parts:
        yield part.device, "weights", part.weight_bytes
        yield part.device, "cache", part.context_bytes
        yield part.device, "compute", part.compute_bytes


# --- models and the device ----------------------------------------------------------------------


def make_models(cache: Path) -> list[Path]:
    """Two quantized models of 135 million weights, made unless they are in the cache."""
    paths = [cache / "models" / f"random-135m-{quant}.gguf" for quant in ("Q4_0", "Q8_0")]
    for path, quant in zip(paths, ("Q4_0", "Q8_0"), strict=True):
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            vocabulary = read_vocabulary(ensure_source(cache) / "models" / "ggml-vocab-gpt-2.gguf")
            write_random_model(path, SHAPES["135m"], vocabulary, name=path.stem, quant=quant)
    return paths


@contextlib.contextmanager
def serve() -> Iterator[str]:
    """A server on this machine; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "llamabench", "rpc-server", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise SystemExit("The server that stands in for a device did not start: is this a build with the RPC backend?")


def measure(paths: list[Path], *, contexts: list[str]) -> list[Case]:
    """Compares all models, on the processor and with a device."""
    cases: list[Case] = []
    with serve() as address:
        machine = read_machine(rpc_servers=(address,))
        devices = [device for device in machine.devices if device.backend == "RPC"]
        plan = replace(PLAIN_PLAN, is_mapped=False, n_threads=1, rpc_servers=(address,))
        for path in paths:
            print(path.stem, file=sys.stderr)
            cases += compare(path, devices, plan, contexts=contexts)
    return cases


# --- output -------------------------------------------------------------------------------------


def summarise(cases: list[Case], *, is_markdown: bool) -> Iterator[str]:
    """A line for each model: the worst of its cases."""
    rows: list[tuple[str, ...]] = [
        ("model", "cases", "most planned beyond the actual", "most planned too little", "largest buffer, MiB")
    ]
    for name in dict.fromkeys(case.model for case in cases):
        mine = [case for case in cases if case.model == name]
        rows.append(
            (
                name,
                str(len(mine)),
                f"{max(case.over for case in mine):.2%}",
                f"{max(case.under_bytes for case in mine)} B",
                f"{max(case.actual for case in mine) / _MIB:.2f}",
            )
        )
    if is_markdown:
        rows.insert(1, ("---",) * len(rows[0]))
    for row in rows:
        yield f"| {' | '.join(row)} |" if is_markdown else "\t".join(row)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=_MODELS, help="folder of further models")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="where models are made and kept")
    parser.add_argument("--quick", action="store_true", help="two contexts, four models")
    parser.add_argument("--markdown", action="store_true", help="the table in Markdown")
    parser.add_argument("--json", action="store_true", help="every case, in one document")
    args = parser.parse_args()
    paths = [*make_models(args.cache), *(p for p in sorted(args.models.glob("*.gguf")) if p.stem not in _REFUSED)]
    contexts = list(_QUICK_CONTEXTS if args.quick else CONTEXTS)
    cases = measure(paths[:4] if args.quick else paths, contexts=contexts)
    targets = [
        Target("planned_beyond_actual_share", max(case.over for case in cases), _MOST_OVER, at_most=True),
        Target("planned_too_little_bytes", max(case.under_bytes for case in cases), 0, at_most=True),
    ]
    if args.json:
        print(json.dumps([asdict(case) for case in cases], indent=1))
    else:
        print("\n".join(summarise(cases, is_markdown=args.markdown)))
        for case in cases:
            if case.over > _MOST_OVER or case.under_bytes:
                print(f"off: {case}", file=sys.stderr)
        print("\n".join(target.line() for target in targets))
    return 0 if all(target.is_met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
