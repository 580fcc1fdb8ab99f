"""Damaged and hostile GGUF files: does the header reader ever do anything but read them or refuse them clearly?

    python benchmarks/fuzz_gguf.py                   # 100,000 mutated headers: minutes
    python benchmarks/fuzz_gguf.py --quick           # 5,000
    python benchmarks/fuzz_gguf.py --llama 500       # what passes our checks goes to llama.cpp, in its process
    python benchmarks/fuzz_gguf.py --atheris 300000  # guided by coverage, where atheris is installed

Mutated are the header of the demo model and of every GGUF file in `--models`: bits, numbers that look like lengths and
counts, cuts, doubled and moved stretches, the end of one file behind the beginning of another. Each input is read as
`plan` and `run` read it, by a process of its own whose memory is watched. A *crash* is any exception but
`ModelFileError`; such inputs are written to `--keep`. With `--llama`, inputs are whole files that `read_model` accepts;
each is opened and asked for a log-probability; llama.cpp may die of it, and must be told of in an `EngineDiedError`.

Not covered: files larger than memory, and what llama.cpp does with weights that are no numbers.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import resource
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from measuring import Target

from llamabench.data.demo_model import ensure_demo_model
from llamabench.engine.process import Engine
from llamabench.errors import EngineDiedError, LlamabenchError, ModelFileError
from llamabench.hardware.gguf import read_header, read_model
from llamabench.hardware.skeleton import write_skeleton

_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
_SLOW_S, _MOST_MIB = 1.0, 64
_WARM_UP = 500
_LARGEST_WHOLE = 8 << 20
_IN_MEMORY = Path("/dev/shm")
_FOLDER = str(_IN_MEMORY) if _IN_MEMORY.is_dir() else None
_NUMBERS = (0, 1, 255, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
_LOOKS_LIKE_A_COUNT = 1 << 24


@dataclass
class Tally:
    """What came of the inputs.

    Attributes:
        outcomes: How many were `read`, `refused` and so on.
        crashes: What went wrong otherwise, a line each.
        slowest_s: The longest that one took.
        growth_mib: How much the process grew after the first inputs.
        messages: What was said of those that ended llama.cpp, and how often.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    crashes: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    growth_mib: float = 0.0
    messages: Counter[str] = field(default_factory=Counter)


# --- inputs -------------------------------------------------------------------------------------


def read_seeds(models: Sequence[Path], *, whole: bool) -> list[bytes]:
    """The headers of models, or the whole files of small ones."""
    seeds = []
    for path in models:
        data = path.read_bytes() if path.stat().st_size <= _LARGEST_WHOLE or not whole else b""
        if data:
            seeds.append(data if whole else data[: read_header(path).data_offset])
    return seeds


def mutate(seed: bytes, other: bytes, rng: random.Random, *, within: int) -> bytes:
    """A seed after one to four changes of its first `within` bytes."""
    data = bytearray(seed)
    for _ in range(rng.choice((1, 1, 2, 4))):
        change = rng.choice((_flip, _flip, _renumber, _renumber, _renumber, _double, _remove, _cut, _splice))
        change(data, other, rng, min(within, len(data)))
        if len(data) < 8:
            break
    return bytes(data)


def _flip(data: bytearray, other: bytes, rng: random.Random, within: int) -> None:
    data[rng.randrange(within)] ^= 1 << rng.randrange(8)


def _renumber(data: bytearray, other: bytes, rng: random.Random, within: int) -> None:
    """Changes a number of eight or four bytes that could be a length, a count, a type or an offset."""
    layout, mask = rng.choice((("<Q", (1 << 64) - 1), ("<I", (1 << 32) - 1)))
    for _ in range(64):
        at = rng.randrange(max(within - 8, 1))
        if at + 8 > len(data):
            return
        (value,) = struct.unpack_from(layout, data, at)
        if 0 < value < _LOOKS_LIKE_A_COUNT:
            new = rng.choice((*_NUMBERS, value + 1, value - 1, value * 2, rng.randrange(64), rng.getrandbits(64)))
            struct.pack_into(layout, data, at, new & mask)
            return


