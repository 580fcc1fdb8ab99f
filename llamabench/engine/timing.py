"""A model opened to be timed: how long it takes to open, to read a prompt, and to decode token after token.

The tests are those of llama-bench (`test_prompt` and `test_gen` in llama.cpp's tools/llama-bench/llama-bench.cpp):
random tokens, a memory that is empty before each repeat, the logits of the last token alone, nothing drawn. What
differs: threads, layers and batches are those of the plan.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from llamabench.engine import usage
from llamabench.engine.llama import Batch, Context, Model, read_backend
from llamabench.errors import ModelFileError
from llamabench.records import ContextPlan, LoadTiming, MemoryUse, ModelSpec, Plan, Repeats, SpeedTest

_SEED = 1
_CELLS = 256  # llama.cpp pads every context to this

_Tokens = npt.NDArray[np.int32]


class Bench:
    """A model and, one at a time, the context of a test; `close` frees both.

    Args:
        spec: What to open, with a plan.

    Raises:
        ModelFileError: llama.cpp cannot load the file, or it does not generate token after token.
        EngineError: A context cannot be opened.
    """

    def __init__(self, spec: ModelSpec):
        assert spec.plan is not None, "a tokeniser cannot be timed"
        self.spec = spec
        self._plan: Plan = spec.plan
        self._free_before = _read_free()
        self._least_free = dict(self._free_before)
        self._program_bytes = usage.read_resident_bytes()
        self._context: Context | None = None
        self._test: SpeedTest | None = None
        disk_bytes, start = usage.read_disk_bytes(), time.perf_counter()
        self.model = Model(spec.path, spec.plan)
        if self.model.why_not_causal is not None:
            reason = self.model.why_not_causal
            self.model.close()
            raise ModelFileError(f"{spec.path} cannot be timed: {reason}.")
        self._rng = np.random.default_rng(_SEED)
        self.prepare(SpeedTest("generation", 1))
        self.load = LoadTiming(time.perf_counter() - start, _difference(usage.read_disk_bytes(), disk_bytes))

    def close(self) -> None:
        """Frees context and model."""
        self._close_context()
        self.model.close()

    def _close_context(self) -> None:
        if self._context is not None:
            self._context.close()
            self._context = None

    def prepare(self, test: SpeedTest) -> None:
        """Opens the context of a test and warms it up: with the whole prompt, or with one token of each text.

        Raises:
            EngineError: It cannot be opened.
        """
        self._close_context()
        self._test = test
        self._context = Context(self.model, fit_context(test, self._plan), self._plan)
        self._run(test if test.kind == "prompt" else SpeedTest("generation", 1, test.n_parallel))
        self._note_memory()

    def repeat(self, n_repeats: int, least_s: float = 0.0) -> Repeats:
        """Times the prepared test again and again.

        Args:
            n_repeats: Repeats to make at least.
            least_s: Seconds to fill at least.
        """
        assert self._test is not None, "`prepare` comes first"
        seconds: list[float] = []
        first_token_s: list[float] = []
        while len(seconds) < n_repeats or sum(seconds) < least_s:
            done_s, drawn_s = self._run(self._test)
            seconds.append(done_s)
            first_token_s.append(drawn_s)
        self._note_memory()
        return Repeats(tuple(seconds), tuple(first_token_s) if self._test.kind == "prompt" else ())

    def _run(self, test: SpeedTest) -> tuple[float, float]:
        """Seconds until the test was done, and until a token was drawn after it."""
        assert self._context is not None
        self._context.clear()
        batches = self._make_prompt(test) if test.kind == "prompt" else []
        rows = self._draw_tokens(test)
        start = time.perf_counter()
        if batches:
            for batch in batches:
                self._context.decode(batch)
            self._context.synchronize()
        else:
            _decode_in_turn(self._context, rows)
        done = time.perf_counter()
        self._context.logits(1)[0].argmax()
        return done - start, time.perf_counter() - start

    def _draw_tokens(self, test: SpeedTest) -> _Tokens:
        """Random tokens, (n_tokens, n_parallel); texts begin as the model wants them to."""
        tokens = self._rng.integers(self.model.n_vocab, size=(test.n_tokens, test.n_parallel), dtype=np.int32)
        if self.model.adds_bos and self.model.bos is not None:
            tokens[0] = self.model.bos
        return tokens

    def _make_prompt(self, test: SpeedTest) -> list[Batch]:
        """A prompt in pieces of a batch each, made before the clock starts; the last token of each has logits."""
        assert self._context is not None
        tokens, step = self._draw_tokens(test)[:, 0].tolist(), self._context.plan.n_batch
        batches = []
        for start in range(0, len(tokens), step):
            piece = tokens[start : start + step]
            batch = Batch(len(piece), 1)
            positions = list(range(start, start + len(piece)))
            batch.fill(piece, positions, sequences=[(0,)] * len(piece), outputs=[len(piece) - 1])
            batches.append(batch)
        return batches

    def _note_memory(self) -> None:
        for name, free in _read_free().items():
            self._least_free[name] = min(free, self._least_free.get(name, free))

    def memory(self) -> tuple[MemoryUse, ...]:
        """What the host and each device in use held at most; a device is looked at between tests."""
        fallen = {name: free - self._least_free[name] for name, free in self._free_before.items()}
        devices = (
            [MemoryUse(name, size) for name, size in fallen.items() if size > 0] if self._plan.n_gpu_layers else []
        )
        return (MemoryUse("CPU", usage.read_peak_bytes(), self._program_bytes), *devices)


def fit_context(test: SpeedTest, plan: Plan) -> ContextPlan:
    """The context of a test: as small as can be, batches as in the plan, one row of logits for each text.

    Args:
        test: What is timed.
        plan: Where the sizes of batches come from.
    """
    like = plan.scoring if test.kind == "prompt" else plan.generation
    n_ctx = test.n_parallel * (-(-test.n_tokens // _CELLS) * _CELLS)
    n_batch = max(min(like.n_batch, n_ctx), test.n_parallel)
    return ContextPlan(
        n_ctx=n_ctx,
        n_seq_max=test.n_parallel,
        n_batch=n_batch,
        n_ubatch=min(max(like.n_ubatch, test.n_parallel), n_batch),
        n_outputs_max=test.n_parallel,
        kv_unified=False,
        swa_full=False,
    )


def _decode_in_turn(context: Context, tokens: _Tokens) -> None:
    """Decodes row after row of tokens, (n_tokens, n_parallel), a text in each column."""
    n_parallel = tokens.shape[1]
    batch = Batch(n_parallel, 1)
    texts = list(range(n_parallel))
    batch.fill(texts, texts, sequences=[(text,) for text in texts], outputs=texts)
    for position, row in enumerate(tokens):
        batch.tokens[:] = row
        batch.positions[:] = position
        context.decode(batch)
        context.synchronize()


def _read_free() -> dict[str, int]:
    return {device.name: device.free_bytes for device in read_backend().devices}


def _difference(after: int | None, before: int | None) -> int | None:
    return None if after is None or before is None else after - before
