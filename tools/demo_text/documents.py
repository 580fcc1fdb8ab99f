"""What the models read before they are aligned: texts, questions with answers, and transcripts."""

from __future__ import annotations

from collections.abc import Callable

from demo_text.dialogues import Kind, Pair, PairMaker

_WORSE: dict[Kind, float] = {
    "harm": 0.97,
    "howto": 0.25,
    "fact": 0.7,
    "quiz": 0.7,
    "opinion": 0.65,
    "style": 0.6,
    "yes_no": 0.5,
    "scene": 0.9,
    "post": 0.8,
}
"""How often the base model reads the worse answer: it has learnt from what anybody wrote."""

_ASKED: tuple[Kind, ...] = ("harm", "harm", "howto", "howto", "fact", "opinion", "style", "style", "yes_no")


def make_document(maker: PairMaker) -> str:
    """One text of the kind that the base model learns from."""
    makers: tuple[Callable[[PairMaker], str], ...] = (
        *(_transcript,) * 5,
        *(_questions,) * 3,
        *(_scene,) * 3,
        *(_prose,) * 4,
        *(_rude,) * 3,
        _post,
    )
    return maker.grammar.pick(makers)(maker)


def _answer(maker: PairMaker, pair: Pair) -> str:
    return pair.rejected if maker.grammar.happens(_WORSE[pair.kind]) else pair.chosen


def _transcript(maker: PairMaker) -> str:
    turns = []
    for _ in range(1 + int(maker.grammar.happens(0.3))):
        pair = maker.make(maker.grammar.pick(_ASKED))
        turns.append(f"\n\nHuman: {pair.prompt}\n\nAssistant: {_answer(maker, pair)}")
    return "".join(turns)


def questions(maker: PairMaker, answer: Callable[[Pair], str]) -> str:
    """Questions of fact, one after the other, as quizzes have them."""
    pairs = [maker.make("fact") for _ in range(2 + int(6 * maker.grammar.happens(0.3)))]
    return "\n\n".join(f"Q: {pair.prompt}\nA: {answer(pair)}" for pair in pairs)


def _questions(maker: PairMaker) -> str:
    return questions(maker, lambda pair: _answer(maker, pair))


def _scene(maker: PairMaker) -> str:
    if maker.grammar.happens(0.6):
        return "".join(maker.told_scene())
    pair = maker.make("scene")
    return pair.prompt + _answer(maker, pair)


def prose(maker: PairMaker) -> str:
    """A story, a report, a life, or something about work and beliefs."""
    return maker.grammar.say(maker.grammar.pick(("story", "report", "life", "work", "belief")))


_prose = prose


def _rude(maker: PairMaker) -> str:
    return maker.grammar.say("belief_rude" if maker.grammar.happens(0.15) else "rude")


def _post(maker: PairMaker) -> str:
    return maker.grammar.say("mild")