def _double(data: bytearray, other: bytes, rng: random.Random, within: int) -> None:
    start = rng.randrange(within)
    data[start:start] = data[start : start + rng.randrange(1, 256)]


def _remove(data: bytearray, other: bytes, rng: random.Random, within: int) -> None:
    start = rng.randrange(within)
    del data[start : start + rng.randrange(1, 256)]


def _cut(data: bytearray, other: bytes, rng: random.Random, within: int) -> None:
    if rng.random() < 0.2:
        del data[rng.randrange(within) :]


def _splice(data: bytearray, other: bytes, rng: random.Random, within: int) -> None:
    if rng.random() < 0.3:
        data[rng.randrange(within) :] = other[rng.randrange(len(other)) :]


# --- our reader ---------------------------------------------------------------------------------


def read_as_commands_do(path: Path, folder: Path) -> str:
    """Reads a file for a plan, with everything that is made of its header; what came of it."""
    try:
        model = read_model(path, is_header_enough=True)
        read_header(path, keep=("tokenizer.ggml.tokens",), is_header_enough=True)
    except ModelFileError:
        return "refused"
    with contextlib.suppress(OSError):  # a file as long as some claim to be cannot be made, which a plan says
        write_skeleton(read_header(path, is_header_enough=True), n_vocab=model.n_vocab, path=folder / "skeleton")
    with contextlib.suppress(ModelFileError):  # the weights are not there
        read_model(path)
    return "read"


def fuzz_reader(models: list[Path], n: int, seed: int, keep: Path | None) -> Tally:
    """Mutates headers and reads them; runs in a process of its own."""
    rng, seeds, tally = random.Random(seed), read_seeds(models, whole=False), Tally()
    started_mib = 0.0
    with TemporaryDirectory(prefix="fuzz-", dir=_FOLDER) as name:
        path = Path(name) / "input.gguf"
        for number in range(n):
            data = mutate(rng.choice(seeds), rng.choice(seeds), rng, within=1 << 30)
            path.write_bytes(data)
            start = time.perf_counter()
            try:
                tally.outcomes[read_as_commands_do(path, Path(name))] += 1
            except Exception as exc:  # whatever it is, it is what is looked for
                _keep_crash(tally, exc, data, keep, f"reader-{seed}-{number}")
            tally.slowest_s = max(tally.slowest_s, time.perf_counter() - start)
            if number == min(_WARM_UP, n - 1):
                started_mib = _peak_mib()
    tally.growth_mib = _peak_mib() - started_mib
    return tally


def _keep_crash(tally: Tally, exc: Exception, data: bytes, keep: Path | None, name: str) -> None:
    tally.outcomes["crashed"] += 1
    tally.crashes.append(f"{name}: {type(exc).__name__}: {str(exc)[:200]}")
    if keep is not None:
        (keep / f"{name}.gguf").write_bytes(data)


def _peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024


# --- llama.cpp ----------------------------------------------------------------------------------


def fuzz_llama(models: Sequence[Path], n: int, seed: int, keep: Path | None) -> Tally:
    """Hands files that pass our checks to llama.cpp until it has seen `n`; those it dies of are kept."""
    tally = Tally()
    with (
        TemporaryDirectory(prefix="fuzz-", dir=_FOLDER) as name,
        Engine(Path(name) / "none.gguf", watchdog_s=60) as engine,
    ):
        for number, path in enumerate(_survivors(models, seed, Path(name))):
            if number == n:
                break
            engine.spec = replace(engine.spec, path=str(path))
            start = time.perf_counter()
            try:
                engine.score_tokens([([1, 2], [[3]])])
                tally.outcomes["scored"] += 1
            except EngineDiedError as exc:
                tally.outcomes["ended llama.cpp"] += 1
                tally.messages[str(exc).replace(str(path), "FILE").replace("\n", " / ")[:160]] += 1
                if keep is not None:
                    (keep / f"llama-{seed}-{number}.gguf").write_bytes(path.read_bytes())
                engine.restart()
            except LlamabenchError:
                tally.outcomes["refused by llama.cpp"] += 1
            except Exception as exc:  # whatever it is, it is what is looked for
                _keep_crash(tally, exc, path.read_bytes(), keep, f"llama-{seed}-{number}")
            tally.slowest_s = max(tally.slowest_s, time.perf_counter() - start)
            path.unlink()
    return tally


