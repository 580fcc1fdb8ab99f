"""Sentences of our own that teach what words alone do not tell: who is meant, negation, quotation, threats.

Labelled sets have few sentences in which a group is praised, a slight is denied or an object is hated, so that a
classifier learns that naming a group is toxic. The kinds of sentence follow the functionalities that the HateCheck
paper describes (Röttger et al. 2021, section 3); the sentences, groups and words are ours and none was taken from, or
chosen by, its test cases.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

PLURAL_GROUPS = (
    "women|girls|Muslims|Jews|Christians|Hindus|Sikhs|Buddhists|atheists|Catholics|immigrants|refugees|migrants|"
    "asylum seekers|foreigners|gays|lesbians|gay people|gay men|bisexuals|trans people|trans women|trans men|"
    "transgender people|queer people|nonbinary people|black people|black men|black women|Blacks|white people|"
    "brown people|people of color|Asians|Chinese people|Japanese people|Koreans|Indians|Pakistanis|Arabs|Turks|"
    "Africans|Nigerians|Somalis|Mexicans|Latinos|Hispanics|Native Americans|Aboriginal people|Roma people|Poles|"
    "Romanians|Russians|Iranians|Syrians|Israelis|Palestinians|disabled people|people with disabilities|blind people|"
    "deaf people|wheelchair users|autistic people|people with autism|people with Down syndrome|the mentally ill|"
    "old people|the elderly|poor people|homeless people|single mothers|feminists|men|LGBT people|interracial couples"
).split("|")
SINGULAR_GROUPS = (
    "woman|girl|Muslim|Jew|Christian|Hindu|immigrant|refugee|migrant|foreigner|gay man|lesbian|gay person|trans person|"
    "trans woman|transgender person|black man|black woman|black person|Asian|Chinese guy|Indian|Pakistani|Arab|"
    "African|Nigerian|Mexican|Latino|Native American|disabled person|blind person|deaf person|autistic person|"
    "wheelchair user|homeless person|single mother|feminist|queer person|Turk|Pole"
).split("|")
OTHERS = (
    "landlords|bankers|politicians|lawyers|managers|the French team|football fans|cyclists|tourists|vegans|gamers|"
    "telemarketers|bureaucrats|hipsters|influencers|teachers|drivers in this town|journalists|dentists|lobbyists|"
    "smokers|hackers|salespeople|critics|consultants|paparazzi|billionaires|communists|capitalists|republicans|liberals"
).split("|")
THINGS = (
    "Mondays|traffic jams|mosquitoes|this printer|broccoli|cold coffee|spiders|weeds|this old laptop|slow elevators|"
    "rats|cockroaches|commercials|spam mails|long queues|this bus line|wet socks|horror films|my alarm clock|algebra|"
    "loud music|the new update|plastic bags|potholes|stale bread|pop-up windows|wasps|this sofa|tax forms|rainy days"
).split("|")
NEGATIVE = (
    "disgusting|filthy|stupid|dumb|worthless|dirty|evil|dangerous|lazy|inferior|repulsive|vile|pathetic|ugly|corrupt|"
    "dishonest|violent|savage|primitive|greedy|useless|retarded|sick in the head|subhuman|mentally deranged|unclean|"
    "a disgrace|a plague|a disease|a burden on everyone|a threat to our children|like animals|like vermin|less than human|"
    "not human|the scum of the earth|trash|garbage|parasites|leeches|cockroaches|rats|criminals|thieves|liars|rapists|"
    "terrorists|murderers|freaks|degenerates|idiots|animals|pigs|monkeys|a cancer|inbred|backward|sneaky|cowards|"
    "not as smart as us|not fit to lead|too emotional to vote|good for nothing|a stain on this country|an abomination"
).split("|")
POSITIVE = (
    "wonderful|brilliant|kind|smart|beautiful|welcome here|equal to everyone|hard working|honest|brave|talented|great|"
    "worthy of respect|our neighbours|my friends|amazing|funny|creative|loving parents|good people|as human as you|"
    "part of this town|caring|generous|inspiring|strong|our equals|valued members of society|lovely|clever|trustworthy"
).split("|")
NEUTRAL = (
    "live in my street|work at the hospital|came to the meeting on Friday|go to the same school as my kids|like football|"
    "are mentioned in the report|have voted in every election|were interviewed for the study|run a bakery in town|"
    "travel by train|are moving to the city|celebrate with their families|teach at the university|sing in our choir|"
    "are represented on the board|pay taxes like everyone|watched the game|wrote most of this music|live all over the world"
).split("|")
HARMS = (
    "be shot|be hanged|be beaten up|be locked up|be deported|be wiped out|be gassed|be exterminated|die|burn|drown|"
    "be killed|be thrown out of the country|be attacked in the street|suffer|disappear from this earth|be banned|"
    "be put down|be sterilized|be stoned|get what is coming to them|rot in a cell|be kept away from our kids|be whipped"
).split("|")
THREATS = (
    "kill|shoot|stab|beat up|burn|hang|hurt|strangle|slaughter|smash|punch|hunt down|run over|set fire to|get rid of|"
    "wipe out|drown|bash|poison|bomb|attack|crush"
).split("|")
RIGHTS = (
    "vote|get married|work|feel safe|live here|be heard|raise children|go to school|walk home in peace|be treated fairly|"
    "be respected|practise their faith|have a home|be loved|lead a company|speak up"
).split("|")
HATES = "hate|despise|loathe|detest|can't stand|can only laugh at|feel nothing but contempt for|have no respect for|look down on".split(
    "|"
)
LIKES = (
    "love|like|respect|admire|support|care about|stand with|feel grateful to|enjoy working with|feel proud of".split(
        "|"
    )
)
INSULTS = (
    "an idiot|a moron|a loser|a clown|an asshole|a liar|a coward|a stupid fool|a piece of shit|a pig|worthless|pathetic|"
    "a disgrace|so dumb|a creep|an arrogant prick|a scumbag|ugly|a bastard|trash|a jerk|a dickhead"
).split("|")
SWEARS = "fucking|damn|bloody|goddamn|freaking|f-ing".split("|")
EXCLAIMS = (
    "Fuck, I forgot my keys again|Oh shit, we missed the bus|This is a damn good cake|What the hell happened to the weather|"
    "I am so fucking tired today|That film was fucking brilliant|Holy shit, what a goal|Damn, you look great|"
    "My fucking phone died again|Bloody hell, that was close|Shit happens, let us go on|I had a hell of a good time|"
    "This bullshit weather ruined my picnic|Fuck yes, we won|Damn it, the milk is off|This song is the shit"
).split("|")
QUOTERS = (
    'Saying that "{x}" is wrong|Nobody should say "{x}"|"{x}" is a racist thing to say|I am tired of people who say "{x}"|'
    'He was fired because he wrote "{x}"|Stop writing "{x}", it hurts people|Whoever thinks "{x}" knows nothing|'
    '"{x}" is exactly the kind of hate that we must answer|If you believe "{x}", please talk to some of them|'
    'The post that said "{x}" was removed|How can anyone say "{x}" and sleep at night|'
    'I reported the man who shouted "{x}"|Statements like "{x}" have no place here|You said "{x}" and I am ashamed of you'
).split("|")
OPINIONS = (
    "I think|Honestly,|In my opinion,|Let's face it:|Everyone knows that|It is a fact that|I am sorry but|You know what?|"
    "If you ask me,|Mark my words:|Trust me,|The truth is that|I can't help feeling that|Science shows that"
).split("|")
REFERENCES = (
    "They are all {neg}|They should all {harm}|I {hate} them|They don't deserve to {right}|These people are {neg}|"
    "I wish they would all {harm}|We must get rid of them|Someone should {threat} them|They make me sick|"
    "I want them to {harm}|I will never respect them|They can all go to hell"
).split("|")
KIND_REFERENCES = (
    "They are {pos}|They deserve to {right}|I {like} them|They make this town better|I am glad that they came|"
    "I learned a lot from them|They should all {right}|I hope that they stay|Nobody should {threat} them"
).split("|")

_LEET = str.maketrans({"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7"})


class Composed(NamedTuple):
    """A sentence of ours: whether it attacks a group, and whether it is rude at all (None: opinions may differ)."""

    text: str
    is_attack: bool
    is_toxic: bool | None


class Words:
    """Draws words of each kind, so that one seed gives one set of sentences."""

    def __init__(self, rng: np.random.Generator):
        self._rng = rng

    def pick(self, words: tuple[str, ...] | list[str]) -> str:
        """One of the words."""
        return words[int(self._rng.integers(len(words)))]

    def flip(self, share: float) -> bool:
        """True in a share of cases."""
        return bool(self._rng.random() < share)

    def fill(self, template: str) -> str:
        """A template with words in its places."""
        places = {
            "G": PLURAL_GROUPS, "g": SINGULAR_GROUPS, "O": OTHERS, "T": THINGS, "neg": NEGATIVE, "pos": POSITIVE,
            "neu": NEUTRAL, "harm": HARMS, "threat": THREATS, "right": RIGHTS, "hate": HATES, "like": LIKES,
            "insult": INSULTS, "swear": SWEARS, "op": OPINIONS,
        }  # fmt: skip
        return template.format(**{name: self.pick(words) for name, words in places.items()})


_ATTACKS = (
    "I {hate} {G}", "{G} are {neg}", "All {G} are {neg}", "Every {g} is {neg}", "You are {neg}, like all {G}",
    "{G} are nothing but {neg}", "{G} should {harm}", "All {G} deserve to {harm}", "I hope that all {G} {harm}",
    "Let's {threat} all {G}", "I am going to {threat} {G}", "I will {threat} you, you {g}", "We should {threat} every {g}",
    "{G} do not deserve to {right}", "{G} should not be allowed to {right}", "No {g} should ever {right}",
    "{G} are not {pos}", "{G} will never be {pos}", "I don't think that {G} are {pos}", "I do not {like} {G}",
    "You can't tell me that {G} are {pos}", "Nobody in this country likes {G}", "{G} have never done anything good",
    "{op} {G} are {neg}", "{op} {G} should {harm}", "{op} no {g} can be {pos}", "Why are {G} so {neg}?",
    "Why don't {G} all {harm}?", "Does anyone else think that {G} are {neg}?", "Who could ever {like} {G}?",
    "Is it just me or are {G} {neg}?", "How many {G} have to {harm} before it gets better?",
    "{swear} {G}, they ruin everything", "I {swear} hate {G}", "{G} are {swear} {neg}", "Those {swear} {G} should {harm}",
    "You are just a {swear} {g}", "Shut up, you {neg} {g}", "{G} make me want to throw up", "Keep {G} away from me",
    "The world would be better without {G}", "I would never share a table with a {g}", "{G} do not belong among us",
    "Send all {G} back to where they came from", "We don't serve {G} here", "{G} are ruining this country",
    "{G} are taking over and must be stopped", "I wouldn't trust a {g} with my dog", "A good {g} is a dead {g}",
    "{G} only want our money", "You wouldn't want {G} near your kids", "Never hire a {g}", "{G} ought to know their place",
    "There is nothing that I hate more than {G}", "{G} should be treated like dirt", "It is fine to {threat} {G}",
)  # fmt: skip
_KIND = (
    "I {like} {G}", "{G} are {pos}", "All {G} are {pos}", "Every {g} is {pos}", "{G} {neu}", "Many {G} {neu}",
    "{G} deserve to {right}", "{G} should be able to {right}", "No {g} should {harm}", "Nobody should {threat} {G}",
    "{G} are not {neg}", "No {g} is {neg}", "I don't {hate} {G}", "I could never {hate} {G}", "I don't think {G} are {neg}",
    "It is not true that {G} are {neg}", "Not all {G} are {neg}", "It is wrong to {threat} {G}", "{G} have rights",
    "I am a {g} and proud of it", "As a {g} I want to {right}", "My best friend is a {g}", "Two {G} sat next to me",
    "{op} {G} are {pos}", "{op} {G} should {right}", "Why do people {hate} {G}?", "Are there {G} in your team?",
    "The article is about {G} in the city", "{G} and {O} {neu}", "We need more {G} in this job", "Thank you, {G}",
    "{G} are {swear} {pos}", "I {swear} love {G}", "A {g} opened the door", "She is a {g} and works as a nurse",
    "He apologised to the {g} for what he said", "Hate against {G} has to stop", "Attacks on {G} rose last year",
    "{G} are often called {neg}, which is a lie", "There is nothing wrong with being a {g}", "I am not afraid of {G}",
    "Nobody has the right to call {G} {neg}", "{G} face discrimination when they want to {right}",
)  # fmt: skip
_RUDE = (
    "{O} are {neg}", "All {O} are {neg}", "I hope {O} all {harm}", "{O} should {harm}", "You are {insult}",
    "My boss is {insult}", "That guy is {insult} and should {harm}", "I {hate} you", "He is {insult}", "Shut up, you are {insult}",
    "I will {threat} you", "I want to {threat} my neighbour", "{swear} {O}, all of them {neg}", "{op} he is {insult}",
)  # fmt: skip
_MILD = (
    "I {hate} {T}", "{T} should {harm}", "{T} are {neg}", "I {hate} {O}", "I want to {threat} {T}", "{op} {T} are {neg}",
    "I {swear} hate {T}", "{swear} {T}", "There is nothing that I hate more than {T}", "Let's get rid of {T}",
)  # fmt: skip


def compose(n: int, seed: int) -> Iterator[Composed]:
    """Makes sentences, half of them attacks on groups.

    Args:
        n: How many.
        seed: What decides their words.
    """
    rng = np.random.default_rng(seed)
    words = Words(rng)
    for _ in range(n):
        sentence = _attack(words) if words.flip(0.5) else _harmless(words)
        text = _write(sentence.text, words)
        yield sentence._replace(text=_garble(text, rng) if words.flip(0.15) else text)


def _attack(words: Words) -> Composed:
    if words.flip(0.25):
        start = words.fill(words.pick(("I know a lot of {G}", "There are {G} everywhere", "I met some {G} today",
                                       "My town is full of {G}", "We let in more {G}", "{G} {neu}")))  # fmt: skip
        joint = words.pick((". ", " and ", ", ", "! ", ", but "))
        return Composed(start + joint + words.fill(words.pick(REFERENCES)), True, True)
    return Composed(words.fill(words.pick(_ATTACKS)), True, True)


def _harmless(words: Words) -> Composed:
    kind = words.pick(("kind", "kind", "kind", "quoted", "rude", "mild", "refer", "exclaim"))
    if kind == "quoted":
        inner = words.fill(words.pick(_ATTACKS))
        return Composed(words.pick(QUOTERS).replace("{x}", inner), False, None)
    if kind == "refer":
        start = words.fill(words.pick(("I know a lot of {G}", "I met some {G} today", "{G} {neu}", "I work with {G}")))
        return Composed(start + words.pick((". ", " and ")) + words.fill(words.pick(KIND_REFERENCES)), False, False)
    if kind == "exclaim":
        return Composed(words.pick(EXCLAIMS), False, None)
    if kind == "rude":
        return Composed(words.fill(words.pick(_RUDE)), False, True)
    if kind == "mild":
        return Composed(words.fill(words.pick(_MILD)), False, None)
    return Composed(words.fill(words.pick(_KIND)), False, False)


def _write(text: str, words: Words) -> str:
    """Sentences as people type them: with and without capitals and full stops."""
    text = text[0].upper() + text[1:] if words.flip(0.7) else text.lower()
    return text if text.endswith("?") else text + words.pick((".", "", "!", "."))


def _garble(text: str, rng: np.random.Generator) -> str:
    """Spelling that hides words: swapped, dropped or replaced letters, missing or added spaces."""
    way = int(rng.integers(5))
    if way == 0:
        return text.translate(_LEET)
    words = text.split(" ")
    at = int(rng.integers(len(words)))
    word = words[at]
    if len(word) < 4:
        return text
    cut = int(rng.integers(1, len(word) - 1))
    changed = (
        word[: cut - 1] + word[cut] + word[cut - 1] + word[cut + 1 :],
        word[:cut] + word[cut + 1 :],
        " ".join(word),
        word + words.pop(at + 1) if at + 1 < len(words) else word,
    )[way - 1]
    words[at] = changed
    return " ".join(words)
