"""Who takes part, who is asked what, and what becomes of it when somebody leaves: without a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from llamabench.cluster import desk
from llamabench.cluster.crew import Crew, LostTaskError
from llamabench.cluster.dealing import Dealer
from llamabench.cluster.job import Arrival, ClusterOptions, Job, Note, Reply
from llamabench.engine.process import PLAIN_PLAN
from llamabench.errors import EngineError, LlamabenchError
from llamabench.hardware.gguf import read_model
from llamabench.records import (
    Answers,
    Demand,
    Failure,
    Generated,
    GenerateRequest,
    GenerateResult,
    Machine,
    ModelFacts,
    Overrides,
    Plan,
    Sampling,
    TextPrompt,
    WorkerFacts,
)

MODEL = ModelFacts(
    path="/models/m.gguf",
    name="m",
    architecture="llama",
    quant="Q8_0",
    size_bytes=1,
    n_params=1,
    n_layers=1,
    n_ctx_train=1,
    n_vocab=1,
    n_embd=1,
    layer_bytes=(1,),
    output_bytes=1,
    input_bytes=1,
    kv_bytes_per_token=(1,),
    has_chat_template=False,
    fingerprint="f00d",
)
JOB = Job(MODEL, "c0", Demand(10), Overrides())
OPTIONS = ClusterOptions("tcp://there:8786", wait_s=10.0)


def ask(name: str) -> GenerateRequest:
    return GenerateRequest(name, TextPrompt(name), Sampling(max_tokens=4), 1)


def items(names: str) -> tuple[tuple[GenerateRequest, ...], ...]:
    """An item for each letter."""
    return tuple((ask(name),) for name in names)


def read(answers: Answers) -> str:
    """The letters that were answered, and `!` for those that failed."""
    return "".join("!" if isinstance(result, Failure) else result.id for result in answers.results)


@dataclass(eq=False)
class Task:
    """A task on a worker of the tests; it ends when the test says so."""

    address: str
    name: str
    arguments: tuple[Any, ...]
    outcome: Callable[[], Any] | None = None

    def done(self) -> bool:
        return self.outcome is not None

    def take(self) -> Any:
        assert self.outcome is not None
        return self.outcome()

    @property
    def letters(self) -> str:
        return "".join(item[0].id for item in self.arguments[2])


@dataclass
class Desk:
    """A worker of the tests."""

    machine: Machine
    plan: Plan
    fault: str | None = None
    refusal: LlamabenchError | None = None
    fingerprint: str = "f00d"
    shrunk: Plan | None = None


class FakeLink:
    """Workers that do nothing by themselves; `wait` lets the clock go on and has each do what it has in hand."""

    address = OPTIONS.scheduler

    def __init__(self) -> None:
        self.desks: dict[str, Desk] = {}
        self.tasks: list[Task] = []
        self.now = 0.0
        self.is_working = True
        self.on_wait: Callable[[], None] = lambda: None

    def find_workers(self) -> dict[str, str | None]:
        return {address: desk.fault for address, desk in self.desks.items()}

    def send(self, address: str, task: Callable[..., Any], *args: Any) -> Any:
        self.tasks.append(Task(address, task.__name__, args))
        return self.tasks[-1]

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.on_wait()
        for task in self.tasks:
            if not task.done() and task.address in self.desks and (task.name == "prepare" or self.is_working):
                self.finish(task)

    def finish(self, task: Task) -> None:
        """Has a worker do a task."""
        at = self.desks[task.address]
        if task.name == "prepare":
            facts = WorkerFacts(task.address, at.fingerprint, at.machine, at.plan)
            task.outcome = lambda: self._arrive(at, facts)
            return
        _, plan, asked = task.arguments
        results: Any = [GenerateResult(item[0].id, "", (Generated("a", "stop", 1),)) for item in asked]
        notes = (Note("shrunk", "Less memory."),) if at.shrunk else ()
        task.outcome = lambda: Reply(Answers(results, len(results)), at.shrunk or plan, notes)

    def _arrive(self, at: Desk, facts: WorkerFacts) -> Arrival:
        if at.refusal is not None:
            raise at.refusal
        return Arrival(facts, ())

    def close(self) -> None:
        self.tasks.clear()

    def in_hand(self, address: str) -> list[str]:
        """What a worker was asked and has not answered."""
        mine = [task for task in self.tasks if task.address == address and task.name == "answer"]
        return [task.letters for task in mine if not task.done()]


@dataclass
class Setup:
    """A crew over workers of the tests, and what it told."""

    link: FakeLink
    crew: Crew
    told: list[tuple[str, str]] = field(default_factory=list)
    rosters: list[tuple[WorkerFacts, ...]] = field(default_factory=list)

    def hire(self, known: Sequence[WorkerFacts] = (), sizes: Plan | None = None) -> None:
        self.crew.hire(JOB, known, sizes)

    def gather(self, dealer: Dealer, n_chunks: int) -> dict[str, Answers]:
        """The answers to so many chunks by their letters."""
        return {read(answers): answers for answers in (dealer.next() for _ in range(n_chunks))}


@pytest.fixture
def setup(small_machine: Machine) -> Setup:
    """Two workers of one kind, a, which is fast, and b."""
    link = FakeLink()
    link.desks["a"] = Desk(small_machine, replace(PLAIN_PLAN, pack_tokens=512, chunk_tokens=9000, strategy="packed"))
    link.desks["b"] = Desk(
        replace(small_machine, cpu="Another"),
        replace(PLAIN_PLAN, pack_tokens=128, chunk_tokens=3000, n_threads=7, strategy="packed"),
    )
    told: list[tuple[str, str]] = []
    crew = Crew(link, OPTIONS, tell=lambda kind, text: told.append((kind, text)), read_clock=lambda: link.now)
    made = Setup(link, crew, told)
    crew.enlist = made.rosters.append
    return made


# --- who takes part -----------------------------------------------------------------------------


def test_packs_are_those_of_the_fastest_and_chunks_those_of_the_slowest(setup: Setup) -> None:
    setup.hire()
    assert [(one.name, one.plan.pack_tokens, one.plan.chunk_tokens) for one in setup.crew.roster] == [
        ("a", 512, 3000),
        ("b", 512, 3000),
    ]
    assert [one.plan.n_threads for one in setup.crew.roster] == [PLAIN_PLAN.n_threads, 7]
    assert setup.rosters[-1] == tuple(setup.crew.roster)


def test_packs_are_no_larger_than_a_worker_takes(setup: Setup) -> None:
    small = replace(setup.link.desks["b"].plan, scoring=replace(PLAIN_PLAN.scoring, n_batch=64))
    setup.link.desks["b"].plan = small
    setup.hire()
    assert [one.plan.pack_tokens for one in setup.crew.roster] == [512, 64]


def test_machines_of_one_kind_share_one_plan(setup: Setup) -> None:
    setup.link.desks["b"].machine = replace(setup.link.desks["a"].machine, ram_available_bytes=1 << 30)
    setup.hire()
    plans = [one.plan for one in setup.crew.roster]
    assert plans[0] == plans[1]


def test_a_run_that_goes_on_keeps_its_sizes_and_the_plans_of_workers_of_a_kind(setup: Setup) -> None:
    setup.hire()
    known, sizes = tuple(setup.crew.roster), setup.crew.roster[0].plan
    link = setup.link
    link.desks = {"c": Desk(link.desks["b"].machine, replace(PLAIN_PLAN, pack_tokens=32, chunk_tokens=300))}
    later = Crew(link, OPTIONS, tell=lambda *_: None, read_clock=lambda: link.now)
    later.hire(JOB, known, sizes)
    assert later.roster[:2] == list(known)
    assert later.roster[2] == replace(known[1], name="c")
    (task,) = [task for task in link.tasks if task.address == "c"]
    assert task.arguments[1] == known


def test_a_worker_that_may_not_take_part_is_named_and_the_others_go_on(setup: Setup) -> None:
    setup.link.desks["b"].refusal = EngineError("llama.cpp is of another commit.")
    setup.link.desks["c"] = replace(setup.link.desks["a"], fault="Versions differ.", refusal=None)
    setup.hire()
    assert list(setup.crew.hands) == ["a"]
    assert sorted(setup.told) == [
        ("worker", "The worker at b takes no part. llama.cpp is of another commit."),
        ("worker", "The worker at c takes no part. Versions differ."),
    ]
    assert "c" not in {task.address for task in setup.link.tasks}


def test_nobody_who_may_take_part_ends_the_run_with_the_reasons(setup: Setup) -> None:
    for at in setup.link.desks.values():
        at.refusal = EngineError("It is not here.")
    with pytest.raises(EngineError, match=r"(?s)No worker at tcp://there:8786 may .*  a: It is .*  b: It is not here"):
        setup.hire()


def test_nobody_at_all_is_waited_for_and_then_said(setup: Setup) -> None:
    setup.link.desks.clear()
    with pytest.raises(EngineError, match="No worker came to the scheduler at tcp://there:8786 in 10 s. Start one on"):
        setup.hire()
    assert 9 < setup.link.now < 12


def test_a_worker_that_leaves_before_it_is_ready_is_not_waited_for(setup: Setup) -> None:
    first = setup.link.finish

    def leave(task: Task) -> None:
        if task.address == "b":
            setup.link.desks.pop("b")
        else:
            first(task)

    setup.link.finish = leave  # type: ignore[method-assign]
    setup.hire()
    assert list(setup.crew.hands) == ["a"]


def test_who_comes_later_is_let_in_and_gets_work(setup: Setup) -> None:
    late = setup.link.desks.pop("b")
    setup.hire()
    setup.link.is_working = False
    dealer = Dealer(setup.crew)
    assert dealer.n_in_flight == 2
    for letter in "wxyz":
        dealer.submit(items(letter))
    setup.link.desks["b"] = late

    def work_once_both_have_some() -> None:
        setup.link.is_working = bool(setup.link.in_hand("b"))

    setup.link.on_wait = work_once_both_have_some
    found = setup.gather(dealer, 4)
    assert dealer.n_in_flight == 4
    assert {letter: answers.workers for letter, answers in found.items()} == {
        "w": (0,),
        "x": (0,),
        "y": (1,),
        "z": (1,),
    }
    assert setup.crew.roster[1].plan.pack_tokens == 512


# --- who is asked what --------------------------------------------------------------------------


def test_chunks_go_to_who_has_least_to_do_and_no_more_than_two_each(setup: Setup) -> None:
    setup.hire()
    setup.link.is_working = False
    dealer = Dealer(setup.crew)
    for letter in "uvwxyz":
        dealer.submit(items(letter))
    assert [setup.link.in_hand(name) for name in "ab"] == [["u", "w"], ["v", "x"]]


def test_the_chunk_that_is_done_first_comes_first_with_its_place(setup: Setup) -> None:
    setup.hire()
    setup.link.is_working = False
    dealer = Dealer(setup.crew)
    for letter in "uvw":
        dealer.submit(items(letter))
    setup.link.finish(setup.link.tasks[-2])
    answers = dealer.next()
    assert (read(answers), answers.place, answers.workers) == ("v", 1, (1,))
    setup.link.is_working = True
    assert [(read(answers), answers.place) for answers in (dealer.next(), dealer.next())] == [("u", 0), ("w", 0)]


def test_another_way_of_scoring_changes_nothing_else_of_the_plan(setup: Setup) -> None:
    setup.hire()
    Dealer(setup.crew, "single").submit(items("u"))
    assert setup.link.tasks[-1].arguments[1] == replace(setup.crew.roster[0].plan, strategy="single")


def test_a_smaller_plan_is_kept_and_told(setup: Setup) -> None:
    setup.hire()
    smaller = replace(setup.crew.roster[0].plan, n_threads=99, strategy="single")
    setup.link.desks["a"].shrunk = smaller
    dealer = Dealer(setup.crew, "single")
    dealer.submit(items("u"))
    assert dealer.next().workers == (2,)
    assert setup.crew.roster[2] == replace(setup.crew.roster[0], plan=replace(smaller, strategy="packed"))
    assert setup.rosters[-1] == tuple(setup.crew.roster)
    assert setup.told == [("shrunk", "a: Less memory.")]
    dealer.submit(items("v"))
    assert setup.link.tasks[-1].arguments[1] == smaller


# --- who leaves ---------------------------------------------------------------------------------


def test_what_a_worker_had_in_hand_is_asked_of_others_once(setup: Setup) -> None:
    setup.hire()
    setup.link.is_working = False
    dealer = Dealer(setup.crew)
    for letter in "uvwx":
        dealer.submit(items(letter))
    del setup.link.desks["a"]
    setup.link.on_wait = lambda: setattr(setup.link, "is_working", not setup.crew.hands.get("a"))
    found = setup.gather(dealer, 4)
    assert sorted(found) == ["u", "v", "w", "x"]
    assert {answers.workers for answers in found.values()} == {(1,)}
    assert setup.told == [("worker", "a has left. What it had in hand is asked of others.")]


def test_a_task_that_is_lost_is_asked_again(setup: Setup) -> None:
    setup.hire()
    setup.link.is_working = False
    dealer = Dealer(setup.crew)
    dealer.submit(items("u"))

    def lose() -> Any:
        raise LostTaskError

    setup.link.tasks[-1].outcome = lose
    setup.link.on_wait = lambda: setattr(setup.link, "is_working", True)
    assert read(dealer.next()) == "u"


def test_a_worker_that_cannot_answer_is_sent_away_and_the_last_one_says_why(setup: Setup) -> None:
    setup.hire()
    setup.link.is_working = False
    dealer = Dealer(setup.crew)
    dealer.submit(items("u"))

    def fail() -> Any:
        raise EngineError("The engine cannot be brought back.")

    def fail_all() -> None:
        for task in setup.link.tasks:
            task.outcome = task.outcome or fail

    setup.link.on_wait = fail_all
    with pytest.raises(EngineError, match="cannot be brought back"):
        dealer.next()
    assert setup.told == [("worker", "a is not asked any more. The engine cannot be brought back.")]


def test_everybody_gone_is_waited_for_and_then_said(setup: Setup) -> None:
    setup.hire()
    dealer = Dealer(setup.crew)
    dealer.submit(items("u"))
    setup.link.desks.clear()
    began = setup.link.now
    with pytest.raises(EngineError, match="No worker came"):
        dealer.next()
    assert 9 < setup.link.now - began < 13


def kill_over(setup: Setup, bad: str) -> None:
    """Lets a worker leave, and another come, as soon as it works on what holds a letter."""
    setup.link.is_working = False
    n_come = 0

    def go_on() -> None:
        nonlocal n_come
        for address in list(setup.link.desks):
            mine = [task for task in setup.link.tasks if task.address == address and task.name == "answer"]
            at_work = next((task for task in mine if not task.done()), None)
            if at_work is None:
                continue
            if bad in at_work.letters:
                n_come += 1
                setup.link.desks[f"n{n_come}"] = setup.link.desks.pop(address)
            else:
                setup.link.finish(at_work)

    setup.link.on_wait = go_on


def test_an_item_over_which_every_worker_leaves_is_found_and_lost_alone(setup: Setup) -> None:
    setup.hire()
    kill_over(setup, "d")
    dealer = Dealer(setup.crew)
    for letters in ("abcdefgh", "ijkl"):
        dealer.submit(items(letters))
    assert sorted(setup.gather(dealer, 2)) == ["abc!efgh", "ijkl"]
    assert [text for kind, text in setup.told if kind == "lost"] == [
        "d has no score: 3 workers left while they were asked it."
    ]


def test_what_a_worker_had_not_begun_is_not_to_blame(setup: Setup) -> None:
    setup.link.desks.pop("b")
    setup.hire()
    kill_over(setup, "d")
    dealer = Dealer(setup.crew)
    for letters in ("d", "uvwx"):
        dealer.submit(items(letters))
    setup.gather(dealer, 2)
    asked = {task.letters for task in setup.link.tasks if task.name == "answer"}
    assert asked == {"d", "uvwx"}


# --- the worker's own side ----------------------------------------------------------------------


def test_a_worker_of_dasks_own_says_what_to_start(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="Start it with: llamabench worker"):
        desk.prepare(JOB, ())


def test_another_build_of_llama_cpp_is_refused(
    small_machine: Machine, demo_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "read_machine", lambda: small_machine)
    told: list[str] = []
    at = desk.Desk("first", [demo_model], told.append)
    job = replace(JOB, model=read_model(demo_model), llama_cpp_commit="another")
    for task in (lambda: at.prepare(job, ()), lambda: at.answer(job, PLAIN_PLAN, items("a"))):
        with pytest.raises(EngineError, match="commit 0c1e57098 there and another where the run was started"):
            task()
    assert told == []
