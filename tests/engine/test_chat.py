"""Chat templates: what real ones use works, what an evil one tries does not, and what fails says so."""

from __future__ import annotations

import contextlib
import hashlib
import resource
import signal
import sys
import time
from pathlib import Path

import pytest

from llamabench.engine.chat import ChatTemplate
from llamabench.engine.process import Engine
from llamabench.errors import EngineError, RunawayTemplateError
from llamabench.records import ChatPrompt, Failure, Message, ScoreRequest

SYSTEM = Message("system", "Be brief.")
USER = Message("user", "Hi")
ANSWER = Message("assistant", "Hello")
NO_SYSTEM = (
    "{% for m in messages %}"
    "{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "[{{ m.role }}]{{ m.content }}"
    "{% endfor %}"
)


def render(source: str, *messages: Message) -> str:
    return ChatTemplate(source, bos="<s>", eos="</s>").render(messages or (USER,))


def test_variables() -> None:
    source = (
        "{{ bos_token }}{% for m in messages %}{{ m['role'] }}:{{ m.content }}{{ eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}>{% endif %}{% if not enable_thinking %}!{% endif %}{% if tools %}?{% endif %}"
    )
    assert render(source, USER, ANSWER) == "<s>user:Hi</s>assistant:Hello</s>>!"


def test_blocks_leave_no_blank_lines() -> None:
    assert render("{% if true %}\n  {% for m in messages %}\n{{ m.content }}\n  {% endfor %}\n{% endif %}\n") == "Hi\n"


def test_loop_controls() -> None:
    skip = "{% if m.role == 'system' %}{% continue %}{% endif %}"
    source = "{% for m in messages %}" + skip + "{{ m.content }}{% break %}{% endfor %}"
    assert render(source, SYSTEM, USER, ANSWER) == "Hi"


def test_namespace() -> None:
    source = "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}"
    assert render(source, USER, ANSWER) == "2"


def test_generation_block_prints_what_it_holds() -> None:
    source = (
        "{% for m in messages %}{% if m.role == 'assistant' %}"
        "{%- generation -%} {{ m.content }} {%- endgeneration -%}"
        "{% else %}{{ m.content }}|{% endif %}{% endfor %}"
    )
    assert render(source, USER, ANSWER) == "Hi|Hello"


def test_tojson_escapes_nothing() -> None:
    message = Message("user", "<é> & '\"'")
    assert render("{{ messages[0].content | tojson }}", message) == '"<é> & \'\\"\'"'
    assert render("{{ messages[0] | tojson(indent=1) }}") == '{\n "role": "user",\n "content": "Hi"\n}'


def test_a_template_is_told_the_same_date_every_day() -> None:
    # a run that goes on after midnight would ask its last items otherwise than its first
    assert render("{{ strftime_now('%d %b %Y %H:%M') }}") == "26 Jul 2024 00:00"


def test_text_is_not_escaped_as_html() -> None:
    assert render("{{ messages[0].content }}", Message("user", "<b> & {{ x }}")) == "<b> & {{ x }}"


def test_refused_system_message_goes_to_the_first_user_message() -> None:
    assert render(NO_SYSTEM, SYSTEM, USER, ANSWER) == "[user]Be brief.\n\nHi[assistant]Hello"


def test_system_message_stays_where_the_template_takes_it() -> None:
    assert render("{% for m in messages %}[{{ m.role }}]{% endfor %}", SYSTEM, USER) == "[system][user]"


@pytest.mark.parametrize("messages", [(SYSTEM,), (SYSTEM, ANSWER), (USER, SYSTEM)])
def test_refusal_that_cannot_be_helped_says_why(messages: tuple[Message, ...]) -> None:
    with pytest.raises(EngineError, match=r"System role not supported\. Run with --no-chat\.$"):
        render(NO_SYSTEM, *messages)


def test_refusal_of_the_merged_conversation_too() -> None:
    with pytest.raises(EngineError, match=r"refuses this conversation: never\. Run with --no-chat\.$"):
        render("{{ raise_exception('never.') }}", SYSTEM, USER)


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.__class__.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ raise_exception.__globals__ }}{{ raise_exception.__globals__.x.y }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update({'role': 'system'}) }}",
        "{{ messages.clear() }}",
        "{% for i in range(1000000000) %}{% endfor %}",
    ],
)
def test_sandbox(source: str) -> None:
    messages = [USER, ANSWER]
    with pytest.raises(EngineError, match="chat template fails: .+ Run with --no-chat"):
        ChatTemplate(source, bos="", eos="").render(messages)
    assert messages == [USER, ANSWER]


@pytest.mark.parametrize(
    "source",
    [
        "{{ 1 / (messages | length - 1) }}",
        "{{ messages[5].content }}",
        "{{ messages[0].content.missing() }}",
        "{{ nothing.at.all }}",
        "{{ messages[0].content + 1 }}",
        "{{ messages | dictsort }}",
        "{{ strftime_now(1) }}",
        "{{ messages[0].content | nofilter(1) if false else messages | map('nofilter') | list }}",
        "{% macro again(x) %}{{ again(x) }}{% endmacro %}{{ again(1) }}",
        "{{ 'x' * 10 ** 15 }}",
        "{% include 'other' %}",
    ],
)
def test_failing_template(source: str) -> None:
    with pytest.raises(EngineError, match=r"chat template .*--no-chat") as caught:
        render(source)
    assert "Traceback" not in str(caught.value)
    assert ".." not in str(caught.value)