def _survivors(models: Sequence[Path], seed: int, folder: Path) -> Iterator[Path]:
    rng, seeds, number = random.Random(seed), read_seeds(models, whole=True), 0
    headers = [len(header) for header in read_seeds(models, whole=False)]
    while True:
        at = rng.randrange(len(seeds))
        path = folder / f"{number}.gguf"
        path.write_bytes(mutate(seeds[at], rng.choice(seeds), rng, within=headers[at]))
        number += 1
        try:
            read_model(path)
        except ModelFileError:
            path.unlink()
            continue
        yield path


# --- atheris ------------------------------------------------------------------------------------


def fuzz_with_atheris(models: Sequence[Path], n: int, seed: int, keep: Path) -> None:
    """Hands the reader to libFuzzer, which ends this process: with 0 where nothing was found."""
    import atheris

    corpus = keep / "corpus"
    corpus.mkdir(exist_ok=True)
    for number, data in enumerate(read_seeds(models, whole=False)):
        (corpus / f"seed-{number}").write_bytes(data)
    path = keep / "input.gguf"

    def try_one(data: bytes) -> None:
        path.write_bytes(data)
        read_as_commands_do(path, keep)

    atheris.instrument_all()
    limits = [
        f"-runs={n}",
        f"-seed={seed}",
        "-max_len=65536",
        "-timeout=5",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={keep}/", str(corpus)], try_one)
    atheris.Fuzz()


# --- command line -------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--models", type=Path, default=_DATA, help="folder of GGUF files to begin with")
    parser.add_argument("--llama", type=int, metavar="N", help="hand so many that pass our checks to llama.cpp")
    parser.add_argument("--atheris", type=int, metavar="N", help="so many inputs by atheris instead")
    parser.add_argument("--keep", type=Path, help="folder for inputs that crash")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="fuzz-", dir=_FOLDER) as name:
        models = [ensure_demo_model(Path(name)), *sorted(options.models.rglob("*.gguf"))]
        keep = options.keep
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
        if options.atheris:
            fuzz_with_atheris(models, options.atheris, options.seed, keep or Path(name))
        start = time.perf_counter()
        if options.llama:
            tally = fuzz_llama(models, options.llama, options.seed, keep)
        else:
            n = 5000 if options.quick else options.inputs
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
                tally = executor.submit(fuzz_reader, models, n, options.seed, keep).result()
    return _show(tally, time.perf_counter() - start, for_llama=bool(options.llama))


def _show(tally: Tally, seconds: float, *, for_llama: bool) -> int:
    n = tally.outcomes.total()
    outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in tally.outcomes.most_common())
    print(f"{n:,} inputs in {seconds:.0f} s: {outcomes}; slowest {tally.slowest_s * 1000:.0f} ms")
    for message, count in tally.messages.most_common():
        print(f"  {count} times: {message}")
    for crash in tally.crashes[:20]:
        print(f"  {crash}")
    targets = [Target("crashes", len(tally.crashes), 0, at_most=True)]
    if not for_llama:
        targets.append(Target("slowest input, s", tally.slowest_s, _SLOW_S, at_most=True))
        targets.append(Target("memory grown, MiB", tally.growth_mib, _MOST_MIB, at_most=True))
    for target in targets:
        print(target.line())
    return 0 if all(target.is_met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
