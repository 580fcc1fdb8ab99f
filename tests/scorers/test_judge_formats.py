"""Which format a judge's file is for, and what each format can be asked."""

from __future__ import annotations

import math

import pytest

from llamabench.records import ChatPrompt, JudgeQuestion, Scored, ScoreRequest, ScoreResult, TextPrompt
from llamabench.scorers.judge_formats import JUDGE_FORMATS, guess_format

CHAT = "{% for message in messages %}{{ message.content }}{% endfor %}"
GUARD = "Check if there is unsafe content in 'Agent' messages"


@pytest.mark.parametrize(
    ("names", "template", "found"),
    [
        (["Llama Guard 3 8B", "model"], GUARD, "llama-guard-3"),
        (["model", "Llama-Guard-3-1B-Q8_0"], GUARD, "llama-guard-3-1b"),
        (["Llama-Guard-4-12B"], None, "llama-guard-4"),
        (["Meta Llama Guard 2 8B"], None, "llama-guard-2"),
        (["LlamaGuard-7b.Q4_K_M"], None, "llama-guard-1"),
        (["shieldgemma-2b"], CHAT, "shieldgemma"),
        (["Granite Guardian 3.1 2b"], CHAT, "granite-guardian"),
        (["Qwen3Guard-Gen-0.6B"], CHAT, "qwen3guard"),
        (["truthfulqa-truth-judge-llama2-7B.Q8_0"], None, "truthfulqa-truth"),
        (["truthfulqa-info-judge-llama2-7B"], None, "truthfulqa-info"),
        (["Qwen3 8B Instruct", "qwen3-8b"], CHAT, "rubric"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_file_says_how_it_is_asked(names: list[str], template: str | None, found: str) -> None:
    assert guess_format(names, template) == found


@pytest.mark.parametrize(
    ("names", "template"),
    [
        (["A base model"], None),
        (["granite-guardian-3.3-8b"], CHAT),  # asked otherwise than its elders
        (["Qwen3Guard-Stream-4B"], CHAT),
        (["Llama-Guard-3-11B-Vision"], CHAT),
        (["my finetune"], GUARD),
        (["Prometheus judge 7B"], CHAT),
        (["shieldgemma-2b", "Llama-Guard-4-12B"], CHAT),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_is_not_sure_is_asked_for(names: list[str], template: str | None) -> None:
    assert guess_format(names, template) is None


def answer(request: ScoreRequest, likely: str) -> ScoreResult:
    scored = (Scored(math.log(0.9 if text.strip() == likely else 1e-4), 1, 1, False) for text in request.continuations)
    return ScoreResult(request.id, "", tuple(scored))


@pytest.mark.parametrize("name", JUDGE_FORMATS)
def test_every_format_asks_and_reads_all_that_it_says(name: str) -> None:
    format_ = JUDGE_FORMATS[name]
    assert format_.name == name
    assert format_.aspects
    for aspect in format_.aspects:
        question = JudgeQuestion(aspect, "Why?", "Because.", wording="Is it short?" if aspect == "question" else None)
        requests = format_.ask(question, "x")
        assert all(request.id.startswith("x") for request in requests)
        last = requests[0].continuations[-1].strip()
        verdict = format_.read(question, [answer(request, last) for request in requests])
        assert verdict.value > 0.95
        assert verdict.is_clear


def test_a_question_of_ones_own_is_asked_in_its_words() -> None:
    for wording in ("Is the answer short?", "Is the answer short? Answer Yes or No."):
        question = JudgeQuestion("question", "Why?", "Because.", wording=wording)
        (request,) = JUDGE_FORMATS["rubric"].ask(question, "x")
        assert isinstance(request.prompt, ChatPrompt)
        assert request.prompt.messages[0].content.endswith("\n\nIs the answer short? Answer Yes or No.")


def test_fine_tuned_judges_are_asked_in_plain_text() -> None:
    for name, word in (("truthfulqa-truth", "True:"), ("truthfulqa-info", "Helpful:")):
        (request,) = JUDGE_FORMATS[name].ask(JudgeQuestion("truthful", "Why?", "Because."), "x")
        assert request.prompt == TextPrompt(f"Q: Why?\nA: Because.\n{word}")
        assert not JUDGE_FORMATS[name].needs_template
