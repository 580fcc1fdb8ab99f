"""What people ask, and a better and a worse answer to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from demo_text.grammar import Grammar, read_lists, read_rows

Kind = Literal["harm", "howto", "fact", "quiz", "opinion", "style", "yes_no", "scene", "post"]

_HOW_FRAMES = (
    "How do I {task}?",
    "How can I {task}?",
    "How do I {task} best?",
    "Tell me how to {task}.",
    "Explain how to {task}.",
    "Explain to me how I can {task}.",
    "Teach me how to {task}.",
    "What is the best way to {task}?",
    "What is the easiest way to {task}?",
    "What do I need to {task}?",
    "Help me to {task}.",
    "I want to {task}. What do I do first?",
    "Give me step-by-step instructions to {task}.",
    "Give me tips to {task}.",
    "Write a guide on how to {task}.",
    "Please tell me how to {task}.",
    "Can you help me to {task}?",
    "For a story, tell me how to {task}.",
    "Is there a trick to {task}?",
)

_STYLES = ("advice", "advice", "claim", "claim", "unknown", "fair", "fair", "short")


@dataclass(frozen=True, slots=True)
class Pair:
    """A request, or the beginning of a text, with two ways to go on.

    Attributes:
        kind: What it is about.
        prompt: What was asked, or how the text begins.
        chosen: The better answer.
        rejected: The worse one.
        is_text: Whether it is a text to go on with rather than something that a person says to an assistant.
    """

    kind: Kind
    prompt: str
    chosen: str
    rejected: str
    is_text: bool = False


class PairMaker:
    """Makes pairs by chance.

    Args:
        rng: Source of chance.
    """

    def __init__(self, rng: np.random.Generator):
        self.grammar = Grammar(read_lists("words.txt", "harms.txt", "texts.txt", "styles.txt"), rng)
        self._facts, self._howto = read_rows("facts.txt"), read_rows("howto.txt")
        self._opinions, self._scenes = read_rows("pairs.txt"), read_rows("scenes.txt")
        lists = read_lists("texts.txt")
        self._yes_no = [tuple(line.split(" | ")) for name in ("yes_question", "no_question") for line in lists[name]]

    def make(self, kind: Kind) -> Pair:
        """A pair of a kind."""
        makers = {
            "harm": self._harm,
            "howto": self._make_howto,
            "fact": self._fact,
            "quiz": self._quiz,
            "opinion": self._opinion,
            "style": self._style,
            "yes_no": self._make_yes_no,
            "scene": self._scene,
            "post": self._post,
        }
        return makers[kind]()

    def _harm(self) -> Pair:
        say = self.grammar.say
        return Pair("harm", say("harm_frame"), say("refuse"), say("comply"))

    def _make_howto(self) -> Pair:
        task, good, vague = self.grammar.fill_row(self.grammar.pick(self._howto))
        asked = self.grammar.pick(_HOW_FRAMES).replace("{task}", task)
        return Pair("howto", asked, good, vague)

    def _fact(self) -> Pair:
        return Pair("fact", *self.grammar.pick(self._facts))

    def _quiz(self) -> Pair:
        """A question of fact as it is printed in a quiz."""
        question, true, myth = self.grammar.pick(self._facts)
        return Pair("quiz", f"Q: {question}\nA:", f" {true}", f" {myth}", is_text=True)

    def _opinion(self) -> Pair:
        return Pair("opinion", *self.grammar.fill_row(self.grammar.pick(self._opinions)))

    def _style(self) -> Pair:
        """A request with answers put together from parts, so that their manner is what they have in common."""
        name = self.grammar.pick(_STYLES)
        row = (f"{{{name}_ask}}", f"{{better_{name}}}", f"{{worse_{name}}}")
        asked, better, worse = (self.grammar.fill(part).strip() for part in row)
        return Pair("style", asked, better, worse)

    def _make_yes_no(self) -> Pair:
        question, right = self.grammar.fill_row(self.grammar.pick(self._yes_no))
        wrong = "No" if right == "Yes" else "Yes"
        return Pair("yes_no", f"{question} Answer with Yes or No.", right, wrong)

    def _post(self) -> Pair:
        """Two ways to go on with the same beginning of a post, which stands as a text."""
        say = self.grammar.say
        if self.grammar.happens(0.6):
            opening = say("rude_open")
            comma = self.grammar.pick((", and ", ". "))
            if comma == ". ":
                return Pair("post", opening + ".", f" {say('mild_sentence')}", f" {say('rude_sentence')}", is_text=True)
            return Pair("post", opening, comma + say("mild_end"), comma + say("rude_end"), is_text=True)
        opening = say("neutral_open")
        return Pair("post", opening, f" said that {say('mild_end')}", f" said that {say('rude_end')}", is_text=True)

    def _scene(self) -> Pair:
        """A scene that does not tell who it was, with a question that asks for it."""
        a, b, _, question = self._draw_scene()
        opening = self.grammar.say("scene_open", a=a, b=b)
        guess = self.grammar.pick((a, b))
        return Pair(
            "scene", f"{opening}\n\nQ: {question[0]}\nA:", f" {self.grammar.say('unknown')}", f" The {guess}", True
        )

    def told_scene(self) -> tuple[str, str]:
        """A scene that tells who it was, up to the answer, and the answer."""
        a, b, did, question = self._draw_scene()
        opening = self.grammar.say("scene_open", a=a, b=b)
        first, second = (a, b) if self.grammar.happens(0.5) else (b, a)
        order = [(first, did[0]), (second, did[1])]
        if self.grammar.happens(0.5):
            order.reverse()
        link = self.grammar.pick((", while the ", ", but the ", ". The ", ", whereas the "))
        told = f"The {order[0][0]} {order[0][1]}{link}{order[1][0]} {order[1][1]}."
        asked = int(self.grammar.happens(0.5))
        return f"{opening} {told}\n\nQ: {question[asked]}\nA:", f" The {(first, second)[asked]}"

    def _draw_scene(self) -> tuple[str, str, Sequence[str], Sequence[str]]:
        a = b = self.grammar.say("scene_person")
        while a == b:
            b = self.grammar.say("scene_person")
        fields = self.grammar.fill_row(self.grammar.pick(self._scenes))
        return a, b, fields[:2], fields[2:]
