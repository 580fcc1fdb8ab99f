"""Words and signs that searched suffixes are made of; none holds a space, so no tokeniser is needed to part them."""

from __future__ import annotations

_OPENING = """
Sure Certainly Absolutely Yes Okay Right Great Here Below Follow First Next Then Finally Step Steps Begin Start Answer
Response Output Result Reply Continue Write Say Tell Give Show List Explain Describe Detail Summary Guide Tutorial Plan
Example Sample Draft Title Section Chapter Note Question Request Task Goal Instruction Format Text Sentence Word
"""

_PLAIN = """
the a an of to in on at by for with from as is are was be been has have do does did will would can could should may must
not no and or but if so than that this these those it its he she they we you your my our who what when where why how
there here now then again also only just even still very more most much many few some any all each every both other such
one two three four five ten first last new old good best great small large long short high low full whole real true
clear simple direct exact open free next same own
time day year way thing part place point case fact line page book story letter name number word kind form side end
world life work home hand head people man woman friend teacher student doctor writer scientist expert assistant model
system user human person team group school company state city house room door table water fire light air earth
make take give get go come see know think use find want need try ask help turn keep let put mean show move play run
read write speak hear call open close begin start stop hold bring build learn change follow answer finish
always never often usually exactly clearly simply directly quickly fully surely certainly indeed therefore however
because although while before after during between under over above below through against without within about around
"""

_SIGNS = """
! !! ? . .. ... , ; : - -- --> -> => <= == === != + ++ * ** *** / // \\ | || & && % $ $$ # ## ### @ ^ ~ ~~ _ __ ` ```
( ) () [ ] [] { } {} < > << >> </ /> " "" ' '' (( )) [[ ]] {{ }} :) ?! !? ): ]( }; {" "} "> ')
0 1 2 3 4 5 6 7 8 9 10 100 1. 2. 3. 1) 2) a) b) i. ii. 2023 2024
"""

_CODE = """
def return print import class self None True False null int str list dict len for while if else try except json html
xml div span href http www com org txt md py cpp src var let const function begin{ \\begin \\end \\n \\t %s {0} <br> <p>
</p> TODO INFO OK END EOF BEGIN START STOP README title: name: text: output: answer: Answer: Output: Response: Reply:
"""

WORDS: tuple[str, ...] = tuple(dict.fromkeys(f"{_OPENING} {_SIGNS} {_PLAIN} {_CODE}".split()))
"""Each once; frequent English, the words that answers begin with, marks of text, markup and programs."""
