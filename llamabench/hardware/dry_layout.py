"""llama.cpp's own layouts: asked in a child process, of a file with the model's dimensions and without its weights.

A layout takes milliseconds and allocates nothing but recurrent states, so plans can be tried by the dozen, also on
hardware that is not there. Where llama.cpp cannot be asked, formulas answer, and `note` says why.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from llamabench.engine import worker
from llamabench.errors import LlamabenchError
from llamabench.hardware.gguf import read_header
from llamabench.hardware.layout import HOST, FormulaLayouts, Layout, Placement, host_other_bytes, state_bytes
from llamabench.hardware.skeleton import write_skeleton
from llamabench.records import ContextPlan, Device, DeviceBytes, DryLayout, ModelFacts, Plan

if TYPE_CHECKING:
    from llamabench.engine.llama import DryModel

_MOST_STATE_BYTES = 1 << 30
"""Recurrent states are the one thing that is really allocated; larger ones are left to the formulas."""

_RESERVED_FOR_ONE = frozenset({"kimi-linear", "minimax-01"})
"""Architectures whose buffers llama.cpp sizes once more for one sequence, after the figure it gives away here
(`llama_context::sched_reserve`)."""

_ANSWER_S = 60.0
_ROUNDING_BYTES = 5243


class _Question(NamedTuple):
    """What the child is asked; the model it has open serves as long as only the context changes."""

    path: str
    plan: Plan
    virtual: tuple[Device, ...] | None
    contexts: tuple[ContextPlan, ...]


class DryLayouts:
    """Layouts as llama.cpp makes them; use it in a `with` block, which ends its process.

    Args:
        model: The model, whose file or header is there.
        devices: The devices that layers go to, in llama.cpp's order.
        plan: Flash attention, type of the KV cache and RPC servers to lay out with.
        are_virtual: Whether the devices are not there and only looked like.
    """

    def __init__(self, model: ModelFacts, devices: Sequence[Device], plan: Plan, *, are_virtual: bool = False):
        self.note: str | None = None
        self._model = model
        self._plan = plan
        self._devices = tuple(devices)
        self._virtual = self._devices if are_virtual else None
        self._formulas = FormulaLayouts(model, [device.name for device in devices], kv_type=plan.kv_type)
        self._known: dict[tuple[Placement, ContextPlan], Layout] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> DryLayouts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
        if self._folder is not None:
            self._folder.cleanup()

    def lay_out(self, placement: Placement, context: ContextPlan) -> Layout:
        """The layout of a placement with a context open; by formulas where llama.cpp does not answer."""
        key = placement, context
        if key not in self._known:
            self._known[key] = self._ask(placement, context) or self._formulas.lay_out(placement, context)
        return self._known[key]

    def _ask(self, placement: Placement, context: ContextPlan) -> Layout | None:
        if self.note is not None or state_bytes(self._model, context) > _MOST_STATE_BYTES:
            return None
        plan = replace(
            self._plan,
            n_gpu_layers=placement.n_gpu_layers,
            tensor_split=placement.shares,
            n_cpu_moe=placement.n_cpu_moe,
        )
        contexts = [context]
        if self._model.architecture in _RESERVED_FOR_ONE:
            n_streams = 1 if context.kv_unified else context.n_seq_max
            n_ctx = max(context.n_ctx // n_streams, context.n_ubatch)
            contexts.append(replace(context, n_seq_max=1, n_ctx=n_ctx))
        try:
            question = _Question(self._skeleton(), plan, self._virtual, tuple(contexts))
            answers = self._child().submit(_answer, question).result(_ANSWER_S)
        except (BrokenProcessPool, LlamabenchError, OSError, TimeoutError) as exc:
            what = "it ended its process" if isinstance(exc, BrokenProcessPool) else str(exc) or type(exc).__name__
            self.note = f"llama.cpp could not lay the model out ({what.rstrip('.')}): memory is estimated by formulas."
            return None
        return self._read(placement, context, answers)

    def _skeleton(self) -> str:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="llamabench-")
            write_skeleton(
                read_header(Path(self._model.path), is_header_enough=True),
                n_vocab=self._model.n_vocab,
                path=Path(self._folder.name) / "skeleton.gguf",
            )
        return str(Path(self._folder.name) / "skeleton.gguf")

    def _child(self) -> ProcessPoolExecutor:
        if self._executor is None:
            context = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(max_workers=1, mp_context=context, initializer=worker.start)
            with worker.spared_ctrl_c():
                self._executor.submit(_load)
        return self._executor

    def _read(self, placement: Placement, context: ContextPlan, answers: Sequence[DryLayout]) -> Layout:
        layouts = [self._layout(placement, context, answer) for answer in answers]
        first, *others = layouts
        for other in others:
            first = replace(
                first,
                devices=tuple(map(_with_larger_compute, first.devices, other.devices)),
                host=_with_larger_compute(first.host, other.host),
            )
        return first

    def _layout(self, placement: Placement, context: ContextPlan, answer: DryLayout) -> Layout:
        other = host_other_bytes(self._model, context)
        if not answer.buffers:
            return self._layout_of_log(placement, context, answer)
        names = [device.name for device in self._devices]
        parts = {name: DeviceBytes(name, 0, 0, 0) for name in (*names, HOST)}
        for buffer in answer.buffers:
            part = parts[buffer.device if buffer.device in names and not buffer.is_host else HOST]
            parts[part.device] = replace(
                part,
                weight_bytes=part.weight_bytes + buffer.weight_bytes,
                context_bytes=part.context_bytes + buffer.context_bytes,
                compute_bytes=part.compute_bytes + buffer.compute_bytes,
            )
        return Layout(
            tuple(parts[name] for name in names),
            replace(parts[HOST], other_bytes=other),
            is_exact=True,
            flash_attention=answer.flash_attention,
            is_repacked=any(b.weight_bytes for b in answer.buffers if b.device not in names and not b.is_host),
        )

    def _layout_of_log(self, placement: Placement, context: ContextPlan, answer: DryLayout) -> Layout:
        """Compute buffers and the size of the cache from the log; weights and each device's part by formulas."""
        formula = self._formulas.lay_out(placement, context)
        parts = [*formula.devices, formula.host]
        computed = {part.device: 0 for part in parts}
        owners = _buffer_owners(self._devices)
        for name, size in answer.compute_bytes.items():
            computed[owners.get(name, HOST)] += size + _ROUNDING_BYTES
        cache = sum(answer.cache_bytes) + _ROUNDING_BYTES * len(answer.cache_bytes)
        expected = sum(part.context_bytes for part in parts)
        ratio = cache / expected if expected else 0.0
        *devices, host = (
            replace(part, context_bytes=round(part.context_bytes * ratio), compute_bytes=computed[part.device])
            for part in parts
        )
        return Layout(tuple(devices), host, is_exact=True, flash_attention=answer.flash_attention)


