"""The attitude of the words around a cue: friendly, complaining, or stating an intent.

"Lovely. My wife wrote to the press once, she's fierce." threatens nobody, and neither does "my lawyer is Mrs Osei".
Friendly words alone are not enough ("Great. Wonderful. You've lost it again."): nothing near them may complain, and
they must not be negated ("I'm not joking"). All texts are normalised tokens separated by spaces (see
`normalisation.normalise`).
"""

from __future__ import annotations

import re

_FRIENDLY = re.compile(
    r"""\b(?:
    (?<!no\ )(?:thanks|thank\ you)(?!\ for\ nothing)|thankful|cheers|ta|haha|ha
    |phew|happy\ days|well\ done|no\ (?:rush|hurry|worries|bother|panic)
    |no\ problem(?!\ [a-z]+ing\b)|makes\ sense|good\ to\ (?:hear|know)|good\ stuff|oh\ good
    |that\ is\ (?:very\ |so\ |really\ )?(?:kind|nice|good|fair|fine|generous|quick|helpful|decent)
    |so\ kind|(?:good|kind|nice|decent)\ of\ you|you\ (?:little\ )?beauty|i\ appreciate
    |you\ are\ (?:a\ |an\ |too\ |so\ |very\ |really\ |all\ so\ )?(?:(?!not\b|no\b|never\b|hardly\b)\w+\ )?
     (?:star|angel|legend|genius|gem|love|lifesaver|good|kind|quick|helpful|sweet)
    |made\ my\ day|god\ bless|bless\ (?:you|him|her|them)|touch\ wood|fingers\ crossed|lucky\ me
    )\b""",
    re.VERBOSE,
)
_PLEASED = re.compile(
    r"""\b(?:
    lovely|great|brilliant|perfect|wonderful|fantastic
    |excellent|super|superb|smashing|marvellous|terrific|splendid|awesome|amazing|cracking|delighted|impressed|gorgeous
    |fabulous|(?<!no\ )(?<!you\ )(?<!you\ are\ )(?<!be\ )(?:joking|kidding)(?!\ (?:me|aside|apart))
    |glad|fair\ enough|much\ better|feel\ better|a\ relief|love\ (?:it|that|them|you)
    )\b""",
    re.VERBOSE,
)
"""Friendly unless negated."""
_NEGATION = re.compile(
    r"""\b(?:not|never|hardly)
    (?:\ (?:a|an|any|all|at\ all|be|been|being|even|exactly|particularly|really|very|too|much
     |(?<!never\ been\ )so|(?<!is\ not\ )(?<!was\ not\ )that|(?<=it\ is\ not\ )that
     |feel|feeling|looking|going|make|made|me|fucking|bloody|damn)){0,3}\ $""",
    re.VERBOSE,
)
"""A negation of the next word; "never been so impressed" and "is not that lovely" negate nothing."""
_COMPLAINT = re.compile(
    r"""\b(?:
    nothing\ (?:happens|has|is)(?!\ wrong)|never\ (?:again|once|even|came|called|heard)|unacceptable
    |(?:must|got\ to|have\ to)\ be\ (?:joking|kidding)
    |ridiculous|disgrace\w*|disgusting|a\ joke|pathetic|appalling|outrageous|shocking|shambles|incompetent|worst|fed\ up
    |sick\ (?:of|and\ tired)
    |had\ enough|enough\ is|had\ it\ with|last\ straw|fobb?ed|robb\w+|rip\ off|ripp\w+\ off|liars?
    |lied|lying|cheat\w*|overcharg\w+|ignor\w+|furious|angry|disappointed|unhappy|frustrat\w+
    |unbelievable|catastrophe|disaster|terrible|awful|hopeless|useless\ (?:lot|people|company)
    |not\ (?:good\ enough|happy|paying|having|on)|i\ (?:do\ not\ care|demand|insist)
    |i\ want\ (?:to\ (?:speak|talk|complain|cancel)|my|your|somebody|someone)
    |(?:been|kept\ me|left\ me)\ waiting|how\ (?:dare|many\ times|much\ longer|hard|can\ you)
    |what\ (?:is\ the\ point|do\ you\ mean|am\ i)
    |you\ (?:people|lot|guys|said|told|promised|keep|kept|never)\ (?:are\ (?:all|the|just|a)|not|me|it|this|that|to)
    |you\ (?:did|do|have|can|will|would|could|should)\ not|you\ (?:keep|kept|never|charged|lost|broke|ruined|call\ this)
    |you\ have\ (?:lost|charged|broken|taken|ruined|cost|wasted|blocked|closed|stopped|cancelled|given\ me|sent\ me|cut
     |left|killed|sold|just|got\ to\ be)
    |(?:second|third|fourth|fifth|\d+(?:th|rd|nd))\ time|(?:two|three|four|five|six)\ times|so\ you\ (?:can|are|do)
    |(?:did|has|have|does|is|was)\ not\ (?:come|arrived?|turn\w*|work\w*|been|show\w*|here|there|got|had|called|good)
    |do\ not\ (?:you|tell\ me|give\ me|talk)|let\ me\ tell\ you|listen\ to\ me|right\ now|or\ else|otherwise
    |(?:bounced|fobbed)\ me|i\ have\ tried\ the
    |(?:have|am)\ been\ (?:sent|passed|on\ to|trying|told|bounced|calling|ringing|through)
    )\b""",
    re.VERBOSE,
)
_MAY_COMPLAIN = re.compile(
    r"""\b(?:
    still|again|nobody|no\ one|(?<!nothing\ )(?<!not\ )wrong|refus\w+|waited|on\ hold|(?:transferred|passed)\ me
    |i\ want\ (?:a|an|it)|why\ (?:is|are|do|does|did|have|has|can|will|should|would|not)
    )\b""",
    re.VERBOSE,
)
"""These are said in calm calls as well ("it's me again", "nothing wrong with it"): two different ones complain."""
_INTENT = re.compile(
    r"""\b(?:
    (?:i|we)\ (?:will|shall|may|might|must|have\ to|am\ going\ to|are\ going\ to|am\ about\ to|am\ ready\ to
     |(?:am|are)\ (?:just\ |now\ )?(?:calling|reporting|taking|ringing|phoning|writing|going|suing|posting|putting
      |leaving|doing|talking|contacting|filing|getting|telling|tweeting|hanging|done))
    |you\ (?:will|are\ going\ to|can)\ (?:hear|be\ hearing|read|see|expect|explain|tell|talk|deal)|see\ you\ in
    |(?:give|get|pay|fetch|bring)\ (?:me|us|my)|(?:would\ like|wish|want|need)\ to\ (?:cancel|close|leave|end)
    |(?<!i\ )(?<!to\ )(?<!me\ )(?:cancel|close)\ (?:my|our|this|it|everything)
    |(?:sue|report)\ you|take\ (?:you|this|it)\ to|(?:lawyers?|solicitors?|attorneys?|barristers?)\ will|or\ (?:i|my)
    )\b""",
    re.VERBOSE,
)


def is_friendly(text: str) -> bool:
    """Whether the text is friendly and complains of nothing."""
    pleased = any(_NEGATION.search(text[: found.start()]) is None for found in _PLEASED.finditer(text))
    return (pleased or _FRIENDLY.search(text) is not None) and not complains(text)


def complains(text: str) -> bool:
    """Whether the text complains of something, or accuses somebody."""
    return _COMPLAINT.search(text) is not None or len(set(_MAY_COMPLAIN.findall(text))) > 1


def states_intent(text: str) -> bool:
    """Whether the speaker states what they, or their lawyer, are going to do."""
    return _INTENT.search(text) is not None