@pytest.mark.parametrize("source", ["{% for m in messages %}", "{{ 1 + }}", "{% nonsense %}", "{% generation %}x"])
def test_syntax_error(source: str) -> None:
    with pytest.raises(EngineError, match=r"not valid Jinja2 \(.+\)\. Run with --no-chat, or give another template\."):
        ChatTemplate(source, bos="", eos="")


def test_digest_is_that_of_the_source() -> None:
    assert ChatTemplate("é", bos="", eos="").sha256 == hashlib.sha256("é".encode()).hexdigest()


# --- templates that do not end ------------------------------------------------------------------


@pytest.fixture
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llamabench.engine.limits.TIME_S", 0.2)
    monkeypatch.setattr("llamabench.engine.limits.MEMORY_BYTES", 64 << 20)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "did not end within"),
        ("{% macro a(n) %}{% if n %}{{ a(n - 1) }}{{ a(n - 1) }}{% endif %}{% endmacro %}{{ a(60) }}", "did not end"),
        ("{% for i in range(99999) %}{{ 'x' * 10000 }}{% endfor %}", "writes far more than the conversation"),
        ("{{ 'x' * 100000000 }}", "asks for more than"),
        ("{{ messages[0].content * 1000000000 }}", "asks for more than"),
        ("{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}", "asks for"),
        ("{{ '%0999999999d' | format(1) }}", "asks for more than"),
        ("{{ 'x' | center(999999999) }}", "asks for more than"),
        (
            "{% set x = namespace(a=[]) %}{% for i in range(99) %}{% set x.a = x.a + x.a + [1] %}{% endfor %}",
            "asks for",
        ),
    ],
)
@pytest.mark.usefixtures("short_limits")
@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
def test_a_template_without_end_is_told_and_not_tried_again(source: str, words: str) -> None:
    with pytest.raises(RunawayTemplateError, match=f"chat template {words}.* Run with --no-chat"):
        render(source)


@pytest.mark.usefixtures("short_limits")
def test_a_runaway_template_is_not_tried_again() -> None:
    template = ChatTemplate("{% for i in range(9999) %}{{ messages[0].content * 999 }}{% endfor %}", bos="", eos="")
    for _ in range(2):
        with pytest.raises(RunawayTemplateError, match="writes far more"):
            template.render([USER])
    start = time.perf_counter()
    for _ in range(100):
        with pytest.raises(RunawayTemplateError):
            template.render([USER])
    assert time.perf_counter() - start < 0.1


def test_limits_are_lifted_afterwards() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS), signal.getsignal(signal.SIGVTALRM)
    for source in ("{{ messages[0].content }}", "{{ nothing.at.all }}"):
        with contextlib.suppress(EngineError):
            render(source)
    assert (resource.getrlimit(resource.RLIMIT_AS), signal.getsignal(signal.SIGVTALRM)) == before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == signal.getitimer(signal.ITIMER_PROF) == (0, 0)


def test_a_long_conversation_may_become_a_long_text() -> None:
    message = Message("user", "x" * (3 << 20))
    assert len(render("{{ messages[0].content }}{{ messages[0].content | upper }}", message)) == 6 << 20


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in messages %}" * 30 + "{% endfor %}" * 30,
        "{{ " + "(" * 20000 + "1" + ")" * 20000 + " }}",
        "{% if messages %}" * 3000 + "{% endif %}" * 3000,
    ],
    ids=["too many loops for Python", "brackets", "blocks"],
)
def test_a_template_that_python_cannot_hold_is_told(source: str) -> None:
    with pytest.raises(EngineError, match=r"chat template .*Run with --no-chat"):
        render(source)


def test_a_failure_is_told_in_few_words() -> None:
    with pytest.raises(EngineError) as caught:
        render("{{ raise_exception(messages[0].content * 1000) }}", Message("user", "no!" * 1000))
    assert len(str(caught.value)) < 500


@pytest.mark.model
def test_a_template_without_end_ends_a_run_before_it_began(demo_model: Path) -> None:
    template = "{% for i in range(99999) %}{{ messages[0].content * 9999 }}{% endfor %}"
    request = ScoreRequest("a", ChatPrompt((USER,)), ("yes", "no"))
    with Engine(demo_model, chat_template=template) as engine:
        with pytest.raises(RunawayTemplateError, match="writes far more than the conversation"):
            engine.count_tokens([request])
        (result,) = engine.score([request])
        assert isinstance(result, Failure)
        assert "writes far more than the conversation" in result.message


@pytest.mark.model
@pytest.mark.slow
def test_a_step_that_cannot_be_interrupted_ends_the_process_and_is_told(demo_model: Path) -> None:
    template = "{% set ns = namespace(n=3) %}{% for i in range(99) %}{% set ns.n = ns.n * ns.n %}{% endfor %}"
    request = ScoreRequest("a", ChatPrompt((USER,)), ("yes", "no"))
    told = pytest.raises(EngineError, match="chat template (took more than|did not end within)")
    with Engine(demo_model, chat_template=template) as engine, told:
        engine.count_tokens([request])