def _buffer_owners(devices: Sequence[Device]) -> dict[str, str]:
    """The device that a buffer lies on, by the buffer's name; that on a server is called by its place there."""
    owners: dict[str, str] = {}
    n_on_server: Counter[str] = Counter()
    for device in devices:
        buffer = device.name
        if device.backend == "RPC":
            buffer = f"RPC{n_on_server[device.description]}[{device.description}]"
            n_on_server[device.description] += 1
        owners[buffer] = device.name
    return owners


def _with_larger_compute(one: DeviceBytes, other: DeviceBytes) -> DeviceBytes:
    return replace(one, compute_bytes=max(one.compute_bytes, other.compute_bytes))


# --- in the child -------------------------------------------------------------------------------

_open: tuple[tuple[object, ...], DryModel] | None = None


def _load() -> None:
    """Loads llama.cpp while the parent writes the file."""
    worker.load()


def _answer(question: _Question) -> list[DryLayout]:
    global _open
    from llamabench.engine.llama import DryModel

    worker.load()
    key = question[:3]
    if _open is None or _open[0] != key:
        if _open is not None:
            _open[1].close()
            _open = None
        _open = key, DryModel(question.path, question.plan, virtual=question.virtual)
    return [_open[1].lay_out(context) for context in question.contexts]
